"""What boards run again of the devices that experiments attacked: equal in every bit."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tinymia.device.client import Board
from tinymia.errors import StudyError
from tinymia.evidence import Run, Training, Workbench, digest
from tinymia.experiments.experiment import experiments
from tinymia.export.bundle import Bundle
from tinymia.study import recipe
from tinymia.study.board_runs import Runner
from tinymia.study.board_work import Reporter, answer_on_board, device_at
from tinymia.study.confirm import compare, not_confirmed
from tinymia.study.devices import Device, load_device, save_device
from tinymia.study.results import ConfirmedChapter
from tinymia.study.settings import StudySettings, device_settings, is_deep
from tinymia.study.store import Store

KIND = "confirmed-attacked"
WHAT = "Confirming attacked devices on boards"
_MOST_ASKED = 8
"""Windows beside the members that a board is asked about."""


@dataclass(frozen=True, eq=False)
class Attacked:
    """One attacked device: a task of whichever board is free.

    Attributes:
        name: of the experiment.
        training: of this device alone.
        number: of the device among those of its training.
        key: its name in the store.
    """

    name: str
    training: Training
    number: int
    key: str

    def __len__(self) -> int:
        return 1

    @property
    def run(self) -> Run:
        """How it was trained and answers."""
        return self.training.run

    def differs(self, what: str) -> StudyError:
        """The error that the board does not confirm the twin."""
        device = f"{self.name}, device {self.number + 1}, {self.run.name}"
        return not_confirmed(f"{device} behind epoch {self.run.epochs}", what)

    def kept(self, room: int) -> NDArray[np.int64]:
        """Windows that a board is sent, ascending; raises StudyError where too few have room."""
        member = self.training.members[0]
        used, more = np.flatnonzero(member), np.flatnonzero(~member)[:_MOST_ASKED]
        if room < len(used):
            raise StudyError(
                f"{self.name}: the board's store holds {room} windows beside {self.run.title}, and"
                f" a device learns from {len(used)}.",
                "Choose fewer --members, or --confirm 0.",
            )
        return np.sort(np.concatenate([used, more[: room - len(used)]]))

    def only(self, kept: NDArray[np.int64]) -> Training:
        """The training with the windows alone that a board keeps."""
        whole = self.training
        return replace(
            whole,
            windows=whole.windows[kept],
            labels=whole.labels[kept],
            members=whole.members[:, kept],
        )


@dataclass(frozen=True)
class AttackedWork:
    """The work on attacked devices, whoever has the board; can be sent to another machine.

    Attributes:
        bundle, store, classifiers: see :class:`tinymia.study.board_work.BoardWork`.
    """

    bundle: Bundle
    store: Store
    classifiers: Mapping[tuple[str, int], int] = field(default_factory=dict)

    def finished(self, job: Attacked) -> int:
        """Whether a device is in the store."""
        return int(self.store.has(KIND, job.key))

    def do(self, board: Board, job: Attacked, reporter: Reporter, stop: threading.Event) -> None:
        """Train and ask a device that the store does not have, on a board that is open.

        Raises:
            TinymiaError: see :func:`tinymia.study.recipe.train`; the members have no room.
        """
        if stop.is_set() or self.finished(job):
            return
        run = job.run
        reporter.stage(job.name, run.title)
        layout = recipe.layout_of(self.bundle, run)
        kept = job.kept(recipe.room(board, layout, run.training))
        one = job.only(kept)
        recipe.store(board, layout, one.windows, one.labels)
        begun = recipe.begin(board, one.members[0], device_settings(run, one.seeds[0]))
        answer = answer_on_board(run, self.classifiers)
        (at,) = recipe.train(board, begun, [run.epochs], recipe.all_of(kept), answer)
        device = device_at(at, kept, one.members[0], np.empty(0, np.float32))
        save_device(self.store, KIND, job.key, device)
        reporter.advance(1)
        reporter.finish(job.name)


def confirm(
    bench: Workbench,
    names: Sequence[str],
    settings: StudySettings,
    where: str,
    work: AttackedWork,
    runner: Callable[[AttackedWork, str], Runner[Attacked]],
) -> tuple[ConfirmedChapter, ...]:
    """Train attacked devices on boards, too: equal in every bit, or there is no report.

    Args:
        bench: gives the twin's.
        names: of the experiments.
        settings: of the study.
        where: digest of what boards carry.
        work: on a device.
        runner: who has boards do that, by the work and what it is.

    Raises:
        StudyError: a board differs; names experiment, device and run.
        TinymiaError: see :meth:`tinymia.study.board_runs.Runner.run`.
    """
    total: dict[str, int] = dict.fromkeys(names, 0)
    jobs: list[Attacked] = []
    for name in names if settings.confirm else ():
        for training in experiments()[name].targets(bench):
            total[name] += len(training)
            if training.start is None and not training.embedded:
                jobs += _jobs(name, training, settings, where)
    once = {job.key: job for job in jobs}  # two experiments may attack the same device
    runner(work, WHAT).run(list(once.values()))
    answers = {
        key: _compared(bench, job, load_device(work.store, KIND, key)) for key, job in once.items()
    }
    return tuple(
        ConfirmedChapter(name, total[name], len(of), len(of), sum(answers[key] for key in of))
        for name in names
        for of in [[job.key for job in jobs if job.name == name]]
    )


def _jobs(name: str, training: Training, settings: StudySettings, where: str) -> list[Attacked]:
    """The first devices of a training, and of deep training less of it: boards are slow."""
    run = training.run
    if is_deep(run):
        run = replace(run, epochs=min(run.epochs, settings.deep_epochs))
    ones = [
        replace(training, run=run, members=training.members[d : d + 1], seeds=(seed,))
        for d, seed in enumerate(training.seeds[: settings.confirm])
    ]
    return [
        Attacked(name, one, d, digest({"where": where, "device": content_of(one)}))
        for d, one in enumerate(ones)
    ]


def content_of(training: Training) -> str:
    """Digest of everything that devices depend on but twin or board."""
    content = hashlib.sha256(training.windows.tobytes())
    content.update(np.ascontiguousarray(training.labels, np.int64).tobytes())
    content.update(np.packbits(training.members).tobytes())
    return digest({"run": training.run.key, "of": content.hexdigest(), "seeds": training.seeds})


def _compared(bench: Workbench, job: Attacked, board: Device) -> int:
    """How many answers were compared; raises StudyError."""
    one = job.only(board.slots)
    done = bench.train(one, one.windows)
    twin = Device(
        slots=recipe.all_of(board.slots),
        member=one.members[0],
        answers=done.answers[0][:, None],
        theta=np.empty(0, np.float32),
        hash=format(int(done.hashes[0]), "016x"),
        steps=int(done.steps[0]),
        clipped=int(done.clipped[0]),
        ticks=0,
    )
    return compare(job, twin, replace(board, slots=twin.slots))
