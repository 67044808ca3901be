"""Attack metrics: ROC, AUC, TPR at a low FPR, advantage and balanced accuracy.

Scores are higher for likelier members. An attack decides "member" where the score is *above* a
threshold, so scores that are tied fall on one side together and no decision splits them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MIN_FALSE_POSITIVES = 5
"""Non-member answers that a target FPR must allow above the threshold before a TPR is reported.

With k allowed, the threshold is an order statistic and its true FPR is (k + 1) / (n + 1) on
average, k / n being the target: k = 0 reports the TPR at an FPR of zero under another name, k = 1
is off by a factor of two, k = 5 by at most 20 %.
"""


@dataclass(frozen=True)
class Resolution:
    """Whether a target FPR can be resolved, and if not, why (a sentence)."""

    ok: bool
    reason: str = ""


def resolves(fpr: float, nonmembers: int, distinct: int | None = None) -> Resolution:
    """Whether there are enough non-members for a TPR at this FPR.

    Two conditions: ``nonmembers * fpr >= MIN_FALSE_POSITIVES`` for the pooled answers, and, as
    repetitions ask about the same windows again, ``distinct * fpr >= 1`` for the different
    windows among them.

    Args:
        fpr: target false-positive rate, above 0.
        nonmembers: pooled non-member answers.
        distinct: different non-member windows, if known.
    """
    percent = f"{100 * fpr:g} %"
    # The tolerance keeps 500 * 0.01 on the right side of 5.
    if nonmembers * fpr < MIN_FALSE_POSITIVES - 1e-9:
        needed = int(np.ceil(MIN_FALSE_POSITIVES / fpr - 1e-9))
        return Resolution(
            False,
            f"not resolved: an FPR of {percent} needs {needed} non-member answers, "
            f"there are {nonmembers}",
        )
    if distinct is not None and distinct * fpr < 1 - 1e-9:
        needed = int(np.ceil(1 / fpr - 1e-9))
        return Resolution(
            False,
            f"not resolved: an FPR of {percent} needs {needed} different non-members, "
            f"there are {distinct}",
        )
    return Resolution(True)


def auc(members: Floats, nonmembers: Floats) -> float:
    """Probability that a member scores above a non-member, ties counting half (Mann-Whitney).

    Args:
        members: (m,) scores.
        nonmembers: (n,) scores.
    """
    ordered = np.sort(nonmembers)
    wins = np.searchsorted(ordered, members, "left") + np.searchsorted(ordered, members, "right")
    return float(wins.sum() / (2.0 * len(members) * len(nonmembers)))


def auc_of(scores: Floats, member: NDArray[np.bool_]) -> float:
    """The AUC of scores that stand together.

    Args:
        scores: (n,) or (n, k).
        member: the same shape, bool.
    """
    return auc(scores[member], scores[~member])


def roc(members: Floats, nonmembers: Floats) -> tuple[Floats, Floats, Floats]:
    """The ROC's corners, one for each distinct score: tied scores move both rates in one step.

    Args:
        members: (m,) scores.
        nonmembers: (n,) scores.

    Returns:
        fpr, tpr, threshold, each (k,) with k - 1 distinct scores; from (0, 0) at the highest score
        to (1, 1) at -inf. The decision is ``score > threshold``.
    """
    distinct = np.unique(np.concatenate([members, nonmembers]))[::-1]
    thresholds = np.concatenate([distinct, [-np.inf]])
    fpr = 1.0 - np.searchsorted(np.sort(nonmembers), thresholds, "right") / len(nonmembers)
    tpr = 1.0 - np.searchsorted(np.sort(members), thresholds, "right") / len(members)
    return fpr, tpr, thresholds


def crossfit_advantage(
    cells: Sequence[tuple[Floats, Floats]], people: Sequence[str]
) -> Floats | None:
    """TPR - FPR of each cell at the threshold that is best on all *other* people.

    Unbiased under the null: the threshold does not depend on the cell's membership. The balanced
    accuracy at the same threshold is (1 + advantage) / 2.

    Args:
        cells: member and non-member scores of each cell.
        people: the person of each cell.

    Returns:
        (cells,) float64, -1 to 1; None with fewer than two people.
    """
    names, who = np.unique(np.asarray(people), return_inverse=True)
    if len(names) < 2:
        return None
    levels = _Levels(cells, who)
    advantage = np.zeros(len(cells))
    for p in range(len(names)):
        threshold = levels.best_without(p)
        for i in np.flatnonzero(who == p).tolist():
            members, nonmembers = cells[i]
            advantage[i] = np.mean(members > threshold) - np.mean(nonmembers > threshold)
    return advantage


class _Levels:
    """The different scores of all cells, highest first, and who has how many above each.

    Choosing on everybody but one person looks into few blocks of scores, and there into
    few smaller ones, so that the work for all people is about linear in their number.
    """

    _BLOCK = 64

    def __init__(
        self, cells: Sequence[tuple[Floats, Floats]], who: NDArray[np.integer[Any]]
    ) -> None:
        scores = [np.concatenate([cell[side] for cell in cells]) for side in (0, 1)]
        self.values: Floats = -np.unique(-np.concatenate(scores))
        self.own: list[list[NDArray[np.int64]]] = []
        self.above: list[NDArray[np.int64]] = []
        people = int(who.max()) + 1
        for side, all_scores in enumerate(scores):
            level = np.searchsorted(-self.values, -all_scores)
            owner = np.repeat(who, [len(cell[side]) for cell in cells])
            order = np.lexsort([level, owner])
            ends = np.cumsum(np.bincount(owner, minlength=people))
            self.own.append(np.split(level[order], ends[:-1]))
            counts = np.bincount(level, minlength=len(self.values))
            self.above.append(np.concatenate([[0], np.cumsum(counts)]))

    def best_without(self, person: int) -> float:
        """The highest threshold with the largest TPR - FPR of all cells but one person's."""
        last = len(self.values)
        size = self._BLOCK**2
        starts = np.arange(0, last, size)
        least = -np.inf
        while size > 1:
            ends = np.minimum(starts + size, last)
            true, false = self._rate(0, person, ends), self._rate(1, person, starts)
            # Within a block the TPR is at most that of its end, the FPR at least that of its start.
            least = max(least, float((true - self._rate(1, person, ends)).max()))
            starts = starts[true - false >= least - 1e-12]
            size //= self._BLOCK
            starts = (starts[:, None] + np.arange(0, size * self._BLOCK, size)).ravel()
            starts = starts[starts < last]
        place = np.append(starts, last)
        place = place[self._others_there(person, place)]
        gain = self._rate(0, person, place) - self._rate(1, person, place)
        best = place[int(np.argmax(gain))]
        return float(self.values[best]) if best < last else -np.inf

    def _rate(self, side: int, person: int, place: NDArray[np.int64]) -> Floats:
        """TPR (side 0) or FPR (side 1) of the others above each level."""
        own = self.own[side][person]
        above = self.above[side][place] - np.searchsorted(own, place, "left")
        total = int(self.above[side][-1]) - len(own)
        return np.asarray(1.0 - (total - above) / total, dtype=np.float64)

    def _others_there(self, person: int, place: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether somebody else has that score; -inf, after the last, always counts."""
        count = np.zeros(len(place), dtype=np.int64)
        upper = np.minimum(place + 1, len(self.values))
        for side in (0, 1):
            own = self.own[side][person]
            count += self.above[side][upper] - self.above[side][place]
            count -= np.searchsorted(own, place, "right") - np.searchsorted(own, place, "left")
        return np.asarray((count > 0) | (place == len(self.values)), dtype=np.bool_)
