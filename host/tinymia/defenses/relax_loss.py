"""RelaxLoss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting


@dataclass(frozen=True)
class RelaxLoss(Unproven):
    """Keeps the training loss about a level above zero (Chen, Yu and Fritz, ICLR 2022).

    Algorithm 1: while a mini-batch's mean cross-entropy is at least ``alpha``, gradient descent as
    usual. Below, gradient ascent in every other epoch (0, 2, ..., as the authors' code counts
    them), and posterior flattening in the others: the target is the present probability for the
    example's class and what is left evenly for the rest, a constant. (The authors' code also
    bounds that probability, and for images mixes ascent into flattening; the algorithm does
    neither.)

    A mini-batch is one of the device's steps. Its mean loss must be known before the first of its
    examples is learnt from, so each example is answered twice. Clipping bounds each example's
    gradient, whichever way the mini-batch goes.

    Attributes:
        alpha: the level, in nats.

    Raises:
        StudyError: alpha is not in (0, 10].
    """

    alpha: float = 0.3

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "alpha", "An alpha of RelaxLoss")

    @property
    def title(self) -> str:
        """For people."""
        return f"RelaxLoss with alpha {self.alpha:g}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with RelaxLoss on."""
        return plan.training(relax_loss=self.alpha)


KIND = RelaxLoss.kind = Kind(
    name="relax",
    short="RelaxLoss",
    site=Site.LOSS,
    make=RelaxLoss,
    parameters=(
        Parameter("alpha", "--relax", "level of the loss, in nats", of_setting("relax_loss")),
    ),
    excludes=frozenset({"smooth", "penalty", "hamp", "focal", "mixup", "dp", "dp-public"}),
    why="It has targets of its own, made of an example's one class; and whether a mini-batch is"
    " ascended depends on all of its examples, which no account of DP allows.",
    sweep=(0.1, 0.3, 0.6, 1.0, 1.5),
)
