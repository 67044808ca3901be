"""Ensembles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting


@dataclass(frozen=True)
class Ensemble(Unproven):
    """Several heads, each trained on its own part of the members (Salem et al., NDSS 2019).

    There model stacking: parts are disjoint, so that no model has seen all, and a further one
    combines their answers. Here their logits are averaged, which is no more to compute than one
    answer: the mean of linear heads is a head. Heads take turns within each epoch.

    Attributes:
        heads: how many.

    Raises:
        StudyError: the number is not in 2 to 32.
    """

    heads: int = 4

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "heads", "A number of heads")

    @property
    def title(self) -> str:
        """For people."""
        return f"an ensemble of {self.heads} heads"

    def apply(self, plan: Plan) -> Plan:
        """The plan with several heads."""
        return plan.training(heads=self.heads, left_out=self.heads - 1)


KIND = Ensemble.kind = Kind(
    name="ensemble",
    short="ensemble",
    site=Site.DATA,
    make=Ensemble,
    parameters=(
        Parameter(
            "heads", "--heads", "heads on disjoint parts of the members", of_setting("heads")
        ),
    ),
    strength="heads",
    sweep=(2, 4, 8, 16),
    excludes=frozenset({"early-stop", "dp", "dp-public", "prune", "round-weights", "selena"}),
    why="Each head sees a part of the members only.",
    limits="For the head alone, without momentum or Adam. RAM grows with the number of heads.",
)
