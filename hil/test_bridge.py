"""A board behind a bridge in the network: the same bits and speed, and a bridge that goes away."""

from __future__ import annotations

import os
import termios
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from bridge import Bridge
from proxy import Proxy, require_descriptor
from tinymia.data.splits import Draw, Pool
from tinymia.device.client import Board
from tinymia.device.connect import Connection, Interruption, connect
from tinymia.errors import DeviceError
from tinymia.export.bundle import Bundle
from tinymia.wire.settings import TrainSettings

KINDS = ("rfc2217", "socket")
SETTINGS = TrainSettings(clip_norm=1.0, label_smoothing=0.1, seed=21)
WINDOWS, EPOCHS = 60, 4
BAUD = 115200
LEAST = 0.25  # of the line: more than a byte a millisecond, which pyserial does by itself


@pytest.fixture
def adapter(connection: Connection) -> Iterator[str]:
    """The board's line as a serial port of this machine."""
    require_descriptor(connection)
    with Proxy(connection.target) as proxy:
        yield proxy.port


def job(board: Board, bundle: Bundle, pool: Pool, drawn: Draw) -> tuple[str, bytes]:
    """What must not depend on how the board is reached."""
    board.layout(len(bundle.layers) - 1)
    board.store(bundle.quantize(pool.windows.x[:WINDOWS]), pool.windows.y[:WINDOWS])
    board.select(drawn.member[:WINDOWS])
    board.begin(SETTINGS)
    trained = board.train(0, EPOCHS, at_once=1)
    return trained.tail_hash, board.query(np.arange(WINDOWS))[0].tobytes()


@pytest.fixture(scope="session")
def expected(bundle: Bundle, pool: Pool, drawn: Draw) -> tuple[str, bytes]:
    """What the twin says."""
    with connect("twin:", bundle.to_bytes()) as twin:
        return job(twin.board, bundle, pool, drawn)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bits_through_a_bridge(
    kind: str,
    adapter: str,
    expected: tuple[str, bytes],
    bundle: Bundle,
    pool: Pool,
    drawn: Draw,
) -> None:
    with Bridge(adapter, kind) as bridge:
        for _ in range(2):  # a second program, when the first one is done
            with connect(bridge.target()) as opened:
                assert job(opened.board, bundle, pool, drawn) == expected
                assert opened.unit == opened.board.identity.unit != ""
                # Telnet's own bytes, in both directions.
                blocks = [b"\xff\xf0\xff\xff\xfa,\x01" * 40, bytes(range(256)) * 2]
                assert list(opened.board.echo(blocks)) == blocks
                assert opened.board.stats.damaged == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_bridge_that_goes_away_and_comes_back(
    kind: str,
    adapter: str,
    expected: tuple[str, bytes],
    bundle: Bundle,
    pool: Pool,
    drawn: Draw,
) -> None:
    said: list[str] = []
    with Bridge(adapter, kind) as bridge:
        how = Interruption(seconds=30, say=said.append)
        with connect(bridge.target(), interruption=how) as opened:
            board = opened.board
            assert job(board, bundle, pool, drawn) == expected
            board.begin(SETTINGS)
            for epoch in range(2):
                bridge.stop()
                back = threading.Timer(0.7, bridge.start)
                back.start()
                trained = board.train(2 * epoch, 2, at_once=1)
                back.join()
            answers = board.query(np.arange(WINDOWS))[0].tobytes()
    assert (trained.tail_hash, answers) == expected
    assert said.count("The board is back where it was.") == 2
    assert not any("again" in text for text in said)  # it had kept its state


def test_the_rate_reaches_the_port_behind_the_bridge(adapter: str) -> None:
    line = os.open(adapter, os.O_RDWR | os.O_NOCTTY)
    with Bridge(adapter, "rfc2217") as bridge:
        for options, rate in (
            ("?baud=230400", termios.B230400),
            ("", termios.B115200),
            ("?ign_set_control&baud=57600", termios.B57600),
            ("?baud=921600&timeout=2", termios.B921600),
        ):
            with connect(bridge.target(options)) as opened:
                opened.board.state()
                assert termios.tcgetattr(line)[5] == rate, options
    os.close(line)


def test_a_bridge_of_the_other_kind_is_named_and_does_no_harm(adapter: str) -> None:
    with Bridge(adapter, "socket") as bridge:
        with pytest.raises(DeviceError, match=r"does not answer in RFC 2217.*serial:socket://"):
            connect(bridge.target("?timeout=0.5", kind="rfc2217"))
        with connect(bridge.target()) as opened:  # the board has got Telnet's greeting
            opened.board.state()


@pytest.mark.parametrize("kind", KINDS)
def test_a_bridge_keeps_up_with_the_line(
    kind: str, connection: Connection, facts: Callable[..., None]
) -> None:
    """Both ways at once."""
    require_descriptor(connection)
    blocks = [bytes(range(200)) * 5] * 12
    with (
        Proxy(connection.target, baud=BAUD) as proxy,
        Bridge(proxy.port, kind) as bridge,
        connect(bridge.target(f"?baud={BAUD}")) as opened,
    ):
        started = time.perf_counter()
        assert list(opened.board.echo(blocks)) == blocks
        seconds = time.perf_counter() - started
    share = sum(map(len, blocks)) / seconds / (BAUD / 10)
    facts(**{f"{kind}_percent": round(100 * share, 1)})
    print(f"{100 * share:.1f} %")
    assert share >= LEAST


def test_no_bridge_is_named(adapter: str) -> None:
    for kind in KINDS:
        bridge = Bridge(adapter, kind)
        bridge.stop()
        with pytest.raises(DeviceError, match=r"Nothing listens at \w+://.*Start the bridge"):
            connect(bridge.target())
