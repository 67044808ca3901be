"""Pruning by magnitude."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import (
    Kind,
    Parameter,
    Plan,
    Site,
    Unproven,
    check,
    compressing,
    of_setting,
)
from tinymia.wire.span import Span


@dataclass(frozen=True)
class Pruning(Unproven):
    """Sets the smallest weights of each trained layer to 0 (Han et al., NeurIPS 2015).

    As a defence: Wang et al., IJCAI 2021 (pruned networks leak less); against it: Yuan and Zhang,
    USENIX Security 2022 (they leak more).

    Attributes:
        share: of the weights.
        retrain: epochs in which the others are trained on behind that.

    Raises:
        StudyError: a number is out of range.
    """

    share: float = 0.5
    retrain: int = 0

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "share", "Pruning")

    @property
    def title(self) -> str:
        """For people."""
        behind = f", {self.retrain} epochs trained on" if self.retrain else ""
        return f"{self.share:.0%} of the weights pruned{behind}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with pruning on; raises StudyError where there is no such training."""
        return compressing(plan, "Pruning", self.retrain).training(prune=self.share)


KIND = Pruning.kind = Kind(
    name="prune",
    short="pruning",
    site=Site.WEIGHTS,
    make=Pruning,
    parameters=(
        Parameter(
            "share",
            "--prune",
            "share of each layer's weights that is set to 0",
            of_setting("prune"),
        ),
        Parameter(
            "retrain", "--prune-retrain", "epochs trained behind that", Span(0, 65534, whole=True)
        ),
    ),
    excludes=frozenset({"early-stop"}),
    why="Weights are pruned at a fixed epoch, which early stopping does not know beforehand.",
    sweep=(0.3, 0.5, 0.7, 0.9),
)
