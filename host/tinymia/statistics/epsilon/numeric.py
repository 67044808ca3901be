"""Binomial tails, the Gaussian trade-off curve, and a search that many trials share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

TOLERANCE = 1e-6
"""To which a bound is found; it is rounded down."""

CEILING = 64.0
"""The largest epsilon that a bound can say, and the largest mu: no sample shows more."""


def at_least(successes: ArrayLike, trials: ArrayLike, chance: ArrayLike) -> Floats:
    """P[Bin(trials, chance) >= successes], elementwise; 1 for 0 successes, 0 above ``trials``."""
    from scipy.special import betainc

    v, n, p = np.broadcast_arrays(successes, trials, chance)
    inside = (v > 0) & (v <= n)
    value = betainc(np.where(inside, v, 1), np.where(inside, n - v + 1, 1), p)
    return np.asarray(np.where(inside, value, v <= 0), np.float64)


def at_most(successes: ArrayLike, trials: ArrayLike, chance: ArrayLike) -> Floats:
    """P[Bin(trials, chance) <= successes], elementwise; 1 from ``trials`` on, 0 below 0."""
    from scipy.special import betainc

    u, n, p = np.broadcast_arrays(successes, trials, chance)
    inside = (u >= 0) & (u < n)
    value = betainc(np.where(inside, n - u, 1), np.where(inside, u + 1, 1), 1.0 - p)
    return np.asarray(np.where(inside, value, u >= n), np.float64)


def proportion_below(successes: ArrayLike, trials: ArrayLike, error: float) -> Floats:
    """Lower bound of a proportion that is too high with a chance of ``error`` at most.

    Clopper and Pearson, Biometrika 1934, one-sided.

    Args:
        successes, trials: (...) whole numbers, trials above 0.
        error: chance of a miss.
    """
    from scipy.special import betaincinv

    k, n = np.broadcast_arrays(successes, trials)
    some = k > 0
    low = betaincinv(np.where(some, k, 1), np.where(some, n - k + 1, 1), error)
    return np.asarray(np.where(some, low, 0.0), np.float64)


def proportion_above(successes: ArrayLike, trials: ArrayLike, error: float) -> Floats:
    """Upper bound of a proportion; see :func:`proportion_below`."""
    k, n = np.broadcast_arrays(successes, trials)
    return np.asarray(1.0 - proportion_below(n - k, n, error), np.float64)


def largest(rejected: Callable[[Floats], Any], shape: tuple[int, ...]) -> Floats:
    """The largest parameter that is rejected, for many trials at once, by bisection.

    Args:
        rejected: parameters (shape) to bools (shape): whether each trial's data rule it out. What
            rules out a parameter rules out all smaller ones.
        shape: of the trials.

    Returns:
        (shape) float64 in [0, CEILING]: 0 where not even 0 is ruled out.
    """
    low, high = np.zeros(shape), np.ones(shape)
    some = np.asarray(rejected(low), np.bool_)
    while True:
        over = some & (high < CEILING) & np.asarray(rejected(high), np.bool_)
        if not over.any():
            break
        low = np.where(over, high, low)
        high = np.where(over, np.minimum(2 * high, CEILING), high)
    while np.max(high - low, initial=0.0) > TOLERANCE:
        middle = (low + high) / 2
        out = some & np.asarray(rejected(middle), np.bool_)
        low, high = np.where(out, middle, low), np.where(out, high, middle)
    return low


def gaussian_delta(mu: ArrayLike, epsilon: ArrayLike) -> Floats:
    """Delta of mu-Gaussian DP at an epsilon: corollary 2.13 of Dong, Roth and Su (JRSS B 2022).

    Args:
        mu: (...) >= 0.
        epsilon: (...) >= 0.
    """
    from scipy.special import log_ndtr, ndtr

    m, e = np.broadcast_arrays(np.asarray(mu, np.float64), np.asarray(epsilon, np.float64))
    some = np.where(m > 0, m, 1.0)
    delta = ndtr(m / 2 - e / some) - np.exp(e + log_ndtr(-m / 2 - e / some))
    return np.asarray(np.where(m > 0, np.maximum(delta, 0.0), 0.0), np.float64)


def gaussian_epsilon(mu: ArrayLike, delta: float) -> Floats:
    """The epsilon of mu-Gaussian DP at a delta; 0 where delta alone covers it.

    Args:
        mu: (...) >= 0.
        delta: in (0, 1).
    """
    from scipy.special import ndtri

    m = np.asarray(mu, np.float64)
    low = np.zeros(m.shape)
    # Phi(mu / 2 - epsilon / mu) is above delta there.
    high = np.maximum(m * (m / 2 - ndtri(delta)), 0.0)
    for _ in range(60):
        middle = (low + high) / 2
        over = gaussian_delta(m, middle) > delta
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    return np.asarray(low, np.float64)
