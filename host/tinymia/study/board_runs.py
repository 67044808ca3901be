"""Runs fine-tunings on boards, several boards side by side, one thread each."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tinymia.device.client import Board
from tinymia.errors import StudyError
from tinymia.evidence import AnswerSettings, Run
from tinymia.export.bundle import Bundle
from tinymia.study import recipe
from tinymia.study.devices import Device, device_key, save_device
from tinymia.study.people import Person
from tinymia.study.settings import device_settings, training_seed
from tinymia.study.store import Store
from tinymia.twin import interrupt


class Reporter(Protocol):
    """Where progress goes."""

    def begin(self, total: int, what: str) -> None:
        """The number of pieces is known, and what they are."""
        ...

    def finish(self, person: str) -> None:
        """All of a person is done."""
        ...

    def stage(self, person: str, what: str) -> None:
        """A board has begun something else."""
        ...

    def advance(self, pieces: int) -> None:
        """That many are finished."""
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
class Job:
    """What boards run of one person.

    Attributes:
        person: whose windows.
        repetitions: how many of their draws.
        runs: those of one layout are neighbours, so that windows are sent once for each.
    """

    person: Person
    repetitions: int
    runs: tuple[Run, ...]

    def __len__(self) -> int:
        return self.repetitions * len(self.runs)


def ordered(bundle: Bundle, runs: Sequence[Run]) -> tuple[Run, ...]:
    """Runs by layout and recipe, epochs ascending: what one training of a board answers."""
    layouts = list(dict.fromkeys(recipe.layout_of(bundle, run) for run in runs))
    recipes = list(dict.fromkeys(run.recipe for run in runs))
    return tuple(
        sorted(
            runs,
            key=lambda r: (
                layouts.index(recipe.layout_of(bundle, r)),
                recipes.index(r.recipe),
                r.epochs,
            ),
        )
    )


def answer_on_board(run: Run, classifiers: Mapping[tuple[str, int], int]) -> AnswerSettings:
    """How a run's board is told to answer: with the number that its classifier has there."""
    guard = run.answer.guard
    if not guard.classifier:
        return run.answer
    number = classifiers[run.recipe, run.epochs]
    return replace(run.answer, guard=replace(guard, classifier=number))


@dataclass
class Runner:
    """Runs what is not in the store yet.

    Attributes:
        bundle: what is fine-tuned; the boards must carry it.
        store: where finished devices go.
        kind: as what.
        where: digest of bundle and firmware, part of a device's name.
        seed: of the study.
        open_board: called once in each worker.
        workers: boards side by side; each runs whole people.
        reporter: told of progress.
        what: where the runs take place, for the reporter.
        partial: where a board's store does not hold all of a person's windows, ask only about the
            members and as many non-members as fit, instead of raising.
        weights: read what was trained out of the board.
        classifiers: numbers of the bundle's classifiers of members by (recipe, epochs) of a run.
    """

    bundle: Bundle
    store: Store
    kind: str
    where: str
    seed: int
    open_board: OpenBoard
    workers: int
    reporter: Reporter
    what: str
    partial: bool = False
    weights: bool = False
    classifiers: Mapping[tuple[str, int], int] = field(default_factory=dict)

    def key(self, run: Run, person: Person, repetition: int) -> str:
        """Of a device in the store."""
        seed = training_seed(self.seed, person.pool.person_index, repetition)
        return device_key(run, person, repetition, seed, self.where)

    def run(self, jobs: Sequence[Job]) -> None:
        """Run what the store does not have.

        Raises:
            TinymiaError: the first failure of a board; what was finished is kept.
        """
        todo: queue.SimpleQueue[Job] = queue.SimpleQueue()
        open_jobs = 0
        self.reporter.begin(sum(map(len, jobs)), self.what)
        for job in jobs:
            finished = [
                self.store.has(self.kind, self.key(run, job.person, r))
                for r in range(job.repetitions)
                for run in job.runs
            ]
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
            interrupt()  # a board that is a twin stops inside a request
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
                    recipe.check_bundle(handle.board, self.bundle)
                for layout, group in groupby(
                    ordered(self.bundle, job.runs), lambda r: recipe.layout_of(self.bundle, r)
                ):
                    self._layout(handle.board, job, layout, tuple(group), stop)
                self.reporter.finish(job.person.name)
        finally:
            if handle is not None:
                handle.close()

    def _layout(
        self,
        board: Board,
        job: Job,
        layout: recipe.Layout,
        runs: tuple[Run, ...],
        stop: threading.Event,
    ) -> None:
        """All repetitions of the runs of one layout."""
        person = job.person
        missing = [
            (r, run)
            for r in range(job.repetitions)
            for run in runs
            if not self.store.has(self.kind, self.key(run, person, r))
        ]
        if not missing or stop.is_set():
            return
        room = recipe.capacity(board, self.bundle, runs)
        if room < len(person.pool) and not self.partial:
            raise StudyError(
                f"The store holds {room} windows where {runs[0].depth} is trained, and"
                f" {person.name} has {len(person.pool)}.",
                "Choose fewer --members, or train fewer layers.",
            )
        stored: NDArray[np.int64] | None = None
        for (r, _), group in groupby(missing, key=lambda pair: (pair[0], pair[1].recipe)):
            draw = person.draws[r]
            kept = recipe.windows_that_fit(draw.member, draw.nonmember, room)
            if stored is None or not np.array_equal(kept, stored):
                self.reporter.stage(person.name, "sending windows")
                recipe.store(board, layout, person.windows[kept], person.labels[kept])
                stored = kept
            if stop.is_set():
                return
            self._recipe(board, person, r, [run for _, run in group], kept)

    def _recipe(
        self,
        board: Board,
        person: Person,
        repetition: int,
        runs: list[Run],
        kept: NDArray[np.int64],
    ) -> None:
        """One training, asked at the epochs of all its runs."""
        self.reporter.stage(person.name, f"repetition {repetition + 1}, {runs[-1].name}")
        member = person.draws[repetition].member[kept]
        seed = training_seed(self.seed, person.pool.person_index, repetition)
        begun = recipe.begin(board, member, device_settings(runs[-1], seed))
        epochs = [run.epochs for run in runs]
        asked = np.arange(len(kept))
        answers = [answer_on_board(run, self.classifiers) for run in runs]
        trained = recipe.train(board, begun, epochs, asked, answers)
        for run, at in zip(runs, trained, strict=True):
            if np.isnan(at.answers).all(axis=1).any():
                raise StudyError(
                    f"Training diverged by epoch {at.epoch}: {person.name}, repetition"
                    f" {repetition + 1}, {run.name} answers no numbers.",
                    "Choose a smaller --learning-rate, or switch clipping on.",
                )
            theta = board.parameters() if self.weights else np.empty(0, np.float32)
            device = Device(
                slots=kept,
                member=member,
                answers=at.answers[:, None],
                theta=np.asarray(theta, np.float32),
                hash=at.hash,
                steps=at.steps,
                clipped=at.clipped,
                ticks=at.ticks,
            )
            save_device(self.store, self.kind, self.key(run, person, repetition), device)
            self.reporter.advance(1)
