"""Answers that are labels alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Plan, Site, Unproven
from tinymia.wire.protocol import Policy


@dataclass(frozen=True)
class LabelOnly(Unproven):
    """Answers with the most probable class alone.

    As a defence, and what attacks it: Choquette-Choo et al., ICML 2021.
    """

    kind: ClassVar[Kind]

    @property
    def title(self) -> str:
        """For people."""
        return "labels alone"

    def apply(self, plan: Plan) -> Plan:
        """The plan with labels alone."""
        return plan.telling(Policy.LABEL)


KIND = LabelOnly.kind = Kind(
    name="label",
    short="label only",
    site=Site.OUTPUT,
    make=LabelOnly,
    parameters=(),
    excludes=frozenset({"round", "top-k", "top-1"}),
    why="An answer has one form.",
)
