"""The study's cells in order, checked to be complete and paired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks import Attack
from tinymia.audit.conditions import Condition, ordered
from tinymia.audit.types import CellAnswers, OutputPolicy
from tinymia.errors import StudyError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Grid:
    """Every condition with the same (person, repetition) pairs in the same order.

    Attributes:
        conditions: in the order of the report.
        pairs: (person, repetition), sorted.
        cells: by condition key, one cell a pair.
        policy: what the answers reveal.
    """

    conditions: list[Condition]
    pairs: list[tuple[str, int]]
    cells: dict[str, list[CellAnswers]]
    policy: OutputPolicy

    @property
    def people(self) -> list[str]:
        """The person of each pair."""
        return [person for person, _ in self.pairs]

    @property
    def first(self) -> list[CellAnswers]:
        """One condition's cells; queries, labels and members are the same in all."""
        return self.cells[self.conditions[0].key]

    def distinct_nonmembers(self) -> int | None:
        """How many different windows were non-members, if the cells say which is which."""
        seen: set[tuple[str, int]] = set()
        for cell in self.first:
            if cell.window is None:
                return None
            seen.update((cell.person, int(w)) for w in cell.window[~cell.member])
        return len(seen)

    def scores(self, condition: str, attack: Attack) -> list[tuple[Floats, Floats]]:
        """Member and non-member scores of each pair."""
        out = []
        for cell in self.cells[condition]:
            scores = attack.scores(cell)
            out.append((scores[cell.member], scores[~cell.member]))
        return out


def build_grid(cells: Sequence[CellAnswers], titles: Mapping[str, str] | None = None) -> Grid:
    """Order the cells and check that every comparison will be paired.

    Raises:
        StudyError: no cells, a cell twice, missing or damaged, or other queries, labels or
            members than the same pair has in another condition.
    """
    if not cells:
        raise StudyError("The study has no finished cells.", "Run the audit first.")
    policies = {cell.policy for cell in cells}
    if len(policies) > 1:
        raise StudyError(
            "The cells were answered under different output policies.", "Audit one policy a study."
        )
    by_key: dict[tuple[str, str, int], CellAnswers] = {}
    for cell in cells:
        cell.validate()
        key = (cell.condition, cell.person, cell.repetition)
        if key in by_key:
            raise StudyError(f"{cell.name} is there twice.", "Delete one of the two.")
        by_key[key] = cell
    conditions = ordered({cell.condition for cell in cells}, titles)
    pairs = sorted({(cell.person, cell.repetition) for cell in cells})
    missing = [
        f"{c.key}/{person}/{repetition}"
        for c in conditions
        for person, repetition in pairs
        if (c.key, person, repetition) not in by_key
    ]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise StudyError(
            f"The study is not finished: {', '.join(missing[:3])}{more} missing.",
            "Run the audit again; it continues where it stopped.",
        )
    grid = {c.key: [by_key[(c.key, *pair)] for pair in pairs] for c in conditions}
    for first, *rest in zip(*grid.values(), strict=True):
        for cell in rest:
            same = np.array_equal(cell.member, first.member) and np.array_equal(
                cell.labels, first.labels
            )
            if not same:
                raise StudyError(
                    f"{cell.name} and {first.name} have different queries or members.",
                    "Delete both cells and run the audit again.",
                )
    return Grid(conditions, pairs, grid, policies.pop())
