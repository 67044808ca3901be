"""Early stopping."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinymia.defenses.base import Site
from tinymia.errors import StudyError
from tinymia.wire.settings import TrainSettings


@dataclass(frozen=True)
class EarlyStopping:
    """Ends training when the loss on held-out members no longer falls (Prechelt 1998).

    As a defence: Song and Mittal, USENIX Security 2021, section 5. The held-out members steer when
    training ends but are not trained on; an audit counts them as members all the same.

    Attributes:
        holdout: per cent of the members that are held out.
        patience: epochs without a better loss before training ends.

    Raises:
        StudyError: a number is out of range.
    """

    holdout: int = 20
    patience: int = 3
    name: str = "early-stop"
    site: Site = Site.WEIGHTS

    def __post_init__(self) -> None:
        if not 1 <= self.holdout <= 50:
            raise StudyError(
                f"Holding out {self.holdout} % of the members is not possible.", "Give 1 to 50."
            )
        if not 1 <= self.patience <= 65535:
            raise StudyError(
                f"A patience of {self.patience} epochs is not possible.", "Give 1 to 65535."
            )

    @property
    def title(self) -> str:
        """For people."""
        return f"early stopping on {self.holdout} % held out, patience {self.patience}"

    def apply(self, settings: TrainSettings) -> TrainSettings:
        """The settings with early stopping on."""
        return replace(settings, holdout=self.holdout, patience=self.patience)
