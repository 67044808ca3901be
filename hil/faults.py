"""A serial line that damages what crosses it, in both directions, from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

KINDS = ("flip", "drop", "duplicate", "truncate")


@dataclass
class FaultyPort:
    """Wraps a pyserial object.

    Attributes:
        port: the real one.
        every: mean distance of two faults in bytes sent, half of it in bytes received, which are
            fewer; where faults fall does not depend on how the bytes are read or written.
        seed: of the faults.
        kinds: which faults.
    """

    port: Any
    every: float
    seed: int
    kinds: tuple[str, ...] = KINDS
    injected: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ways = {"out": _Way(self, "out", self.every), "in": _Way(self, "in", self.every / 2)}

    def fileno(self) -> int:
        return int(self.port.fileno())

    def read(self, size: int) -> bytes:
        return self._ways["in"].damage(self.port.read(size))

    def write(self, data: bytes) -> int:
        self.port.write(self._ways["out"].damage(data))
        return len(data)


class _Way:
    """One direction of the line."""

    def __init__(self, port: FaultyPort, name: str, every: float) -> None:
        self._port = port
        self._name = name
        self._every = every
        self._random = random.Random(f"{port.seed}-{name}")
        self._recent = bytearray()
        self._lose = 0
        self._next = self._distance()

    def _distance(self) -> int:
        return int(self._random.expovariate(1 / self._every))

    def damage(self, data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            if self._lose:
                self._lose -= 1
            elif self._next > 0:
                self._next -= 1
                out.append(byte)
            else:
                self._next = self._distance()
                out += self._fault(byte)
            self._recent = (self._recent + bytes([byte]))[-64:]
        return bytes(out)

    def _fault(self, byte: int) -> bytes:
        """What comes out instead of one byte."""
        kind = self._random.choice(self._port.kinds)
        key = f"{kind}-{self._name}"
        self._port.injected[key] = self._port.injected.get(key, 0) + 1
        if kind == "flip":
            return bytes([byte ^ 1 << self._random.randrange(8)])
        if kind == "drop":
            return b""
        if kind == "duplicate":
            return bytes(self._recent[-self._random.randrange(1, 64) :]) + bytes([byte])
        self._lose = self._random.randrange(1, 200)
        return b""
