"""A pull to the base network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting


@dataclass(frozen=True)
class BasePull(Unproven):
    """Pulls every parameter back to the base network's in each step (L2-SP, Li et al., ICML 2018).

    Biases, too: the base network is what is public, and what is near it tells little.

    Attributes:
        strength: what is multiplied by how far a parameter is away, and added to its gradient.

    Raises:
        StudyError: the strength is not in (0, 1].
    """

    strength: float = 0.1

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "strength", "A pull to the base network")

    @property
    def title(self) -> str:
        """For people."""
        return f"pull to the base network of {self.strength:g}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with the pull on."""
        return plan.training(base_pull=self.strength)


KIND = BasePull.kind = Kind(
    name="l2-sp",
    short="pull to the base network",
    site=Site.WEIGHTS,
    make=BasePull,
    parameters=(
        Parameter(
            "strength",
            "--l2-sp",
            "pull of each parameter towards the base's",
            of_setting("base_pull"),
        ),
    ),
    excludes=frozenset({"l2"}),
    why="One pulls weights to 0, the other to the base network.",
    sweep=(0.03, 0.1, 0.3, 1.0),
)
