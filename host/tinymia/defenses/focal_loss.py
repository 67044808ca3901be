"""Focal loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting


@dataclass(frozen=True)
class FocalLoss(Unproven):
    """Learns less from what is already answered well (Lin et al., ICCV 2017).

    An example's loss counts (1 - p)^gamma times, p being the probability of its class.

    Attributes:
        gamma: the exponent.

    Raises:
        StudyError: gamma is not in [1, 8].
    """

    gamma: float = 2.0

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "gamma", "A gamma of focal loss")

    @property
    def title(self) -> str:
        """For people."""
        return f"focal loss with gamma {self.gamma:g}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with focal loss on."""
        return plan.training(focal_loss=self.gamma)


KIND = FocalLoss.kind = Kind(
    name="focal",
    short="focal loss",
    site=Site.LOSS,
    make=FocalLoss,
    parameters=(
        Parameter(
            "gamma", "--focal", "exponent of an example's weight, 1 to 8", of_setting("focal_loss")
        ),
    ),
    excludes=frozenset({"smooth", "penalty", "hamp", "mixup"}),
    why="It weighs an example by the probability of its one class; they give it other targets.",
    sweep=(1.0, 2.0, 4.0, 8.0),
)
