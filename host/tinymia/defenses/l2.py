"""L2 regularisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting


@dataclass(frozen=True)
class L2(Unproven):
    """Pulls every weight towards 0 in each step (Krogh and Hertz, NeurIPS 1991).

    As a defence: Shokri et al., IEEE S&P 2017, section VIII.

    Attributes:
        strength: what is multiplied by a weight and added to its gradient; biases are left alone.

    Raises:
        StudyError: the strength is not in (0, 1].
    """

    strength: float = 0.01

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "strength", "An L2 strength")

    @property
    def title(self) -> str:
        """For people."""
        return f"L2 of {self.strength:g}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with L2 on."""
        return plan.training(l2=self.strength)


KIND = L2.kind = Kind(
    name="l2",
    short="L2",
    site=Site.WEIGHTS,
    make=L2,
    parameters=(Parameter("strength", "--l2", "pull of each weight towards 0", of_setting("l2")),),
    sweep=(0.003, 0.01, 0.03, 0.1, 0.3),
)
