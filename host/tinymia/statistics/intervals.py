"""Intervals over people and repetitions, for a handful of people.

A figure is a function of cell weights (`Statistic`). One `Resampler` draws the weights once, so
that every figure and every difference of two conditions sees the same resamples: differences are
paired.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tinymia.compat import StrEnum

Floats = NDArray[np.float64]
Statistic = Callable[[NDArray[Any]], Floats]
"""(k, cells) weights to (k,) values, or to (k, t) for t figures at once."""


@runtime_checkable
class QuickStatistic(Protocol):
    """A statistic that knows shorter ways for what a study asks, so that many people cost little.

    ``without``: leaving each person out, exactly. ``resampled``: many weightings, for which a small
    error may be made.
    """

    def __call__(self, weights: NDArray[Any]) -> Floats:
        """(k, cells) weights to (k,) or (k, t) values."""
        ...

    def resampled(self, weights: NDArray[Any]) -> Floats:
        """(B, cells) weights to (B,) or (B, t) values."""
        ...

    def without(self, who: NDArray[np.int64], people: int) -> Floats:
        """(cells,) person of each cell to (people,) or (people, t) values without each."""
        ...


@dataclass(frozen=True, eq=False)
class Mean:
    """The statistic "weighted mean of one value a cell", or of t values.

    Attributes:
        values: (cells,) or (cells, t).
    """

    values: Floats

    def __call__(self, weights: NDArray[Any]) -> Floats:
        """(k, cells) weights to (k,) or (k, t) means."""
        total = weights.sum(axis=1, dtype=np.float64)
        return np.asarray(((weights @ self.values).T / total).T, dtype=np.float64)

    resampled = __call__

    def without(self, who: NDArray[np.int64], people: int) -> Floats:
        """(people,) or (people, t) means without each person."""
        own = np.zeros((people, *self.values.shape[1:]))
        np.add.at(own, who, self.values)
        left = len(who) - np.bincount(who, minlength=people)
        return np.asarray(((own.sum(axis=0) - own).T / left).T, dtype=np.float64)


LEVEL = 0.95
TINY = 1e-12
"""Differences below this are rounding of sums, not effects."""
_MOST_WEIGHTS = 4_000_000  # resamples x cells
_WEIGHTS_AT_ONCE = 2_000_000


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
        return point < self.low - TINY or point > self.high + TINY


@cache
def t_quantile(people: int) -> float:
    """97.5 % quantile of Student's t with people - 1 degrees of freedom."""
    from scipy.stats import t

    return float(t.ppf(0.5 + LEVEL / 2, people - 1))


class Resampler:
    """Weights of a hierarchical bootstrap: people, then repetitions within each drawn person.

    Args:
        people: the person of each cell (cells of a person are its repetitions).
        resamples: number of bootstrap resamples; with more than 2,000 cells so many fewer that
            their cost stays bounded, but at least 200.
        seed: seed of the draw.
        method: how intervals are made.

    Attributes:
        people: number of people.
        who: (cells,) int64, person of each cell, in sorted order of the names.
        boot: (resamples, cells) int32, how often each resample holds each cell.
    """

    def __init__(
        self,
        people: Sequence[str],
        resamples: int = 2000,
        seed: int = 0,
        method: Method = Method.JACKKNIFE,
    ) -> None:
        names, who = np.unique(np.asarray(people), return_inverse=True)
        self.people = len(names)
        self.who: NDArray[np.int64] = who.astype(np.int64)
        self.method = method
        resamples = min(resamples, max(200, _MOST_WEIGHTS // len(who)))
        rng = np.random.default_rng(np.random.PCG64(seed))
        drawn = rng.multinomial(self.people, [1 / self.people] * self.people, size=resamples)
        self.boot: NDArray[np.int32] = np.zeros((resamples, len(who)), dtype=np.int32)
        order = np.argsort(who, kind="stable")
        ends = np.cumsum(np.bincount(who))
        for p, cells in enumerate(np.split(order, ends[:-1])):
            repetitions = len(cells)
            # A person drawn k times gets k independent draws of repetitions; their sum is one
            # multinomial draw of k * repetitions.
            self.boot[:, cells] = rng.multinomial(
                drawn[:, p] * repetitions, [1 / repetitions] * repetitions
            )

    def replicates(
        self,
        statistic: Statistic | QuickStatistic,
        lowest: float = -np.inf,
        highest: float = np.inf,
        grain: float = 0.0,
    ) -> Replicates:
        """Evaluate a statistic on the data, on all resamples, and without each person.

        Args:
            statistic: the figure, as a function of cell weights.
            lowest, highest: what the figure can be; no interval of it goes beyond.
            grain: the least standard error that is believed, see :class:`Replicates`.
        """
        point = statistic(np.ones((1, len(self.who))))
        if isinstance(statistic, QuickStatistic):
            boot = statistic.resampled(self.boot)
            drop = statistic.without(self.who, self.people) if self.people > 1 else point[:0]
        else:
            rows = max(1, _WEIGHTS_AT_ONCE // len(self.who))
            boot = np.concatenate(
                [
                    statistic(self.boot[start : start + rows].astype(np.float64))
                    for start in range(0, len(self.boot), rows)
                ]
            )
            drop = point[:0]
            if self.people > 1:
                drop = np.concatenate(
                    [
                        statistic(self.left_out(range(start, min(start + rows, self.people))))
                        for start in range(0, self.people, rows)
                    ]
                )
        return Replicates(point[0], boot, drop, self.method, lowest, highest, grain)

    def left_out(self, people: Sequence[int]) -> Floats:
        """(k, cells) weights: 0 for the cells of one person a row, 1 for all others."""
        return np.asarray(self.who != np.asarray(people)[:, None], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Replicates:
    """A figure (or t figures) on the data, on B resamples, and with each of P people left out.

    Attributes:
        point: scalar or (t,).
        boot: (B,) or (B, t).
        drop: (P,) or (P, t); empty with a single person.
        method: how the interval is made.
        lowest, highest: what the figure can be, scalars or (t,); no interval goes beyond.
        grain: the least standard error that is believed. A rate that is 0 or 1 for everybody has no
            spread, and an interval of no width would be false; with the weight of one member
            (``cells.grain``) it is about three members wide, as the rule of three has it.
    """

    point: Floats
    boot: Floats
    drop: Floats
    method: Method = Method.JACKKNIFE
    lowest: float | Floats = -np.inf
    highest: float | Floats = np.inf
    grain: float = 0.0

    @property
    def people(self) -> int:
        """Number of people, 0 where there is only one (so that nothing can be said of others)."""
        return len(self.drop)

    def __sub__(self, other: Replicates) -> Replicates:
        """The paired difference: resample by resample, person by person.

        Where this figure lies within [0, 1] and the other is 0.65 [0.60, 0.70], the difference lies
        within [-0.70, 0.40]. The other's interval, not its value, makes this range: otherwise a
        true difference that is the largest possible would be cut off half of the time.
        """
        bounds = other.bounds()
        low, high = (other.lowest, other.highest) if bounds is None else bounds
        return Replicates(
            self.point - other.point,
            self.boot - other.boot,
            self.drop - other.drop,
            self.method,
            self.lowest - high,
            self.highest - low,
            float(np.hypot(self.grain, other.grain)),
        )

    def column(self, index: int) -> Replicates:
        """One of t figures."""
        shape = np.shape(self.point)
        return Replicates(
            self.point[index],
            self.boot[:, index],
            self.drop[:, index],
            self.method,
            float(np.broadcast_to(self.lowest, shape)[index]),
            float(np.broadcast_to(self.highest, shape)[index]),
            self.grain,
        )

    def standard_error(self) -> Floats | None:
        """Leave-one-person-out standard error of each figure; None with a single person."""
        if self.people < 2:
            return None
        # The spread of the pseudo-values P * point - (P - 1) * drop.
        spread = (self.people - 1) * self.drop.std(axis=0, ddof=1)
        return np.asarray(np.maximum(spread / np.sqrt(self.people), self.grain))

    def clip(self, values: Floats | float) -> Floats:
        """Values cut to what the figure can be."""
        return np.clip(values, self.lowest, self.highest)

    def bounds(self) -> tuple[Floats, Floats] | None:
        """95 % interval of each figure, cut to the figure's range; None with a single person."""
        error = self.standard_error()
        if error is None:
            return None
        t = t_quantile(self.people)
        if self.method is Method.JACKKNIFE:
            low, high = self.point - t * error, self.point + t * error
        else:
            tail = (1 - LEVEL) / 2
            low, high = np.quantile(self.boot, [tail, 1 - tail], axis=0)
            if self.method is Method.INFLATED:
                stretch = np.sqrt(self.people / (self.people - 1)) * t / 1.959963984540054
                low = self.point + stretch * (low - self.point)
                high = self.point + stretch * (high - self.point)
        return self.clip(low), self.clip(high)

    def percentile(self) -> tuple[Floats, Floats] | None:
        """The percentile interval of the resamples of each figure; None with a single person."""
        if self.people < 2:
            return None
        low, high = np.quantile(self.boot, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        return low, high

    def estimate(self) -> Estimate:
        """The value with its interval (scalar figures)."""
        bounds = self.bounds()
        if bounds is None:
            return Estimate(float(self.point), None, None)
        return Estimate(float(self.point), float(bounds[0]), float(bounds[1]))
