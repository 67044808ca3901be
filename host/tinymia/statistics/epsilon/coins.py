"""Lower bounds on epsilon from guesses about coins: whose canary is in?

Each of ``canaries`` canaries is in by a fair coin of its own. A guesser names ``guesses`` of the
coins, a number that is fixed before it sees them, and is right about ``correct``. All functions
take arrays of trials, which broadcast, and return one bound a trial; a bound is above the true
epsilon in at most 1 - ``level`` of trials. ``level`` is a confidence: 0.95.

The coins may be canaries of one training, as in the papers, or devices with a canary each: many
independent mechanisms with one coin each are one mechanism with many.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from tinymia.compat import StrEnum
from tinymia.statistics.epsilon.numeric import (
    Bools,
    Floats,
    at_least,
    at_most,
    gaussian_epsilon,
    largest,
)

LEVEL = 0.95
_EDGES = 64


class Curve(StrEnum):
    """Which trade-off curve is put to the test (Dong, Roth and Su, JRSS B 2022, section 2).

    ``APPROXIMATE``: that of (epsilon, delta)-DP, the weakest mechanism that keeps a claim: what
    rules it out contradicts the claim, whatever the mechanism. ``GAUSSIAN``: mu-Gaussian DP: what
    rules it out bounds epsilon *if* the mechanism's curve is Gaussian, as of steps that all take
    part in (no sampling).
    """

    APPROXIMATE = "(epsilon, delta)"
    GAUSSIAN = "Gaussian"


def one_run(
    canaries: ArrayLike,
    guesses: ArrayLike,
    correct: ArrayLike,
    delta: float,
    level: float = LEVEL,
) -> Floats:
    """Steinke, Nasr and Jagielski, NeurIPS 2023: theorem 5.2, computed as in appendix D.

    Args:
        canaries, guesses, correct: (...) whole numbers, see above.
        delta: in [0, 1). 2 ``canaries`` ``delta`` should stay below 1, or the bound is 0.
        level: confidence.
    """
    m, r, v = whole_counts(canaries, guesses, correct)
    return largest(lambda e: _one_run_chance(m, r, v, e, delta) <= 1 - level, m.shape)


def _one_run_chance(m: Floats, r: Floats, v: Floats, epsilon: Floats, delta: float) -> Floats:
    """At most the chance of so many correct guesses under (epsilon, delta)-DP."""
    q = 1 / (1 + np.exp(-epsilon))
    chance = at_least(v, r, q)
    if delta == 0:
        return chance

    # The most that P[v - i <= Bin < v] / i can be over i = 1 ... v. It is the mean of i chances
    # that rise to the mode and fall behind it, so it rises to one largest value, too.
    def mean(i: Floats) -> Floats:
        return np.asarray((at_least(v - i, r, q) - chance) / i, np.float64)

    low, high = np.ones(m.shape), np.maximum(v, 1.0)
    while (low < high).any():
        i = np.floor((low + high) / 2)
        rises = (mean(i + 1) >= mean(i)) & (i < high)
        low, high = np.where(rises, i + 1, low), np.where(rises, high, i)
    return np.asarray(chance + np.maximum(mean(low), 0.0) * 2 * m * delta, np.float64)


def f_dp_one_run(
    canaries: ArrayLike,
    guesses: ArrayLike,
    correct: ArrayLike,
    delta: float,
    level: float = LEVEL,
    curve: Curve = Curve.GAUSSIAN,
) -> Floats:
    """Mahloujifar, Melis and Chaudhuri, ICML 2025 ("Auditing f-differential privacy in one run").

    Their theorem on a limited number of guesses, by the recursion of their ``audit_rh_with_cap``:
    the chances of ever more correct guesses are bounded from the top down by the trade-off curve.

    Args:
        canaries, guesses, correct, level: see :func:`one_run`.
        delta: at which epsilon is said; above 0 with ``Curve.GAUSSIAN``.
        curve: what is put to the test.
    """
    m, k, c = whole_counts(canaries, guesses, correct)

    def rejected(parameter: Floats) -> Bools:
        inverse = _inverse(curve, parameter, delta)
        right = (1 - level) * c / m
        wrong = (1 - level) * (k - c) / m
        i = c - 1
        while True:
            raised = np.maximum(wrong, inverse(right))
            moves = (i >= 0) & (raised > wrong)
            if not moves.any():
                break
            share = np.maximum(i, 0) / np.maximum(k - i, 1)
            more = np.minimum(right + share * (raised - wrong), 1.0)
            right, wrong = np.where(moves, more, right), np.where(moves, raised, wrong)
            i = i - 1
        return np.asarray(right + wrong > k / m, np.bool_)

    return _to_epsilon(curve, largest(rejected, m.shape), delta)


def _inverse(curve: Curve, parameter: Floats, delta: float) -> Callable[[Floats], Floats]:
    """Inverse of 1 - f, f being the trade-off curve."""
    if curve is Curve.GAUSSIAN:
        from scipy.special import ndtr, ndtri

        return lambda x: np.asarray(ndtr(ndtri(x) - parameter), np.float64)
    grow = np.exp(parameter)
    return lambda x: np.maximum(
        np.maximum((x - delta) / grow, 1 - delta - (1 - x) * grow), np.float64(0)
    )


def order_statistics(
    canaries: ArrayLike,
    guesses: ArrayLike,
    correct: ArrayLike,
    delta: float,
    level: float = LEVEL,
    curve: Curve = Curve.APPROXIMATE,
    exact: bool = True,
) -> Floats:
    """Xiang, Wang, Xiao, Tian and Wang, arXiv 2509.08704, 2025 ("Tight privacy audit in one run").

    Nobody guesses better than who sees, of every coin, a draw of the curve's own pair of
    distributions and names those with the largest absolute privacy losses: order statistics
    (their theorem 2). Their theorem 3 then bounds the tail as if errors were independent with
    those chances (Chernoff). Here the tail is that of the guesser itself: given the largest loss
    that is not guessed, the losses above it are independent draws, so errors are binomial, and
    the next loss is a beta variable. That takes independent coins (devices), and is exact.

    Args:
        canaries, guesses, correct, delta, level: see :func:`f_dp_one_run`.
        curve: what is put to the test.
        exact: False, for a Gaussian: as if the largest loss that is not guessed were its median.
            Much faster and good for choosing how many to guess, but not a bound.
    """
    m, k, c = whole_counts(canaries, guesses, correct)
    if curve is Curve.GAUSSIAN:
        chance = _gaussian_errors(m, k, k - c, exact)
    else:
        chance = _approximate_errors(m, k, k - c, delta)
    return _to_epsilon(curve, largest(lambda p: chance(p) <= 1 - level, m.shape), delta)


def _approximate_errors(
    m: Floats, k: Floats, errors: Floats, delta: float
) -> Callable[[Floats], Floats]:
    """At most the chance of so few errors under (epsilon, delta)-DP.

    Its pair gives a coin away with chance delta and else has a loss of +-epsilon.
    """
    mean = float(np.max(m, initial=0.0)) * delta
    known = np.arange(int(mean + 8 * np.sqrt(mean) + 12))
    at = at_most(known, m[..., None], delta)
    weight = np.diff(at, axis=-1, prepend=0.0)
    rest = 1 - at[..., -1]
    left = np.maximum(k[..., None] - known, 0)

    def chance(epsilon: Floats) -> Floats:
        wrong = 1 / (1 + np.exp(epsilon))
        few = at_most(errors[..., None], left, wrong[..., None])
        return np.asarray((weight * few).sum(axis=-1) + rest, np.float64)

    return chance


def _gaussian_errors(
    m: Floats, k: Floats, errors: Floats, exact: bool
) -> Callable[[Floats], Floats]:
    """At most the chance of so few errors under mu-Gaussian DP.

    With z from N(0, 1) or N(mu, 1), the absolute loss is mu |z - mu / 2|. It is above mu d with
    chance Phi(mu / 2 - d) + Phi(-mu / 2 - d), and above it *and* wrong with the second term.
    """
    from scipy.special import ndtr

    mass, weight, rest = loss_masses(m, k, exact)

    def chance(mu: Floats) -> Floats:
        half = mu[..., None] / 2
        low, high = np.zeros(mass.shape), half + np.full(mass.shape, 12.0)
        for _ in range(28):
            d = (low + high) / 2
            over = ndtr(half - d) + ndtr(-half - d) > mass
            low, high = np.where(over, d, low), np.where(over, high, d)
        # Farther out errors are rarer.
        wrong = ndtr(-half - high)
        few = at_most(errors[..., None], k[..., None], wrong / (ndtr(half - high) + wrong))
        return np.asarray((weight * few).sum(axis=-1) + rest, np.float64)

    return chance


def loss_masses(m: Floats, k: Floats, exact: bool = True) -> tuple[Floats, Floats, float]:
    """How likely a loss is above the largest one that is not guessed: Beta(k + 1, m - k), in cells.

    Args:
        m, k: (...) canaries, and guesses on those with the largest losses.
        exact: False: the median alone.

    Returns:
        (..., cells) the lower edge of each cell, where errors are rarest; (cells,) the cells'
        chances; the chance below the lowest edge.
    """
    from scipy.special import betaincinv, ndtr

    edges = ndtr(np.linspace(-4.5, 4.5, _EDGES)) if exact else np.array([0.5])
    weight, rest = (np.diff(edges, append=1.0), float(edges[0])) if exact else (np.ones(1), 0.0)
    every = (k >= m)[..., None]
    more, fewer = np.where(every, 1, k[..., None] + 1), np.where(every, 1, (m - k)[..., None])
    return np.where(every, 1.0, betaincinv(more, fewer, edges)), weight, rest


def _to_epsilon(curve: Curve, parameter: Floats, delta: float) -> Floats:
    return gaussian_epsilon(parameter, delta) if curve is Curve.GAUSSIAN else parameter


def whole_counts(*counts: ArrayLike) -> list[Floats]:
    """Counts as float64 of one shape."""
    return [a.copy() for a in np.broadcast_arrays(*(np.asarray(c, np.float64) for c in counts))]
