"""The terms on which devices give updates, and what a server makes of whole numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import DataError, StudyError
from tinymia.twin.core import core

_TERMS = {
    1: "The clip norm must be 1e-6 to 1e6.",
    2: "Give 16 to 2,097,152 units.",
    3: "The noise must be 0, or 0.001 to 64 clip norms, and units times noise below 4,194,304.",
}


@dataclass(frozen=True)
class UpdateTerms:
    """How a device's update is cut to what leaves the device.

    Attributes:
        clip_norm: bound of the norm of the difference of weights.
        units: whole numbers to the clip norm.
        noise: standard deviation of a device's own noise, in clip norms; 0: none.
        width: bytes of each number on the line, 1 to 4.
        masked: the server sees sums alone.

    Raises:
        StudyError: a term is out of range.
    """

    clip_norm: float = 1.0
    units: int = 16384
    noise: float = 0.0
    width: int = 4
    masked: bool = False

    def __post_init__(self) -> None:
        wrong = 2
        if 0 <= self.units < 2**32 and math.isfinite(self.noise):
            with np.errstate(over="ignore"):
                clip = float(np.float32(self.clip_norm))
            wrong = core().check_update(clip, self.units, self.noise)
        if wrong:
            raise StudyError("These terms of an update cannot be.", _TERMS[wrong])
        if self.width not in (1, 2, 3, 4):
            raise StudyError(f"A number of {self.width} bytes cannot be.", "Give 1 to 4.")

    @property
    def unit(self) -> float:
        """What one unit is, in weights."""
        return self.clip_norm / self.units

    def sigma(self, count: int) -> int:
        """Standard deviation of a device's noise in units, for an update of ``count`` numbers."""
        return int(core().update_sigma(self.clip_norm, self.units, self.noise, count))

    def sensitivity(self, count: int) -> float:
        """Bound of an update's norm in units, its rounding included."""
        return self.units + 0.5 * math.sqrt(count) + 1

    def check_sum(self, devices: int, count: int) -> None:
        """Raise StudyError unless sums of so many updates, or one's numbers, fit into the width.

        Clipping bounds each number by the clip norm; noise is below 12 of its deviations.
        """
        largest = devices * (self.units + 1) + 12 * math.sqrt(devices) * self.sigma(count)
        if largest >= 2 ** (8 * self.width - 1):
            what = "A number of an update" if devices == 1 else f"The sum of {devices} updates"
            raise StudyError(
                f"{what} can reach {largest:,.0f}, too much for {self.width} bytes a number.",
                "Give fewer --units or a larger --width.",
            )

    def check_received(self, update: NDArray[np.int32], count: int) -> None:
        """Raise DataError where a single update, without noise or masks, breaks the terms.

        Args:
            update: (P,) int32, as it came.
            count: numbers that it must have.
        """
        if update.shape != (count,):
            raise DataError(f"An update of {update.shape} numbers came instead of {count}.")
        if self.noise or self.masked:
            return
        norm = float(np.linalg.norm(update.astype(np.float64)))
        if norm > self.sensitivity(count):
            raise DataError(
                f"An update of norm {norm * self.unit:.3g} came, {self.clip_norm:g} is allowed: it"
                " is left out.",
                "The device does not keep to the terms; look at its firmware.",
            )

    def weights(self, update: NDArray[np.int32] | NDArray[np.int64]) -> NDArray[np.float64]:
        """Whole numbers as differences of weights: float64 of the same shape."""
        return np.asarray(update, np.float64) * self.unit


def wrapped(values: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Values modulo 2^(8 width), as two's complement reads them."""
    half = np.int64(1) << np.int64(8 * width - 1)
    return ((values + half) & (2 * half - 1)) - half


def total(updates: Sequence[NDArray[np.int32]], width: int) -> NDArray[np.int64]:
    """The sum of updates (P,) modulo 2^(8 width)."""
    return wrapped(np.sum(np.asarray(updates, np.int64), axis=0), width)
