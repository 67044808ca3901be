"""Epsilon against known figures, and the searches for noise and steps against it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from tinymia.defenses.accounting import Neighbours, epsilon, noise_for
from tinymia.errors import StudyError


def test_published_figure() -> None:
    # TensorFlow Privacy's tutorial: 60 epochs of MNIST, noise 1.1, batch 256: 3.56 by the
    # accountant of 2019, 2.60 by RDP with the tighter conversion of today.
    found = epsilon(1.1, 256 / 60000, 60 * 60000 // 256, 1e-5)
    assert found.rdp == pytest.approx(2.597, abs=0.01)
    assert found.pld < found.rdp
    assert found.best == found.pld == float(found)
    assert found.accountant == "PLD"


@pytest.mark.parametrize(("noise", "steps"), [(1.0, 1), (2.0, 1), (3.0, 25)])
def test_without_sampling_it_is_the_analytic_gaussian(noise: float, steps: int) -> None:
    # Balle and Wang, ICML 2018, theorem 8; n steps are one with noise / sqrt(n).
    sigma, delta = noise / np.sqrt(steps), 1e-4

    def excess(eps: float) -> float:
        a, b = 1 / (2 * sigma), eps * sigma
        return float(norm.cdf(a - b) - np.exp(eps) * norm.cdf(-a - b)) - delta

    exact = brentq(excess, 1e-6, 100)
    found = epsilon(noise, 1.0, steps, delta)
    assert exact <= found.pld <= exact * 1.002
    assert found.rdp >= exact


@pytest.mark.parametrize(("noise", "steps"), [(1.0, 1), (20.0, 20)])
def test_a_replaced_window_moves_the_sum_by_two_norms(noise: float, steps: int) -> None:
    """Without sampling it is the Gaussian mechanism with half the noise."""
    found = epsilon(noise, 1.0, steps, 1e-4, Neighbours.REPLACE)
    half = epsilon(noise / 2, 1.0, steps, 1e-4)
    assert found.neighbours is Neighbours.REPLACE
    assert half.neighbours is Neighbours.ADD_OR_REMOVE
    assert found.best == found.pld == pytest.approx(half.pld, rel=2e-3)


def test_a_replaced_window_is_an_added_and_a_removed_one() -> None:
    """Between the epsilon for one and what group privacy (Dwork and Roth 2014, theorem 2.2) gives
    for two: 2 epsilon at (1 + exp(epsilon)) delta."""
    one = epsilon(1.3, 0.1, 500, 1e-3).pld
    assert one < epsilon(1.3, 0.1, 500, 1e-3, Neighbours.REPLACE).pld
    delta = 1e-6
    small = epsilon(3.0, 0.1, 200, delta).pld
    both = epsilon(3.0, 0.1, 200, delta * (1 + np.exp(small)), Neighbours.REPLACE).pld
    assert small < both <= 2 * small + 1e-3


def test_more_noise_fewer_steps_smaller_batches_give_less() -> None:
    base = epsilon(1.0, 0.1, 40, 1e-3).best
    assert epsilon(1.2, 0.1, 40, 1e-3).best < base
    assert epsilon(1.0, 0.1, 20, 1e-3).best < base
    assert epsilon(1.0, 0.05, 40, 1e-3).best < base


def test_searches() -> None:
    noise = noise_for(3.0, 1e-3, 0.1, 40)
    assert epsilon(noise, 0.1, 40, 1e-3).pld <= 3.0 < epsilon(noise / 1.01, 0.1, 40, 1e-3).pld


@pytest.mark.parametrize(
    "values",
    [(0, 0.1, 10, 1e-3), (1, 0, 10, 1e-3), (1, 1.1, 10, 1e-3), (1, 0.1, 0, 1e-3), (1, 0.1, 10, 1)],
)
def test_what_cannot_be_is_refused(values: tuple[float, float, int, float]) -> None:
    with pytest.raises(StudyError, match="cannot be accounted"):
        epsilon(*values)


def test_too_much_to_ask() -> None:
    with pytest.raises(StudyError, match="No noise multiplier"):
        noise_for(1e-4, 1e-9, 1.0, 100_000)


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("rate", [1e-6, 0.2])
def test_little_noise_is_accounted_too(noise: float, rate: float) -> None:
    found = epsilon(noise, rate, 100, 1e-3)
    assert 0 <= found.best < (0.5 / noise + 5) / noise * 100
    assert (found.best > 100) == (rate == 0.2)
