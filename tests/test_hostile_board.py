"""A hostile or broken board: what it says is checked, told in one message, and never a crash."""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinymia.device.client import Board, TrainSettings, WrongResponseError
from tinymia.device.frames import decode_frame, encode_frame
from tinymia.errors import DeviceError, TinymiaError
from tinymia.twin.target import TwinTarget
from tinymia.wire import protocol
from tinymia.wire.guard import GuardSettings
from tinymia.wire.protocol import Policy, Type

BUNDLE = (Path(__file__).parents[1] / "models" / "har-watch" / "har-watch.bundle").read_bytes()
RNG = np.random.default_rng(5)
WINDOWS = RNG.integers(-128, 128, (9, 50, 6)).astype(np.int8)
LABELS = RNG.integers(0, 7, 9)
SHARED = RNG.normal(0, 0.1, 455).astype(np.float32)
QUIET = {Type.HELLO, Type.RESEND, Type.BUSY}
MASKS = {Type.MASK, Type.PEER, Type.REVEAL}  # the twin is built without; see test_secure.py

Change = Callable[[int, bytes], bytes]
"""Type of the request and payload of the response (status first): what the host gets instead."""


class Liar:
    """A port with a twin behind it, whose responses somebody changes on the way.

    Attributes:
        change: what becomes of a response; None: nothing.
    """

    timeout = 0

    def __init__(self) -> None:
        self._port = TwinTarget("twin:", BUNDLE).serial
        self._rest = b""
        self.change: Change | None = None
        self.greet: Change | None = None

    def write(self, data: bytes) -> int:
        return self._port.write(data)

    def read(self, size: int) -> bytes:
        *whole, self._rest = (self._rest + self._port.read(size)).split(b"\0")
        return b"".join(self._changed(encoded) for encoded in whole if encoded)

    def _changed(self, encoded: bytes) -> bytes:
        frame = decode_frame(encoded)
        assert frame is not None
        kind, session, seq, payload = frame
        number = kind & ~protocol.RESPONSE
        change = self.greet if number == Type.HELLO else self.change
        if change is not None and number not in QUIET - {Type.HELLO}:
            payload = change(number, payload)
        return encode_frame(kind, session, seq, payload)


@pytest.fixture(scope="module")
def liar() -> Liar:
    return Liar()


@pytest.fixture(scope="module")
def board(liar: Liar) -> Board:
    made = Board(liar, patience=0.3)
    ready(made)
    return made


def ready(board: Board) -> None:
    """Nine windows stored, five of them members, training begun."""
    board.layout(board.info().layers - 1)
    board.store(WINDOWS, LABELS)
    board.select(np.arange(9) < 5)
    board.begin(TrainSettings())


def in_parts(board: Board) -> None:
    board.link.max_payload = 170
    try:
        board.store(WINDOWS, LABELS)
    finally:
        board.link.max_payload = 1024


def updated(board: Board) -> None:
    board.begin(TrainSettings())
    board.share(SHARED)
    board.update(1.0, 1000, 0.0, 3)


CALLS: dict[str, Callable[[Board], Any]] = {
    "INFO": lambda b: b.info(fresh=True),
    "STATE": lambda b: b.state(),
    "CLEAR": lambda b: b.clear(),
    "PUT": lambda b: b.store(WINDOWS, LABELS),
    "INFER": lambda b: b.infer(WINDOWS[:3]),
    "SELECT": lambda b: b.select(np.arange(9) < 5),
    "BEGIN": lambda b: b.begin(TrainSettings()),
    "TRAIN": lambda b: b.train(0, 2, at_once=1),
    "QUERY": lambda b: [b.query(np.arange(9), policy, 3) for policy in Policy],
    "ASK": lambda b: [b.ask(WINDOWS[:2], policy, 3) for policy in Policy],
    "TAIL": lambda b: b.parameters(),
    "ECHO": lambda b: list(b.echo([b"abc", b"de"])),
    "LAYOUT": lambda b: b.layout(3),
    "PART": in_parts,
    "GUARD": lambda b: [b.guard(GuardSettings(answers=n)) for n in (999, 0)],
    "SHARE": lambda b: b.share(SHARED),
    "UPDATE": updated,
    "GIVE": updated,
}


def test_every_message_is_asked_here() -> None:
    assert set(CALLS) == {t.name for t in Type if t not in QUIET | MASKS}


def nonsense(rng: random.Random) -> Change:
    """One way to spoil responses."""
    floats = [struct.pack("<f", x) for x in (np.nan, np.inf, -np.inf, -1.0, 3e38)]
    words = [b"\xff" * 4, b"\0" * 4, b"\0\0\0\x80", b"\xff\xff\xff\x7f", *floats]

    def change(_: int, payload: bytes) -> bytes:
        data = bytearray(payload)
        way = rng.randrange(7)
        at = rng.randrange(len(data)) if data else 0
        if way == 0:
            return bytes(data[:at])
        if way == 1:
            return bytes(data) + rng.randbytes(rng.choice((1, 2, 4, 500)))
        if way == 2:
            data[at:] = rng.randbytes(len(data) - at)
        elif way == 3:
            data[at : at + 4] = rng.choice(words)[: len(data) - at]
        elif way == 4:
            return bytes([rng.randrange(256)]) + rng.randbytes(8)
        elif way == 5 and data:
            data[at] ^= 1 << rng.randrange(8)
        else:
            return rng.randbytes(rng.choice((0, 1, 8, 1023)))
        return bytes(data)

    return change


@pytest.mark.parametrize("name", CALLS)
def test_nonsense_of_any_kind_is_one_message(name: str, board: Board, liar: Liar) -> None:
    rng = random.Random(f"{name} 1")
    refused = 0
    for _ in range(60):
        liar.change = None
        ready(board)
        spoil, only = nonsense(rng), rng.randrange(2)
        if only:  # of this very message; else of what is asked along with it, too
            liar.change = lambda kind, p, s=spoil: s(kind, p) if kind == Type[name] else p
        else:
            liar.change = spoil
        message = refusal(CALLS[name], board)
        refused += bool(message)
        assert len(message) < 300
        assert "\n" not in message
        liar.change = None
        board.info(fresh=True)
    assert refused >= 20


def refusal(call: Callable[[Board], Any], board: Board) -> str:
    """What it is refused with; empty: it is not."""
    try:
        call(board)
    except TinymiaError as error:
        return error.message
    return ""


def set_to(name: str, **changes: Any) -> Change:
    """Responses of one message with other fields."""
    made = getattr(protocol, f"{name.title()}Response")

    def change(kind: int, payload: bytes) -> bytes:
        if kind != Type[name]:
            return payload
        return b"\0" + replace(made.unpack(payload[1:]), **changes).pack()

    return change


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("INFO", {"classes": 0}, "no inputs, outputs or classes"),
    ("INFO", {"input_bytes": 0}, "no inputs, outputs or classes"),
    ("INFO", {"output_bytes": 2**32 - 1}, "larger than that"),
    ("INFO", {"trained_parameters": 2**32 - 1}, "larger than that"),
    ("INFO", {"arena_size": 2**32 - 1}, "an arena of 4294967295 bytes"),
    ("INFO", {"input_scale": np.nan}, "no number"),
    ("INFO", {"output_scale": 0.0}, "a scale is zero"),
    ("INFO", {"input_zero_point": 2**31 - 1}, "no int8"),
    ("INFO", {"answer_policy": 9}, "unknown output policy 9"),
    ("INFO", {"secret_source": 2}, "unknown source of secrets 2"),
    ("INFO", {"budget_noise": np.inf}, "no number"),
    ("INFO", {"budget_left": 7}, "more is left"),
    ("INFO", {"has_tail": 2}, "neither on nor off"),
    ("INFO", {"first_layer": 200}, "no layer"),
    ("INFO", {"has_tail": 0}, "cannot be trained, but"),
    ("STATE", {"members": 10}, "10 members of 9"),
    ("PUT", {"stored": 1}, "1 windows stored of"),
    ("PUT", {"stored": 65535}, "65535 windows stored of"),
    ("PART", {"came": 300}, "300 bytes of a window came instead of 166"),
    ("SELECT", {"members": 6}, "6 members instead of 5"),
    ("INFER", {"output": np.zeros(3, np.uint8)}, "3 outputs instead of"),
    ("BEGIN", {"trained": 0}, "nothing is trained"),
    ("BEGIN", {"workspace": 2**32 - 1}, "4294967295 bytes of memory"),
    ("LAYOUT", {"capacity": 0}, "nothing is trained or stored"),
    ("LAYOUT", {"trained": 2**30}, "4294967296 bytes of memory"),
    ("SHARE", {"came": 455}, "455 parameters are there instead of 255"),
    ("UPDATE", {"count": 2**32 - 1}, "an update of 4294967295 numbers instead of 455"),
    ("UPDATE", {"count": 0}, "an update of 0 numbers"),
    ("UPDATE", {"norm": np.nan}, "its norm is no number"),
    ("UPDATE", {"clipped": 2}, "neither on nor off"),
    ("GIVE", {"values": np.zeros(5, np.uint8)}, "5 bytes for 341 numbers"),
    ("GIVE", {"values": np.zeros(341, np.uint8)}, "341 bytes for 114 numbers"),
    ("TRAIN", {"epoch": 0}, "stands at epoch 0 instead of 1"),
    ("TRAIN", {"epoch": 2**32 - 1}, "stands at epoch 4294967295"),
    ("TRAIN", {"steps": 1, "clipped": 2}, "2 examples clipped of 1"),
    ("TRAIN", {"stopped": 3}, "neither on nor off"),
    ("QUERY", {"answers": np.full(252, 0xFF, np.uint8)[:251]}, "251 bytes of answers"),
    ("QUERY", {"answers": np.full(63, np.inf, "<f4").view(np.uint8)}, "inf as a probability"),
    ("QUERY", {"answers": np.full(63, -0.5, "<f4").view(np.uint8)}, "-0.5 as a probability"),
    ("ASK", {"answer": np.zeros(0, np.uint8)}, "0 bytes of answers"),
    ("TAIL", {"values": np.zeros(0, "<f4")}, "0 values instead of"),
    ("ECHO", {"data": np.zeros(3, np.uint8)}, "not what was sent"),
]


@pytest.mark.parametrize(("name", "changes", "why"), WRONG)
def test_what_does_not_fit_the_request_is_said(
    name: str, changes: dict[str, Any], why: str, board: Board, liar: Liar
) -> None:
    liar.change = None
    ready(board)
    board.info(fresh=True)
    liar.change = set_to(name, **changes)
    with pytest.raises(WrongResponseError, match=f"response to {name} is wrong: .*{why}"):
        CALLS[name](board)
    liar.change = None
    ready(board)  # the session goes on


@pytest.mark.parametrize(
    ("policy", "answers", "why"),
    [
        (Policy.LABEL, [7] * 9, "class 7 of 7"),
        (Policy.TOP1, [255, 0, 0, 0, 0] * 9, "class 255 of 7"),
        (Policy.TOP1, [0, 0, 0, 0x80, 0xFF] * 9, "-inf as a probability"),
        (Policy.ROUNDED, [101, 0] * 63, "1.0099.* as a probability"),
    ],
)
def test_answers_of_no_class_or_chance(
    policy: Policy, answers: list[int], why: str, board: Board, liar: Liar
) -> None:
    liar.change = None
    ready(board)
    liar.change = set_to("QUERY", answers=np.array(answers, np.uint8))
    with pytest.raises(WrongResponseError, match=f"QUERY is wrong: {why}"):
        board.query(np.arange(9), policy)


def test_a_training_that_diverged_may_answer_nan(board: Board, liar: Liar) -> None:
    liar.change = None
    ready(board)
    liar.change = set_to("QUERY", answers=np.full(63, np.nan, "<f4").view(np.uint8))
    assert np.isnan(board.query(np.arange(9))[0]).all()


def test_a_claim_of_gigabytes_takes_none(board: Board, liar: Liar) -> None:
    """16 GiB of outputs, of parameters, or of epochs: nothing is taken before it has come."""
    liar.change = None
    ready(board)
    huge = {"arena_size": 1 << 30, "output_bytes": 1 << 30, "trained_parameters": 1 << 28}
    liar.change = set_to("INFO", **huge)
    board.info(fresh=True)
    tracemalloc.start()
    with pytest.raises(DeviceError, match="outputs instead of 1073741824"):
        board.infer(WINDOWS)
    with pytest.raises(DeviceError):
        board.parameters()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 << 20
    liar.change = None
    board.info(fresh=True)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"max_payload": 0}, "frames of 0 bytes"),
        ({"max_payload": 5}, "frames of 5 bytes"),
        ({"window": 0}, "takes no request"),
    ],
)
def test_a_greeting_that_leaves_no_room(changes: dict[str, Any], why: str) -> None:
    liar = Liar()
    liar.greet = set_to("HELLO", **changes)
    with pytest.raises(WrongResponseError, match=f"response to HELLO is wrong: .*{why}"):
        Board(liar, patience=0.3)


def test_any_greeting_is_borne() -> None:
    rng = random.Random(3)
    for _ in range(60):
        liar = Liar()
        liar.greet = nonsense(rng)
        try:
            who = Board(liar, patience=0.02).identity
        except DeviceError:
            continue
        assert who.board.isprintable()
        assert who.firmware.isprintable()


def test_a_name_cannot_steer_the_terminal() -> None:
    liar = Liar()
    liar.greet = set_to("HELLO", board=b"\x1b[2Jboard\r\n".ljust(24, b"\0"))
    assert Board(liar, patience=0.3).identity.board == "�[2Jboard��"


def test_every_response_has_a_check_or_nothing_to_check() -> None:
    """A message that is added must be looked at here."""
    from tinymia.device import responses

    # Checked elsewhere, empty, or any bytes: who else gave them knows what they must be.
    unchecked = {"Hello", "Clear", "Query", "Ask", "Busy", "Resend", "Mask", "Peer", "Reveal"}
    names = {t.name.title() for t in Type}
    assert {m.__name__.removesuffix("Response") for m in responses._CHECKS} == names - unchecked
    assert not fields(protocol.ClearResponse)
