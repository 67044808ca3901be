"""Adversarial regularisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tinymia.defenses.base import Kind, Parameter, Plan, Seen, Site, Unproven, check, of_setting
from tinymia.defenses.memguard import Classifier


@dataclass(frozen=True)
class Adversarial(Unproven):
    """Training pays for what a classifier of members gains (Nasr, Shokri and Houmansadr, CCS 2018).

    The loss has the term ``strength`` times log h, where h is what a classifier makes of the
    example's probabilities, largest first. It lies in the bundle; an audit trains it on undefended
    devices of public people. On the device it learns on before each step, from the step's members
    and as many references, public windows in the bundle; without a rate it stays as it is, which
    training soon outwits. There the classifier is told the class, too, and learns from many
    mini-batches between two steps.

    Attributes:
        strength: lambda.
        rate: learning rate of the classifier on the device; 0: it does not learn.
        references: windows that it learns from beside the members.

    Raises:
        StudyError: a number is out of range.
    """

    strength: float = 30.0
    rate: float = 1.0
    references: int = 160

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "strength", "Adversarial regularisation")
        check(self, "references", "A number of references")
        check(self, "rate", "An adversary's learning rate")

    @property
    def title(self) -> str:
        """For people."""
        learning = f", learning at {self.rate:g}" if self.rate else ""
        return f"adversarial regularisation, lambda {self.strength:g}{learning}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with an adversary."""
        return plan.training(
            adversary=self.strength,
            adversary_rate=self.rate,
            references=self.references if self.rate else 0,
        )


_RANKS = 4


def pulls(seen: Seen) -> tuple[NDArray[np.float64], ...]:
    """Along each of the largest probabilities, which are what the classifier reads.

    Its slopes by rank differ from device to device, as it learns; shadow devices tell their means.
    """
    order = np.argsort(-seen.answers, axis=1, kind="stable")
    ranks = np.eye(seen.answers.shape[1])[order[:, :_RANKS]]
    return tuple(seen.through(ranks[:, rank]) for rank in range(ranks.shape[1]))


KIND = Adversarial.kind = Kind(
    name="adversarial",
    short="adversarial regularisation",
    site=Site.LOSS,
    make=Adversarial,
    parameters=(
        Parameter(
            "strength",
            "--adversary",
            "lambda, times the gain of a classifier of members",
            of_setting("adversary"),
        ),
        Parameter(
            "rate",
            "--adversary-rate",
            "at which it learns on the device; 0: not",
            of_setting("adversary_rate", off=True),
        ),
        Parameter(
            "references",
            "--adversary-references",
            "public windows that it learns from",
            of_setting("references"),
        ),
    ),
    sweep=(3.0, 10.0, 30.0, 100.0),
    excludes=frozenset({"dp", "dp-public", "dmp", "selena", "ensemble", "stacking"}),
    why="It is held against one head, and DP's noise hides more than an adversary finds.",
    limits="What it makes alike is what that classifier reads. With a rate for the head alone.",
    auxiliary=Classifier(),
    pulls=pulls,
)
