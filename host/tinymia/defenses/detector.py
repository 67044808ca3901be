"""A detector of odd questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting
from tinymia.wire.span import Span


@dataclass(frozen=True)
class Detector(Unproven):
    """Tells labels alone, or nothing, once questions are none that ordinary use asks.

    PRADA (Juuti et al., EuroS&P 2019) rings when distances between questions are not normally
    distributed, which who pads his questions evades, and keeps all that was asked. Here a few
    kilobytes are enough (``answer/detector.h``), for two signs: changed copies of earlier
    questions, found in cells of secret grids (cf. Blacklight, Li et al., USENIX Security 2022), and
    questions that lie as far from the nearest of those that are kept as from the others, as points
    do that no signal gave. Evidence is what exceeds ordinary use, added up (CUSUM, Page 1954). What
    was trained does not enter, so an alarm tells nothing of members; the same question again does
    not count.

    Defaults are of har-watch, by the six people whom its audit does not name: the level is half as
    much again as the greatest evidence of their windows. Distances are in codes of what the head
    reads, which conversion to int8 scales alike.

    Attributes:
        level: questions' worth of evidence at which it rings.
        near: distance of changed copies, in codes (root of the mean square over features).
        spread: squared distance to the nearest kept question, by the mean one, that is ordinary.
        refuse: 1: nothing is answered from then on, 0: labels are.

    Raises:
        StudyError: a number is out of range.
    """

    level: int = 6
    near: float = 0.5
    spread: float = 0.25
    refuse: int = 0

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "level", "An alarm level")
        check(self, "near", "A distance of copies")
        check(self, "spread", "A spread of questions")
        check(self, "refuse", "A refusal")

    @property
    def title(self) -> str:
        """For people."""
        return f"detector of odd questions, level {self.level:g}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with a detector."""
        return plan.guarding(
            watch=int(self.level),
            watch_near=self.near,
            watch_spread=self.spread,
            watch_refuse=int(self.refuse),
        )


KIND = Detector.kind = Kind(
    name="detector",
    short="detector",
    site=Site.OUTPUT,
    make=Detector,
    parameters=(
        Parameter(
            "level",
            "--detector",
            "odd questions' worth of evidence that raises an alarm",
            of_setting("watch"),
        ),
        Parameter(
            "near",
            "--detector-near",
            "distance, in codes, of a changed copy of a question",
            of_setting("watch_near"),
        ),
        Parameter(
            "spread",
            "--detector-spread",
            "nearest by mean squared distance, ordinarily",
            of_setting("watch_spread"),
        ),
        Parameter(
            "refuse",
            "--detector-refuse",
            "1: an alarm ends answers; 0: labels are left",
            Span(0, 1, whole=True),
        ),
    ),
    limits="Who asks about windows as people have them is not told from them, and every training"
    " begins its count anew, for whoever may let the device train. Where it rings in an"
    " audit, attacks on single answers take a label behind the alarm for the mean of the device's"
    " whole answers that name it.",
    sweep=(6, 8, 12),
)
