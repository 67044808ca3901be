"""Mixup."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting


@dataclass(frozen=True)
class Mixup(Unproven):
    """Trains on blends of two members and of their labels (Zhang et al., ICLR 2018).

    As a defence: Li, Li and Ribeiro, CODASPY 2021. The members are blended where the trained
    layers begin, which for the head is the embedding (manifold mixup, Verma et al., ICML 2019).

    Attributes:
        alpha: of the weight's distribution Beta(alpha, alpha); a larger one blends more evenly.

    Raises:
        StudyError: alpha is not in (0, 8].
    """

    alpha: float = 0.4

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "alpha", "A mixup alpha")

    @property
    def title(self) -> str:
        """For people."""
        return f"mixup with alpha {self.alpha:g}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with mixup on."""
        return plan.training(mixup=self.alpha)


KIND = Mixup.kind = Kind(
    name="mixup",
    short="mixup",
    site=Site.DATA,
    make=Mixup,
    parameters=(Parameter("alpha", "--mixup", "alpha of Beta(alpha, alpha)", of_setting("mixup")),),
    sweep=(0.1, 0.4, 1.0, 4.0),
)
