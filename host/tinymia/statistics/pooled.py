"""Pooled metrics under many weightings of the cells at once.

A resample of people and repetitions only changes how often each cell counts. So the scores are
compared once, cell against cell; after that an AUC under any weights is a quadratic form and a ROC
is a matrix product.

Every cell carries the same weight on the member and on the non-member side, whatever its counts.
Otherwise people with more members than others would shift the pooled figures where nothing leaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_ROWS = 250  # resamples a block: bounds the memory at a few tens of MB


class PooledScores:
    """The scores of one attack under one condition, by cell.

    Args:
        cells: member scores (m,) and non-member scores (n,) of each cell, float64.
    """

    def __init__(self, cells: Sequence[tuple[Floats, Floats]]) -> None:
        members = [np.sort(m) for m, _ in cells]
        nonmembers = [np.sort(n) for _, n in cells]
        self.members = sum(map(len, members))
        self.nonmembers = sum(map(len, nonmembers))
        every_member = np.concatenate(members)
        starts = np.cumsum([0] + [len(m) for m in members[:-1]])
        sizes = np.array([len(m) for m in members], dtype=np.float64)
        self._wins = np.empty((len(cells), len(cells)))
        for j, other in enumerate(nonmembers):
            below = np.searchsorted(other, every_member, "left").astype(np.float64)
            below += np.searchsorted(other, every_member, "right")
            self._wins[:, j] = np.add.reduceat(below, starts) / (2.0 * len(other) * sizes)
        everyone = np.concatenate([*members, *nonmembers])
        self.constant = bool(everyone.min() == everyone.max())
        self._cells = members, nonmembers
        self._counts: _Counts | None = None

    def auc(self, weights: Floats) -> Floats:
        """AUC under each weighting.

        Args:
            weights: (k, cells), non-negative, each row with a positive sum.

        Returns:
            (k,) float64.
        """
        w = np.asarray(weights, dtype=np.float64)
        total = w.sum(axis=1)
        return np.asarray(((w @ self._wins) * w).sum(axis=1) / total**2, dtype=np.float64)

    def tpr(self, weights: Floats, fprs: Sequence[float] | Floats) -> Floats:
        """TPR at the lowest threshold whose FPR is at most each target, under each weighting.

        Args:
            weights: (k, cells), non-negative whole numbers, each row with a positive sum.
            fprs: t targets, 0 to 1.

        Returns:
            (k, t) float64.
        """
        # Built on first use: many callers want the AUC alone.
        counts = self._counts = self._counts or _Counts(*self._cells)
        targets = np.asarray(fprs, dtype=np.float64)
        out = np.empty((len(weights), len(targets)))
        for start in range(0, len(weights), _ROWS):
            w = weights[start : start + _ROWS].astype(counts.dtype)
            false, true = w @ counts.false, w @ counts.true
            total = w.sum(axis=1, dtype=np.float64)
            for i in range(len(w)):
                allowed = targets * (total[i] * counts.full[0]) * (1 + 1e-9) + 1e-9
                corner = np.searchsorted(false[i], allowed, "right") - 1
                out[start + i] = true[i, corner] / (total[i] * counts.full[1])
        return out


class _Counts:
    """Members and non-members of each cell above each distinct non-member score."""

    def __init__(self, members: list[Floats], nonmembers: list[Floats]) -> None:
        thresholds = np.unique(np.concatenate(nonmembers))[::-1]
        thresholds = np.concatenate([thresholds, [-np.inf]])
        # Whole numbers below 2^24 are exact in float32, so equal cells can be counted in it.
        equal = len({len(n) for n in nonmembers}) == 1 and len({len(m) for m in members}) == 1
        self.dtype: type[np.floating[Any]] = np.float32 if equal else np.float64
        self.false = _above(nonmembers, thresholds, equal, self.dtype)
        self.true = _above(members, thresholds, equal, self.dtype)
        self.full = (len(nonmembers[0]), len(members[0])) if equal else (1, 1)


def _above(
    cells: list[Floats], thresholds: Floats, counts: bool, dtype: type[np.floating[Any]]
) -> NDArray[np.floating[Any]]:
    """(cells, thresholds) scores above each threshold: counts, or fractions of the cell."""
    out = np.empty((len(cells), len(thresholds)), dtype=dtype)
    for i, scores in enumerate(cells):
        above = len(scores) - np.searchsorted(scores, thresholds, "right")
        out[i] = above if counts else above / len(scores)
    return out
