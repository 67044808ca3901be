"""Rounded answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check
from tinymia.wire.protocol import Policy
from tinymia.wire.span import Span


@dataclass(frozen=True)
class Rounding(Unproven):
    """Rounds every probability of an answer (Shokri et al., IEEE S&P 2017, section VIII).

    Attributes:
        steps: of a probability; 10 rounds to 1/10.

    Raises:
        StudyError: the steps are not in 1 to 65535.
    """

    steps: int = 10

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "steps", "Rounding to {} steps")

    @property
    def title(self) -> str:
        """For people."""
        return f"rounding to 1/{self.steps:g}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with rounded answers."""
        return plan.telling(Policy.ROUNDED, int(self.steps))


KIND = Rounding.kind = Kind(
    name="round",
    short="rounding",
    site=Site.OUTPUT,
    make=Rounding,
    parameters=(
        Parameter(
            "steps", "--round", "steps of an answer's probability", Span(1, 65535, whole=True)
        ),
    ),
    excludes=frozenset({"top-k", "top-1", "label"}),
    why="An answer has one form.",
    sweep=(100, 20, 10, 5, 2),
)
