"""Who takes part in a round: devices that take a shared tail and give an update."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tinymia.federated.terms import UpdateTerms
from tinymia.wire.settings import TrainSettings


@dataclass(frozen=True, eq=False)
class Cohort:
    """All devices' examples, and whose each is.

    Attributes:
        windows: (n, ...) int8.
        labels: (n,) int64.
        members: (devices, n) bool, what each device learns from.
        names: (devices,), whose device each is.
    """

    windows: NDArray[np.int8]
    labels: NDArray[np.int64]
    members: NDArray[np.bool_]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.members)


@dataclass(frozen=True)
class LocalTraining:
    """What a device does in a round.

    Attributes:
        settings: of its training; the seed is another one for each device and round.
        epochs: over its members.
        seed: of the whole federation.
        terms: of its update.
    """

    settings: TrainSettings
    epochs: int
    seed: int
    terms: UpdateTerms

    def of(self, device: int, number: int) -> TrainSettings:
        """The settings of one device in one round."""
        return replace(self.settings, seed=round_seed(self.seed, device, number))


@dataclass(frozen=True, eq=False)
class Reply:
    """What one device gave in a round.

    Attributes:
        device: its number.
        update: (P,) int32.
        hash: of what it had trained, 16 hexadecimal digits; empty where it tells none.
        norm: of the update before it was clipped; NaN where it tells none.
        clipped: whether it was.
        ticks: that making the update took, in the board's unit; 0 on a twin.
    """

    device: int
    update: NDArray[np.int32]
    hash: str
    norm: float
    clipped: bool
    ticks: int = 0


@dataclass(frozen=True)
class Gone:
    """A device that gave nothing in a round, and why."""

    device: int
    why: str


class Devices(Protocol):
    """Takes part in rounds."""

    def round(
        self, number: int, theta: NDArray[np.float32], chosen: Sequence[int]
    ) -> list[Reply | Gone]:
        """Train the chosen devices from ``theta`` on.

        Args:
            number: of the round, from 1 on.
            theta: (P,) float32.
            chosen: numbers of devices, ascending.

        Returns:
            One a device, in the order of ``chosen``.
        """
        ...


def round_seed(seed: int, device: int, number: int) -> int:
    """Key of a device's generator in a round: 64 bits that no other device or round has."""
    text = f"tinymia federate {seed} {device} {number}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
