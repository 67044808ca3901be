"""Answers that show one class and its probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Plan, Site, Unproven
from tinymia.wire.protocol import Policy


@dataclass(frozen=True)
class Top1(Unproven):
    """Shows the most probable class and its probability (Shokri et al., IEEE S&P 2017)."""

    kind: ClassVar[Kind]

    @property
    def title(self) -> str:
        """For people."""
        return "the top class and its probability"

    def apply(self, plan: Plan) -> Plan:
        """The plan with the top class only."""
        return plan.telling(Policy.TOP1)


KIND = Top1.kind = Kind(
    name="top-1",
    short="top class",
    site=Site.OUTPUT,
    make=Top1,
    parameters=(),
    excludes=frozenset({"round", "top-k", "label"}),
    why="An answer has one form.",
)
