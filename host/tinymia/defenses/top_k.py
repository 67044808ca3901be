"""Answers that show some classes only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check
from tinymia.errors import StudyError
from tinymia.wire.protocol import Policy
from tinymia.wire.span import Span


@dataclass(frozen=True)
class TopK(Unproven):
    """Shows the most probable classes only (Shokri et al., IEEE S&P 2017, section VIII).

    Attributes:
        count: of classes.

    Raises:
        StudyError: the count is not in 1 to 256; :meth:`apply`: the model has fewer.
    """

    count: int = 3

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "count", "Showing the {} top classes")

    @property
    def title(self) -> str:
        """For people."""
        return f"the {self.count:g} top classes"

    def apply(self, plan: Plan) -> Plan:
        """The plan with the top classes only."""
        if 0 < plan.size.classes < self.count:
            raise StudyError(
                f"The {self.count:g} top classes of {plan.size.classes} cannot be shown.",
                f"Give --top-k 1 to {plan.size.classes}.",
            )
        return plan.telling(Policy.TOPK, int(self.count))


KIND = TopK.kind = Kind(
    name="top-k",
    short="top classes",
    site=Site.OUTPUT,
    make=TopK,
    parameters=(
        Parameter("count", "--top-k", "how many classes an answer shows", Span(1, 256, whole=True)),
    ),
    excludes=frozenset({"round", "top-1", "label"}),
    why="An answer has one form.",
    sweep=(5, 3, 2),
)
