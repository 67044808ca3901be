"""The scores of one attack on one device, with who was a member."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cell:
    """Scores of one (person, repetition); a study has one a pair, in the same order throughout.

    Attributes:
        scores: (n,) float64, finite, higher for likelier members.
        member: (n,) bool, with at least one of each kind.
        person: whose device it was.
        window: (n,) integers, which of the person's windows; the same in every repetition.
        group: (n,) integers counted from 0: windows of one group (block) are members together, or
            not at all.
    """

    scores: Floats
    member: NDArray[np.bool_]
    person: str
    window: NDArray[np.integer[Any]]
    group: NDArray[np.integer[Any]]


def pairs(cells: Sequence[Cell]) -> list[tuple[Floats, Floats]]:
    """Member and non-member scores of each cell, for :class:`~tinymia.statistics.PooledScores`."""
    return [(cell.scores[cell.member], cell.scores[~cell.member]) for cell in cells]


def grain(cells: Sequence[Cell]) -> float:
    """What one member weighs in a rate over all cells; see ``Replicates.grain``."""
    return 1.0 / sum(int(cell.member.sum()) for cell in cells)


def distinct_nonmembers(cells: Sequence[Cell]) -> int:
    """How many different windows were non-members in some repetition."""
    seen: dict[str, list[NDArray[np.integer[Any]]]] = {}
    for cell in cells:
        seen.setdefault(cell.person, []).append(cell.window[~cell.member])
    return sum(len(np.unique(np.concatenate(windows))) for windows in seen.values())
