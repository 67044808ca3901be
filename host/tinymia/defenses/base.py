"""What a defence is."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from tinymia.wire.settings import TrainSettings


class Site(StrEnum):
    """Where a defence acts."""

    DATA = "data"
    LOSS = "loss"
    GRADIENT = "gradient"
    WEIGHTS = "weights"
    OUTPUT = "output"


class Defense(Protocol):
    """A switch of the device's training step, with its parameter."""

    @property
    def name(self) -> str:
        """Short name, as in a condition ("clip")."""
        ...

    @property
    def title(self) -> str:
        """For people, with the parameter."""
        ...

    @property
    def site(self) -> Site:
        """Where it acts."""
        ...

    def apply(self, settings: TrainSettings) -> TrainSettings:
        """The settings with this defence switched on."""
        ...
