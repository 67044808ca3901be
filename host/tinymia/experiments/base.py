"""Figures, verdicts and conditions: what the findings of all experiments are made of."""

from __future__ import annotations

from dataclasses import dataclass

from tinymia.compat import StrEnum
from tinymia.evidence import OutputPolicy


@dataclass(frozen=True)
class Figure:
    """A figure with its interval.

    Attributes:
        value: None where it is not measured; ``reason`` says why.
        low, high: 95 % interval over people and repetitions; None with fewer than two people.
        boot_low, boot_high: the percentile interval of the bootstrap, for comparison.
        reason: why there is no value.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    boot_low: float | None = None
    boot_high: float | None = None
    reason: str = ""

    def excludes(self, point: float) -> bool:
        """Whether the interval exists and does not hold the point."""
        return self.low is not None and self.high is not None and not self.low <= point <= self.high


class Verdict(StrEnum):
    """What a paired difference says; a direction only if its interval excludes zero."""

    RAISES = "raises"
    LOWERS = "lowers"
    NOT_DISTINGUISHABLE = "not distinguishable"
    NOT_MEASURED = "not measured"


class Measure(StrEnum):
    """What is compared."""

    AUC = "auc"
    TPR_1 = "tpr at 1 % FPR"
    HELD_OUT = "held-out accuracy"


COLOURS = 9
"""How many colour classes ``style.css`` has for conditions: s-c0, s-c1, ..."""
DASHES = 4
"""Dash patterns of lines there: none, d1, d2, d3."""
SHAPES = (
    *("square", "triangle", "diamond", "plus", "fall", "star"),
    *("open-circle", "open-square", "open-triangle", "open-diamond", "open-fall"),
)
"""Markers of conditions; the full circle is plain fine-tuning's."""
PLAIN = ("s-plain", "circle")


def look(number: int) -> tuple[str, str]:
    """Colour class and marker of the condition of that number beside plain fine-tuning.

    Colours and markers go round side by side, so the first 99 are all different, and the first 11
    by their markers alone, in grey and to whoever does not see colours. Lines, which have no
    markers, are dashed in each further round of colours.
    """
    dash = number // COLOURS % DASHES
    colour = f"s-c{number % COLOURS}" + (f" d{dash}" if dash else "")
    return colour, SHAPES[number % len(SHAPES)]


@dataclass(frozen=True)
class Condition:
    """A run as findings and pages name it.

    Attributes:
        name: unique in the study, short: "clip@50".
        key: digest of every parameter.
        title: for people: "clipping".
        detail: the same with every number: "per-example clipping at 1".
        epochs: of fine-tuning; 0 for the base model.
        defences: kinds that are on: ("clip", "smooth").
        depth: what is trained: "head".
        depth_title: the same for people: "the last layer".
        main_depth: whether it is what the study trains, not one of its further depths.
        reference: name of the condition that it is compared with; "" for none.
        style, shape: its look in charts: a colour class and a marker.
        shadows: shadow devices that attacks had for each person; 0 for none.
        promise: what its defences prove beside an account, "ε = 42 an answer"; "" for nothing.
    """

    name: str
    key: str
    title: str
    detail: str
    epochs: int
    defences: tuple[str, ...]
    depth: str
    depth_title: str
    main_depth: bool
    reference: str
    style: str
    shape: str
    shadows: int = 0
    promise: str = ""

    @property
    def is_base(self) -> bool:
        """Whether this is the model before fine-tuning."""
        return self.epochs == 0

    @property
    def is_plain(self) -> bool:
        """Whether this is fine-tuning without a defence of what the study trains."""
        return not self.defences and self.main_depth and not self.is_base


@dataclass(frozen=True)
class Comparison:
    """A paired difference between two conditions.

    Attributes:
        condition, reference: names.
        measure: of what.
        attack: name of the attack; "" for accuracies.
        answer: policy under which the devices answered.
        difference: with its own 95 % interval.
        verdict: by that interval alone.
        p_value: two-sided; None where there is no interval.
        p_adjusted: corrected for how many were compared (Holm), in ``family``.
        simultaneous: the interval that holds for all of the family at once.
        verdict_adjusted: by ``p_adjusted`` at 5 %.
        family: how many were compared together.
        smallest_effect: the least difference that this study would have seen in 80 % of cases.
    """

    condition: str
    reference: str
    measure: Measure
    attack: str
    answer: OutputPolicy
    difference: Figure
    verdict: Verdict
    p_value: float | None = None
    p_adjusted: float | None = None
    simultaneous: Figure | None = None
    verdict_adjusted: Verdict = Verdict.NOT_MEASURED
    family: int = 1
    smallest_effect: float | None = None
