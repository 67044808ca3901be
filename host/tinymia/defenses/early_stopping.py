"""Early stopping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting


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
        check(self, "holdout", "Holding out {} % of the members")
        check(self, "patience", "A patience of {} epochs")

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
        Parameter(
            "holdout",
            "--holdout",
            "per cent of the members that are held out",
            of_setting("holdout"),
        ),
        Parameter(
            "patience",
            "--patience",
            "epochs without a better held-out loss",
            of_setting("patience"),
        ),
    ),
    strength="patience",
    sweep=(1, 3, 10, 20),
)
