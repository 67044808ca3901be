"""The host's end of the link against a board that is played here, one rule at a time."""

from __future__ import annotations

import socket
import struct
import time
from collections import deque
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pytest

from tinymia.device import socket_line
from tinymia.device.client import Board, TrainSettings
from tinymia.device.connect import connect
from tinymia.device.frames import decode_frame, encode_frame
from tinymia.device.link import Link, LinkLostError
from tinymia.errors import DataError, DeviceError
from tinymia.wire import protocol

HELLO = int(protocol.Type.HELLO)
INFO = int(protocol.Type.INFO)
ECHO = int(protocol.Type.ECHO)
RESPONSE = protocol.RESPONSE


def greeting(nonce: int, window: int = protocol.WINDOW, max_payload: int = 1024) -> bytes:
    return (
        b"\0"
        + protocol.HelloResponse(
            *(protocol.MAGIC, nonce, protocol.VERSION, max_payload, window, 0),
            *(bytes(20), b"played", b"0", 0, 0, 0, 0, 0, 0),
        ).pack()
    )


def facts(input_bytes: int) -> bytes:
    numbers = dict.fromkeys((f.name for f in fields(protocol.InfoResponse)), 0)
    numbers |= {"input_bytes": input_bytes, "classes": 7, "store_capacity": 9, "output_bytes": 7}
    numbers |= {"has_tail": 1, "layers": 1, "slot_bytes": 64, "arena_size": 1 << 17}
    numbers |= {"input_scale": 0.1, "output_scale": 0.1}
    return b"\0" + protocol.InfoResponse(**numbers).pack()


@dataclass
class PlayedBoard:
    """A port with a board behind it that greets, tells facts and echoes.

    Attributes:
        greetings: responses to each HELLO; a line that repeats gives 2.
        window: requests that it says it takes at once.
        max_payload: bytes that it says it takes in a frame.
        rate: bytes/s towards the host; 0 is at once.
        input_bytes: of its model.
        deaf: takes no request while this is set.
        foreign: a greeting to somebody else comes first.
        work: seconds that it computes on a request, and says so.
        faints: then it does not answer.
    """

    greetings: int = 1
    window: int = protocol.WINDOW
    max_payload: int = protocol.MAX_PAYLOAD
    rate: float = 0
    input_bytes: int = 300
    deaf: bool = False
    foreign: bool = False
    work: float = 0
    faints: bool = False
    most_waiting: int = 0
    largest: int = 0
    executed: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._in = bytearray()
        self._out: deque[tuple[float, bytes]] = deque()
        self._free_at = 0.0
        self._cache: dict[int, bytes] = {}
        self._expected = 0

    def write(self, data: bytes) -> int:
        self._in += data
        *whole, rest = bytes(self._in).split(b"\0")
        self._in = bytearray(rest)
        for encoded in whole:
            frame = decode_frame(encoded) if encoded else None
            if frame is not None:
                self._on_frame(*frame)
        return len(data)

    def read(self, size: int) -> bytes:
        out = b""
        while self._out and self._out[0][0] <= time.monotonic():
            out += self._out.popleft()[1]
        return out

    def _send(self, data: bytes) -> None:
        start = max(time.monotonic(), self._free_at)
        self._free_at = start + (len(data) / self.rate if self.rate else 0)
        self._out.append((self._free_at, data))
        self.most_waiting = max(self.most_waiting, len(self._out))

    def _on_frame(self, kind: int, session: int, seq: int, payload: bytes) -> None:
        if kind == HELLO:
            nonce = protocol.HelloRequest.unpack(payload).nonce
            self._expected, self._cache = 0, {}
            if self.foreign:
                self._send(encode_frame(kind | RESPONSE, session, 0, greeting(nonce ^ 1)))
            said = greeting(nonce, self.window, self.max_payload)
            for _ in range(self.greetings):
                self._send(encode_frame(kind | RESPONSE, session, 0, said))
            return
        self.largest = max(self.largest, len(payload))
        if self.deaf or (seq != self._expected and seq not in self._cache):
            return
        if seq == self._expected:
            self._expected += 1
            self.executed.append(payload)
            said = facts(self.input_bytes) if kind == INFO else b"\0" + payload
            self._cache[seq] = encode_frame(kind | RESPONSE, session, seq, said)
            self._compute(session, seq)
        if self.faints:
            return
        self._send(self._cache[seq])

    def _compute(self, session: int, seq: int) -> None:
        busy = encode_frame(protocol.Type.BUSY | RESPONSE, session, 0, struct.pack("<H", seq))
        self._free_at = max(time.monotonic(), self._free_at)
        for _ in range(int(self.work / 0.1)):
            self._free_at += 0.1
            self._out.append((self._free_at, busy))


def test_a_board_that_says_it_computes_is_waited_for() -> None:
    port = PlayedBoard(work=1.5)
    board = Board(port, patience=0.5)
    assert list(board.echo([b"a", b"b"])) == [b"a", b"b"]
    assert port.executed == [b"a", b"b"]
    assert board.stats.resent <= 1  # before the first sign


def test_a_board_that_computes_without_end_is_given_up() -> None:
    board = Board(PlayedBoard(work=60.0), patience=0.5)
    board.link.longest = 1.0
    start = time.monotonic()
    with pytest.raises(DeviceError, match="that it computes, and gives no answer") as caught:
        list(board.echo([b"a"]))
    assert not isinstance(caught.value, LinkLostError)  # which would be tried again
    assert 1.0 < time.monotonic() - start < 30


def test_each_request_has_its_time() -> None:
    board = Board(PlayedBoard(work=1.0), patience=0.5)
    board.link.longest = 1.5
    assert list(board.echo([b"a", b"b", b"c"])) == [b"a", b"b", b"c"]


class AtWork:
    """A port whose board computes for another session, and says so ten times a second."""

    def __init__(self) -> None:
        self._next = 0.0

    def write(self, data: bytes) -> int:
        return len(data)

    def read(self, size: int) -> bytes:
        if time.monotonic() < self._next:
            return b""
        self._next = time.monotonic() + 0.1
        return encode_frame(protocol.Type.BUSY | RESPONSE, 77, 0, b"\3\0")


@pytest.mark.parametrize("waits", [True, False])
def test_a_board_that_computes_without_end_for_somebody_else_is_given_up(waits: bool) -> None:
    port = AtWork()
    link = Link(port, patience=0.5, wait_for_work=waits, longest=1.0)
    start = time.monotonic()
    with pytest.raises(DeviceError, match="computes"):
        link.hello()
    assert time.monotonic() - start < 30


def test_a_board_that_computed_and_fell_silent_is_noticed_as_soon_as_any() -> None:
    board = Board(PlayedBoard(work=1.0, faints=True), patience=0.5)
    start = time.monotonic()
    with pytest.raises(LinkLostError, match="stopped answering"):
        list(board.echo([b"a"]))
    assert 1.0 < time.monotonic() - start < 30  # a busy machine gets much more


@pytest.mark.parametrize(("session", "running"), [(1, 0), (0, 1)])
def test_work_for_somebody_else_is_no_sign(session: int, running: int) -> None:
    port = PlayedBoard(work=3.0, faints=True)
    board = Board(port, patience=0.5)
    real = port._compute
    port._compute = (  # type: ignore[method-assign]
        lambda mine, seq: real(mine + session, seq + running)
    )
    start = time.monotonic()
    with pytest.raises(LinkLostError, match="stopped answering"):
        list(board.echo([b"a"]))
    assert time.monotonic() - start < 30


def test_a_greeting_that_comes_twice_is_no_answer_to_the_first_request() -> None:
    board = Board(PlayedBoard(greetings=2, rate=20_000), patience=1)
    assert board.info().input_bytes == 300


def test_a_greeting_to_somebody_else_is_passed_over() -> None:
    assert Board(PlayedBoard(foreign=True), patience=1).info().classes == 7


def test_what_an_abandoned_stream_left_is_not_taken_for_an_answer() -> None:
    board = Board(PlayedBoard(), patience=1)
    assert next(iter(board.echo([b"a", b"b", b"c", b"d", b"e"]))) == b"a"
    assert board.info(fresh=True).input_bytes == 300
    assert list(board.echo([b"x", b"y"])) == [b"x", b"y"]


def test_a_session_goes_on_after_a_silence() -> None:
    port = PlayedBoard()
    board = Board(port, patience=1)
    port.deaf = True
    with pytest.raises(LinkLostError, match="stopped answering"):
        list(board.echo([b"lost 1", b"lost 2"]))
    port.deaf = False
    assert list(board.echo([b"again"])) == [b"again"]
    assert port.executed == [b"lost 1", b"lost 2", b"again"]


def test_nothing_is_sent_twice_on_a_slow_line() -> None:
    """Small requests with large answers at 115200 baud: waiting for the line is no loss."""
    port = PlayedBoard(rate=11_500)
    link = Link(port, patience=5)
    link.hello()

    class Ask:
        TYPE = ECHO

        def pack(self) -> bytes:
            return b"?"

    real = port._send
    port._send = (
        lambda data: real(  # type: ignore[method-assign]
            data if decode_frame(data[:-1])[0] != ECHO | RESPONSE else padded(data)  # type: ignore[index]
        )
    )
    assert [len(answer) for answer in link.stream(Ask() for _ in range(12))] == [1001] * 12
    assert link.stats.resent == 0


def padded(data: bytes) -> bytes:
    """The same response with 1,000 bytes behind its status."""
    kind, session, seq, _ = decode_frame(data[:-1])  # type: ignore[misc]
    return encode_frame(kind, session, seq, b"\0" + bytes(1000))


def test_the_board_says_how_much_it_takes() -> None:
    port = PlayedBoard(window=1, max_payload=200, rate=50_000, input_bytes=12)
    board = Board(port, patience=2)
    with pytest.raises(DeviceError):  # this board echoes: the answer is no PutResponse
        board.store(np.zeros((9, 4, 3), np.int8), np.zeros(9, np.int64))
    assert 0 < port.largest <= 200
    blocks = [bytes([i]) for i in range(9)]
    assert list(board.echo(blocks)) == blocks
    assert port.most_waiting == 1


def test_numbers_that_fit_no_field_are_said() -> None:
    board = Board(PlayedBoard(), patience=1)
    for slots in ([65536], [-1]):
        with pytest.raises(DataError, match=f"Slot {slots[0]}"):
            board.query(np.array(slots))
    for wrong in (
        TrainSettings(batch=70_000),
        TrainSettings(seed=-1),
        TrainSettings(learning_rate=1e300),
    ):
        with pytest.raises(DataError, match="setting"):
            board.begin(wrong)


def test_a_repeatable_session_is_only_for_a_board_that_was_just_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A real board would take the same nonce for a repetition and keep its sequence numbers."""
    seen: dict[str, int] = {}

    class Target:
        serial, alive, unit, patience, foreign_line = None, None, "", 10.0, False

        def close(self) -> None:
            pass

    def keep(spec: str) -> Any:
        def make(port: Any, *, nonce: int, **_: Any) -> None:
            seen[spec] = nonce

        return make

    monkeypatch.setattr("tinymia.device.connect.open_target", lambda spec, **_: Target())
    for spec in ("qemu:netduinoplus2", "twin:", "serial:/dev/ttyACM0"):
        monkeypatch.setattr("tinymia.device.connect.Board", keep(spec))
        connect(spec, nonce=7)
    assert seen == {"qemu:netduinoplus2": 7, "twin:": 7, "serial:/dev/ttyACM0": 0}


def test_an_unknown_tick_source_is_just_ticks() -> None:
    board = Board(PlayedBoard(), patience=1)
    raw = bytearray(board.greeting.pack())
    raw[13] = 200
    assert struct.unpack_from("<B", raw, 13) == (200,)
    board.greeting = protocol.HelloResponse.unpack(bytes(raw))
    assert board.identity.unit == "ticks"


def test_a_line_that_takes_nothing_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a simulator that stands still would hold the program for ever."""
    monkeypatch.setattr(socket_line, "WRITE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = socket_line.SocketSerial(f"socket://127.0.0.1:{deaf.getsockname()[1]}", timeout=0)
        with port, pytest.raises(LinkLostError, match="line to the board is gone"):
            Link(port).send(bytes(1 << 24))
