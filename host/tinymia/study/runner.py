"""Runs a study's fine-tunings on boards, several boards side by side, one thread each."""

from __future__ import annotations

import queue
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tinymia.data.splits import Draw, Pool
from tinymia.device.client import Board
from tinymia.errors import DeviceError, StudyError
from tinymia.export.bundle import Bundle
from tinymia.study.journal import Cells, Unit
from tinymia.study.settings import POLICIES, Run, StudySettings, UnitKey, training_seed
from tinymia.wire.settings import Parameters, TrainSettings


class Reporter(Protocol):
    """Where progress goes."""

    def begin(self, total: int, what: str) -> None:
        """The number of runs is known, and where they run."""
        ...

    def finish(self, person: str) -> None:
        """All runs of a person are done."""
        ...

    def stage(self, person: str, what: str) -> None:
        """A board has begun something else."""
        ...

    def advance(self, units: int) -> None:
        """That many runs are finished."""
        ...


OpenBoard = Callable[[int], "BoardHandle"]
"""Opens the board of a worker, by the worker's number."""


class BoardHandle(Protocol):
    """An open board."""

    board: Board

    def close(self) -> None:
        """Let go of it."""
        ...


@dataclass(frozen=True)
class Layout:
    """What a board's sample store keeps: the input of a layer, or whole windows."""

    first_layer: int
    raw: bool


@dataclass(frozen=True)
class Task:
    """A run on a certain bundle.

    Attributes:
        run: what is run.
        layout: what the store keeps for it.
        parameters: which parameters of the trained layers change.
    """

    run: Run
    layout: Layout
    parameters: Parameters


@dataclass(frozen=True)
class Job:
    """All runs of one person.

    Attributes:
        pool: the person's windows.
        draws: members and non-members, one for each repetition.
        tasks: the runs; those of one layout are neighbours, so that windows are sent once for each.
    """

    pool: Pool
    draws: tuple[Draw, ...]
    tasks: tuple[Task, ...]

    def units(self) -> Iterator[UnitKey]:
        """What is journaled."""
        for draw in self.draws:
            for task in self.tasks:
                yield UnitKey(self.pool.person, draw.repetition, task.run.name)


def tasks_of(bundle: Bundle, settings: StudySettings) -> tuple[Task, ...]:
    """The runs of a study on a bundle, in the order of the boards' work.

    Raises:
        TinymiaError: the bundle cannot train at such a depth.
    """
    from tinymia.export.depth import resolve

    tasks = []
    for run in settings.runs():
        first, parameters = resolve(bundle, run.depth)
        raw = settings.training_of(run, 0, parameters).augments
        tasks.append(Task(run, Layout(first, raw), parameters))
    layouts = list(dict.fromkeys(task.layout for task in tasks))
    return tuple(sorted(tasks, key=lambda task: layouts.index(task.layout)))


def capacity(board: Board, tasks: Sequence[Task], settings: StudySettings) -> int:
    """Windows that a board's store holds under every one of these runs."""
    found = []
    for task in tasks:
        # Windows are sent before training begins, when all parameters still have their memory.
        found.append(board.layout(task.layout.first_layer, task.layout.raw).capacity)
        found.append(board.begin(settings.training_of(task.run, 0, task.parameters)).capacity)
    return min(found)


@dataclass
class Runner:
    """Runs what is not finished yet.

    Attributes:
        settings: of the study.
        bundle: what is fine-tuned; the boards must carry it.
        cells: where finished runs go.
        open_board: called once in each worker.
        workers: boards side by side; each runs whole people.
        reporter: told of progress.
        what: where the runs take place, for the reporter.
        partial: where a store does not hold all of a person's windows, ask only about the members
            and as many non-members as fit, instead of raising.
    """

    settings: StudySettings
    bundle: Bundle
    cells: Cells
    open_board: OpenBoard
    workers: int
    reporter: Reporter
    what: str
    partial: bool = False

    def run(self, jobs: Sequence[Job]) -> None:
        """Run what the journal does not have.

        Raises:
            TinymiaError: the first failure of a board; runs that were finished are kept.
        """
        todo: queue.SimpleQueue[Job] = queue.SimpleQueue()
        open_jobs = 0
        self.reporter.begin(sum(len(list(job.units())) for job in jobs), self.what)
        for job in jobs:
            finished = [self.cells.has(key) for key in job.units()]
            self.reporter.advance(sum(finished))
            if not all(finished):
                todo.put(job)
                open_jobs += 1
        stop = threading.Event()
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                self._work(number, todo, stop)
            except BaseException as error:  # handed to the caller's thread below
                failures.append(error)
                stop.set()

        threads = [
            threading.Thread(target=work, args=(n,), name=f"board-{n}", daemon=True)
            for n in range(min(self.workers, open_jobs))
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():  # with a time-out, so that Ctrl-C gets through
                    thread.join(0.2)
        except BaseException:
            stop.set()
            for thread in threads:
                thread.join(5)
            raise
        if failures:
            raise failures[0]

    def _work(self, number: int, todo: queue.SimpleQueue[Job], stop: threading.Event) -> None:
        handle: BoardHandle | None = None
        try:
            while not stop.is_set():
                try:
                    job = todo.get_nowait()
                except queue.Empty:
                    return
                if handle is None:
                    handle = self.open_board(number)
                    check_bundle(handle.board, self.bundle)
                self._person(handle.board, job, stop)
        finally:
            if handle is not None:
                handle.close()

    def _person(self, board: Board, job: Job, stop: threading.Event) -> None:
        for layout, group in groupby(job.tasks, key=lambda task: task.layout):
            self._runs(board, job, layout, tuple(group), stop)
        self.reporter.finish(job.pool.person)

    def _runs(
        self,
        board: Board,
        job: Job,
        layout: Layout,
        tasks: tuple[Task, ...],
        stop: threading.Event,
    ) -> None:
        """All repetitions of the runs of one layout."""
        pool, person = job.pool, job.pool.person
        missing = [
            (draw, task)
            for draw in job.draws
            for task in tasks
            if not self.cells.has(UnitKey(person, draw.repetition, task.run.name))
        ]
        if not missing or stop.is_set():
            return
        room = capacity(board, tasks, self.settings)
        stored: NDArray[np.int64] | None = None
        for draw, todo in groupby(missing, key=lambda pair: pair[0]):
            kept = self._kept(pool, draw, room, tasks[0].run)
            if stored is None or not np.array_equal(kept, stored):
                self.reporter.stage(person, "sending windows")
                board.layout(layout.first_layer, layout.raw)
                board.store(self.bundle.quantize(pool.windows.x[kept]), pool.windows.y[kept])
                stored = kept
            for _, task in todo:
                if stop.is_set():
                    return
                key = UnitKey(person, draw.repetition, task.run.name)
                self.reporter.stage(person, f"repetition {draw.repetition + 1}, {task.run.name}")
                self.cells.save(self._unit(board, key, task, pool, draw, kept))
                self.reporter.advance(1)

    def _kept(self, pool: Pool, draw: Draw, room: int, run: Run) -> NDArray[np.int64]:
        if room < len(pool) and not self.partial:
            raise StudyError(
                f"The store holds {room} windows where {run.depth} is trained, and {pool.person}"
                f" has {len(pool)}.",
                "Choose fewer --members, or train fewer layers.",
            )
        return windows_that_fit(pool, draw, room)

    def _unit(
        self,
        board: Board,
        key: UnitKey,
        task: Task,
        pool: Pool,
        draw: Draw,
        kept: NDArray[np.int64],
    ) -> Unit:
        asked = np.flatnonzero((draw.member | draw.nonmember)[kept])  # slots of the board
        slots = kept[asked]
        chosen = board.select(draw.member[kept])
        if chosen != int(draw.member.sum()):
            raise DeviceError(f"The board selected {chosen} members, not {int(draw.member.sum())}.")
        tail_hash = board.begin(self._training(task, pool, draw)).tail_hash
        policy, levels = POLICIES[self.settings.policy], self.settings.levels
        probs, hashes, steps, ticks, clipped = [], [], [0], [0], [0]
        epoch = 0
        for checkpoint in task.run.checkpoints:
            if checkpoint > epoch:
                trained = board.train(epoch, checkpoint - epoch)
                epoch, tail_hash = trained.epoch, trained.tail_hash
                steps.append(steps[-1] + trained.steps)
                ticks.append(ticks[-1] + trained.ticks)
                clipped.append(clipped[-1] + trained.clipped)
            answers = board.query(asked, policy, levels)[0]
            if np.isnan(answers).all(axis=1).any():
                raise StudyError(
                    f"Training diverged by epoch {checkpoint}: {key.person}, repetition"
                    f" {key.repetition + 1}, {key.run} answers no numbers.",
                    "Choose a smaller --learning-rate, or switch clipping on.",
                )
            probs.append(answers)
            hashes.append(tail_hash)
        n = len(task.run.checkpoints)
        return Unit(
            key=key,
            checkpoints=task.run.checkpoints,
            slots=slots.astype(np.int64),
            labels=pool.windows.y[slots].astype(np.int64),
            member=draw.member[slots],
            probs=np.stack(probs),
            tail_hashes=tuple(hashes),
            steps=tuple(steps[-n:]),
            ticks=tuple(ticks[-n:]),
            clipped=tuple(clipped[-n:]),
        )

    def _training(self, task: Task, pool: Pool, draw: Draw) -> TrainSettings:
        seed = training_seed(self.settings, pool.person_index, draw.repetition)
        return self.settings.training_of(task.run, seed, task.parameters)


def windows_that_fit(pool: Pool, draw: Draw, room: int) -> NDArray[np.int64]:
    """The windows to send, ascending: all if they fit, else the members and some non-members.

    Raises:
        StudyError: not even the members fit.
    """
    if room >= len(pool):
        return np.arange(len(pool))
    members, others = np.flatnonzero(draw.member), np.flatnonzero(draw.nonmember)
    if room <= len(members):
        raise StudyError(
            f"The board's store holds {room} windows beside this training, too few for"
            f" {len(members)} members and somebody to compare them with.",
            "Choose fewer --members, train fewer layers, or take --target twin:.",
        )
    count = min(room - len(members), len(others))
    spread = np.arange(count) * len(others) // count
    return np.sort(np.concatenate([members, others[spread]]))


def check_bundle(board: Board, bundle: Bundle) -> None:
    """Raise unless the board carries this very bundle."""
    board.require_bundle()
    data = bundle.to_bytes()
    info = board.info()
    if info.bundle_size != len(data) or info.bundle_crc != zlib.crc32(data[32:]):
        raise StudyError(
            "The board carries another bundle than the one that is audited.",
            "Bake and flash it: `tinymia build --bundle FILE`, `tinymia flash`.",
        )
