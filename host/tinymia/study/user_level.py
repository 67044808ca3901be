"""Every device asked about everybody's windows: whose is it?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinymia.attacks.softmax import head_of, probabilities, read_by_head
from tinymia.evidence import Candidates, Run, Target, reveal
from tinymia.experiments.user_level import UserLevelFinding, user_level
from tinymia.study.devices import Device
from tinymia.study.lanes import Lanes
from tinymia.study.people import Person
from tinymia.study.settings import StudySettings, is_deep


def owners(
    run: Run,
    people: Sequence[Person],
    devices: Sequence[Device],
    lanes: Lanes,
    settings: StudySettings,
) -> UserLevelFinding | None:
    """Whether devices of a run give their owners away; None where that cannot be asked here.

    What a device answers about other people's windows follows from its head's weights, so it needs
    a run that trains the head, at least two people, and devices whose weights were read.

    Args:
        run: plain fine-tuning.
        people: audited ones.
        devices: of the run: all repetitions of the first person, then of the next.
        lanes: the public model.
        settings: of the study.
    """
    if is_deep(run) or len(people) < 2 or not all(len(device.theta) for device in devices):
        return None
    known: dict[str, Candidates] = {}
    for person in people:
        whole = lanes.candidates(run, person)
        known[person.name] = Candidates(
            whole.labels,
            whole.group,
            reveal(whole.base, run.answer),
            whole.features,
            whole.head,
        )
    asked = []
    left = iter(devices)
    for owner in people:
        for repetition in range(len(owner.draws)):
            head = head_of(next(left).theta, known[owner.name].classes)
            answers = {}
            for person in people:
                candidates = known[person.name]
                odds = probabilities(head, read_by_head(candidates)).astype(np.float32)
                shown = reveal(odds[:, None], run.answer)
                answers[person.name] = Target(owner.name, repetition, candidates, shown)
            asked.append((owner.name, answers))
    return user_level(run.name, run.answer, asked, seed=settings.seed)
