"""Early stopping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven
from tinymia.errors import StudyError


@dataclass(frozen=True)
class EarlyStopping(Unproven):
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

    kind: ClassVar[Kind]

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

    def apply(self, plan: Plan) -> Plan:
        """The plan with early stopping on."""
        return plan.training(holdout=self.holdout, patience=self.patience)


KIND = EarlyStopping.kind = Kind(
    name="early-stop",
    short="early stopping",
    site=Site.WEIGHTS,
    make=EarlyStopping,
    parameters=(
        Parameter("holdout", "--holdout", "per cent of the members that are held out"),
        Parameter("patience", "--patience", "epochs without a better held-out loss"),
    ),
    strength="patience",
    sweep=(1, 3, 10, 20),
)
