"""Mixup."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinymia.defenses.base import Site
from tinymia.errors import StudyError
from tinymia.wire.settings import TrainSettings


@dataclass(frozen=True)
class Mixup:
    """Trains on blends of two members and of their labels (Zhang et al., ICLR 2018).

    As a defence: Li, Li and Ribeiro, CODASPY 2021. The members are blended where the trained
    layers begin, which for the head is the embedding (manifold mixup, Verma et al., ICML 2019).

    Attributes:
        alpha: of the weight's distribution Beta(alpha, alpha); a larger one blends more evenly.

    Raises:
        StudyError: alpha is not in (0, 8].
    """

    alpha: float = 0.4
    name: str = "mixup"
    site: Site = Site.DATA

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 8:
            raise StudyError(
                f"A mixup alpha of {self.alpha} is not possible.",
                "Give a number above 0 and up to 8, such as 0.4.",
            )

    @property
    def title(self) -> str:
        """For people."""
        return f"mixup with alpha {self.alpha:g}"

    def apply(self, settings: TrainSettings) -> TrainSettings:
        """The settings with mixup on."""
        return replace(settings, mixup=self.alpha)
