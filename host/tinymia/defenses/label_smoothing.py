"""Label smoothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting


@dataclass(frozen=True)
class LabelSmoothing(Unproven):
    """Spreads part of the target evenly over all classes (Szegedy et al., CVPR 2016, section 7).

    It can raise leakage as well as lower it (Kaya and Dumitras 2021; Hintersdorf et al. 2024).

    Attributes:
        mass: what is spread, in (0, 1).

    Raises:
        StudyError: the mass is out of range.
    """

    mass: float = 0.1

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "mass", "A label smoothing")

    @property
    def title(self) -> str:
        """For people."""
        return f"label smoothing of {self.mass:g}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with label smoothing on."""
        return plan.training(label_smoothing=self.mass)


KIND = LabelSmoothing.kind = Kind(
    name="smooth",
    short="label smoothing",
    site=Site.LOSS,
    make=LabelSmoothing,
    parameters=(
        Parameter(
            "mass",
            "--smooth",
            "mass that is spread over all classes",
            of_setting("label_smoothing"),
        ),
    ),
    sweep=(0.05, 0.1, 0.2, 0.4, 0.6),
)
