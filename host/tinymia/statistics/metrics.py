"""Attack metrics: ROC, AUC, TPR at a low FPR, advantage and balanced accuracy.

Scores are higher for likelier members. An attack decides "member" where the score is *above* a
threshold, so scores that are tied fall on one side together and no decision splits them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def tpr_at_fpr(members: Floats, nonmembers: Floats, fpr: float) -> float:
    """The largest TPR at a threshold whose measured FPR is at most ``fpr``.

    No interpolation: a point between two corners of the ROC is no decision that the attack can
    take without a coin. Ties at the threshold count as non-members on both sides.

    Args:
        members: (m,) scores.
        nonmembers: (n,) scores.
        fpr: target, 0 to 1.
    """
    allowed = int(np.floor(fpr * len(nonmembers) + 1e-9))
    if allowed >= len(nonmembers):
        return 1.0
    # At most `allowed` non-members are strictly above the (allowed + 1)-th highest of them.
    threshold = np.sort(nonmembers)[::-1][allowed]
    return float(np.mean(members > threshold))


def best_threshold(members: Floats, nonmembers: Floats) -> float:
    """The threshold with the largest TPR - FPR (the highest such threshold if several).

    On the data that chose it, this maximum is above zero even where nothing leaks; use it on other
    data only.
    """
    fpr, tpr, thresholds = roc(members, nonmembers)
    return float(thresholds[int(np.argmax(tpr - fpr))])


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
    if len(set(people)) < 2:
        return None
    advantage = np.zeros(len(cells))
    for person in sorted(set(people)):
        others = [cell for cell, who in zip(cells, people, strict=True) if who != person]
        threshold = best_threshold(
            np.concatenate([cell[0] for cell in others]),
            np.concatenate([cell[1] for cell in others]),
        )
        for i, (cell, who) in enumerate(zip(cells, people, strict=True)):
            if who == person:
                advantage[i] = np.mean(cell[0] > threshold) - np.mean(cell[1] > threshold)
    return advantage
