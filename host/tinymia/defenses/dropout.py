"""Dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting


@dataclass(frozen=True)
class Dropout(Unproven):
    """Leaves out part of the last layer's inputs in training (Srivastava et al., JMLR 2014).

    As a defence: Salem et al., NDSS 2019, section VI.

    Attributes:
        rate: share of the inputs that is dropped; the others are scaled up.

    Raises:
        StudyError: the share is not in (0, 0.95].
    """

    rate: float = 0.5

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "rate", "A dropout")

    @property
    def title(self) -> str:
        """For people."""
        return f"dropout of {self.rate:g}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with dropout on."""
        return plan.training(dropout=self.rate)


KIND = Dropout.kind = Kind(
    name="dropout",
    short="dropout",
    site=Site.WEIGHTS,
    make=Dropout,
    parameters=(
        Parameter(
            "rate",
            "--dropout",
            "share of the last layer's inputs that is dropped",
            of_setting("dropout"),
        ),
    ),
    sweep=(0.25, 0.5, 0.75, 0.9),
)
