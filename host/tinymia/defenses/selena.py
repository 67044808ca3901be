"""SELENA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting
from tinymia.defenses.distillation import UNTAUGHT, teacher_epochs
from tinymia.errors import StudyError
from tinymia.wire.span import Span


@dataclass(frozen=True)
class Selena(Unproven):
    """A student of sub-models, each member taught by those that have not seen it.

    SELENA (Tang et al., USENIX Security 2022). Split-AI: several heads are trained, and each member
    is left out of some of them. Self-distillation: the student starts from the base model and
    learns each member with the mean answer of the heads that left it out. The paper's 25 sub-models
    leave a member out of 10. Here members are dealt out at random to as many parts as there are
    heads, and a head lacks as many parts as it shall.

    Attributes:
        submodels: heads that are trained side by side.
        unseen: how many of them each member is left out of.
        share: of the epochs, the heads'; the student takes the rest.

    Raises:
        StudyError: a number is out of range.
    """

    submodels: int = 5
    unseen: int = 2
    share: float = 0.5

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "submodels", "A number of sub-models")
        if not 1 <= self.unseen < self.submodels:
            raise StudyError(
                f"Members cannot be left out of {self.unseen} of {self.submodels} sub-models.",
                f"Give 1 to {self.submodels - 1}.",
            )
        check(self, "share", "A share for sub-models", "The student takes the rest.")

    @property
    def title(self) -> str:
        """For people."""
        return f"SELENA, {self.submodels} sub-models, each member unseen by {self.unseen}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with sub-models and their student."""
        return plan.training(
            heads=self.submodels,
            left_out=self.unseen,
            teacher_epochs=teacher_epochs(self.share, plan.size.epochs),
            teacher_temperature=1.0,
        )


KIND = Selena.kind = Kind(
    name="selena",
    short="SELENA",
    site=Site.DATA,
    make=Selena,
    parameters=(
        Parameter("submodels", "--submodels", "heads that teach a student", of_setting("heads")),
        Parameter(
            "unseen",
            "--unseen",
            "of these, how many have not seen a member",
            of_setting("left_out"),
        ),
        Parameter(
            "share",
            "--submodel-share",
            "of the epochs, the sub-models'",
            Span(0, 1, above=True, below=True),
        ),
    ),
    strength="unseen",
    sweep=(1, 2, 3),
    excludes=UNTAUGHT | {"ensemble", "dmp"},
    why="The student learns what sub-models answer, as it is.",
    limits="For the head alone, without momentum or Adam. Each epoch trains all sub-models.",
)
