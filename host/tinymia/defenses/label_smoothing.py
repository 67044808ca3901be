"""Label smoothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinymia.defenses.base import Site
from tinymia.errors import StudyError
from tinymia.wire.settings import TrainSettings


@dataclass(frozen=True)
class LabelSmoothing:
    """Spreads part of the target evenly over all classes (Szegedy et al., CVPR 2016, section 7).

    It can raise leakage as well as lower it (Kaya and Dumitras 2021; Hintersdorf et al. 2024).

    Attributes:
        mass: what is spread, in (0, 1).

    Raises:
        StudyError: the mass is out of range.
    """

    mass: float = 0.1
    name: str = "smooth"
    site: Site = Site.LOSS

    def __post_init__(self) -> None:
        if not 0 < self.mass < 1:
            raise StudyError(
                f"A label smoothing of {self.mass} is not possible.",
                "Give a number between 0 and 1, such as 0.1.",
            )

    @property
    def title(self) -> str:
        """For people."""
        return f"label smoothing of {self.mass:g}"

    def apply(self, settings: TrainSettings) -> TrainSettings:
        """The settings with label smoothing on."""
        return replace(settings, label_smoothing=self.mass)
