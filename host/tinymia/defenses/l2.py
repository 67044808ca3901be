"""L2 regularisation."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinymia.defenses.base import Site
from tinymia.errors import StudyError
from tinymia.wire.settings import TrainSettings


@dataclass(frozen=True)
class L2:
    """Pulls every weight towards 0 in each step (Krogh and Hertz, NeurIPS 1991).

    As a defence: Shokri et al., IEEE S&P 2017, section VIII.

    Attributes:
        strength: what is multiplied by a weight and added to its gradient; biases are left alone.

    Raises:
        StudyError: the strength is not in (0, 1].
    """

    strength: float = 0.01
    name: str = "l2"
    site: Site = Site.WEIGHTS

    def __post_init__(self) -> None:
        if not 0 < self.strength <= 1:
            raise StudyError(
                f"An L2 strength of {self.strength} is not possible.",
                "Give a number above 0 and up to 1, such as 0.01.",
            )

    @property
    def title(self) -> str:
        """For people."""
        return f"L2 of {self.strength:g}"

    def apply(self, settings: TrainSettings) -> TrainSettings:
        """The settings with L2 on."""
        return replace(settings, l2=self.strength)
