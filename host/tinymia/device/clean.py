"""Whether a line carries every byte: bridges and flow control may swallow or change some.

A board behind such a line seems to come and go, since what it says is damaged whenever one of these
bytes is in it. Frames that were chosen to be without them pass, and so show which ones they are.
"""

from __future__ import annotations

import secrets
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from tinymia.device.frames import encode_frame
from tinymia.errors import DeviceError
from tinymia.wire import protocol

_TRIES = 3  # a line that damages bytes now and then is no such line
_SECONDS = 0.5  # at least, for a probe
_PATIENCE = 1.0  # beside the time on the line, for a payload of every byte
_FILLERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RAW = "Let it pass bytes as they are: `stty -F PORT raw` where it ends"


@dataclass(frozen=True)
class Suspects:
    """Bytes that a line may not carry.

    Attributes:
        title: for people.
        data: the bytes.
        hint: what to do about it.
    """

    title: str
    data: bytes
    hint: str


SUSPECTS = (
    Suspects("carriage returns (0x0D)", b"\r", f"{_RAW} (it converts line ends)."),
    Suspects("line feeds (0x0A)", b"\n", f"{_RAW} (it converts line ends)."),
    Suspects(
        "XON and XOFF (0x11, 0x13)",
        b"\x11\x13",
        "Switch software flow control off on every part of the line: `stty -F PORT -ixon -ixoff`,"
        " and at a bridge.",
    ),
    Suspects(
        "the byte 0xFF",
        b"\xff",
        "The bridge speaks telnet: let it pass bytes as they are (in ser2net raw, not telnet), or"
        " write serial:rfc2217://host:port if it speaks RFC 2217.",
    ),
    Suspects(
        "control characters",
        bytes({*range(1, 32), 127} - {*b"\r\n\x11\x13"}),
        f"{_RAW} (it takes them for commands).",
    ),
    Suspects(
        "bytes above 0x7F",
        bytes(range(0x80, 0xFF)),
        "Set the line, adapter and bridge to 8 data bits without parity.",
    ),
)
_ALL = b"\xff\x11\x13\r\n" + bytes(range(256))

# Frames without these are thought to pass. (COBS needs control characters, a response bit 7.)
_UNUSUAL = frozenset(b"\r\n\x11\x13\xff")
# A request that no board knows is refused in few bytes; ECHO's own number is a carriage return.
_UNKNOWN = next(kind for kind in range(0x60, 0x7F) if kind not in set(protocol.Type))
_ECHO = int(protocol.Type.ECHO)


class Line(Protocol):
    """A line to a board, where nothing is under way."""

    def send(self, data: bytes) -> None:
        """Send all of it."""
        ...

    def frames(self, wait: float) -> Iterator[tuple[int, int, int, bytes]]:
        """Whole frames that arrive within so many seconds."""
        ...


def unclean(line: Line) -> DeviceError | None:
    """What is wrong with a line that carries some bytes but not all; None: it is not that.

    Sessions of its own begin on the board; what it has stored and trained stays.

    Args:
        line: to a board that computes nothing.

    Raises:
        LinkLostError: the line is gone.
    """
    plain = [t for t in (_probe(line, _UNKNOWN, b"", _SECONDS) for _ in range(_TRIES)) if t]
    if not plain:
        return None
    seconds = max(_SECONDS, 4 * max(plain))

    def carries(data: bytes) -> bool:
        return any(_probe(line, _ECHO, data, seconds) for _ in range(_TRIES))

    # Without carriage returns no ECHO gets to the board, whatever it holds.
    asked = SUSPECTS if carries(b"") else SUSPECTS[:1]
    found = [suspects for suspects in asked if not carries(suspects.data)]
    if not found:
        return None
    return DeviceError(
        f"The line is not 8-bit clean: it swallows or changes {_listed([s.title for s in found])}.",
        " ".join(dict.fromkeys(suspects.hint for suspects in found)),
    )


def carries_all(line: Line, session: int, most: int, rate: float) -> bool:
    """Whether every byte crosses a line both ways, seen by the first request of a session.

    Args:
        line: to a board.
        session: has just begun.
        most: bytes of payload in a frame.
        rate: of the line, bytes/s at least.
    """
    data = _ALL[: most - 1]
    frame = encode_frame(_ECHO, session, 0, data)
    line.send(frame)
    seconds = _PATIENCE + 2 * len(frame) / rate
    return _awaited(line, _ECHO, session, b"\0" + data, seconds) is not None


def _awaited(line: Line, kind: int, session: int, payload: bytes, seconds: float) -> float | None:
    """Seconds until the response to a session's first request came; None: it did not."""
    start = time.monotonic()
    while (left := start + seconds - time.monotonic()) > 0:
        for got in line.frames(left):
            if got == (kind | protocol.RESPONSE, session, 0, payload):
                return max(time.monotonic() - start, 1e-6)
    return None


def greeting(given: int = 0) -> tuple[int, int, bytes]:
    """A nonce, its session and the frame of their HELLO.

    Args:
        given: the nonce; 0: one at random, with which even an unclean line carries the frame.
    """
    while True:
        nonce = given or secrets.randbits(32)
        session = nonce % 255 + 1
        hello = protocol.HelloRequest(protocol.MAGIC, nonce, protocol.VERSION)
        frame = encode_frame(hello.TYPE, session, 0, hello.pack())
        if given or not _UNUSUAL & {*frame}:
            return nonce, session, frame


def checked_greeting(payload: bytes, nonce: int) -> bytes | None:
    """A board's greeting behind its status; None when it answers an earlier session's HELLO.

    Raises:
        DeviceError: it is malformed, or the board refuses or speaks another version.
    """
    head = struct.Struct("<BIIH")
    if len(payload) < head.size:
        raise DeviceError("The board's greeting is too short.", "Flash this version's firmware.")
    _, magic, echoed, version = head.unpack(payload[: head.size])
    if magic != protocol.MAGIC:
        raise DeviceError("What answers on this port is not tinymia firmware.")
    if echoed != nonce:
        return None
    if payload[0] != protocol.Status.OK:
        raise DeviceError(
            f"The board refuses to be greeted (status {payload[0]}).", "Flash it again."
        )
    if version != protocol.VERSION:
        older = "an older" if version < protocol.VERSION else "a newer"
        raise DeviceError(
            f"The board speaks {older} protocol: version {version}, this package speaks"
            f" {protocol.VERSION}.",
            "Build and flash the firmware of this package: `tinymia build`, `tinymia flash`."
            if version < protocol.VERSION
            else "Update the tinymia package.",
        )
    return payload[1:]


def _probe(line: Line, kind: int, data: bytes, seconds: float) -> float | None:
    """One request in a session of its own; no byte but those of ``data`` is unusual on the line."""
    allowed = {*data, *(b"\r" if kind == _ECHO else b"")}
    while True:
        _, session, hello = greeting()
        # (COBS writes lengths, so it is chosen, too.)
        request = data + bytes(secrets.choice(_FILLERS) for _ in range(4 + secrets.randbelow(9)))
        response = (
            b"\0" + request
            if kind == _ECHO
            else struct.pack("<BII", protocol.Status.BAD_REQUEST, kind, len(request))
        )
        frame = encode_frame(kind, session, 0, request)
        answer = encode_frame(kind | protocol.RESPONSE, session, 0, response)
        if not (_UNUSUAL - allowed) & {*frame, *answer}:
            break
    line.send(b"\0" + hello + frame)
    return _awaited(line, kind, session, response, seconds)


def _listed(titles: list[str]) -> str:
    *first, last = titles
    return f"{', '.join(first)} and {last}" if first else last
