"""Solving in symmetric matrices: with what rounding has made indefinite, too, and with no more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinymia.attacks.response import Law, Prior
from tinymia.attacks.symmetric import is_definite, solver


def of_size(values: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """A matrix with these eigenvalues, and its eigenvectors."""
    count = len(values)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(count, count)))[0]
    made = (turn * values) @ turn.T
    return (made + made.T) / 2, turn


def test_the_solution() -> None:
    matrix, turn = of_size([1e-3, 1.0, 2.0, 50.0])
    for right in (turn[:, 0], turn):
        np.testing.assert_allclose(matrix @ solver(matrix.copy())(right), right, atol=1e-12)


def test_what_rounding_has_made_indefinite() -> None:
    """Equations of a weight of 1e8 beside a prior whose smallest eigenvalues are 0, or below."""
    matrix, turn = of_size([-1e-8, -3e-9, 0.0, 1e-7, 10.0, 5e7])
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.cholesky(matrix)
    found = solver(matrix.copy())(turn[:, 4:] @ [10.0, 5e7])
    np.testing.assert_allclose(turn[:, 4:].T @ found, 1.0, rtol=1e-5)
    assert np.abs(found).max() < 10  # nothing of where the equations say nothing


def test_what_is_indefinite_itself() -> None:
    matrix = np.diag([1.0, -1e-3, 1.0])
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        solver(matrix)


def test_members_that_explain_all_but_rounding() -> None:
    """A device's matrix then has a precision that a difference of large numbers would not give."""
    rng = np.random.default_rng(2)
    units, size = 100, 4
    effects = 1e5 * rng.normal(size=(units, size))
    prior = Prior.independent(units, 0.4)
    nothing = np.zeros((1, size))
    law = Law(Any, nothing, np.eye(1), np.eye(size), effects, 1e-24 * np.eye(size), prior)  # type: ignore[arg-type]
    assert is_definite(law.marginal)
    whole = 1e24 * np.eye(size) + prior.variance * effects.T @ effects
    np.testing.assert_allclose(law.marginal, np.linalg.inv(whole), rtol=1e-6)
    sharp = Law(Any, nothing, np.eye(1), np.eye(size), effects, np.eye(size), prior)  # type: ignore[arg-type]
    assert is_definite(sharp.marginal)
    whole = np.eye(size) + prior.variance * effects.T @ effects
    np.testing.assert_allclose(sharp.marginal @ whole, np.eye(size), atol=1e-4)
