"""Symmetric positive definite matrices, at half the price that a general solver takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LIFTS = 5
"""From what one rounding of the largest element may take to 10,000 times as much."""


def inverse(matrix: Floats) -> Floats:
    """Inverse by Cholesky's factor; what rounding has made indefinite is inverted as any other, or,
    where it has made it singular, as by :func:`solver`.

    Args:
        matrix: (n, n), C order, symmetric.

    Raises:
        numpy.linalg.LinAlgError: it is singular, and not for rounding.
    """
    from scipy.linalg import lapack

    # LAPACK reads columns first: the transpose is the same symmetric matrix without a copy.
    factor, failed = lapack.dpotrf(matrix.T, lower=1, clean=0)
    half, failed = (factor, failed) if failed else lapack.dpotri(factor, lower=1, overwrite_c=1)
    if failed:
        try:
            return np.asarray(np.linalg.inv(matrix))
        except np.linalg.LinAlgError:
            factor = _lifted(matrix.copy(), matrix.diagonal())
            half, failed = lapack.dpotri(factor, lower=1, overwrite_c=1)
    lower = np.tril(half)
    whole: Floats = lower + lower.T
    whole[np.diag_indices_from(whole)] /= 2
    return whole


def is_definite(matrix: Floats) -> bool:
    """Whether a symmetric matrix (n, n) is positive definite."""
    from scipy.linalg import lapack

    return not lapack.dpotrf(matrix.T, lower=1, clean=0)[1]


def solver(matrix: Floats) -> Callable[[Floats], Floats]:
    """What solves equations in a matrix, by Cholesky's factor.

    What rounding has made a little indefinite (a sum of squares of large numbers beside a prior
    that says next to nothing) gets as much on its diagonal as rounding may have taken.

    Args:
        matrix: (n, n), C order, symmetric; it is overwritten.

    Returns:
        From right sides (n,) or (n, m) to solutions.

    Raises:
        numpy.linalg.LinAlgError: the matrix is not positive definite, and not for rounding.
    """
    from scipy.linalg import lapack

    diagonal = matrix.diagonal().copy()
    factor, failed = lapack.dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
    if failed:
        below = np.tril(matrix, -1)  # which LAPACK has not touched
        factor = _lifted(below + below.T, diagonal)

    def solve(right: Floats) -> Floats:
        return np.asarray(lapack.dpotrs(factor, right, lower=1)[0], dtype=np.float64)

    return solve


def _lifted(rest: Floats, diagonal: Floats) -> Floats:
    """The factor with the least of some lifts of the diagonal that makes one possible.

    Args:
        rest: (n, n), the matrix, whose diagonal does not matter; it is overwritten.
        diagonal: (n,).
    """
    from scipy.linalg import lapack

    places = np.diag_indices_from(rest)
    lift = len(diagonal) * np.finfo(np.float64).eps * float(np.abs(diagonal).max())
    for _ in range(_LIFTS):
        rest[places] = diagonal + lift
        factor, failed = lapack.dpotrf(rest, lower=1, clean=0)
        if not failed:
            return np.asarray(factor)
        lift *= 10
    raise np.linalg.LinAlgError("The matrix is not positive definite.")
