"""Frames and text that cross a serial line, in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinymia.device.frames import decode_frame
from tinymia.wire import protocol
from tinymia.wire.refusals import explain

_PRINTABLE = bytes(range(32, 127)) + b"\r\n"
_LONGEST = 8  # values of an array that are shown


@dataclass(frozen=True)
class Event:
    """One thing that crossed the line.

    Attributes:
        way: "out" from the host to the board, "in" from the board.
        kind: name of the message, "text", or "damaged".
        size: bytes on the line.
        session, seq: of a frame.
        status: of a response: OK, or why it was refused.
        fields: of the message, by name.
    """

    way: str
    kind: str
    size: int
    session: int = 0
    seq: int = 0
    status: str = ""
    fields: dict[str, Any] = dataclasses.field(default_factory=dict)

    def line(self) -> str:
        """For people."""
        arrow = "→" if self.way == "out" else "←"
        head = f"{arrow} {self.kind:8} {self.size:5} B"
        if self.kind in ("text", "damaged"):
            return f"{head}  {self.fields.get('text', '')}".rstrip()
        shown = " ".join(f"{name}={_short(value)}" for name, value in self.fields.items())
        status = "" if self.status in ("", "OK") else f" {self.status}"
        return f"{head}  session {self.session} seq {self.seq}{status}  {shown}".rstrip()

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {**vars(self), "fields": {k: _plain(v) for k, v in self.fields.items()}}


class Decoder:
    """Cuts one direction of a line into events.

    Args:
        way: see :class:`Event`.
    """

    def __init__(self, way: str) -> None:
        self._way = way
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Event]:
        """Events that these bytes complete."""
        self._buffer += data
        *whole, rest = bytes(self._buffer).split(b"\0")
        for part in whole:
            if part:
                yield self._event(part)
        end = rest.rfind(b"\n") + 1 if not rest.translate(None, _PRINTABLE) else 0
        if end:  # text has no delimiter but its lines
            yield from self._text(rest[:end])
        self._buffer = bytearray(rest[end:])

    def _text(self, data: bytes) -> Iterator[Event]:
        for line in data.decode("ascii").split("\n"):
            if line.strip():
                yield Event(self._way, "text", len(line) + 1, fields={"text": line.rstrip("\r")})

    def _event(self, encoded: bytes) -> Event:
        frame = decode_frame(encoded)
        size = len(encoded) + 1
        if frame is None:
            if not encoded.translate(None, _PRINTABLE):
                text = encoded.decode("ascii").strip()
                return Event(self._way, "text", size, fields={"text": text})
            return Event(self._way, "damaged", size, fields={"text": encoded[:16].hex(" ")})
        kind, session, seq, payload = frame
        answer = bool(kind & protocol.RESPONSE)
        number = kind & ~protocol.RESPONSE
        known = [t.name for t in protocol.Type if t == number]
        name = known[0] if known else f"type {number}"
        status, fields = "", {}
        if answer and name not in ("RESEND", "BUSY"):
            code, payload = payload[:1], payload[1:]
            status = _status(code[0]) if code else "empty"
        if status in ("", "OK"):
            fields = _fields(name, answer, payload)
        elif len(payload) >= 8:
            a, b = (int.from_bytes(payload[i : i + 4], "little") for i in (0, 4))
            fields = {"why": explain(code[0], a, b)[0]}
        return Event(self._way, name, size, session, seq, status, fields)


def _status(code: int) -> str:
    return next((s.name for s in protocol.Status if s == code), f"status {code}")


def _fields(name: str, answer: bool, payload: bytes) -> dict[str, Any]:
    wanted = f"{name.title().replace('_', '')}{'Response' if answer else 'Request'}"
    made: Any = getattr(protocol, wanted, None)
    if made is None:
        return {}
    try:
        return dict(vars(made.unpack(payload)))
    except Exception as error:
        return {"malformed": str(error)}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, bytes):
        return value.rstrip(b"\0").decode("ascii") if _is_text(value) else value.hex()
    return value


def _is_text(value: bytes) -> bool:
    stripped = value.rstrip(b"\0")
    return bool(stripped) and not stripped.translate(None, _PRINTABLE)


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        shown = " ".join(str(v) for v in value[:_LONGEST])
        more = f" … {len(value)} in all" if len(value) > _LONGEST else ""
        return f"[{shown}{more}]"
    return f"{value:.6g}" if isinstance(value, float) else str(_plain(value))
