"""What the experiment knows of each attacked device beside its answers: who was a member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Attack
from tinymia.evidence import Candidates, Knowledge, Lab, Run, Scorer, Scores, Shadows, Target

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Attacked:
    """One device of one condition.

    Attributes:
        person, repetition: which.
        member: (n,) bool, over the person's windows.
        counted: (n,) bool: windows that are a member or a non-member of this draw.
        group: (n,) int64, windows of one block.
        right: (n,) bool, whether its answer is right.
        right_base: (n,) bool, the same of the base model of the same depth.
    """

    person: str
    repetition: int
    member: Bools
    counted: Bools
    group: NDArray[np.int64]
    right: Bools
    right_base: Bools


def score(
    lab: Lab, run: Run, person: str, targets: Sequence[Target], attacks: Sequence[Attack]
) -> dict[str, Scores]:
    """Let attacks judge the devices of one person and run.

    Args:
        lab: shadow devices.
        run: how the devices were trained, and how they answer.
        person: whose they are.
        targets: one a repetition, with everything that anybody may be granted.
        attacks: what is tried; one for whose knowledge there are no windows is left out.

    Returns:
        By attack: (repetitions, n) float64, NaN for windows that it does not judge.
    """
    found = {}
    made: dict[int, tuple[Scorer, Scores]] = {}
    shown: dict[tuple[bool, bool], list[Target]] = {}
    for attack in attacks:
        info = attack.info
        if not lab.knows(run, person, info.knowledge):
            continue
        half = info.knowledge is Knowledge.HALF
        judged = lab.known(person) if half else np.ones(len(targets[0].candidates), np.bool_)
        scorer = attack.fit(_Half(lab, judged) if half else lab, run, person)
        # An attack may be another one where it has nothing to add.
        if id(scorer) in made:
            found[info.name] = made[id(scorer)][1]
            continue
        rows = np.full((len(targets), len(judged)), np.nan)
        # The same targets for all who may see as much: attacks share what they make of them.
        seen = half, info.weights
        if seen not in shown:
            shown[seen] = [granted(target, attack, judged) for target in targets]
        for row, target in zip(rows, shown[seen], strict=True):
            row[judged] = scorer(target)
        made[id(scorer)] = scorer, rows
        found[info.name] = rows
    return found


def granted(target: Target, attack: Attack, judged: Bools) -> Target:
    """What this attack may see of a device."""
    return Target(
        target.person,
        target.repetition,
        part_of(target.candidates, judged),
        target.answers if judged.all() else target.answers[judged],
        target.theta if attack.info.weights else None,
    )


def part_of(candidates: Candidates, kept: Bools) -> Candidates:
    """Some of the candidates; (n,) bool says which."""
    if kept.all():
        return candidates
    features, shaped = candidates.features, candidates.shaped
    return Candidates(
        candidates.labels[kept],
        candidates.group[kept],
        candidates.base[kept],
        None if features is None else features[kept],
        candidates.head,
        None if shaped is None else shaped[kept],
        candidates.references,
        candidates.reference_labels,
    )


@dataclass(frozen=True, eq=False)
class _Half:
    """A lab whose candidates are the windows that are known."""

    lab: Lab
    judged: Bools

    def candidates(self, run: Run, person: str) -> Candidates:
        return part_of(self.lab.candidates(run, person), self.judged)

    def knows(self, run: Run, person: str, knowledge: Knowledge | None) -> bool:
        return self.lab.knows(run, person, knowledge)

    def known(self, person: str) -> Bools:
        return self.lab.known(person)

    def shadows(
        self,
        run: Run,
        person: str,
        knowledge: Knowledge = Knowledge.HALF,
        count: int | None = None,
    ) -> Shadows:
        return self.lab.shadows(run, person, knowledge, count)

    def oracle(self, run: Run, target: Target):  # type: ignore[no-untyped-def]
        return self.lab.oracle(run, target)


Cells = Mapping[str, Sequence[Attacked]]
"""Devices by condition, each condition with the same (person, repetition) pairs in order."""
