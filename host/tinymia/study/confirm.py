"""The board's word on what the twin did: the same devices again, equal in every bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from tinymia.errors import StudyError
from tinymia.evidence import Run, reveal
from tinymia.study.board_work import BoardWork, Job
from tinymia.study.devices import Device, load_device
from tinymia.study.people import Person
from tinymia.study.results import Confirmation, ConfirmedRun
from tinymia.study.settings import StudySettings, is_deep

TwinDevice = Callable[[Run, Person, int], Device]
"""The twin's device of a run, a person and a repetition, answering as a board does."""


def jobs_to_confirm(
    people: Sequence[Person], runs: Sequence[Run], settings: StudySettings
) -> list[Job]:
    """What boards run: the first repetitions, and of deep training less of it."""
    chosen = []
    for number, person in enumerate(people):
        tasks = tuple(
            shortened(run, settings)
            for run in runs
            if not is_deep(run) or number < settings.deep_people
        )
        if tasks and settings.confirm:
            chosen.append(Job(person, min(settings.confirm, settings.repetitions), tasks))
    return chosen


def shortened(run: Run, settings: StudySettings) -> Run:
    """A run as far as a board goes with it; training of many layers is slow in a simulator."""
    if not is_deep(run):
        return run
    return replace(run, epochs=min(run.epochs, settings.deep_epochs))


class Compared(Protocol):
    """A device in messages."""

    @property
    def run(self) -> Run:
        """How it was trained and answers."""
        ...

    def differs(self, what: str) -> StudyError:
        """The error that the board does not confirm the twin."""
        ...


def not_confirmed(device: str, what: str) -> StudyError:
    """What ends a study: one bit of a board is not the twin's."""
    return StudyError(
        f"The board does not confirm the twin: {device}: the board {what}.",
        "Board and twin must be built from the same source: build and flash again, and install"
        " the package again. Then give --fresh.",
    )


@dataclass(frozen=True)
class Where:
    """A person's device in messages."""

    run: Run
    person: str
    repetition: int

    def differs(self, what: str) -> StudyError:
        """The error that the board does not confirm the twin."""
        return not_confirmed(
            f"{self.person}, repetition {self.repetition + 1}, {self.run.name} behind epoch"
            f" {self.run.epochs}",
            what,
        )


def compare(where: Compared, twin: Device, board: Device) -> int:
    """Check a board's device against the twin's.

    Args:
        where: which device, with the board's answer policy.
        twin: answers to all queries, as a board gives them; whole ones are cut.
        board: answers to some of the queries, under the policy.

    Returns:
        How many answers were compared.

    Raises:
        StudyError: a weight or an answer differs; names person, repetition, run and epoch.
    """
    slots = board.slots
    known = slots.max(initial=-1) < len(twin.member)
    if not known or not np.array_equal(twin.member[slots], board.member):
        raise where.differs("had other members or queries")
    if board.hash != twin.hash:
        raise where.differs(f"has weights with the hash {board.hash}, the twin {twin.hash}")
    counts = (board.steps, board.clipped), (twin.steps, twin.clipped)
    if counts[0] != counts[1]:
        raise where.differs(f"counts (steps, clipped) {counts[0]}, the twin {counts[1]}")
    theirs = reveal(twin.answers[slots, :1], where.run.answer)
    bits = theirs.view(np.uint32) != board.answers.view(np.uint32)
    # What a policy hides is NaN on both sides, of whatever bits.
    bits &= ~(np.isnan(theirs) & np.isnan(board.answers))
    if bits.any():
        slot = int(slots[int(np.argmax(bits.any(axis=(1, 2))))])
        raise where.differs(f"answers window {slot} otherwise than the twin")
    return len(slots)


def confirmation(
    people: Sequence[Person],
    runs: Sequence[Run],
    confirmed: Sequence[Job],
    work: BoardWork | None,
    twin: TwinDevice,
    targets: Mapping[str, str],
) -> Confirmation:
    """Compare all that boards ran, and say what ran where.

    Args:
        people, runs: the whole study.
        confirmed: what boards ran as well.
        work: what they did; None where boards ran nothing or everything.
        twin: see there.
        targets: "main" and "board".

    Raises:
        StudyError: see :func:`compare`.
    """
    found: dict[str, list[tuple[str, int, int]]] = {run.name: [] for run in runs}
    answers: dict[str, int] = {run.name: 0 for run in runs}
    for job in confirmed:
        assert work is not None
        for run in job.runs:
            for r in range(job.repetitions):
                key = work.key(run, job.person, r)
                board = load_device(work.store, work.kind, key)
                where = Where(run, job.person.name, r)
                answers[run.name] += compare(where, twin(run, job.person, r), board)
                found[run.name].append((job.person.name, r, run.epochs))
    rows = tuple(
        ConfirmedRun(
            title=run.title,
            devices=sum(len(person.draws) for person in people),
            devices_board=len(found[run.name]),
            people=tuple(dict.fromkeys(person for person, _, _ in found[run.name])),
            repetitions=len({r for _, r, _ in found[run.name]}),
            epochs=tuple(dict.fromkeys(epochs for _, _, epochs in found[run.name])),
            answers=answers[run.name],
            hashes=len(found[run.name]),
        )
        for run in runs
    )
    return Confirmation(
        main=targets["main"],
        board=targets["board"],
        devices=sum(row.devices for row in rows),
        devices_board=sum(row.devices_board for row in rows),
        hashes=sum(row.hashes for row in rows),
        answers=sum(row.answers for row in rows),
        rows=rows,
    )
