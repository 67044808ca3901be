"""Lines that swallow or change certain bytes: it is said which, and what to do."""

from __future__ import annotations

import os
import pty
import random
import select
import socket
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tinymia.device import clean
from tinymia.device.client import Board
from tinymia.device.connect import connect
from tinymia.device.frames import decode_frame, encode_frame
from tinymia.device.link import Link, LinkLostError
from tinymia.device.recover import Interruption, SteadyBoard
from tinymia.errors import DeviceError
from tinymia.twin.target import TwinPort, TwinTarget
from tinymia.wire import protocol

BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"
Change = Callable[[bytes], bytes]


def same(data: bytes) -> bytes:
    return data


def swallow(*values: int) -> Change:
    return lambda data: data.translate(None, bytes(values))


def telnet_in(data: bytes) -> bytes:
    return data.replace(b"\xff", b"\xff\xff")


class Mangled:
    """A port whose bytes go through somebody's hands.

    Args:
        out, back: what becomes of the bytes to and from the board.
        build_id: that the board says it has; None: its own.
        board: whose line it is.
    """

    timeout = 0

    def __init__(
        self,
        out: Change = same,
        back: Change = same,
        build_id: bytes | None = None,
        board: TwinPort | None = None,
    ) -> None:
        self.out, self.back, self.build_id = out, back, build_id
        self.board = board or TwinPort(BUNDLE.read_bytes(), 112 * 1024)
        self.sent = 0

    def write(self, data: bytes) -> int:
        self.sent += len(data)
        self.board.write(self.out(data))
        return len(data)

    def read(self, size: int) -> bytes:
        return self.back(self.renamed(self.board.read(size)))

    def renamed(self, data: bytes) -> bytes:
        if self.build_id is None:
            return data
        *whole, rest = data.split(b"\0")
        frames = [self.greeting(part) if part else b"\0" for part in whole]
        return b"".join(frames) + rest

    def greeting(self, encoded: bytes) -> bytes:
        frame = decode_frame(encoded)
        if frame is None or frame[0] != protocol.Type.HELLO | protocol.RESPONSE:
            return encoded + b"\0"
        kind, session, seq, payload = frame
        said = replace(protocol.HelloResponse.unpack(payload[1:]), build_id=self.build_id)
        return encode_frame(kind, session, seq, b"\0" + said.pack())


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """For boards that answer at once."""
    monkeypatch.setattr(clean, "_SECONDS", 0.1)
    monkeypatch.setattr(clean, "_PATIENCE", 0.1)


UNCLEAN: dict[str, tuple[Change, Change, str]] = {
    "XON to the board": (swallow(0x11), same, r"XON and XOFF.*stty -F PORT -ixon"),
    "XOFF to the board": (swallow(0x13), same, "XON and XOFF"),
    "XON from the board": (same, swallow(0x11), "XON and XOFF"),
    "both ways": (swallow(0x11, 0x13), swallow(0x11, 0x13), "XON and XOFF"),
    "telnet to the board": (swallow(0xFF), same, "the byte 0xFF.*speaks telnet"),
    "telnet from the board": (same, telnet_in, r"the byte 0xFF.*rfc2217"),
    "CR to the board": (lambda d: d.replace(b"\r", b"\n"), same, "carriage returns"),
    "CR from the board": (same, lambda d: d.replace(b"\r", b"\r\0"), "carriage returns"),
    "LF to the board": (lambda d: d.replace(b"\n", b"\r\n"), same, "line feeds"),
    "LF from the board": (same, lambda d: d.replace(b"\n", b"\r\n"), "line feeds"),
    "two kinds": (swallow(0x11, 0xFF), same, r"XON and XOFF \(0x11, 0x13\) and the byte 0xFF"),
    "end of file": (swallow(0x1A, 0x1C), same, "control characters"),
}


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("kind", UNCLEAN)
def test_what_a_line_does_not_carry_is_named(kind: str) -> None:
    out, back, says = UNCLEAN[kind]
    # The greeting may pass or not: it is the luck of its number and checksum.
    with pytest.raises(DeviceError, match=f"not 8-bit clean.*{says}") as raised:
        Board(Mangled(out, back), patience=10).check_line()
    assert not isinstance(raised.value, LinkLostError)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("kind", ["XON from the board", "telnet from the board"])
def test_a_greeting_that_never_gets_through_is_looked_into(kind: str) -> None:
    out, back, says = UNCLEAN[kind]
    port = Mangled(out, back, build_id=bytes([0x11, 0xFF] * 10))
    start = time.monotonic()
    with pytest.raises(DeviceError, match=f"not 8-bit clean.*{says}"):
        Board(port, patience=60)
    assert time.monotonic() - start < 30  # not the whole patience


def test_a_clean_line_costs_one_round_trip() -> None:
    port = Mangled()
    board = Board(port)
    before = port.sent
    board.check_line()
    assert port.sent - before < 300
    assert board.info().classes == 7  # the session goes on
    assert board.stats.resent == 0


@pytest.mark.usefixtures("soon")
def test_a_small_frame_is_enough() -> None:
    board = Board(Mangled(swallow(0x13)))
    board.link.max_payload = 64
    with pytest.raises(DeviceError, match="XON and XOFF"):
        board.check_line()
    board = Board(Mangled())
    board.link.max_payload = 64
    board.check_line()
    assert board.info().classes == 7


@pytest.mark.usefixtures("soon")
def test_noise_is_not_taken_for_it() -> None:
    """A byte in 2,000 is damaged, here and there: the link copes, and nobody is accused."""
    rng = random.Random(5)

    def noisy(data: bytes) -> bytes:
        return bytes(b ^ 1 << rng.randrange(8) if rng.random() < 1 / 2000 else b for b in data)

    for _ in range(15):
        board = Board(Mangled(noisy, noisy), patience=10)
        board.check_line()
        assert board.info().classes == 7


@pytest.mark.usefixtures("soon")
def test_a_line_without_a_board_is_not_unclean() -> None:
    deaf = Mangled(lambda data: b"")
    assert clean.unclean(Link(deaf)) is None
    babble = Mangled(lambda data: b"", lambda data: b"\x99\x00\x12\x00")
    with pytest.raises(LinkLostError, match=r"No tinymia firmware answers.*baud rate"):
        Board(babble, patience=1.5)


@pytest.mark.usefixtures("soon")
def test_a_line_that_is_unclean_only_later_is_told_from_a_lost_board() -> None:
    """As where a bridge comes back with other settings in the middle of a run."""
    port = Mangled()

    class Target(TwinTarget):
        def alive(self) -> None: ...

        def reconnect(self, seconds: float = 10.0) -> None: ...

    target = Target("twin:", BUNDLE.read_bytes())
    target.serial = port  # type: ignore[assignment]
    board = SteadyBoard(target, Interruption(seconds=1), patience=0.4)
    port.back = swallow(0x11, 0x13)
    with pytest.raises(DeviceError, match="XON and XOFF"):
        # In most of the answers is one of them.
        list(board._steadily(lambda: list(Board.echo(board, [bytes(range(256))] * 3))))


# --- whole lines ---


@contextmanager
def pumped(fd: Callable[[], int], port: Mangled) -> Iterator[None]:
    """Bytes from a file descriptor to a board and back, until the end."""
    stop = threading.Event()

    def pump() -> None:
        line = fd()
        while not stop.is_set():
            ready = select.select([line], [], [], 0.005)[0]
            try:
                if ready:
                    port.write(os.read(line, 65536))
                if data := port.read(65536):
                    os.write(line, data)
            except OSError:
                return

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join(5)


@contextmanager
def bridge(port: Mangled) -> Iterator[str]:
    """A bridge that listens; gives its target."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peers: list[Any] = []

        def accepted() -> int:
            peers.append(listener.accept()[0])
            return int(peers[0].fileno())

        with pumped(accepted, port):
            yield f"serial:socket://127.0.0.1:{listener.getsockname()[1]}"
        for peer in peers:
            peer.close()


def test_a_telnet_bridge_is_named() -> None:
    with (
        bridge(Mangled(swallow(0xFF), telnet_in)) as where,
        pytest.raises(DeviceError, match=r"not 8-bit clean.*telnet"),
    ):
        connect(where)


@pytest.mark.parametrize("steady", [None, Interruption()])
def test_a_bridge_that_passes_all_is_used(steady: Interruption | None) -> None:
    with bridge(Mangled()) as where, connect(where, interruption=steady) as opened:
        assert opened.board.info().classes == 7


def test_a_serial_port_with_flow_control_is_named() -> None:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    port = Mangled(swallow(0x11, 0x13), swallow(0x11, 0x13))
    with pumped(lambda: ours, port), pytest.raises(DeviceError, match="XON and XOFF"):
        connect(f"serial:{os.ttyname(theirs)}")
    os.close(ours)
    os.close(theirs)
