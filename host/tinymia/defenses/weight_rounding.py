"""Rounding of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, compressing
from tinymia.wire.span import Span


@dataclass(frozen=True)
class WeightRounding(Unproven):
    """Rounds trained weights to few bits, as they are written back (Jacob et al., CVPR 2018).

    Symmetric, one scale a layer; biases, which have 32 bits there, stay. Whether this makes a
    device forget: Kowalski, Famili and Lao, ICIP 2022 (quantised networks leak less).

    Attributes:
        bits: of a weight, 2 to 8.
        retrain: epochs of training behind the first rounding; each is followed by another.

    Raises:
        StudyError: a number is out of range.
    """

    bits: int = 8
    retrain: int = 0

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "bits", "Rounding weights to {:g} bits")
        object.__setattr__(self, "bits", int(self.bits))

    @property
    def title(self) -> str:
        """For people."""
        behind = f", {self.retrain} epochs trained on" if self.retrain else ""
        return f"weights rounded to {self.bits} bits{behind}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with rounding on; raises StudyError where there is no such training."""
        return compressing(plan, "Rounding", self.retrain).training(weight_bits=self.bits)


KIND = WeightRounding.kind = Kind(
    name="round-weights",
    short="rounded weights",
    site=Site.WEIGHTS,
    make=WeightRounding,
    parameters=(
        Parameter(
            "bits", "--round-bits", "bits of a weight, 2 to 8", Span(2, 8, whole=True), several=True
        ),
        Parameter(
            "retrain",
            "--round-retrain",
            "epochs trained behind the first rounding",
            Span(0, 65534, whole=True),
        ),
    ),
    spread=(8, 4),
    excludes=frozenset({"early-stop"}),
    why="Weights are rounded behind the last epoch, which early stopping does not know beforehand.",
    sweep=(8, 6, 4, 3, 2),
)
