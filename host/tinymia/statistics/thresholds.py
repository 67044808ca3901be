"""TPR at a target FPR under three kinds of threshold, each of another adversary.

- **one for all** people and windows: an adversary who knows how the scores of the whole population
  of devices fall. People whose windows score high for other reasons give most false alarms.
- **one a person**: who knows how the scores of this person's non-members fall.
- **one a window**: who has shadow devices of this person, and so knows how each window scores where
  it was no member (the setting of LiRA, Carlini et al. 2022; that a pooled threshold is not
  calibrated for each sample: arXiv 2605.25819). Calibrated by rank, as in conformal prediction
  (Vovk, Gammerman and Shafer 2005), so that the FPR is at most the target for every window if
  shadows and devices are alike. The FPR that came out stands beside the TPR.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.compat import StrEnum
from tinymia.statistics.cells import Cell, Floats, grain, pairs
from tinymia.statistics.intervals import Mean, Replicates, Resampler
from tinymia.statistics.metrics import Resolution, resolves
from tinymia.statistics.pooled import PooledScores


class Threshold(StrEnum):
    """For whom a threshold is chosen."""

    GLOBAL = "one for all"
    PERSON = "one a person"
    WINDOW = "one a window"


@dataclass(frozen=True, eq=False)
class Thresholded:
    """What an adversary with thresholds of one kind finds.

    Attributes:
        kind: for whom the thresholds are.
        fpr: the target.
        tpr: replicates of the TPR; for an interval see ``rates.tpr_estimate`` (one for all) or
            ``estimate()``. None where it is not resolved.
        realised: replicates of the FPR that came out.
        reason: why there is no TPR.
    """

    kind: Threshold
    fpr: float
    tpr: Replicates | None
    realised: Replicates | None
    reason: str = ""


@dataclass(frozen=True)
class Alarms:
    """Where the false alarms of one threshold for all come from.

    Attributes:
        fpr: the target.
        people: each person's own FPR at that threshold, by name.
        windows: different windows that were non-members.
        holding_all: share of these with at least one false alarm.
        holding_half: smallest share of these that holds half of the false alarms.
    """

    fpr: float
    people: Mapping[str, float]
    windows: int
    holding_all: float
    holding_half: float

    @property
    def lowest(self) -> float:
        """The lowest FPR of a person."""
        return min(self.people.values())

    @property
    def highest(self) -> float:
        """The highest FPR of a person."""
        return max(self.people.values())


def globally(
    cells: Sequence[Cell], sampler: Resampler, fpr: float, pooled: PooledScores | None = None
) -> Thresholded:
    """One threshold for all people and windows.

    Args:
        cells: of one attack under one condition.
        sampler: of the same cells.
        fpr: target.
        pooled: the same scores, if they are there already.
    """
    pooled = pooled or PooledScores(pairs(cells))
    threshold = pooled.threshold(fpr)
    tpr = sampler.replicates(pooled.tpr_at([fpr]), 0.0, 1.0, grain(cells)).column(0)
    above = [cell.scores > threshold for cell in cells]
    return Thresholded(Threshold.GLOBAL, fpr, tpr, _share(cells, above, False, sampler))


def by_person(cells: Sequence[Cell], sampler: Resampler, fpr: float) -> Thresholded:
    """One threshold a person, at the target FPR among that person's own non-members.

    Not resolved where some person has too few non-member answers (``metrics.resolves``).
    """
    above: list[NDArray[np.bool_]] = [np.zeros(0, dtype=np.bool_)] * len(cells)
    for p in range(sampler.people):
        own = np.flatnonzero(sampler.who == p).tolist()
        nonmembers = sum(int((~cells[i].member).sum()) for i in own)
        resolution = resolves(fpr, nonmembers)
        if not resolution.ok:
            reason = f"{resolution.reason} for {cells[own[0]].person}"
            return Thresholded(Threshold.PERSON, fpr, None, None, reason)
        threshold = PooledScores(pairs([cells[i] for i in own])).threshold(fpr)
        for i in own:
            above[i] = cells[i].scores > threshold
    return _decided(Threshold.PERSON, cells, above, sampler, fpr)


def by_window(
    cells: Sequence[Cell], outside: Sequence[Floats], sampler: Resampler, fpr: float
) -> Thresholded:
    """One threshold a window, calibrated on shadow devices that were not trained on it.

    A window is called a member if its score is above all but ``floor(fpr * (s + 1)) - 1`` of the s
    scores that it had on such shadows: then, of devices that were not trained on it, at most a
    share ``fpr`` is called, ties included.

    Args:
        cells: of one attack under one condition.
        outside: of each cell, (s, n) float64: what the attack gives each window on each shadow, on
            the cell's scale; NaN where that shadow was trained on the window. Cells of one person
            may share one array.
        sampler: of the same cells.
        fpr: target; a window needs 1 / fpr - 1 shadows without it.
    """
    known: dict[int, Floats] = {}
    above = []
    for cell, scores in zip(cells, outside, strict=True):
        if id(scores) not in known:
            resolution, thresholds = _calibrated(scores, fpr)
            if not resolution.ok:
                return Thresholded(Threshold.WINDOW, fpr, None, None, resolution.reason)
            known[id(scores)] = thresholds
        above.append(cell.scores > known[id(scores)])
    return _decided(Threshold.WINDOW, cells, above, sampler, fpr)


def alarms(cells: Sequence[Cell], fpr: float, pooled: PooledScores | None = None) -> Alarms:
    """Whose and which windows give the false alarms of one threshold for all.

    Args:
        cells: of one attack under one condition.
        fpr: target of the pooled FPR.
        pooled: the same scores, if they are there already.
    """
    threshold = (pooled or PooledScores(pairs(cells))).threshold(fpr)
    shares: dict[str, list[float]] = {}
    counts: dict[str, list[NDArray[np.integer[Any]]]] = {}
    asked: dict[str, list[NDArray[np.integer[Any]]]] = {}
    for cell in cells:
        false = (cell.scores > threshold) & ~cell.member
        shares.setdefault(cell.person, []).append(float(false.sum() / (~cell.member).sum()))
        counts.setdefault(cell.person, []).append(cell.window[false])
        asked.setdefault(cell.person, []).append(cell.window[~cell.member])
    windows = sum(len(np.unique(np.concatenate(w))) for w in asked.values())
    each = [np.unique(np.concatenate(w), return_counts=True)[1] for w in counts.values()]
    most = np.sort(np.concatenate(each))[::-1]
    half = int(np.searchsorted(np.cumsum(most), most.sum() / 2)) + 1 if len(most) else 0
    people = {person: float(np.mean(share)) for person, share in shares.items()}
    return Alarms(fpr, people, windows, len(most) / windows, half / windows)


def _calibrated(scores: Floats, fpr: float) -> tuple[Resolution, Floats]:
    """(n,) the threshold of each window from its scores on shadows without it."""
    count = (~np.isnan(scores)).sum(axis=0)
    # How many of the highest may lie at or above the device's own score.
    allowed = np.floor(fpr * (count + 1) + 1e-9).astype(np.int64) - 1
    if (allowed < 0).any():
        needed = int(np.ceil(1 / fpr - 1e-9)) - 1
        reason = (
            f"not resolved: an FPR of {100 * fpr:g} % needs {needed} shadows without each window, "
            f"there are {int(count.min())}"
        )
        return Resolution(False, reason), np.zeros(0)
    ordered = -np.sort(-np.where(np.isnan(scores), -np.inf, scores), axis=0)
    return Resolution(True), np.take_along_axis(ordered, allowed[None], axis=0)[0]


def _decided(
    kind: Threshold,
    cells: Sequence[Cell],
    above: Sequence[NDArray[np.bool_]],
    sampler: Resampler,
    fpr: float,
) -> Thresholded:
    true, false = (_share(cells, above, member, sampler) for member in (True, False))
    return Thresholded(kind, fpr, true, false)


def _share(
    cells: Sequence[Cell], above: Sequence[NDArray[np.bool_]], member: bool, sampler: Resampler
) -> Replicates:
    """Share of members (or non-members) called members, the mean over the cells."""
    rates = [
        float(call[cell.member == member].mean()) for cell, call in zip(cells, above, strict=True)
    ]
    least = 1.0 / sum(int((cell.member == member).sum()) for cell in cells)
    return sampler.replicates(Mean(np.array(rates)), 0.0, 1.0, least)
