"""Intervals over people and repetitions, for a handful of people.

A figure is a function of cell weights (`Statistic`). One `Resampler` draws the weights once, so
that every figure and every difference of two conditions sees the same resamples: differences are
paired.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""(k, cells) weights to (k,) values, or to (k, t) for t figures at once."""

LEVEL = 0.95


class Method(StrEnum):
    """How an interval is made from the resamples.

    ``PERCENTILE``: quantiles of the hierarchical bootstrap. ``INFLATED``: the same, stretched about
    the estimate by sqrt(P / (P - 1)) * t / z. ``JACKKNIFE``: estimate +- t * standard error of
    leave-one-person-out pseudo-values. P is the number of people, t and z are the 97.5 % quantiles
    of Student's distribution with P - 1 degrees of freedom and of the normal one.
    """

    PERCENTILE = "percentile"
    INFLATED = "inflated"
    JACKKNIFE = "jackknife"


@dataclass(frozen=True)
class Estimate:
    """A value and its interval; ``low`` and ``high`` are None with fewer than two people."""

    value: float
    low: float | None
    high: float | None

    def excludes(self, point: float) -> bool:
        """Whether the interval exists and does not hold the point."""
        if self.low is None or self.high is None:
            return False
        return point < self.low or point > self.high


def t_quantile(people: int) -> float:
    """97.5 % quantile of Student's t with people - 1 degrees of freedom."""
    from scipy.stats import t

    return float(t.ppf(0.5 + LEVEL / 2, people - 1))


class Resampler:
    """Weights of a hierarchical bootstrap: people, then repetitions within each drawn person.

    Args:
        people: the person of each cell (cells of a person are its repetitions).
        resamples: number of bootstrap resamples.
        seed: seed of the draw.
        method: how intervals are made.
    """

    def __init__(
        self,
        people: Sequence[str],
        resamples: int = 2000,
        seed: int = 0,
        method: Method = Method.JACKKNIFE,
    ) -> None:
        names = sorted(set(people))
        self.people = len(names)
        self.method = method
        who = np.array([names.index(person) for person in people])
        rng = np.random.default_rng(np.random.PCG64(seed))
        drawn = rng.multinomial(self.people, [1 / self.people] * self.people, size=resamples)
        boot = np.zeros((resamples, len(who)))
        drop = np.ones((self.people, len(who)))
        for p in range(self.people):
            cells = np.flatnonzero(who == p)
            repetitions = len(cells)
            # A person drawn k times gets k independent draws of repetitions; their sum is one
            # multinomial draw of k * repetitions.
            boot[:, cells] = rng.multinomial(
                drawn[:, p] * repetitions, [1 / repetitions] * repetitions
            )
            drop[p, cells] = 0.0
        self.point: Floats = np.ones((1, len(who)))
        self.boot: Floats = boot
        self.drop: Floats = drop

    def replicates(self, statistic: Statistic) -> Replicates:
        """Evaluate a statistic on the data, on all resamples, and without each person."""
        point = statistic(self.point)
        drop = statistic(self.drop) if self.people > 1 else point[:0]
        return Replicates(point[0], statistic(self.boot), drop, self.method)


@dataclass(frozen=True, eq=False)
class Replicates:
    """A figure (or t figures) on the data, on B resamples, and with each of P people left out.

    Attributes:
        point: scalar or (t,).
        boot: (B,) or (B, t).
        drop: (P,) or (P, t); empty with a single person.
        method: how the interval is made.
    """

    point: Floats
    boot: Floats
    drop: Floats
    method: Method

    def __sub__(self, other: Replicates) -> Replicates:
        """The paired difference: resample by resample, person by person."""
        return Replicates(
            self.point - other.point, self.boot - other.boot, self.drop - other.drop, self.method
        )

    def column(self, index: int) -> Replicates:
        """One of t figures."""
        return Replicates(self.point[index], self.boot[:, index], self.drop[:, index], self.method)

    def bounds(
        self, lowest: float = -np.inf, highest: float = np.inf
    ) -> tuple[Floats, Floats] | None:
        """95 % interval of each figure, cut to the figure's range; None with a single person."""
        people = len(self.drop)
        if people < 2:
            return None
        t = t_quantile(people)
        if self.method is Method.JACKKNIFE:
            pseudo = people * self.point - (people - 1) * self.drop
            half = t * pseudo.std(axis=0, ddof=1) / np.sqrt(people)
            low, high = self.point - half, self.point + half
        else:
            tail = (1 - LEVEL) / 2
            low, high = np.quantile(self.boot, [tail, 1 - tail], axis=0)
            if self.method is Method.INFLATED:
                stretch = np.sqrt(people / (people - 1)) * t / 1.959963984540054
                low = self.point + stretch * (low - self.point)
                high = self.point + stretch * (high - self.point)
        return np.clip(low, lowest, highest), np.clip(high, lowest, highest)

    def percentile(self) -> tuple[Floats, Floats] | None:
        """The percentile interval of the resamples of each figure; None with a single person."""
        if len(self.drop) < 2:
            return None
        low, high = np.quantile(self.boot, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        return low, high

    def estimate(self, lowest: float = -np.inf, highest: float = np.inf) -> Estimate:
        """The value with its interval (scalar figures)."""
        bounds = self.bounds(lowest, highest)
        if bounds is None:
            return Estimate(float(self.point), None, None)
        return Estimate(float(self.point), float(bounds[0]), float(bounds[1]))
