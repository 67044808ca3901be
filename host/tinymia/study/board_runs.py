"""Runs fine-tunings on boards, several boards side by side, one thread each.

A board is a resource: it has one job at a time, and whoever is free takes the next. The thread asks
its board itself, or has that done elsewhere (see :mod:`tinymia.study.ray_boards`).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from tinymia.device.client import Board
from tinymia.device.responses import BoardRefusedError, WrongResponseError
from tinymia.errors import DeviceError
from tinymia.export.bundle import Bundle
from tinymia.study import recipe
from tinymia.study.board_locks import NoLongerWanted, Wanted
from tinymia.study.board_work import BoardWork, Job, Reporter, answer_on_board, ordered
from tinymia.twin import interrupt


class Task(Protocol):
    """What one board does at a time."""

    @property
    def name(self) -> str:
        """In progress."""
        ...

    def __len__(self) -> int:
        """How many devices."""
        ...


T = TypeVar("T", bound=Task)
Given_contra = TypeVar("Given_contra", bound=Task, contravariant=True)


class Work(Protocol[Given_contra]):
    """What is done with tasks, whoever has the board; can be sent to another machine."""

    @property
    def bundle(self) -> Bundle:
        """What boards carry."""
        ...

    def finished(self, job: Given_contra) -> int:
        """How many devices of a task are in the store."""
        ...

    def do(
        self, board: Board, job: Given_contra, reporter: Reporter, stop: threading.Event
    ) -> None:
        """Run what the store does not have of a task, on a board that is open."""
        ...


OpenBoard = Callable[[int, Wanted], "BoardHandle"]
"""Opens the board of a worker, by its number; raises NoLongerWanted where it was not free before
nothing was left to do."""


class BoardHandle(Protocol):
    """An open board."""

    board: Board

    def close(self) -> None:
        """Let go of it."""
        ...


class Desk(Protocol):
    """Where the jobs of one board are done."""

    def do(self, job: Any, stop: threading.Event) -> None:
        """Do a job; raises TinymiaError."""
        ...

    def close(self) -> None:
        """Let go of the board."""
        ...


OpenDesk = Callable[[Any, int, Wanted], "Desk | None"]
"""The desk of a worker's board, by the work and the worker's number; None: its own thread. Raises
NoLongerWanted as what opens boards here does."""


@contextmanager
def in_threads() -> Iterator[OpenDesk]:
    """Every board is asked by a thread of this process."""
    yield lambda _work, _number, _wanted: None


@dataclass
class _Own(Generic[T]):
    """A desk in the worker's thread."""

    work: Work[T]
    handle: BoardHandle
    reporter: Reporter

    def do(self, job: T, stop: threading.Event) -> None:
        self.work.do(self.handle.board, job, self.reporter, stop)

    def close(self) -> None:
        self.handle.close()


@dataclass
class Runner(Generic[T]):
    """Runs what is not in the store yet.

    Attributes:
        work: what is done with each task.
        open_board: called once in each worker.
        workers: boards side by side.
        reporter: told of progress.
        what: where the runs take place, for the reporter.
        placing: where boards are asked.
        lost: told of a board that is lost, whose job others take over; None: one that is lost ends
            the run.
        met: numbers of the boards that were open once. One of them that is not there is lost; any
            other is named wrongly, and that ends the run.
    """

    work: Work[T]
    open_board: OpenBoard
    workers: int
    reporter: Reporter
    what: str
    placing: Callable[[], AbstractContextManager[OpenDesk]] = in_threads
    lost: Callable[[str], None] | None = None
    met: set[int] = field(default_factory=set)

    def run(self, jobs: Sequence[T]) -> None:
        """Run what the store does not have.

        Raises:
            TinymiaError: the first failure of a board, or of the last one where others take over;
                what was finished is kept.
        """
        work, todo = self.work, list[T]()
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
        self, boards: Sequence[int], jobs: Sequence[T], place: OpenDesk
    ) -> tuple[list[T], dict[int, DeviceError]]:
        """Jobs on these boards; what boards that were lost have left, and those boards."""
        todo: queue.SimpleQueue[T] = queue.SimpleQueue()
        for job in jobs:
            todo.put(job)
        stop = threading.Event()
        failures: list[BaseException] = []
        left: list[T] = []
        lost: dict[int, DeviceError] = {}

        def work(number: int) -> None:
            try:
                had, error = self._work(number, todo, place, stop)
                left.extend(had)
                if error is not None:
                    lost[number] = error
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
        self, number: int, todo: queue.SimpleQueue[T], place: OpenDesk, stop: threading.Event
    ) -> tuple[list[T], DeviceError | None]:
        """Jobs until there are no more; the one that is left where the board is lost, and why."""
        had: list[T] = []
        try:
            with self._at(number, todo, place, stop) as desk:
                while desk is not None and not stop.is_set():
                    try:
                        had = [todo.get_nowait()]
                    except queue.Empty:
                        break
                    desk.do(had[0], stop)
                    had = []
        except (BoardRefusedError, WrongResponseError):
            raise  # any board would
        except DeviceError as error:
            if self.lost is None or number not in self.met:
                raise
            return had, error
        return [], None

    @contextmanager
    def _at(
        self, number: int, todo: queue.SimpleQueue[T], place: OpenDesk, stop: threading.Event
    ) -> Iterator[Desk | None]:
        """An open board; None where others did everything before it was free.

        It is opened before it has a job: what waits for a board is not taken from free ones.
        """

        def wanted() -> bool:
            return not stop.is_set() and not todo.empty()

        try:
            desk = place(self.work, number, wanted) or self._own(number, wanted)
        except NoLongerWanted:
            yield None
            return
        try:
            self.met.add(number)
            yield desk
        finally:
            desk.close()

    def _own(self, number: int, wanted: Wanted) -> Desk:
        handle = self.open_board(number, wanted)
        try:
            recipe.check_bundle(handle.board, self.work.bundle)
        except BaseException:
            handle.close()
            raise
        return _Own(self.work, handle, self.reporter)


__all__ = [
    "BoardHandle",
    "BoardWork",
    "Desk",
    "Job",
    "OpenDesk",
    "Reporter",
    "Runner",
    "Task",
    "Work",
    "answer_on_board",
    "in_threads",
    "ordered",
]
