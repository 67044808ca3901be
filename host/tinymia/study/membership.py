"""From a study's devices and scores to the membership finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.registry import all_attacks
from tinymia.evidence import OutputPolicy, Run, Scores, reveal
from tinymia.experiments.base import Condition
from tinymia.experiments.membership.analyse import Analysis
from tinymia.experiments.membership.devices import Attacked
from tinymia.experiments.membership.types import MembershipFinding
from tinymia.study.controls import Controlling
from tinymia.study.devices import Device
from tinymia.study.lanes import Lanes
from tinymia.study.people import Person
from tinymia.study.scoring import Cell, Scoring
from tinymia.study.settings import StudySettings


def analyse(
    settings: StudySettings,
    people: Sequence[Person],
    devices: Mapping[str, Sequence[Device]],
    conditions: Sequence[Condition],
    scoring: Scoring,
    cells: Sequence[Cell],
    controlling: Controlling | None,
    lanes: Lanes,
) -> MembershipFinding:
    """The finding of a study whose devices are trained and scored.

    Args:
        settings: of the study.
        people: audited ones.
        devices: of each run by name: all repetitions of the first person, then of the next.
        conditions: the runs as the finding names them.
        scoring: has the scores.
        cells: of the study.
        controlling: has the controls; None where nothing is fine-tuned.
        lanes: answer for the base model.
    """
    policies = {answer.policy: answer for answer in settings.answers}
    at = {(cell.run.name, cell.person): cell for cell in cells}
    runs = {cell.run.name: cell.run for cell in cells}

    def scores(condition: str, policy: OutputPolicy) -> dict[str, list[Scores]]:
        found: dict[str, list[Scores]] = {}
        for person in people:
            own = scoring.scores(at[condition, person.name], policies[policy])
            for attack, rows in own.items():
                found.setdefault(attack, []).extend(rows)
        # One that not everybody's windows allow has no pooled figure; nor has one that knew no
        # member of some device, or no other window, as happens where members are few.
        whole = len(people) * settings.repetitions
        return {
            attack: rows
            for attack, rows in found.items()
            if len(rows) == whole and all(map(_compares, rows, shown[condition]))
        }

    shown = {run.name: attacked(run, people, devices[run.name], lanes) for run in runs.values()}

    return Analysis(
        conditions=conditions,
        cells=shown,
        scores=scores,
        answers=tuple(policies),
        levels=settings.levels,
        attacks=[attack for attack in all_attacks() if attack in settings.choice],
        chosen=settings.choice,
        views=scoring.views,
        controls=[controlling.load(person) for person in people] if controlling else [],
        seed=settings.seed,
    ).finding()


def attacked(
    run: Run, people: Sequence[Person], devices: Sequence[Device], lanes: Lanes
) -> list[Attacked]:
    """The devices of one run with what is true of them."""
    found = []
    left = iter(devices)
    for person in people:
        base = reveal(lanes.answers_of_base(run, person.windows)[:, 0], run.answer)
        right_base = _right(base, person)
        for repetition, draw in enumerate(person.draws):
            device = next(left)
            answers = device.answers[:, 0]
            if run.answer.policy is not OutputPolicy.FULL:
                answers = reveal(answers, run.answer)
            found.append(
                Attacked(
                    person.name,
                    repetition,
                    draw.member,
                    draw.member | draw.nonmember,
                    person.pool.block,
                    _right(answers, person),
                    right_base,
                )
            )
    return found


def _compares(scores: Scores, device: Attacked) -> bool:
    """Whether both members and others of a device were judged."""
    judged = device.counted & ~np.isnan(scores)
    return bool(np.any(judged & device.member) and np.any(judged & ~device.member))


def _right(answers: NDArray[np.float32], person: Person) -> NDArray[np.bool_]:
    # Under a policy that hides classes they are NaN, which argmax would choose.
    return np.asarray(np.nan_to_num(answers, nan=-1.0).argmax(axis=1) == person.labels)
