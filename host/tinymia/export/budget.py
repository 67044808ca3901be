"""A bundle's privacy budget: what training on a device may spend."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tinymia.errors import BundleError
from tinymia.export.answers import REBUILD as _REBUILD

_BUDGET = struct.Struct("<ffII")


@dataclass(frozen=True)
class Budget:
    """What training on a device may spend; epsilon is accounted on the host.

    Attributes:
        noise_multiplier: the least noise of DP-SGD that is allowed.
        max_rate: the largest sampling rate of a step, batch / expected members (both are settings).
        steps: how many steps are allowed in all.

    Raises:
        BundleError: a value is out of range.
    """

    noise_multiplier: float
    max_rate: float
    steps: int

    def __post_init__(self) -> None:
        right = 0 < self.noise_multiplier <= 64 and 0 < self.max_rate <= 1
        if not right or not 0 < self.steps < 2**32:
            raise BundleError(
                f"A privacy budget of {self.steps} steps with noise {self.noise_multiplier} and"
                f" rate {self.max_rate} is not possible.",
                "Give a noise multiplier in (0, 64], a rate in (0, 1] and at least one step.",
            )

    def to_bytes(self) -> bytes:
        """The body of a ``BUDG`` section."""
        return _BUDGET.pack(self.noise_multiplier, self.max_rate, self.steps, 0)

    @classmethod
    def from_bytes(cls, data: bytes) -> Budget:
        """Read a ``BUDG`` section's body; raises BundleError."""
        if len(data) != _BUDGET.size:
            raise BundleError("The bundle's BUDG section has the wrong size.", _REBUILD)
        *values, reserved = _BUDGET.unpack(data)
        if reserved:
            raise BundleError("The bundle's BUDG section is damaged.", _REBUILD)
        return cls(*values)
