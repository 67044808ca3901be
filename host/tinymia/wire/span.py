"""Between which numbers one may lie: declared once, then checked, and told in help and messages."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Span:
    """Where a number may lie.

    Attributes:
        least, most: its bounds, inclusive; ``most`` may be infinite.
        above: ``least`` itself is excluded.
        below: ``most`` itself is excluded.
        off: 0 is allowed, too.
        whole: whole numbers alone.
        single: what float32 makes of a number counts, which a device takes.
    """

    least: float
    most: float = math.inf
    above: bool = False
    below: bool = False
    off: bool = False
    whole: bool = False
    single: bool = False

    def holds(self, value: float) -> bool:
        """Whether a number lies there; not-a-number never does, nor does infinity."""
        try:
            if not math.isfinite(value) or (self.whole and value != int(value)):
                return False
        except OverflowError:  # a whole number that is too large for float64
            return False
        if self.off and value == 0:
            return True
        least, most, x = self.least, self.most, value
        if self.single:
            with np.errstate(over="ignore", under="ignore"):
                least, most, x = (float(np.float32(v)) for v in (least, most, value))
            # A number that float32 cannot hold would be off there, or another one.
            if value != 0 and abs(x) < np.finfo(np.float32).tiny:
                return False
        low = least < x if self.above else least <= x
        return low and (x < most if self.below else x <= most)

    def __str__(self) -> str:
        """For people, in a sentence: "0 or 16 to 65536", "above 0 to 1"."""
        span = f"{'above ' if self.above else ''}{_number(self.least)}"
        if math.isinf(self.most):
            span += " or more"
        elif self.most > self.least:
            span += f" to {'below ' if self.below else ''}{_number(self.most)}"
        return f"0 or {span}" if self.off and self.least > 0 else span

    @property
    def brief(self) -> str:
        """For help: "0 or 16<=x<=65536"."""
        if math.isinf(self.most):
            span = f"x{'>' if self.above else '>='}{_number(self.least)}"
        else:
            low, high = ("<" if open_ else "<=" for open_ in (self.above, self.below))
            span = f"{_number(self.least)}{low}x{high}{_number(self.most)}"
        return f"0 or {span}" if self.off and self.least > 0 else span


def _number(value: float) -> str:
    """A bound; the largest number of 64 bits is written as a power."""
    if value == (1 << 64) - 1:
        return "2^64 - 1"
    return f"{int(value)}" if value == int(value) else f"{value:g}"
