"""From the scores of two arms of devices to every bound, with one half choosing for the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.statistics.epsilon.arms import gaussian_fit, gaussian_many_run, many_run
from tinymia.statistics.epsilon.coins import (
    LEVEL,
    Curve,
    f_dp_one_run,
    one_run,
    order_statistics,
)
from tinymia.statistics.epsilon.curves import Profile, claim_chance
from tinymia.statistics.epsilon.numeric import Bools, Floats, Ints

MIN_DEVICES = 100
"""Of each arm in each half: with fewer, there are not enough coins left."""

_SHARES = (0.0003, 0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5)
_COIN_SDS = 6
_DELTA_BUDGET = 0.2
_CHOOSING = 0.999  # a level at which few guesses that happen to be right are not chosen
_ANY_DELTA = 1e-9  # a Gaussian's epsilons at all deltas rise together


@dataclass(frozen=True)
class _About:
    title: str
    source: str
    assumes_gaussian: bool = False
    is_fit: bool = False


class Method(Enum):
    """A way to bound epsilon from below. ``value.title`` and ``value.source`` are for people.

    Those with ``assumes_gaussian`` bound epsilon if the mechanism's trade-off curve is that of
    Gaussian DP. ``FIT`` is no bound.
    """

    ONE_RUN = _About("one run", "Steinke, Nasr and Jagielski 2023")
    F_DP = _About("one run, f-DP", "Mahloujifar, Melis and Chaudhuri 2025")
    ORDER = _About("one run, order statistics", "Xiang et al. 2025")
    MANY_RUN = _About("many runs", "Jagielski et al. 2020, Nasr et al. 2021")
    F_DP_GAUSSIAN = _About("f-DP (Gaussian)", "Mahloujifar, Melis and Chaudhuri 2025", True)
    ORDER_GAUSSIAN = _About("order statistics (Gaussian)", "Xiang et al. 2025", True)
    MANY_RUN_GAUSSIAN = _About("many runs (Gaussian)", "Nasr et al. 2023", True)
    FIT = _About("a Gaussian's fit, no bound", "Dong, Roth and Su 2022", True, True)


BOUNDS = tuple(method for method in Method if not method.value.is_fit)
SOUND = tuple(method for method in BOUNDS if not method.value.assumes_gaussian)
"""Those that hold whatever the mechanism is."""


@dataclass(frozen=True, eq=False)
class Half:
    """Scores of half of the devices, one row a trial; higher where the canary is likelier in.

    Attributes:
        inside: (trials, n) float64, of devices with the canary.
        outside: (trials, n) float64, of those without it (or with the other one).
    """

    inside: Floats
    outside: Floats

    def __post_init__(self) -> None:
        if self.inside.ndim != 2 or self.inside.shape != self.outside.shape:
            raise ValueError(f"{self.inside.shape} and {self.outside.shape} are not two equal arms")
        if self.inside.shape[1] < MIN_DEVICES:
            raise ValueError(f"{self.inside.shape[1]} devices an arm, {MIN_DEVICES} are needed")


class Audit:
    """Bounds of epsilon from the second half; the first half chooses thresholds and guesses.

    Each bound by itself is above the true epsilon in at most 1 - ``level`` of trials, be there a
    leak or not; several together are so more often.

    For the one-run methods fair coins are drawn, and each takes the next device of the arm that it
    names. There are so few coins that no arm runs out (6 standard deviations).

    Args:
        first, second: different devices.
        seed: of the coins.

    Raises:
        ValueError: arms of unequal shape or with fewer than MIN_DEVICES devices.
    """

    def __init__(self, first: Half, second: Half, seed: int = 0) -> None:
        self.first, self.second = first, second
        # Which coins exist in the first half does not matter: it only chooses.
        self._before = _mixed(first.inside, first.outside)
        self._coins, self._member = _flip(second, np.random.default_rng(seed))
        self._after = _Sorted(self._coins, self._member)

    def bound(self, method: Method, delta: float, level: float = LEVEL) -> Floats:
        """A lower bound of epsilon at ``delta``, (trials,) float64; with ``FIT`` an estimate.

        Args:
            method: which.
            delta: in (0, 1).
            level: confidence.
        """
        curve = Curve.GAUSSIAN if method.value.assumes_gaussian else Curve.APPROXIMATE
        if method is Method.FIT:
            return gaussian_fit(*self._all(), delta)[1]
        if method in (Method.MANY_RUN, Method.MANY_RUN_GAUSSIAN):
            rates = gaussian_many_run if method is Method.MANY_RUN_GAUSSIAN else many_run
            decided = _decided(
                self.first,
                self.second,
                lambda h, p, a, n: _worth(lambda sure: rates(h, p, a, n, delta, sure)),
            )
            return rates(*decided, delta, level)
        # These two pay for delta once a canary.
        pays = method in (Method.ONE_RUN, Method.F_DP)
        counts = self._guess(curve, delta, int(_DELTA_BUDGET / delta) if pays else None)
        if method is Method.ONE_RUN:
            return one_run(*counts, delta, level)
        if method in (Method.F_DP, Method.F_DP_GAUSSIAN):
            return f_dp_one_run(*counts, delta, level, curve)
        return order_statistics(*counts, delta, level, curve)

    def claim(self, profile: Profile) -> Floats:
        """P-values of a claim, (trials,): at most the chance of such guesses if it holds."""
        return claim_chance(profile, *self._guess(Curve.GAUSSIAN, _ANY_DELTA))

    def _all(self) -> tuple[Floats, Floats]:
        halves = self.first, self.second
        return (
            np.concatenate([half.inside for half in halves], axis=1),
            np.concatenate([half.outside for half in halves], axis=1),
        )

    def _guess(
        self, curve: Curve, delta: float, most: int | None = None
    ) -> tuple[Floats, Floats, Floats]:
        """Canaries, guesses and right ones among the coins, each (trials,).

        The highest scores are taken to be in, the lowest out; how many gives the best bound of
        order statistics on the first half. ``most``: how many coins are looked at; None: all.
        """
        coins = self._coins.shape[1]
        m = coins if most is None else max(2, min(most, coins))
        pairs = _ends()
        there = _whole(pairs * self._before.size)
        top, bottom = _whole(pairs * m).T
        guesses = np.asarray(top + bottom, np.float64)
        rate = self._before.correct(*there.T) / there.sum(axis=1)
        expected = np.floor(rate * guesses)
        canaries = np.full(expected.shape, m)
        worth = _worth(
            lambda sure: order_statistics(
                canaries, guesses, expected, delta, sure, curve, exact=False
            )
        )
        chosen = np.argmax(worth, axis=1)
        after = self._after if m == coins else _Sorted(self._coins[:, :m], self._member[:, :m])
        right = np.take_along_axis(after.correct(top, bottom), chosen[:, None], 1)[:, 0]
        return np.full(len(right), float(m)), guesses[chosen], right


def promise(inside: Floats, outside: Floats) -> float:
    """How well a score tells two arms apart: to choose one by; it is no bound.

    Args:
        inside, outside: (n,) and (k,) float64, higher where the canary is likelier in.

    Returns:
        What order statistics would bound on these very scores, as :meth:`Audit.claim` chooses how
        many to guess.
    """
    ranked = _mixed(inside[None], outside[None])
    top, bottom = _whole(_ends() * ranked.size).T
    right = ranked.correct(top, bottom)
    m = np.full(right.shape, float(ranked.size))
    worth = _worth(
        lambda sure: order_statistics(
            m, top + bottom, right, _ANY_DELTA, sure, Curve.GAUSSIAN, exact=False
        )
    )
    return float(worth.max())


def _worth(bound: Callable[[float], Floats]) -> Floats:
    """What to choose by: a bound that is sure, and where there is none, a likely one."""
    return bound(_CHOOSING) + 1e-6 * bound(0.5)


def _ends() -> Floats:
    """Shares of canaries that are guessed at the top and at the bottom, (choices, 2)."""
    return np.array([p for s in _SHARES for p in ((s, 0.0), (0.0, s), (s / 2, s / 2))])


def _whole(counts: NDArray[Any]) -> Ints:
    """Numbers of guesses at either end: at least one where any is wanted."""
    return np.where(counts > 0, np.maximum(np.floor(counts), 1), 0).astype(np.int64)


class _Sorted:
    """Members by falling score. Ties keep the order of the devices, which knows no membership."""

    def __init__(self, scores: Floats, member: Bools) -> None:
        order = np.argsort(-scores, axis=1, kind="stable")
        ranked = np.take_along_axis(member, order, 1)
        zero = np.zeros((len(scores), 1), np.int64)
        self.above = np.concatenate([zero, np.cumsum(ranked, axis=1)], axis=1)
        self.size = scores.shape[1]

    def correct(self, top: Ints, bottom: Ints) -> Floats:
        """How many are right, (trials, choices), of guesses "in" at the top, "out" at the end."""
        among = self.above[:, -1:] - self.above[:, self.size - bottom]
        return np.asarray(self.above[:, top] + (bottom - among), np.float64)


def _mixed(inside: Floats, outside: Floats) -> _Sorted:
    """Both arms, in an order that does not say which is which where scores are tied."""
    scores = np.concatenate([inside, outside], axis=1)
    mix = np.random.default_rng(0).permutation(scores.shape[1])
    member = np.broadcast_to(mix < inside.shape[1], scores.shape)
    return _Sorted(scores[:, mix], member)


def _flip(half: Half, rng: np.random.Generator) -> tuple[Floats, Bools]:
    """Scores and sides of fair coins, each (trials, m): device by device from either arm."""
    trials, n = half.inside.shape
    m = 2 * n - int(np.ceil(_COIN_SDS * np.sqrt(2 * n)))
    inside = rng.random((trials, m)) < 0.5
    within = np.cumsum(inside, axis=1) - 1
    without = np.arange(m) - within - 1
    take = [
        np.take_along_axis(arm, np.clip(at, 0, n - 1), 1)
        for arm, at in ((half.inside, within), (half.outside, without))
    ]
    return np.where(inside, take[0], take[1]), inside


def _decided(
    first: Half, second: Half, bound: Callable[[Floats, Floats, Floats, Floats], Floats]
) -> tuple[Floats, Floats, Floats, Floats]:
    """Hits, positives, alarms, negatives of the second half at the first half's threshold.

    The decision is one of four: a score above the threshold or not, taken for either arm.
    """
    n = first.inside.shape[1]
    pooled = -np.sort(-np.concatenate([first.inside, first.outside], axis=1), axis=1)
    # Thresholds are scores; "above" is strict, so that ties fall on one side.
    ranks = _whole(np.array(_SHARES) * n)
    at = np.unique(np.concatenate([ranks, 2 * n - 1 - ranks]))
    thresholds = pooled[:, at]
    bounds = np.stack(
        [bound(*decision) for decision in _decisions(first, thresholds)], axis=-1
    ).reshape(len(pooled), -1)
    chosen = np.argmax(bounds, axis=1)
    threshold = np.take_along_axis(thresholds, chosen[:, None] // 4, 1)
    counts = [np.concatenate(c, axis=1) for c in zip(*_decisions(second, threshold), strict=True)]
    hits, positives, alarms, negatives = (
        np.take_along_axis(c, chosen[:, None] % 4, 1)[:, 0] for c in counts
    )
    return hits, positives, alarms, negatives


def _decisions(half: Half, thresholds: Floats) -> list[tuple[Floats, Floats, Floats, Floats]]:
    """The four decisions' counts, each (trials, thresholds)."""
    n = np.full(thresholds.shape, float(half.inside.shape[1]))
    inside, outside = (_above(arm, thresholds) for arm in (half.inside, half.outside))
    return [
        (inside, n, outside, n),
        (outside, n, inside, n),
        (n - inside, n, n - outside, n),
        (n - outside, n, n - inside, n),
    ]


def _above(scores: Floats, thresholds: Floats) -> Floats:
    """How many scores of each trial are above each of its thresholds."""
    ordered = np.sort(scores, axis=1)
    counts = [
        len(row) - np.searchsorted(row, at, "right")
        for row, at in zip(ordered, thresholds, strict=True)
    ]
    return np.asarray(counts, np.float64)
