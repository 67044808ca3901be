"""Runs fine-tunings on boards, several boards side by side, one thread each.

A board is a resource: it has one job at a time, and whoever is free takes the next. The thread asks
its board itself, or has that done elsewhere (see :mod:`tinymia.study.ray_boards`).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from tinymia.device.client import Board
from tinymia.device.responses import BoardRefusedError, WrongResponseError
from tinymia.errors import DeviceError
from tinymia.evidence import Run
from tinymia.export.bundle import Bundle
from tinymia.study import recipe
from tinymia.study.board_work import BoardWork, Job, Reporter, answer_on_board, ordered
from tinymia.study.people import Person
from tinymia.study.store import Store
from tinymia.twin import interrupt

OpenBoard = Callable[[int], "BoardHandle"]
"""Opens the board of a worker, by the worker's number."""


class BoardHandle(Protocol):
    """An open board."""

    board: Board

    def close(self) -> None:
        """Let go of it."""
        ...


class Desk(Protocol):
    """Where the jobs of one board are done."""

    def do(self, job: Job, stop: threading.Event) -> None:
        """Do a job; raises TinymiaError."""
        ...

    def close(self) -> None:
        """Let go of the board."""
        ...


OpenDesk = Callable[[BoardWork, int], "Desk | None"]
"""The desk of a worker's board, by the worker's number; None: its own thread."""


@contextmanager
def in_threads() -> Iterator[OpenDesk]:
    """Every board is asked by a thread of this process."""
    yield lambda _work, _number: None


@dataclass
class _Own:
    """A desk in the worker's thread."""

    work: BoardWork
    handle: BoardHandle
    reporter: Reporter

    def do(self, job: Job, stop: threading.Event) -> None:
        self.work.do(self.handle.board, job, self.reporter, stop)

    def close(self) -> None:
        self.handle.close()


@dataclass
class Runner:
    """Runs what is not in the store yet.

    Attributes:
        bundle, store, kind, where, seed, partial, weights, classifiers: see
            :class:`tinymia.study.board_work.BoardWork`.
        open_board: called once in each worker.
        workers: boards side by side; each runs whole people.
        reporter: told of progress.
        what: where the runs take place, for the reporter.
        placing: where boards are asked.
        lost: told of a board that is lost, whose job others take over; None: one that is lost ends
            the run.
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
    placing: Callable[[], AbstractContextManager[OpenDesk]] = in_threads
    lost: Callable[[str], None] | None = None

    @property
    def work(self) -> BoardWork:
        """What is done with each job."""
        return BoardWork(
            self.bundle,
            self.store,
            self.kind,
            self.where,
            self.seed,
            self.partial,
            self.weights,
            self.classifiers,
        )

    def key(self, run: Run, person: Person, repetition: int) -> str:
        """Of a device in the store."""
        return self.work.key(run, person, repetition)

    def run(self, jobs: Sequence[Job]) -> None:
        """Run what the store does not have.

        Raises:
            TinymiaError: the first failure of a board, or of the last one where others take over;
                what was finished is kept.
        """
        work, todo = self.work, list[Job]()
        self.reporter.begin(sum(map(len, jobs)), self.what)
        for job in jobs:
            finished = work.finished(job)
            self.reporter.advance(finished)
            if finished < len(job):
                todo.append(job)
        boards = list(range(self.workers))
        if todo:
            with self.placing() as place:
                while todo:
                    todo, lost = self._round(boards, todo, place)
                    boards = [board for board in boards if board not in lost]
                    if todo and not boards:
                        raise next(iter(lost.values()))
                    for error in lost.values():
                        if self.lost is not None:
                            self.lost(f"note: a board is lost, others take over: {error.message}")

    def _round(
        self, boards: Sequence[int], jobs: Sequence[Job], place: OpenDesk
    ) -> tuple[list[Job], dict[int, DeviceError]]:
        """Jobs on these boards; what boards that were lost have left, and those boards."""
        todo: queue.SimpleQueue[Job] = queue.SimpleQueue()
        for job in jobs:
            todo.put(job)
        stop = threading.Event()
        failures: list[BaseException] = []
        left: list[Job] = []
        lost: dict[int, DeviceError] = {}

        def work(number: int) -> None:
            try:
                if (gone := self._work(number, todo, place, stop)) is not None:
                    job, lost[number] = gone
                    left.append(job)
            except BaseException as error:  # handed to the caller's thread below
                failures.append(error)
                stop.set()

        threads = [
            threading.Thread(target=work, args=(n,), name=f"board-{n}", daemon=True)
            for n in boards[: len(jobs)]
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
        while not todo.empty():  # all boards were lost before
            left.append(todo.get())
        return left, lost

    def _work(
        self, number: int, todo: queue.SimpleQueue[Job], place: OpenDesk, stop: threading.Event
    ) -> tuple[Job, DeviceError] | None:
        """Jobs until there are no more; the one that is left when the board is lost, and why."""
        desk: Desk | None = None
        try:
            while not stop.is_set():
                try:
                    job = todo.get_nowait()
                except queue.Empty:
                    break
                if desk is None:
                    desk = place(self.work, number) or self._own(number)
                try:
                    desk.do(job, stop)
                except (BoardRefusedError, WrongResponseError):
                    raise  # any board would
                except DeviceError as error:
                    if self.lost is None:
                        raise
                    return job, error
            return None
        finally:
            if desk is not None:
                desk.close()

    def _own(self, number: int) -> Desk:
        handle = self.open_board(number)
        try:
            recipe.check_bundle(handle.board, self.bundle)
        except BaseException:
            handle.close()
            raise
        return _Own(self.work, handle, self.reporter)


__all__ = [
    "BoardHandle",
    "Desk",
    "Job",
    "OpenDesk",
    "Reporter",
    "Runner",
    "answer_on_board",
    "in_threads",
    "ordered",
]
