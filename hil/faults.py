"""What a bad line does to the bytes that cross it, from a seed."""

from __future__ import annotations

import random
import time
from collections import Counter

KINDS = ("flip", "drop", "duplicate", "insert", "cut", "delay")
_LONGEST_CUT_SECONDS = 0.2


class Faults:
    """One direction of a line; where faults fall does not depend on how its bytes are grouped.

    Args:
        every: mean distance of two faults in bytes; 0: none.
        seed: a text.
        kinds: which faults.
        longest_cut: bytes.
        most: faults altogether.
    """

    def __init__(
        self,
        every: float,
        seed: str,
        kinds: tuple[str, ...] = KINDS,
        longest_cut: int = 200,
        most: int = 1 << 60,
    ) -> None:
        self._every, self._kinds = every, kinds
        self._longest_cut, self._most = longest_cut, most
        self._random = random.Random(seed)
        self._recent = b""
        self._lose = 0
        self._lose_until = 0.0
        self._next = self._distance()
        self.injected: Counter[str] = Counter()
        self.pause = 0.0  # seconds that the bytes behind are to be held back; who obeys resets it

    def _distance(self) -> int:
        return int(self._random.expovariate(1 / self._every)) if self._every else 1 << 60

    def damage(self, data: bytes) -> bytes:
        """What comes out instead of ``data``."""
        if time.monotonic() > self._lose_until:
            self._lose = 0
        out, at = bytearray(), 0
        while at < len(data):
            if self._lose:
                lost = min(self._lose, len(data) - at)
                self._lose -= lost
                at += lost
                continue
            whole = min(self._next, len(data) - at)
            out += data[at : at + whole]
            self._recent = (self._recent + data[at : at + whole])[-64:]
            self._next -= whole
            at += whole
            if at < len(data):
                out += self._fault(data[at])
                at += 1
        return bytes(out)

    def _fault(self, byte: int) -> bytes:
        """What comes out instead of one byte."""
        self._next = self._distance()
        if self.injected.total() >= self._most:
            self._next = 1 << 60
            return bytes([byte])
        kind = self._random.choice(self._kinds)
        self.injected[kind] += 1
        if kind == "flip":
            return bytes([byte ^ 1 << self._random.randrange(8)])
        if kind == "duplicate":
            return self._recent[-self._random.randrange(1, 64) :] + bytes([byte])
        if kind == "insert":
            return self._random.randbytes(self._random.randrange(1, 20)) + bytes([byte])
        if kind == "delay":
            self.pause += self._random.uniform(0.001, 0.05)
            return bytes([byte])
        if kind == "cut":
            self._lose = self._random.randrange(1, self._longest_cut)
            # A line with little on it is not dead for many answers in a row.
            self._lose_until = time.monotonic() + _LONGEST_CUT_SECONDS
        return b""
