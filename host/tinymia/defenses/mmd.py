"""MMD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tinymia.defenses.base import Kind, Parameter, Plan, Seen, Site, Unproven, check, of_setting


@dataclass(frozen=True)
class Mmd(Unproven):
    """Members are answered as public windows of their class are (Li, Li and Ribeiro, CODASPY 2021).

    A mini-batch's loss has, class by class, the squared distance between the mean probabilities of
    its examples and those of references, public windows in the bundle. The kernel is linear where
    theirs is Gaussian, and the references' means are taken at the start of each epoch. Theirs goes
    with mixup: ``mmd+mixup``, where a mixed example is of the class of its larger share.

    Attributes:
        strength: what the distance is multiplied by.
        references: windows that members are held beside.

    Raises:
        StudyError: a number is out of range.
    """

    strength: float = 3.0
    references: int = 160

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "strength", "A weight of MMD")
        check(self, "references", "A number of references")

    @property
    def title(self) -> str:
        """For people."""
        return f"MMD of {self.strength:g} to {self.references} references"

    def apply(self, plan: Plan) -> Plan:
        """The plan with members held beside references."""
        return plan.training(mmd=self.strength, references=self.references)


def pulls(seen: Seen) -> tuple[NDArray[np.float64], ...]:
    """Towards the references of the class, away from the class's own mean, and from itself."""
    classes = seen.answers.shape[1]

    def means(answers: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        some = np.eye(classes)[labels]
        return np.asarray(some.T @ answers / np.maximum(some.sum(axis=0), 1)[:, None])

    wanted = means(seen.references, seen.reference_labels)[seen.labels]
    own = means(seen.answers, seen.labels)[seen.labels]
    return tuple(seen.through(slopes) for slopes in (wanted - own, wanted, seen.answers))


KIND = Mmd.kind = Kind(
    name="mmd",
    short="MMD",
    site=Site.LOSS,
    make=Mmd,
    parameters=(
        Parameter(
            "strength",
            "--mmd",
            "what the distance to references is multiplied by",
            of_setting("mmd"),
        ),
        Parameter(
            "references",
            "--mmd-references",
            "public windows that members are held beside",
            of_setting("references"),
        ),
    ),
    sweep=(1.0, 3.0, 10.0, 30.0),
    excludes=frozenset({"dp", "dp-public", "dmp", "selena", "ensemble", "stacking"}),
    why="It holds the members of one head's mini-batches beside references.",
    limits="For the head alone. It makes classes alike on average, not each member.",
    pulls=pulls,
)
