"""What the membership experiment finds."""

from __future__ import annotations

from dataclasses import dataclass

from tinymia.attacks.base import Adversary
from tinymia.compat import StrEnum
from tinymia.evidence import OutputPolicy, Reveals
from tinymia.experiments.base import Comparison, Condition, Figure, Measure, Verdict

VERSION = 1


@dataclass(frozen=True)
class AttackRow:
    """An attack as the page names it; see :class:`tinymia.attacks.AttackInfo`."""

    name: str
    title: str
    reference: str
    adversary: Adversary
    needs: Reveals
    knowledge: str
    headline: bool
    calibrated: bool
    limits: str


class Idle(StrEnum):
    """Why an attack that was asked for has no figure under the study's own answers."""

    ANSWERS = "answers"
    ABOUT = "about"
    HEAD = "head"
    VIEWS = "views"
    WINDOWS = "windows"

    @property
    def because(self) -> str:
        """For people, behind "did not run: "."""
        return {
            Idle.ANSWERS: "the study's own answers reveal too little",
            Idle.ABOUT: "no devices were trained about each attacked one (--about 0)",
            Idle.HEAD: "nothing trained the last layer alone",
            Idle.VIEWS: "each window was asked about once",
            Idle.WINDOWS: "somebody has too few windows for what it knows",
        }[self]


@dataclass(frozen=True)
class NotRun:
    """An attack without a figure under the study's own answers, and why."""

    attack: str
    title: str
    why: Idle


@dataclass(frozen=True)
class Rate:
    """A TPR at a target FPR; ``figure.reason`` says why where it is not resolved."""

    fpr: float
    figure: Figure


@dataclass(frozen=True)
class Leak:
    """One attack on one condition under one policy.

    Attributes:
        condition, attack: names.
        answer: policy.
        auc: pooled over people and repetitions.
        tpr: at each target FPR, one threshold for everybody.
        advantage: TPR - FPR at a threshold chosen on other people.
        guessing: all scores are equal.
        scored: windows that the attack judged, all devices together.
        guessing_ruled_out: whether the interval of the AUC excludes 0.5 from above.
        no_more_than_guessing: whether its upper 95 % bound stays below 0.5 + ``EQUIVALENCE``.
    """

    condition: str
    attack: str
    answer: OutputPolicy
    auc: Figure
    tpr: tuple[Rate, ...]
    advantage: Figure
    guessing: bool
    scored: int
    guessing_ruled_out: bool
    no_more_than_guessing: bool


@dataclass(frozen=True)
class Curve:
    """A ROC on the finding's ``fprs`` with its 95 % band; None where it is not resolved."""

    condition: str
    attack: str
    answer: OutputPolicy
    tpr: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


@dataclass(frozen=True)
class LeftOut:
    """A figure without each person: what pairs it with the same figure of another study.

    Attributes:
        condition, attack, answer: whose; no attack for an accuracy.
        measure: which.
        value: with everybody.
        without: with each of ``Counts.people`` left out, in their order.
        grain: the least standard error that is believed, see :class:`Replicates`.
    """

    condition: str
    attack: str
    answer: OutputPolicy
    measure: Measure
    value: float
    without: tuple[float, ...]
    grain: float


@dataclass(frozen=True)
class ThresholdRow:
    """TPR at one target FPR by three kinds of threshold, of an adversary's headline attack.

    Attributes:
        condition, attack: names.
        fpr: target.
        global_tpr: one threshold for everybody.
        person_tpr: one for each person.
        window_tpr: one for each window, calibrated on shadow devices.
        window_fpr: the FPR that those really had.
        people_low, people_high: least and greatest FPR of a person under the global threshold.
        windows_with_all: share of the windows that hold all false alarms of the global threshold.
    """

    condition: str
    attack: str
    fpr: float
    global_tpr: Figure
    person_tpr: Figure
    window_tpr: Figure
    window_fpr: float | None
    people_low: float
    people_high: float
    windows_with_all: float


@dataclass(frozen=True)
class AdversaryRow:
    """Who attacks, with what, and how much of plain fine-tuning is seen.

    Attributes:
        adversary: who.
        title: for people.
        attack: name of the attack that stands for them under each policy, in the order of
            ``MembershipFinding.answers``; "" where none runs.
        auc, tpr: of plain fine-tuning under the study's own policy; None where none runs.
        usual: what would stand for them under each policy had all attacks been run; empty where
            that does.
    """

    adversary: Adversary
    title: str
    attack: tuple[str, ...]
    auc: Figure | None
    tpr: tuple[Rate, ...]
    usual: tuple[str, ...] = ()


@dataclass(frozen=True)
class Accuracy:
    """Accuracy on members and on held-out windows, and the paired gain over the base model."""

    condition: str
    members: Figure
    heldout: Figure
    before: Figure
    gain: Figure
    verdict: Verdict


@dataclass(frozen=True)
class PersonRow:
    """Means over the repetitions of one person, and the range of the AUC over them."""

    person: str
    condition: str
    attack: str
    auc: float
    auc_min: float
    auc_max: float
    heldout: float
    members: float
    heldout_base: float


@dataclass(frozen=True)
class Control:
    """A check whose outcome is known beforehand.

    Attributes:
        name: "base", "shuffled", "untouched", "memorised".
        title: for people.
        attack: name.
        figure: what was measured.
        expected: what should come out, in words.
        holds: whether it did; None where it cannot be told.
    """

    name: str
    title: str
    attack: str
    figure: Figure
    expected: str
    holds: bool | None


@dataclass(frozen=True)
class Counts:
    """How much was asked."""

    people: tuple[str, ...]
    repetitions: int
    devices: int
    members_per_device: tuple[int, int]
    nonmembers_per_device: tuple[int, int]
    members_pooled: int
    nonmembers_pooled: int
    nonmembers_distinct: int
    scores: int


@dataclass(frozen=True)
class Rules:
    """How figures were made."""

    level: float
    interval: str
    resamples: int
    seed: int
    min_false_positives: int
    equivalence: float


@dataclass(frozen=True)
class MembershipFinding:
    """How much of who was a member each adversary learns, and what defences change.

    Attributes:
        version: of this type.
        conditions: in the order of the page.
        main: name of plain fine-tuning at the last epochs; "" where there is none.
        answer: policy of the study's own answers.
        answers: all policies that were audited, that one first.
        attacks: in the order of the page.
        adversaries: from the weakest to the strongest; where attacks were chosen, those alone of
            whose attacks there are some.
        strongest: name of the adversary whose figure the page opens with, fixed beforehand.
        leaks: every attack on every condition under every policy where it ran.
        fprs, from_fpr, curves: the ROC's grid, from where it is resolved, and headline curves.
        thresholds: see :class:`ThresholdRow`.
        accuracy: every condition.
        added: fine-tuned conditions against the base model, for the headline attacks.
        paired: defences and depths against plain fine-tuning, for every attack that ran under the
            study's policy, and for headline attacks under the other policies.
        people: see :class:`PersonRow`, for each adversary's headline attack on ``main``.
        controls: negative and positive ones.
        counts, rules: what the figures rest on.
        levels: steps of a probability where answers are rounded: 100 is 1/100.
        left_out: see :class:`LeftOut`, of accuracies and headline attacks; empty with one person.
        chosen: names of the attacks that were run, where not all were; empty: all.
        not_run: attacks that were asked for and have no figure under ``answer``.
    """

    version: int
    conditions: tuple[Condition, ...]
    main: str
    answer: OutputPolicy
    answers: tuple[OutputPolicy, ...]
    attacks: tuple[AttackRow, ...]
    adversaries: tuple[AdversaryRow, ...]
    strongest: Adversary
    leaks: tuple[Leak, ...]
    fprs: tuple[float, ...]
    from_fpr: float
    curves: tuple[Curve, ...]
    thresholds: tuple[ThresholdRow, ...]
    accuracy: tuple[Accuracy, ...]
    added: tuple[Comparison, ...]
    paired: tuple[Comparison, ...]
    people: tuple[PersonRow, ...]
    controls: tuple[Control, ...]
    counts: Counts
    rules: Rules
    levels: int = 100
    left_out: tuple[LeftOut, ...] = ()
    chosen: tuple[str, ...] = ()
    not_run: tuple[NotRun, ...] = ()

    def condition(self, name: str) -> Condition:
        """The condition of that name."""
        return next(c for c in self.conditions if c.name == name)

    def leak(self, condition: str, attack: str, answer: OutputPolicy | None = None) -> Leak | None:
        """One attack on one condition, under the study's policy unless said otherwise."""
        wanted = condition, attack, answer or self.answer
        return next((k for k in self.leaks if (k.condition, k.attack, k.answer) == wanted), None)
