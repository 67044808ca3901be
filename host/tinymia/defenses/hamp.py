"""HAMP's training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting
from tinymia.errors import StudyError
from tinymia.wire.span import Span


@dataclass(frozen=True)
class Hamp(Unproven):
    """High-entropy soft labels and an entropy regulariser (Chen and Pattabiraman, NDSS 2024).

    The training of HAMP, without its change of answers. A soft label has the least even share of
    all other classes with which its entropy is ``entropy`` of the greatest possible: that is label
    smoothing of a mass that follows from the number of classes. The regulariser is the confidence
    penalty. Their divergence of answers from soft labels has the gradient of the cross-entropy, so
    these two switches of the device are exactly it.

    Attributes:
        entropy: gamma, in (0, 1).
        penalty: alpha, what the answers' entropy is multiplied by.

    Raises:
        StudyError: a number is out of range, or :meth:`apply` does not know the number of classes.
    """

    entropy: float = 0.6
    penalty: float = 0.1

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "entropy", "A soft label with {} of the greatest entropy")
        check(self, "penalty", "HAMP with a penalty")

    @property
    def title(self) -> str:
        """For people."""
        return f"HAMP's training with {self.entropy:g} of the entropy and penalty {self.penalty:g}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with soft labels and penalty on."""
        mass = smoothing_for(self.entropy, plan.size.classes)
        return plan.training(label_smoothing=mass, confidence_penalty=self.penalty)


def smoothing_for(entropy: float, classes: int) -> float:
    """The label smoothing whose targets have that share of the greatest entropy.

    Args:
        entropy: in (0, 1).
        classes: 2 or more.

    Raises:
        StudyError: there are fewer classes.
    """
    if classes < 2:
        raise StudyError(
            f"HAMP's soft labels need two classes or more, not {classes}.",
            "Leave out `hamp` for this model.",
        )

    def share(mass: float) -> float:
        other = mass / classes
        own = 1 - mass + other
        return -(own * math.log(own) + (classes - 1) * other * math.log(other)) / math.log(classes)

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) < entropy else (low, middle)
    return high


KIND = Hamp.kind = Kind(
    name="hamp",
    short="HAMP's training",
    site=Site.LOSS,
    make=Hamp,
    parameters=(
        Parameter(
            "entropy",
            "--hamp-entropy",
            "entropy of soft labels, of the greatest possible",
            Span(0.01, 0.99),
        ),
        Parameter(
            "penalty",
            "--hamp-penalty",
            "what the answers' entropy is multiplied by",
            of_setting("confidence_penalty"),
        ),
    ),
    excludes=frozenset({"smooth", "penalty"}),
    why="It sets both itself.",
    sweep=(0.3, 0.5, 0.7, 0.9),
)
