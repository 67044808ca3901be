"""Boards as resources: one job at a time each, taken over where one is lost, had by one command."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quiet import Quiet
from tinymia.cli.options import default_bundle
from tinymia.device.responses import BoardRefusedError
from tinymia.errors import DeviceError, StudyError
from tinymia.study import board_runs, fleet, recipe
from tinymia.study.board_locks import BoardLock, NoLongerWanted, check_once, is_shared, port_of
from tinymia.study.board_runs import Runner
from tinymia.study.board_work import BoardWork
from tinymia.study.fleet import Fleet, Held
from tinymia.study.store import Store

A, B = "serial:socket://127.0.0.1:4001", "serial:socket://127.0.0.1:4002"


@dataclass
class Bench:
    """Boards that only note who had which job; jobs are texts.

    Attributes:
        breaks: called with the board's number and the job.
        done: by job: the boards that did it.
        at_once: by board: the most jobs that it had at one time.
        absent: boards that do not open.
        had: boards that another command has, for as long as they are wanted.
        tried: set when that was tried.
    """

    breaks: Callable[[int, str], None] = lambda _board, _job: None
    done: dict[str, list[int]] = field(default_factory=dict)
    at_once: dict[int, int] = field(default_factory=dict)
    closed: list[int] = field(default_factory=list)
    absent: tuple[int, ...] = ()
    had: tuple[int, ...] = ()
    tried: threading.Event = field(default_factory=threading.Event)
    _now: dict[int, int] = field(default_factory=dict)

    def open(self, number: int, wanted: Callable[[], bool]) -> Any:
        if number in self.had:
            self.tried.set()
            until = time.monotonic() + 20
            while wanted():
                assert time.monotonic() < until
                time.sleep(0.01)
            raise NoLongerWanted
        if number in self.absent:
            self.tried.set()
            raise DeviceError(f"Nobody answers at {number}.")
        return SimpleNamespace(board=number, close=lambda: self.closed.append(number))

    def do(self, board: int, job: str) -> None:
        self._now[board] = self._now.get(board, 0) + 1
        self.at_once[board] = max(self.at_once.get(board, 0), self._now[board])
        time.sleep(0.002)
        try:
            self.breaks(board, job)
        finally:
            self._now[board] -= 1
        self.done.setdefault(job, []).append(board)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Runner[Any]]:
    """A runner on a bench's boards."""

    def made(bench: Bench, boards: int, said: list[str] | None, met: Any = ()) -> Runner[Any]:
        monkeypatch.setattr(recipe, "check_bundle", lambda *_: None)
        monkeypatch.setattr(BoardWork, "finished", lambda _, job: int(str(job) in bench.done))
        monkeypatch.setattr(
            BoardWork, "do", lambda _, board, job, _reporter, _stop: bench.do(board, job)
        )
        lost = None if said is None else said.append
        nothing: Any = None
        work = BoardWork(nothing, Store(tmp_path), "devices", "here", 1)
        return Runner(work, bench.open, boards, Quiet(), "", lost=lost, met=set(met))

    return made


def test_each_board_has_one_job_at_a_time_and_all_are_used(running: Any) -> None:
    meeting = threading.Barrier(3, timeout=20)
    bench = Bench(breaks=lambda _, job: meeting.wait() if job in "abc" else None)  # type: ignore[arg-type,return-value]
    running(bench, 3, None).run(list("abcdefgh"))
    assert sorted(bench.done) == list("abcdefgh")
    assert all(len(boards) == 1 for boards in bench.done.values())
    assert bench.at_once == {0: 1, 1: 1, 2: 1}
    assert sorted(bench.closed) == [0, 1, 2]


def test_others_take_over_from_a_board_that_is_lost(running: Any) -> None:
    second = threading.Event()

    def breaks(board: int, job: str) -> None:
        if board == 1:
            second.set()
            raise DeviceError("The board at B is gone.")
        second.wait(20)

    said: list[str] = []
    bench = Bench(breaks)
    running(bench, 2, said).run(list("abcd"))
    assert bench.done == {job: [0] for job in "abcd"}  # none twice
    assert said == ["note: a board is lost, others take over: The board at B is gone."]


def test_a_board_that_was_there_is_lost_and_another_is_named_wrongly(running: Any) -> None:
    """Unplugged between two parts of a study, which open their boards anew."""
    said: list[str] = []
    bench = Bench(absent=(1,))
    bench.breaks = lambda _board, _job: bench.tried.wait(20) and None
    running(bench, 2, said, met=(0, 1)).run(list("abcd"))
    assert bench.done == {job: [0] for job in "abcd"}
    assert said == ["note: a board is lost, others take over: Nobody answers at 1."]
    with pytest.raises(DeviceError, match="Nobody answers at 1"):
        running(bench, 2, said, met=(0,)).run(list("efgh"))


def test_a_board_that_another_command_has_keeps_no_job_from_free_ones(running: Any) -> None:
    bench = Bench(had=(1,))
    bench.breaks = lambda _board, _job: bench.tried.wait(20) and None
    running(bench, 2, None).run(list("ab"))
    assert bench.done == {"a": [0], "b": [0]}
    assert bench.closed == [0]


def test_where_all_are_lost_it_ends_and_what_is_finished_is_kept(running: Any) -> None:
    def breaks(_board: int, job: str) -> None:
        if job != "a":
            raise DeviceError("Gone.")

    bench = Bench(breaks)
    runner = running(bench, 2, [])
    with pytest.raises(DeviceError, match="Gone"):
        runner.run(list("abcd"))
    assert list(bench.done) == ["a"]
    bench.breaks = lambda _board, _job: None
    runner.run(list("abcd"))
    assert {job: len(boards) for job, boards in bench.done.items()} == dict.fromkeys("abcd", 1)


@pytest.mark.parametrize(
    ("takes_over", "error"),
    [
        (False, DeviceError("Gone.")),
        (True, BoardRefusedError(1, 0, 0)),
        (True, StudyError("Training diverged.")),
    ],
)
def test_what_any_board_would_say_ends_it(running: Any, takes_over: bool, error: Any) -> None:
    def breaks(_board: int, _job: str) -> None:
        raise error

    bench = Bench(breaks)
    with pytest.raises(type(error)):
        running(bench, 2, [] if takes_over else None).run(["a"])
    assert len(bench.closed) == 1  # nobody else was asked


def test_a_board_is_named_once_however_it_is_written(tmp_path: Path) -> None:
    port, link = tmp_path / "ttyACM0", tmp_path / "by-id"
    port.touch()
    link.symlink_to(port)
    assert port_of(f"serial:{link}?baud=9600") == str(port)
    with pytest.raises(StudyError, match=r"ttyACM0 is named twice"):
        check_once((f"serial:{port}", "qemu:netduinoplus2", f"serial:{link}"))
    check_once(("qemu:netduinoplus2", "qemu:netduinoplus2", "twin:", "native:", A, B))
    assert [is_shared(spec) for spec in (A, "twin:", "native:", "qemu:netduinoplus2")] == [
        *(True, False, False, False)
    ]


def test_two_commands_take_turns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TINYMIA_CACHE", str(tmp_path))
    first, said, order = BoardLock(A), list[str](), list[str]()
    first.acquire()
    other = BoardLock(B, said.append)
    other.acquire()  # another board is free
    other.release()

    def waits() -> None:
        second = BoardLock(A, said.append)
        second.acquire()
        order.append("second")
        second.release()

    thread = threading.Thread(target=waits, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not said:
        assert time.monotonic() < until
        time.sleep(0.01)
    order.append("first")
    first.release()
    thread.join(20)
    first.acquire()
    with pytest.raises(NoLongerWanted):
        BoardLock(A).acquire(lambda: False)
    first.release()
    assert order == ["first", "second"]
    assert said == [f"Waiting for the board at {port_of(A)}: another command has it."]


def test_a_fleet_holds_its_boards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TINYMIA_CACHE", str(tmp_path))
    closed: list[str] = []
    identity = SimpleNamespace(build_id="b" * 40, unit="ticks")

    def connect(spec: str, *_: Any, **__: Any) -> Any:
        if spec == B:
            raise DeviceError("Nothing listens.")
        return fleet.Connection(
            SimpleNamespace(close=lambda: closed.append(spec), unit="ticks"),  # type: ignore[arg-type]
            SimpleNamespace(identity=identity),  # type: ignore[arg-type]
        )

    monkeypatch.setattr(fleet, "connect", connect)
    from tinymia.export.bundle import Bundle

    boards = Fleet((A, B), Bundle.load(default_bundle()), build_id="b" * 40, unit="ticks")
    held = boards(0)
    assert isinstance(held, Held)
    lock = next((tmp_path / "boards").iterdir())
    from filelock import FileLock, Timeout

    with pytest.raises(Timeout):
        FileLock(lock).acquire(timeout=0)
    held.close()
    assert closed == [A]
    for _ in range(2):  # the second finds it let go of
        with pytest.raises(DeviceError, match="Nothing listens"):
            boards(1)
    FileLock(lock).acquire(timeout=0).lock.release()


def test_threads_are_what_asks_unless_somebody_else_does() -> None:
    with board_runs.in_threads() as place:
        assert place(None, 0, lambda: True) is None


def test_what_a_board_refuses_passes_from_another_process() -> None:
    error = BoardRefusedError(1, 2, 3)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.status) == (BoardRefusedError, str(error), 1)
