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
        rate: chance of a fault in a chunk of up to 200 bytes.
        seed: of the faults.
        kinds: which faults.
    """

    port: Any
    rate: float
    seed: int
    kinds: tuple[str, ...] = KINDS
    injected: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def fileno(self) -> int:
        return int(self.port.fileno())

    def read(self, size: int) -> bytes:
        return self._damage(self.port.read(size), "in")

    def write(self, data: bytes) -> int:
        self.port.write(self._damage(data, "out"))
        return len(data)

    def _damage(self, data: bytes, way: str) -> bytes:
        out = bytearray()
        for at in range(0, len(data), 200):
            chunk = bytearray(data[at : at + 200])
            if self._random.random() < self.rate:
                kind = self._random.choice(self.kinds)
                self.injected[f"{kind}-{way}"] = self.injected.get(f"{kind}-{way}", 0) + 1
                where = self._random.randrange(len(chunk))
                if kind == "flip":
                    chunk[where] ^= 1 << self._random.randrange(8)
                elif kind == "drop":
                    del chunk[where]
                elif kind == "duplicate":
                    chunk[where:where] = chunk[where : where + self._random.randrange(1, 60)]
                else:
                    del chunk[where:]
            out += chunk
        return bytes(out)
