"""Frames of the line; their rules are in ``firmware/protocol/protocol.toml``."""

from __future__ import annotations

import struct
import zlib

from cobs import cobs

_HEADER = struct.Struct("<BBH")


def encode_frame(kind: int, session: int, seq: int, payload: bytes) -> bytes:
    """One frame with its delimiter."""
    body = _HEADER.pack(kind, session, seq) + payload
    return bytes(cobs.encode(body + struct.pack("<I", zlib.crc32(body)))) + b"\0"


def decode_frame(encoded: bytes) -> tuple[int, int, int, bytes] | None:
    """(type, session, seq, payload) of a frame without its delimiter; None when it is damaged."""
    try:
        raw = cobs.decode(encoded)
    except cobs.DecodeError:
        return None
    if len(raw) < _HEADER.size + 4 or zlib.crc32(raw[:-4]) != struct.unpack("<I", raw[-4:])[0]:
        return None
    kind, session, seq = _HEADER.unpack(raw[: _HEADER.size])
    return kind, session, seq, raw[_HEADER.size : -4]
