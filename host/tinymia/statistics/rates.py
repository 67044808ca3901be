"""The interval of a TPR at a low FPR, which few answers decide.

At an FPR of 0.1 % a handful of non-members set the threshold and, where little leaks, a handful of
members lie above it. Leaving a person out then moves the figure in a few steps or not at all, and
its interval misses the truth in 5 to 30 % of studies without a leak. So, where counts are small,
the interval is the union of what follows:

- leave one person out: what differs between people;
- the counts themselves: the exact interval of the TPR at the threshold (Clopper and Pearson 1934)
  and the TPRs at the thresholds that could have been the right ones, joined by their squares
  (Zou and Donner 2008, Statistics in Medicine 27: confidence limits give variances). Windows of a
  block are members together, so the counts are divided by a design effect (Rao and Scott 1992,
  Biometrics 48) over the blocks of all repetitions: each repetition draws its members anew;
- where many members lie above a threshold that few non-members set: leave one person out on the
  scale of log odds, since such a TPR is skewed over people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinymia.statistics.cells import Cell, Floats
from tinymia.statistics.intervals import LEVEL, Estimate, Replicates, t_quantile
from tinymia.statistics.pooled import PooledScores

FEW = 20.0
"""Independent members above the threshold, or below it, that leave-one-person-out needs."""
FEW_ALARMS = 50.0
"""Independent false alarms at the threshold that leave-one-person-out needs."""


@dataclass(frozen=True)
class _Rate:
    """A rate and the number of independent decisions that it is worth as much as."""

    value: float
    effective: float


def tpr_estimate(
    cells: Sequence[Cell], pooled: PooledScores, replicates: Replicates, fpr: float
) -> Estimate:
    """TPR at a target FPR with an interval that holds where the counts are small, too.

    Args:
        cells: of one attack under one condition.
        pooled: the same scores.
        replicates: of ``pooled``'s TPR at this FPR (scalar).
        fpr: the target, which ``metrics.resolves`` must allow.
    """
    estimate = replicates.estimate()
    if estimate.low is None or estimate.high is None or pooled.constant:
        return estimate
    threshold = pooled.threshold(fpr)
    hits, alarms = (_rate(cells, threshold, member) for member in (True, False))
    above = hits.value * hits.effective
    many = min(above, hits.effective - above) >= FEW
    if many and alarms.value * alarms.effective >= FEW_ALARMS:
        return estimate
    value = estimate.value
    low, high = _of_counts(pooled, hits, alarms, fpr)
    low, high = min(estimate.low, low, value), max(estimate.high, high, value)
    if many:
        odds = _by_log_odds(replicates, pooled.members)
        low, high = min(low, odds[0]), max(high, odds[1])
    return Estimate(value, low, high)


def _by_log_odds(replicates: Replicates, members: int) -> tuple[float, float]:
    """The leave-one-person-out interval of a rate, made on the scale of log odds."""

    def odds(rate: Floats) -> Floats:
        # Half a member more on either side (Haldane 1956) keeps 0 and 1 finite.
        return np.log((rate * members + 0.5) / ((1 - rate) * members + 0.5))

    point, drop = odds(replicates.point), odds(replicates.drop)
    people = replicates.people
    half = t_quantile(people) * (people - 1) * drop.std(ddof=1) / np.sqrt(people)
    low, high = 1 / (1 + np.exp(-(point + half * np.array([-1.0, 1.0]))))
    return float(low), float(high)


def _of_counts(pooled: PooledScores, hits: _Rate, alarms: _Rate, fpr: float) -> tuple[float, float]:
    """The interval that the counts allow, were all people alike."""
    from scipy.stats import beta, binom

    tail = (1 - LEVEL) / 2
    n = hits.effective
    k = hits.value * n
    low = float(beta.ppf(tail, k, n - k + 1)) if k > 0 else 0.0
    high = float(beta.isf(tail, k + 1, n - k)) if k < n else 1.0
    # At the threshold that has this FPR in the long run, so many false alarms may have come.
    whole = max(int(alarms.effective), 1)
    fewest, most = (float(binom.ppf(q, whole, fpr)) / whole for q in (tail, 1 - tail))
    # One less: the right threshold lies below the `fewest`-th highest score, strictly.
    strict = max(fewest - 1 / pooled.nonmembers, 0.0)
    rates = pooled.tpr(np.ones((1, pooled.cells)), [strict, most])[0]
    tightest = float(rates[0]) if fewest > 0 else 0.0
    loosest = float(rates[1])
    value = hits.value
    return (
        max(value - float(np.hypot(value - low, value - tightest)), 0.0),
        min(value + float(np.hypot(high - value, loosest - value)), 1.0),
    )


def _rate(cells: Sequence[Cell], threshold: float, member: bool) -> _Rate:
    """Share of members (or non-members) above a threshold, each cell weighing the same."""
    value, squares, largest = 0.0, 0.0, 0.0
    sums: list[Floats] = []
    sizes: list[Floats] = []
    for cell in cells:
        chosen = cell.member == member
        group = cell.group[chosen]  # a group without anybody here adds nothing
        mass = 1.0 / (len(group) * len(cells))
        above = cell.scores[chosen] > threshold
        sums.append(np.bincount(group, above) * mass)
        sizes.append(np.asarray(np.bincount(group) * mass, np.float64))
        value += float(above.sum()) * mass
        squares += len(group) * mass**2
        largest = max(largest, float(sizes[-1].max()) / mass)
    residuals = np.concatenate(sums) - value * np.concatenate(sizes)
    variance = float(residuals @ residuals)
    most = 1.0 / squares
    if variance < 1e-15 or not 0.0 < value < 1.0:
        # All or none: how far they come in blocks cannot be seen, so whole blocks are assumed.
        return _Rate(min(value, 1.0), most / largest)
    return _Rate(value, min(value * (1.0 - value) / variance, most))
