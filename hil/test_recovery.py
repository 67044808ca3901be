"""A line that breaks and a board that loses power in the middle of training: the same bits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from proxy import Proxy, require_descriptor
from tinymia.data.splits import Draw, Pool
from tinymia.device.client import Board
from tinymia.device.connect import Connection, Interruption, connect
from tinymia.errors import DeviceError
from tinymia.export.bundle import Bundle
from tinymia.wire.settings import TrainSettings

SETTINGS = TrainSettings(clip_norm=1.0, label_smoothing=0.1, dropout=0.2, seed=12)
EPOCHS = 6


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def steady(spec: str, image: Path | bytes | None, said: list[str]) -> Iterator[Connection]:
    how = Interruption(seconds=30, say=said.append)
    with connect(spec, image, interruption=how, patience=3) as opened:
        opened.board.require_bundle()
        opened.board.clear()
        yield opened


def stocked(board: Board, bundle: Bundle, pool: Pool, drawn: Draw) -> None:
    board.store(bundle.quantize(pool.windows.x[:120]), pool.windows.y[:120])
    board.select(drawn.member[:120])
    board.begin(SETTINGS)


@pytest.fixture
def undisturbed(
    connection: Connection, bundle: Bundle, pool: Pool, drawn: Draw
) -> tuple[str, bytes]:
    stocked(connection.board, bundle, pool, drawn)
    trained = connection.board.train(0, EPOCHS)
    answers = connection.board.query(np.arange(120))[0].tobytes()
    connection.close()  # a serial port has room for one
    return trained.tail_hash, answers


def test_unplugged_in_the_middle(
    undisturbed: tuple[str, bytes],
    steady: Connection,
    said: list[str],
    bundle: Bundle,
    pool: Pool,
    drawn: Draw,
) -> None:
    board = steady.board
    stocked(board, bundle, pool, drawn)
    board.train(0, 2)
    steady.target.serial.close()  # what the host sees of a cable that is pulled
    trained = board.train(2, EPOCHS - 2, at_once=1)
    steady.target.serial.close()
    answers = board.query(np.arange(120))[0].tobytes()
    assert (trained.tail_hash, answers) == undisturbed
    assert said.count("The board is back where it was.") == 2
    assert not any("again" in text for text in said)  # it had kept its state


def test_an_adapter_unplugged_and_plugged_in_again(
    undisturbed: tuple[str, bytes],
    connection: Connection,
    spec: str,
    image: Path | bytes | None,
    said: list[str],
    bundle: Bundle,
    pool: Pool,
    drawn: Draw,
) -> None:
    require_descriptor(connection)
    with (
        connect(spec, image) as behind,
        Proxy(behind.target) as proxy,
        connect(
            f"serial:{proxy.port}", interruption=Interruption(seconds=30, say=said.append)
        ) as opened,
    ):
        board = opened.board
        board.layout(len(bundle.layers) - 1)
        stocked(board, bundle, pool, drawn)
        back = []
        for seconds in (0.2, 1.0):
            proxy.unplug()
            back.append(threading.Timer(seconds, proxy.plug))
            back[-1].start()
            trained = board.train(3 * len(back) - 3, 3, at_once=1)
            back[-1].join()
        answers = board.query(np.arange(120))[0].tobytes()
    assert (trained.tail_hash, answers) == undisturbed
    assert said.count("The board is back where it was.") == 2


def test_power_lost_in_the_middle(
    undisturbed: tuple[str, bytes],
    steady: Connection,
    said: list[str],
    bundle: Bundle,
    pool: Pool,
    drawn: Draw,
) -> None:
    power_cycle = getattr(steady.target, "power_cycle", None)
    if power_cycle is None:
        pytest.skip("nothing here can switch this board off: run it on a simulated one")
    board = steady.board
    stocked(board, bundle, pool, drawn)
    board.train(0, 3)
    power_cycle()
    steady.board.link.port = steady.target.serial  # the same cable
    trained = board.train(3, EPOCHS - 3, at_once=1)
    power_cycle()
    steady.board.link.port = steady.target.serial
    answers = board.query(np.arange(120))[0].tobytes()
    assert (trained.tail_hash, answers) == undisturbed
    assert sum("storing 120 windows" in text for text in said) == 2


def test_who_chose_to_stop_gets_one_message(spec: str, image: Path | bytes | None) -> None:
    with connect(spec, image, interruption=Interruption(resume=False), patience=3) as opened:
        opened.board.state()
        opened.target.serial.close()
        with pytest.raises(DeviceError, match="stops here, as was chosen") as stopped:
            opened.board.state()
    assert "run the same command again" in stopped.value.hint
