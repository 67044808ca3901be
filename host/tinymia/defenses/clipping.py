"""Per-example gradient clipping."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinymia.defenses.base import Site
from tinymia.errors import StudyError
from tinymia.wire.settings import TrainSettings


@dataclass(frozen=True)
class Clipping:
    """Bounds the Euclidean norm of each example's gradient (Abadi et al., CCS 2016, section 3.1).

    Without noise this gives no differential privacy, but it bounds what one example can do.

    Attributes:
        norm: the bound, over weights and bias together.

    Raises:
        StudyError: the bound is not a positive number.
    """

    norm: float = 1.0
    name: str = "clip"
    site: Site = Site.GRADIENT

    def __post_init__(self) -> None:
        if not 0 < self.norm <= 1e6:
            raise StudyError(f"A clip norm of {self.norm} is not possible.", "Give a number > 0.")

    @property
    def title(self) -> str:
        """For people."""
        return f"per-example clipping at {self.norm:g}"

    def apply(self, settings: TrainSettings) -> TrainSettings:
        """The settings with clipping on."""
        return replace(settings, clip_norm=self.norm)
