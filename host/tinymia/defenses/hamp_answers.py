"""HAMP's part that acts on answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Plan, Site, Unproven


@dataclass(frozen=True)
class HampAnswers(Unproven):
    """Gives a random window's probabilities in the order of the own classes.

    Chen and Pattabiraman, NDSS 2024, section III.D. The device answers about one of 64 public
    random windows, which one being keyed by the question, sorts what it said of it and hands it out
    in the order of the classes in the true answer. That order is all that an answer tells of its
    question.
    """

    kind: ClassVar[Kind]

    @property
    def title(self) -> str:
        """For people."""
        return "HAMP's answers"

    def apply(self, plan: Plan) -> Plan:
        """The plan with swapped answers."""
        return plan.guarding(swap=1)


KIND = HampAnswers.kind = Kind(
    name="hamp-answers",
    short="HAMP's answers",
    site=Site.OUTPUT,
    make=HampAnswers,
    parameters=(),
    excludes=frozenset({"memguard"}),
    why="Either of the two makes up an answer's probabilities.",
    limits="Labels stay, and with them what they tell.",
)
