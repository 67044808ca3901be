"""Confidence penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting


@dataclass(frozen=True)
class ConfidencePenalty(Unproven):
    """Rewards answers of high entropy in training (Pereyra et al., ICLR workshop 2017).

    The loss is the cross-entropy less ``strength`` times the entropy of the example's
    probabilities. As a defence: Chen, Yu and Fritz, ICLR 2022, section 5.

    Attributes:
        strength: what the entropy is multiplied by.

    Raises:
        StudyError: the strength is not in (0, 10].
    """

    strength: float = 0.3

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "strength", "A confidence penalty")

    @property
    def title(self) -> str:
        """For people."""
        return f"confidence penalty of {self.strength:g}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with the penalty on."""
        return plan.training(confidence_penalty=self.strength)


KIND = ConfidencePenalty.kind = Kind(
    name="penalty",
    short="confidence penalty",
    site=Site.LOSS,
    make=ConfidencePenalty,
    parameters=(
        Parameter(
            "strength",
            "--confidence-penalty",
            "what the answers' entropy is multiplied by",
            of_setting("confidence_penalty"),
        ),
    ),
    sweep=(0.1, 0.3, 1.0, 3.0),
)
