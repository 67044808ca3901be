"""A board that is lost in the middle of a run comes back to the same bits, or the run stops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinymia.device.client import Board
from tinymia.device.recover import Interruption, SteadyBoard
from tinymia.errors import DeviceError
from tinymia.export.bundle import Bundle
from tinymia.twin.target import TwinPort, TwinTarget
from tinymia.wire.settings import TrainSettings

BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"
SETTINGS = TrainSettings(clip_norm=1.0, dropout=0.2, seed=3)


class FragileTarget(TwinTarget):
    """A twin whose line breaks, or that restarts, before a certain write.

    Args:
        bundle: in its flash.
        breaks: what happens before which write, counted from the target's start.
        back: whether the line can be opened again.
    """

    def __init__(self, bundle: bytes, breaks: dict[int, str], back: bool = True) -> None:
        super().__init__("twin:", bundle)
        self.bundle, self.breaks, self.back = bundle, dict(breaks), back
        self.writes = 0
        self.reconnected = 0
        self.board_port = self.serial
        self.serial = FragilePort(self)

    def restart(self) -> None:
        self.board_port = TwinPort(self.bundle, self.arena)

    def alive(self) -> None:
        """The process is there; the line is another matter."""

    def reconnect(self, seconds: float = 10.0) -> None:
        if not self.back:
            raise DeviceError("The port did not come back.")
        self.reconnected += 1
        self.serial = FragilePort(self)


class FragilePort:
    """The line to a :class:`FragileTarget`."""

    def __init__(self, target: FragileTarget) -> None:
        self.target, self.open = target, True

    def write(self, data: bytes) -> int:
        target = self.target
        target.writes += 1
        what = target.breaks.pop(target.writes, "")
        if what == "lost answer":  # the board does what is asked, and nobody hears it
            target.board_port.write(data)
        if what in ("reset", "power"):
            target.restart()
        if what and what != "reset":
            self.open = False
        if not self.open:
            raise OSError("unplugged")
        return target.board_port.write(data)

    def read(self, size: int = 1) -> bytes:
        if not self.open:
            raise OSError("unplugged")
        return self.target.board_port.read(size)

    def close(self) -> None:
        self.open = False


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that broke waits for the last words of a simulator, which there is none of."""
    monkeypatch.setattr("tinymia.device.link.time.sleep", lambda _: None)


@pytest.fixture(scope="module")
def bundle() -> bytes:
    return BUNDLE.read_bytes()


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    return np.random.default_rng(5).integers(-128, 128, (40, 300)).astype(np.int8)


def job(board: Board, windows: np.ndarray, done: Callable[[int], None] = lambda _: None) -> Any:
    """Two trainings with all that changes a board; returns what must not depend on the line."""
    labels = np.arange(len(windows)) % 7
    told = []
    for first, raw in ((len(Bundle.load(BUNDLE).layers) - 1, False), (2, True)):
        board.layout(first, raw)
        board.store(windows, labels, progress=done)
        board.store(windows[:3] // 2, labels[:3])  # over what is there
        board.select(labels < 5)
        board.begin(SETTINGS)
        board.train(0, 1)
        before = board.query(np.arange(40))[0].tobytes()
        trained = board.train(1, 5, at_once=2)
        told.append((before, trained, board.query(np.arange(40))[0].tobytes()))
        told.append(board.parameters().tobytes())
    return told


def without_ticks(told: Any) -> str:
    """What a board said, but for nanoseconds."""
    import re

    return re.sub(r"ticks=\d+", "", repr(told))


@pytest.fixture(scope="module")
def expected(bundle: bytes, windows: np.ndarray) -> str:
    with TwinTarget("twin:", bundle) as target:
        return without_ticks(job(Board(target.serial), windows))


def writes_of_a_job(bundle: bytes, windows: np.ndarray) -> int:
    with FragileTarget(bundle, {}) as target:
        job(SteadyBoard(target, Interruption()), windows)
        return target.writes


@pytest.mark.parametrize("what", ["line", "lost answer", "reset", "power"])
def test_a_run_ends_in_the_same_bits_wherever_it_is_interrupted(
    what: str, bundle: bytes, windows: np.ndarray, expected: str
) -> None:
    total = writes_of_a_job(bundle, windows)
    assert total > 40
    for at in range(2, total, 3):
        said: list[str] = []
        done: list[int] = []
        with FragileTarget(bundle, {at: what}) as target:
            board = SteadyBoard(target, Interruption(say=said.append))
            assert without_ticks(job(board, windows, done.append)) == expected, at
            assert not target.breaks
            assert target.reconnected == (what != "reset")
        assert said[-1] == "The board is back where it was."
        assert sum(done) == 80  # progress counts nothing twice


def test_a_line_that_breaks_while_the_board_is_rebuilt(
    bundle: bytes, windows: np.ndarray, expected: str
) -> None:
    for at in (30, 45):
        breaks = {at: "power", at + 3: "power", at + 6: "line", at + 11: "reset"}
        with FragileTarget(bundle, breaks) as target:
            board = SteadyBoard(target, Interruption())
            assert without_ticks(job(board, windows)) == expected
            assert not target.breaks


def test_a_kept_state_is_not_sent_again(bundle: bytes, windows: np.ndarray) -> None:
    said: list[str] = []
    with FragileTarget(bundle, {}) as target:
        board = SteadyBoard(target, Interruption(say=said.append))
        board.store(windows, np.zeros(40, np.int64))
        before = target.writes
        target.breaks[before + 1] = "line"
        board.query(np.arange(3))
        assert target.writes - before <= 5
    assert not any("again" in text for text in said)


def test_a_line_that_breaks_in_the_first_store_has_lost_nothing(
    bundle: bytes, windows: np.ndarray
) -> None:
    said: list[str] = []
    with FragileTarget(bundle, {}) as target:
        board = SteadyBoard(target, Interruption(say=said.append))
        board.layout(2)
        target.breaks[target.writes + 3] = "line"
        board.store(windows, np.zeros(40, np.int64))
    assert "in the middle of a request, which begins anew" in said[-2]
    assert not any("lost its state" in text for text in said)


def test_a_board_that_trained_unheard_keeps_its_windows(
    bundle: bytes, windows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with FragileTarget(bundle, {}) as target:
        board = SteadyBoard(target, Interruption(say=said.append))
        board.layout(2)
        board.store(windows, np.zeros(40, np.int64))
        board.select(np.ones(40, np.bool_))
        board.begin(SETTINGS)
        board.train(0, 2)
        monkeypatch.setattr(Board, "store", None)
        target.breaks[target.writes + 1] = "lost answer"
        trained = board.train(2, 1)
        board.begin(SETTINGS)
        assert board.train(0, 3).tail_hash == trained.tail_hash
    assert "trained on while nobody heard it: training 2 epochs again" in said[-2]


@pytest.mark.parametrize("what", ["line", "reset"])
def test_stop_stops_with_one_message(what: str, bundle: bytes, windows: np.ndarray) -> None:
    with FragileTarget(bundle, {30: what}) as target:
        board = SteadyBoard(target, Interruption(resume=False))
        with pytest.raises(DeviceError, match="stops here, as was chosen") as stopped:
            job(board, windows)
    assert "run the same command again" in stopped.value.hint


def test_a_board_that_stays_away_ends_the_run(bundle: bytes, windows: np.ndarray) -> None:
    with FragileTarget(bundle, {30: "line"}, back=False) as target:
        board = SteadyBoard(target, Interruption())
        with pytest.raises(DeviceError, match="did not come back"):
            job(board, windows)


def test_a_line_that_always_breaks_ends_the_run(bundle: bytes, windows: np.ndarray) -> None:
    with FragileTarget(bundle, {}) as target:
        board = SteadyBoard(target, Interruption())
        target.breaks = dict.fromkeys(range(target.writes, 10_000), "line")
        with pytest.raises(DeviceError, match="unplugged"):
            job(board, windows)
        assert target.reconnected < 10


def test_what_an_earlier_session_stored_is_not_made_up(bundle: bytes, windows: np.ndarray) -> None:
    with FragileTarget(bundle, {}) as target:
        first = Board(target.serial)
        first.store(windows, np.zeros(40, np.int64))
        board = SteadyBoard(target, Interruption())
        board.select(np.ones(40, np.bool_))
        target.breaks[target.writes + 1] = "power"
        with pytest.raises(DeviceError, match="an earlier session"):
            board.query(np.arange(3))


def test_another_firmware_is_not_the_same_board(bundle: bytes, windows: np.ndarray) -> None:
    with FragileTarget(bundle, {}) as target:
        board = SteadyBoard(target, Interruption())
        board._first = type(board._first)(
            **{**vars(board._first), "build_id": "ab" * 20},
        )
        target.breaks[target.writes + 1] = "line"
        with pytest.raises(DeviceError, match="Another board came back"):
            board.clear()


def test_training_that_does_not_repeat_is_told(bundle: bytes, windows: np.ndarray) -> None:
    with FragileTarget(bundle, {}) as target:
        board = SteadyBoard(target, Interruption())
        board.store(windows, np.zeros(40, np.int64))
        board.select(np.ones(40, np.bool_))
        board.begin(SETTINGS)
        board.train(0, 1)
        assert board._settings is not None
        board._settings = TrainSettings(seed=99)  # stands for noise that the chip draws anew
        target.breaks[target.writes + 1] = "power"
        with pytest.raises(DeviceError, match="does not repeat"):
            board.train(1, 1)
