"""Checks that an audit finds nothing where nothing is.

Membership is shuffled over blocks, as it was drawn: windows of one block resemble each other, and a
shuffle over single windows would break up what makes a figure uncertain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.statistics.cells import Cell, Floats, grain
from tinymia.statistics.intervals import LEVEL, Replicates, Resampler
from tinymia.statistics.pooled import PooledScores

SHUFFLES = 200
_FEWEST = 20
_SCORES_ALTOGETHER = 20_000_000  # shuffles x scores: seconds


@dataclass(frozen=True)
class Shuffled:
    """What a study's own scores give when nobody was a member of anything.

    Attributes:
        shuffles: how often membership was shuffled; fewer than 200 with very many scores.
        excluded: share of shuffles whose interval of the AUC excludes 0.5; None with one person.
        expected: the share that an interval at its level gives, 0.05.
        at_most: what that share stays below in 99.5 % of checks of so many shuffles.
        mean_auc: mean AUC over the shuffles.
        spread: standard deviation of the AUC over the shuffles: how far from 0.5 chance alone goes.
    """

    shuffles: int
    excluded: float | None
    expected: float
    at_most: float
    mean_auc: float
    spread: float

    @property
    def holds(self) -> bool | None:
        """Whether no more shuffles exclude 0.5 than chance explains; None with one person."""
        return None if self.excluded is None else self.excluded <= self.at_most


def shuffled_level(
    cells: Sequence[Cell], sampler: Resampler, seed: int = 0, shuffles: int = SHUFFLES
) -> Shuffled:
    """How often the interval of the AUC excludes 0.5 when membership is shuffled over blocks.

    The scores stay. In each cell, as many groups as before are members, in another draw; the
    interval is that of the study (leave one person out).

    Args:
        cells: of one attack under one condition.
        sampler: of the same cells.
        seed: of the shuffles.
        shuffles: how often, at most.

    Raises:
        ValueError: if a group has members and non-members.
    """
    from scipy.stats import binom

    scores = sum(len(cell.scores) for cell in cells)
    shuffles = min(shuffles, max(_FEWEST, _SCORES_ALTOGETHER // scores))
    rng = np.random.default_rng(np.random.PCG64([seed, 0x5A]))
    least = grain(cells)
    values, excluded = np.empty(shuffles), 0
    nothing: Floats = np.zeros(0)
    groups = [_groups(cell) for cell in cells]
    for i in range(shuffles):
        shuffled = []
        for cell, (member, group) in zip(cells, groups, strict=True):
            mask = rng.permutation(member)[group]
            shuffled.append((cell.scores[mask], cell.scores[~mask]))
        auc = PooledScores(shuffled).auc
        values[i] = auc(np.ones((1, len(cells))))[0]
        if sampler.people > 1:
            drop = auc.without(sampler.who, sampler.people)
            replicates = Replicates(np.asarray(values[i]), nothing, drop, grain=least)
            excluded += replicates.estimate().excludes(0.5)
    level = 1 - LEVEL
    return Shuffled(
        shuffles,
        excluded / shuffles if sampler.people > 1 else None,
        round(level, 6),
        float(binom.ppf(0.995, shuffles, level)) / shuffles,
        float(values.mean()),
        float(values.std(ddof=1)) if shuffles > 1 else 0.0,
    )


def _groups(cell: Cell) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which groups are members, and the group of each window, numbered from 0."""
    _, first, group = np.unique(cell.group, return_index=True, return_inverse=True)
    member = cell.member[first]
    if not np.array_equal(member[group], cell.member):
        raise ValueError("windows of one group must be members together, or not at all")
    return member, group.astype(np.int64)
