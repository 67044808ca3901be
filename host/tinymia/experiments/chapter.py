"""What an experiment finds: one shape for all, so that another one is another file and no more."""

from __future__ import annotations

from dataclasses import dataclass, field

from tinymia.evidence import PLAIN
from tinymia.experiments.base import Figure, Verdict

VERSION = 1


@dataclass(frozen=True)
class Adversary:
    """Who attacks.

    Attributes:
        name: unique in the chapter: "queries", "flash".
        title: for people.
        grants: what they have, in a sentence.
    """

    name: str
    title: str
    grants: str


@dataclass(frozen=True)
class Measure:
    """What a row's figure is.

    Attributes:
        name: unique in the chapter: "identified"; rules of `tinymia check` name it.
        title: for people, short enough for a table's head.
        guess: what guessing gives; None where that is no number.
        unit: "", "%" (of a fraction), "queries", ...
        leaks: whether more is worse for the owner; False for what the owner wants, as accuracy.
    """

    name: str
    title: str
    guess: float | None = None
    unit: str = ""
    leaks: bool = True


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        measure: name of what it is.
        adversary: name of who attacks; "" where nobody does.
        condition: short name of the run: "base", "plain@50", "dp@50".
        title: of the run, for people.
        figure: with its interval over people and repetitions.
        baseline: the same without the device: from the base model and public people; None where
            that is not possible. Only what is above it is the device's.
        change: paired, against plain fine-tuning (or the baseline, for plain fine-tuning itself).
        verdict: by ``change``'s interval, corrected for how many rows of the measure there are.
        at: what else the row is at: {"batch": "4", "share": "5 %"}; text, for people.
        devices, people: how many stand behind it.
    """

    measure: str
    adversary: str
    condition: str
    title: str
    figure: Figure
    baseline: Figure | None = None
    change: Figure | None = None
    verdict: Verdict = Verdict.NOT_MEASURED
    at: dict[str, str] = field(default_factory=dict)
    devices: int = 0
    people: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether its run is fine-tuning without a defence."""
        return self.condition.partition("@")[0] == PLAIN


@dataclass(frozen=True)
class Line:
    """A line of a plot: as many of each; bounds may be empty.

    Attributes:
        title: for the legend.
        dashed: what is reckoned and not measured (a bound, guessing).
    """

    title: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    dashed: bool = False


@dataclass(frozen=True)
class Plot:
    """A chart: lines over one axis."""

    name: str
    title: str
    x: str
    y: str
    lines: tuple[Line, ...]
    log_x: bool = False


@dataclass(frozen=True)
class Panel:
    """A window or an image of a picture.

    Attributes:
        title: "the owner's window", "reconstructed".
        shape: of the values.
        values: flattened, in the signal's units.
    """

    title: str
    shape: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Picture:
    """Panels side by side on one scale."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Control:
    """What must succeed, or must not.

    Attributes:
        title: what was done.
        expected: in words, written before it was measured: "at least 99 % recovered".
        figure: what came out.
        low, high: where the figure must lie.
    """

    title: str
    expected: str
    figure: Figure
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether it came out as expected."""
        value = self.figure.value
        return value is not None and self.low <= value <= self.high


@dataclass(frozen=True)
class Chapter:
    """What one experiment found.

    Attributes:
        version: of these fields.
        name: of the experiment.
        title, question: for people.
        answer: the chapter's first sentence, made of its figures.
        adversaries, measures, rows, plots, pictures, controls: see there.
        method: how it was done, a sentence or more each.
        limits: what the figures do not say.
        sources: papers.
        without: what a baseline lacks, as the head of its column.
    """

    version: int
    name: str
    title: str
    question: str
    answer: str
    adversaries: tuple[Adversary, ...]
    measures: tuple[Measure, ...]
    rows: tuple[Row, ...]
    controls: tuple[Control, ...]
    method: tuple[str, ...]
    limits: tuple[str, ...]
    sources: tuple[str, ...]
    plots: tuple[Plot, ...] = ()
    pictures: tuple[Picture, ...] = ()
    without: str = "Without the device"
