"""Pooled metrics under many weightings of the cells, in time linear in the number of scores.

All scores are sorted once. What lies above a threshold is then a running sum of the cells' weights
along that order, which is kept for every (N / 1,024)-th score only and made whole in between where
a figure needs it. Leaving a person out takes that person's own running sum from everybody's.

Every cell carries the same weight on the member and on the non-member side, whatever its counts.
Otherwise people with more members than others would shift the pooled figures where nothing leaks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_BLOCKS = 1024
_EXACT_CELLS = 100  # up to here an AUC under weights is a quadratic form in cells x cells
_AT_ONCE = 4_000_000  # numbers in a temporary array: bounds the memory at a few tens of MB


class PooledScores:
    """The scores of one attack under one condition, by cell.

    Args:
        cells: member scores (m,) and non-member scores (n,) of each cell, float64.
    """

    def __init__(self, cells: Sequence[tuple[Floats, Floats]]) -> None:
        self.cells = len(cells)
        self._members = _Side([m for m, _ in cells])
        self._others = _Side([n for _, n in cells])
        self.members = len(self._members.keys)
        self.nonmembers = len(self._others.keys)
        ends = [side.keys[i] for side in (self._members, self._others) for i in (0, -1)]
        self.constant = bool(min(ends) == max(ends))

    @cached_property
    def auc(self) -> Auc:
        """AUC as a function of weights: ``pooled.auc(weights)``, (k, cells) to (k,)."""
        return Auc(self)

    def tpr_at(self, fprs: Sequence[float] | Floats) -> Tpr:
        """TPR at t target FPRs as a function of weights, (k, cells) to (k, t)."""
        return Tpr(self, np.asarray(fprs, dtype=np.float64))

    def tpr(self, weights: Floats, fprs: Sequence[float] | Floats) -> Floats:
        """TPR at the lowest threshold whose FPR is at most each target, under each weighting.

        Args:
            weights: (k, cells), non-negative whole numbers, each row with a positive sum.
            fprs: t targets, 0 to 1.

        Returns:
            (k, t) float64.
        """
        return self.tpr_at(fprs)(weights)

    def threshold(self, fpr: float) -> float:
        """The lowest threshold whose FPR is at most a target; the decision is score > threshold."""
        allowed = _allowed(np.array([fpr]), float(self.cells) * self._others.full)
        q = int(np.searchsorted(self._others.running, allowed, "right")[0]) - 1
        return -float(self._others.keys[q]) if q < self.nonmembers else -np.inf


class _Side:
    """All member (or all non-member) scores, highest first.

    Attributes:
        keys: (n,) float64, minus the scores, ascending.
        cell: (n,) int32, whose score it is.
        unit: (cells,) float64, what one score of a cell counts: 1 if all cells are equally large,
            so that sums are whole numbers and exact, else 1 / size.
        full: what all scores of one cell count together.
    """

    def __init__(self, scores: Sequence[Floats]) -> None:
        sizes = np.array([len(s) for s in scores])
        keys = -np.concatenate(scores).astype(np.float64, copy=False)
        order = np.argsort(keys, kind="stable")
        self.keys: Floats = keys[order]
        self.cell = np.repeat(np.arange(len(scores), dtype=np.int32), sizes)[order]
        self.equal = bool((sizes == sizes[0]).all())
        self.unit: Floats = np.ones(len(sizes)) if self.equal else 1.0 / sizes
        self.full = float(sizes[0]) if self.equal else 1.0

    @cached_property
    def running(self) -> Floats:
        """(n + 1,) how much the first 0 to n scores count, all cells weighing 1."""
        return _running(self.unit[self.cell])

    @cached_property
    def by_cell(self) -> NDArray[np.int32]:
        """(n,) positions of the scores, cell by cell."""
        return np.argsort(self.cell, kind="stable").astype(np.int32)

    def groups(self, who: Integers, count: int) -> Iterator[Integers]:
        """The positions of each person's scores, ascending, (n_p,) int64, person by person."""
        owner = who[self.cell]
        order = np.argsort(owner, kind="stable")
        return iter(np.split(order, np.cumsum(np.bincount(owner, minlength=count))[:-1]))

    def sums(self, weights: NDArray[Any], block: NDArray[Any], blocks: int) -> Floats:
        """(k, blocks) weighted counts in blocks of consecutive scores.

        Args:
            weights: (k, cells).
            block: (n,) block of each score.
            blocks: how many there are.
        """
        out = np.zeros((len(weights), blocks))
        ends = np.cumsum(np.bincount(self.cell, minlength=len(self.unit)))
        step = max(1, _AT_ONCE // blocks)
        for start in range(0, len(self.unit), step):
            stop = min(start + step, len(self.unit))
            chosen = self.by_cell[(ends[start - 1] if start else 0) : ends[stop - 1]]
            flat = (self.cell[chosen] - start).astype(np.int64) * blocks + block[chosen]
            counts = np.bincount(flat, minlength=(stop - start) * blocks)
            table = counts.reshape(stop - start, blocks)
            part = weights[:, start:stop]
            heaviest = float(part.sum(axis=1, dtype=np.float64).max(initial=0.0)) * self.full
            if self.equal and heaviest < 2**24:  # whole numbers, exact in float32
                out += part.astype(np.float32) @ table.astype(np.float32)
            else:
                out += part.astype(np.float64) @ (table * self.unit[start:stop, None])
        return out


@dataclass(frozen=True, eq=False)
class Auc:
    """The AUC of pooled scores as a function of cell weights."""

    pooled: PooledScores

    def __call__(self, weights: NDArray[Any]) -> Floats:
        """AUC under each weighting, ties counting half.

        Args:
            weights: (k, cells), non-negative, each row with a positive sum.

        Returns:
            (k,) float64.
        """
        w = np.asarray(weights, dtype=np.float64)
        if self.pooled.cells <= _EXACT_CELLS and len(w) > 1:
            return np.asarray(((w @ self._wins) * w).sum(axis=1) / w.sum(axis=1) ** 2)
        return np.array([self._one(row) for row in w])

    def _one(self, weights: Floats) -> float:
        members, others = self.pooled._members, self.pooled._others
        below = _below(members.keys, others.keys, _running((others.unit * weights)[others.cell]))
        total = (members.unit * weights)[members.cell] @ below
        full = members.full * others.full
        return float(total / (weights.sum() ** 2 * full))

    @cached_property
    def _wins(self) -> Floats:
        """(cells, cells) AUC of the members of one cell against the non-members of another."""
        members, others = self.pooled._members, self.pooled._others
        sizes = np.bincount(members.cell, minlength=self.pooled.cells).astype(np.float64)
        wins = np.empty((self.pooled.cells, self.pooled.cells))
        for j in range(self.pooled.cells):
            other = others.keys[others.cell == j]
            below = _below(members.keys, other, np.arange(len(other) + 1.0))
            counts = np.bincount(members.cell, below, minlength=self.pooled.cells)
            wins[:, j] = counts / (sizes * len(other))
        return wins

    def resampled(self, weights: NDArray[Any]) -> Floats:
        """The same for many weightings.

        Above 100 cells, pairs within one of 1,024 blocks of scores count half, and what that
        changes on the data itself is put right for all: good to about 2e-5, where the resamples
        themselves spread by 1e-3 or more.
        """
        if self.pooled.cells <= _EXACT_CELLS:
            return self(weights)
        members, others = self.pooled._members, self.pooled._others
        # Blocks end between different scores, so that tied ones count half together.
        edges = np.unique(others.keys[:: max(1, len(others.keys) // _BLOCKS)])

        def quick(w: NDArray[Any]) -> Floats:
            mine, theirs = (
                side.sums(w, np.searchsorted(edges, side.keys, "left"), len(edges) + 1)
                for side in (members, others)
            )
            below = theirs.sum(axis=1, keepdims=True) - np.cumsum(theirs, axis=1) + theirs / 2
            full = members.full * others.full
            total = w.sum(axis=1, dtype=np.float64)
            return np.asarray((mine * below).sum(axis=1) / (total**2 * full))

        ones = np.ones((1, self.pooled.cells))
        return np.asarray(quick(weights) + (self(ones) - quick(ones)))

    def without(self, who: Integers, people: int) -> Floats:
        """AUC without each person, (people,) float64, exact.

        Args:
            who: (cells,) int64, person of each cell.
            people: how many there are, at least 2.
        """
        members, others = self.pooled._members, self.pooled._others
        m, n = members.unit[members.cell], others.unit[others.cell]
        below = m * _below(members.keys, others.keys, others.running)
        # By members' wins and by non-members' losses; a person's own pairs are in both.
        above = n * (members.running[-1] - _below(others.keys, members.keys, members.running))
        lost = np.bincount(who[members.cell], below, minlength=people)
        lost += np.bincount(who[others.cell], above, minlength=people)
        groups = zip(members.groups(who, people), others.groups(who, people), strict=True)
        for p, (mine, theirs) in enumerate(groups):
            own = _below(members.keys[mine], others.keys[theirs], _running(n[theirs]))
            lost[p] -= m[mine] @ own
        left = self.pooled.cells - np.bincount(who, minlength=people)
        return np.asarray((below.sum() - lost) / (left**2.0 * members.full * others.full))


@dataclass(frozen=True, eq=False)
class Tpr:
    """TPRs at target FPRs as a function of cell weights, exact."""

    pooled: PooledScores
    fprs: Floats

    def __call__(self, weights: NDArray[Any]) -> Floats:
        """TPR at each target under each weighting; see :meth:`PooledScores.tpr`."""
        members, others = self.pooled._members, self.pooled._others
        step, allowed = self._blocks(others, weights)
        false = self._cumulated(others, weights, step)
        total = weights.sum(axis=1, dtype=np.float64)
        mine_step = max(16, -(-len(members.keys) // _BLOCKS))
        true = self._cumulated(members, weights, mine_step)
        out = np.empty(allowed.shape)
        rows = max(1, _AT_ONCE // (allowed.shape[1] * max(step, mine_step)))
        for start in range(0, len(weights), rows):
            part = slice(start, start + rows)
            w = weights[part].astype(np.float64)
            corner = _crossing(others, w, false[part], allowed[part], step)
            above = self._members_above(corner)
            counted = _up_to(members, w, true[part], above, mine_step)
            out[part] = counted / (total[part, None] * members.full)
        return out

    resampled = __call__

    def _blocks(self, side: _Side, weights: NDArray[Any]) -> tuple[int, Floats]:
        total = weights.sum(axis=1, dtype=np.float64)[:, None]
        return max(16, -(-len(side.keys) // _BLOCKS)), _allowed(self.fprs, total * side.full)

    def _cumulated(self, side: _Side, weights: NDArray[Any], step: int) -> Floats:
        """(k, blocks + 1) weighted counts of the first 0, step, 2 step ... scores."""
        blocks = -(-len(side.keys) // step)
        sums = side.sums(weights, np.arange(len(side.keys)) // step, blocks)
        return np.concatenate([np.zeros((len(sums), 1)), np.cumsum(sums, axis=1)], axis=1)

    def _members_above(self, corner: Integers) -> Integers:
        """How many members lie above the threshold that is the corner-th highest non-member."""
        members, others = self.pooled._members, self.pooled._others
        last = len(others.keys) - 1
        threshold = np.where(corner > last, np.inf, others.keys[np.minimum(corner, last)])
        return np.searchsorted(members.keys, threshold, "left")

    def without(self, who: Integers, people: int) -> Floats:
        """TPRs without each person, (people, t) float64, exact.

        Args:
            who: (cells,) int64, person of each cell.
            people: how many there are, at least 2.
        """
        members, others = self.pooled._members, self.pooled._others
        m, n = members.unit[members.cell], others.unit[others.cell]
        left = self.pooled.cells - np.bincount(who, minlength=people).astype(np.float64)
        out = np.empty((people, len(self.fprs)))
        groups = zip(members.groups(who, people), others.groups(who, people), strict=True)
        for p, (mine, theirs) in enumerate(groups):
            own = _running(n[theirs])
            allowed = _allowed(self.fprs, left[p] * others.full)
            # The longest run of scores whose count without this person's is allowed.
            low = np.zeros(len(self.fprs), dtype=np.int64)
            high = np.full(len(self.fprs), len(others.keys) + 1)
            while (high - low).max() > 1:
                middle = (low + high) // 2
                false = others.running[middle] - own[np.searchsorted(theirs, middle, "left")]
                fits = false <= allowed
                low, high = np.where(fits, middle, low), np.where(fits, high, middle)
            above = self._members_above(low)
            true = members.running[above]
            true = true - _running(m[mine])[np.searchsorted(mine, above, "left")]
            out[p] = true / (left[p] * members.full)
        return out


def _allowed(fprs: Floats, full: float | Floats) -> Floats:
    """How much may lie above a threshold; the margin keeps 0.01 * 700 at 7."""
    return np.asarray(fprs * full * (1 + 1e-9) + 1e-9)


def _running(values: Floats) -> Floats:
    """Running sums, from 0 on, one longer than the values."""
    return np.concatenate([[0.0], np.cumsum(values)])


def _below(keys: Floats, other: Floats, running: Floats) -> Floats:
    """How much of the other side scores lower than each key (keys are minus the scores).

    Args:
        keys: (m,).
        other: (n,) ascending.
        running: (n + 1,) running count of the other side; ties count half.
    """
    left, right = (running[np.searchsorted(other, keys, side)] for side in ("left", "right"))
    return np.asarray(running[-1] - (left + right) / 2)


def _crossing(
    side: _Side, weights: Floats, cumulated: Floats, allowed: Floats, step: int
) -> Integers:
    """(k, t) the longest run of scores, highest first, whose weighted count is allowed."""
    block = np.array(
        [np.searchsorted(c, a, "right") - 1 for c, a in zip(cumulated, allowed, strict=True)]
    )
    place = block[:, :, None] * step + np.arange(step)
    counts = _weights_at(side, weights, place)
    np.cumsum(counts, axis=2, out=counts)
    counts += np.take_along_axis(cumulated, block, axis=1)[:, :, None]
    fits = (counts <= allowed[:, :, None]) & (place < len(side.keys))
    return np.asarray(np.minimum(block * step + fits.sum(axis=2), len(side.keys)))


def _up_to(side: _Side, weights: Floats, cumulated: Floats, above: Integers, step: int) -> Floats:
    """(k, t) the weighted count of the first ``above`` scores."""
    block = above // step
    place = block[:, :, None] * step + np.arange(step)
    counts = np.where(place < above[:, :, None], _weights_at(side, weights, place), 0.0)
    return np.asarray(np.take_along_axis(cumulated, block, axis=1) + counts.sum(axis=2))


def _weights_at(side: _Side, weights: Floats, place: Integers) -> Floats:
    """(k, t, step) what the scores at some places count under each weighting."""
    cell = side.cell[np.minimum(place, len(side.keys) - 1)]
    rows = np.arange(len(weights))[:, None, None]
    return np.asarray((weights * side.unit)[rows, cell])
