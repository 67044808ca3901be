"""Weight averaging."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check
from tinymia.errors import StudyError
from tinymia.wire.settings import Schedule
from tinymia.wire.span import Span


@dataclass(frozen=True)
class Averaging(Unproven):
    """The mean of the weights behind each epoch, from the base network on, by a falling rate.

    SWA (Izmailov et al., UAI 2018) keeps a second set of weights; a device has no room for one
    where many layers are trained. A learning rate that falls in a straight line to zero gives every
    gradient the weight that it has in the mean of the weights behind all epochs (Sandler et al.,
    CVPR 2023), a late one as little as there: behind epoch e of E, 1 - e / E. What differs is where
    gradients are taken: at the weights that answer, not ahead of them.

    Attributes:
        share: of the epochs, over which the mean is taken; behind them nothing moves.

    Raises:
        StudyError: the share is not in (0, 1], or :meth:`apply` finds a rate that falls already.
    """

    share: float = 1.0

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "share", "A mean over {:g} of the epochs")

    @property
    def title(self) -> str:
        """For people."""
        part = f" of the first {self.share:.0%} of epochs" if self.share < 1 else ""
        return f"weights averaged from the base network on{part}, by a falling rate"

    def apply(self, plan: Plan) -> Plan:
        """The plan with a rate that falls."""
        if plan.settings.schedule is not Schedule.CONSTANT:
            raise StudyError(
                "Weights are averaged by a falling learning rate, and another one is asked for.",
                "Leave out --schedule, or this defence.",
            )
        epochs = max(1, round(self.share * plan.size.epochs))
        return plan.training(schedule=Schedule.LINEAR, schedule_epochs=epochs)


KIND = Averaging.kind = Kind(
    name="swa",
    short="averaged weights",
    site=Site.WEIGHTS,
    make=Averaging,
    parameters=(
        Parameter(
            "share",
            "--swa",
            "share of the epochs over which weights are averaged",
            Span(0, 1, above=True),
        ),
    ),
    excludes=frozenset({"early-stop", "dmp", "selena", "dp-public"}),
    why="It is the mean of one training, of as many epochs as were asked for, at an even rate.",
    sweep=(0.1, 0.25, 0.5, 1.0),
)
