"""Stacking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting


@dataclass(frozen=True)
class Stacking(Unproven):
    """Heads on disjoint parts, combined by what a further part teaches (Salem et al., NDSS 2019).

    A softmax regression on the heads' logits starts as their mean and takes one step of gradient
    descent behind each epoch. It is linear, so that an answer costs what one head's does. There the
    models are of different kinds, and the combination reads probabilities.

    Attributes:
        heads: how many, beside what combines them.
        rate: learning rate of that.

    Raises:
        StudyError: a number is out of range.
    """

    heads: int = 4
    rate: float = 0.001

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "heads", "A number of heads")
        check(self, "rate", "A learning rate of stacking")

    @property
    def title(self) -> str:
        """For people."""
        return f"a stack of {self.heads} heads"

    def apply(self, plan: Plan) -> Plan:
        """The plan with several heads and what combines them."""
        return plan.training(heads=self.heads, left_out=self.heads - 1, stacking=self.rate)


KIND = Stacking.kind = Kind(
    name="stacking",
    short="stacking",
    site=Site.DATA,
    make=Stacking,
    parameters=(
        Parameter(
            "heads",
            "--stacked-heads",
            "heads on disjoint parts of the members",
            of_setting("heads"),
        ),
        Parameter(
            "rate", "--stacking-rate", "at which what combines them learns", of_setting("stacking")
        ),
    ),
    strength="heads",
    sweep=(2, 4, 8, 16),
    excludes=frozenset(
        {"early-stop", "dp", "dp-public", "prune", "round-weights", "selena", "dmp", "ensemble"}
    ),
    why="Each head sees a part of the members only.",
    limits="For the head alone, without momentum or Adam. RAM grows with the number of heads.",
)
