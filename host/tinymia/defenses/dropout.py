"""Dropout."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinymia.defenses.base import Site
from tinymia.errors import StudyError
from tinymia.wire.settings import TrainSettings


@dataclass(frozen=True)
class Dropout:
    """Leaves out part of the last layer's inputs in training (Srivastava et al., JMLR 2014).

    As a defence: Salem et al., NDSS 2019, section VI.

    Attributes:
        rate: share of the inputs that is dropped; the others are scaled up.

    Raises:
        StudyError: the share is not in (0, 0.95].
    """

    rate: float = 0.5
    name: str = "dropout"
    site: Site = Site.WEIGHTS

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 0.95:
            raise StudyError(
                f"A dropout of {self.rate} is not possible.",
                "Give a number above 0 and up to 0.95, such as 0.5.",
            )

    @property
    def title(self) -> str:
        """For people."""
        return f"dropout of {self.rate:g}"

    def apply(self, settings: TrainSettings) -> TrainSettings:
        """The settings with dropout on."""
        return replace(settings, dropout=self.rate)
