"""Per-example gradient clipping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting


@dataclass(frozen=True)
class Clipping(Unproven):
    """Bounds the Euclidean norm of each example's gradient (Abadi et al., CCS 2016, section 3.1).

    Without noise this gives no differential privacy, but it bounds what one example can do.

    Attributes:
        norm: the bound, over weights and bias together.

    Raises:
        StudyError: the bound is not a positive number.
    """

    norm: float = 1.0

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "norm", "A clip norm")

    @property
    def title(self) -> str:
        """For people."""
        return f"per-example clipping at {self.norm:g}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with clipping on."""
        return plan.training(clip_norm=self.norm)


KIND = Clipping.kind = Kind(
    name="clip",
    short="clipping",
    site=Site.GRADIENT,
    make=Clipping,
    parameters=(Parameter("norm", "--clip", "clip norm", of_setting("clip_norm")),),
    sweep=(4.0, 2.0, 1.0, 0.5, 0.25, 0.1),
)
