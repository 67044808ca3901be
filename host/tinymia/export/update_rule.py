"""A bundle's rule for the updates that a release build gives in collaborative training."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tinymia.errors import BundleError

_RULE = struct.Struct("<ffII")


@dataclass(frozen=True)
class UpdateRule:
    """What a release build may give of what it learned; without a rule, nothing.

    Attributes:
        clip_norm: the largest norm of an update.
        noise: the least noise that the device adds, in clip norms; 0: none is asked for.
        masked: whether updates leave behind masks alone (secure aggregation).
        updates: how many, since the board was switched on.

    Raises:
        BundleError: a value is out of range.
    """

    clip_norm: float
    noise: float = 0.0
    masked: bool = False
    updates: int = 100

    def __post_init__(self) -> None:
        right = 1e-6 <= self.clip_norm <= 1e6 and 0 <= self.noise <= 64
        if not right or not 0 < self.updates < 2**32:
            raise BundleError(
                f"A rule for {self.updates} updates of norm {self.clip_norm} with noise"
                f" {self.noise} is not possible.",
                "Give a clip norm of 1e-6 to 1e6, noise of 0 to 64 and at least one update.",
            )

    def to_bytes(self) -> bytes:
        """The body of a ``SHAR`` section."""
        return _RULE.pack(self.clip_norm, self.noise, self.masked, self.updates)

    @classmethod
    def from_bytes(cls, data: bytes) -> UpdateRule:
        """Read a ``SHAR`` section's body; raises BundleError."""
        hint = "Copy the file again, or make it anew (`tinymia export --updates`)."
        if len(data) != _RULE.size:
            raise BundleError("The bundle's SHAR section has the wrong size.", hint)
        clip_norm, noise, masked, updates = _RULE.unpack(data)
        if masked > 1:
            raise BundleError("The bundle's SHAR section is damaged.", hint)
        return cls(clip_norm, noise, bool(masked), updates)
