"""Distillation for membership privacy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting
from tinymia.errors import StudyError
from tinymia.wire.span import Span

UNTAUGHT = frozenset(
    {"mixup", "augment", "early-stop", "dp", "dp-public", "penalty", "focal", "relax", "hamp"}
    | {"prune", "round-weights", "adversarial", "mmd"}
)
"""Kinds that a student cannot have: they change what it learns, or when training ends."""


@dataclass(frozen=True)
class Distillation(Unproven):
    """A student learns public windows as a teacher of the members answers them.

    DMP (Shejwalkar and Houmansadr, AAAI 2021). The device fine-tunes a teacher on its members,
    answers softly about references, windows of public people that lie in its bundle as embeddings,
    goes back to the base model and trains the student on those. Teacher and student share a run's
    epochs. The references here are drawn at random, not chosen by the entropy of their answers.

    Attributes:
        references: windows that the student learns from.
        temperature: what the teacher's logits are divided by.
        share: of the epochs, the teacher's.

    Raises:
        StudyError: a number is out of range.
    """

    references: int = 160
    temperature: float = 1.0
    share: float = 0.5

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "references", "A number of references")
        check(self, "temperature", "A teacher's temperature")
        check(self, "share", "A teacher's share", "The student takes the rest.")

    @property
    def title(self) -> str:
        """For people."""
        softly = f", temperature {self.temperature:g}" if self.temperature != 1 else ""
        return f"distillation by {self.references} references{softly}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with a student behind the teacher."""
        return plan.training(
            teacher_epochs=teacher_epochs(self.share, plan.size.epochs),
            teacher_temperature=self.temperature,
            references=self.references,
        )


def teacher_epochs(share: float, epochs: int) -> int:
    """Epochs of a teacher, so that one at least is left for the student.

    Args:
        share: of all, the teacher's.
        epochs: of both.

    Raises:
        StudyError: there is no epoch for one of them.
    """
    if epochs < 2:
        raise StudyError(
            f"A teacher and a student need 2 epochs at least, not {epochs}.", "Give more --epochs."
        )
    return min(max(1, round(share * epochs)), epochs - 1)


KIND = Distillation.kind = Kind(
    name="dmp",
    short="distillation",
    site=Site.DATA,
    make=Distillation,
    parameters=(
        Parameter(
            "references",
            "--references",
            "public windows that a student learns from",
            of_setting("references"),
        ),
        Parameter(
            "temperature",
            "--teacher-temperature",
            "of a teacher's answers",
            of_setting("teacher_temperature"),
        ),
        Parameter(
            "share",
            "--teacher-share",
            "of the epochs, the teacher's",
            Span(0, 1, above=True, below=True),
        ),
    ),
    strength="temperature",
    sweep=(1.0, 2.0, 4.0),
    excludes=UNTAUGHT,
    why="A student learns from what its teacher answers, as it is.",
    limits="For the head alone. What the student learns of members passed through the teacher.",
    taught=True,
)
