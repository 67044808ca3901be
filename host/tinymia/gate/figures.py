"""What a figure of results is, how rules choose one, and what attacks found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinymia.attacks.base import Adversary
from tinymia.evidence import OutputPolicy
from tinymia.experiments.base import Figure, Measure
from tinymia.experiments.membership.types import Leak, LeftOut, MembershipFinding
from tinymia.gate.names import meant
from tinymia.report.facts import rate
from tinymia.report.words import share, some
from tinymia.study.results import Results

EVERY = "every"
"""As a condition, an adversary or an answer: all that were measured, each by itself."""


@dataclass(frozen=True)
class Selection:
    """Which of the figures of one name; "" is the study's own.

    Attributes:
        condition: a name of the study, "" its plain fine-tuning.
        adversary: who attacks, "" the strongest, which is fixed beforehand.
        attack: name; it goes before the adversary.
        answer: an output policy, "" the study's own.
        fpr: of a TPR.
        relation: of an epsilon; "" all of them.
        unit: that a cost must be in; "" any.
        at: what else a row of an experiment is at: (("questions", "64"),).
    """

    condition: str = ""
    adversary: str = ""
    attack: str = ""
    answer: str = ""
    fpr: float = 0.01
    relation: str = ""
    unit: str = ""
    at: tuple[tuple[str, str], ...] = ()

    def at_of(self, row: Mapping[str, str]) -> bool:
        """Whether a row is at what is wanted."""
        return all(row.get(key) == value for key, value in self.at)


@dataclass(frozen=True)
class Reading:
    """One figure of a study.

    Attributes:
        of: what it is of: "plain@50, joint, full answers"; "" where that is clear.
        figure: with its interval, or the reason why there is none.
        people: that its interval is over; 0: it is exact, and has none.
        unit: behind its value.
        where: section of the page that has it.
        pair: for pairing it with another study's.
        claim: what it is held against where a rule says "claimed".
        contradicts: whether it contradicts that, which may be seen below the claim, too; None: it
            cannot be told.
        limited: why a figure within this limit says nothing, "" where it does: a bound from below
            stays under what it could not exceed.
    """

    of: str
    figure: Figure
    people: int = 0
    unit: str = ""
    where: str = ""
    pair: LeftOut | None = None
    claim: float | None = None
    contradicts: bool | None = None
    limited: Callable[[float], str] | None = None


Reader = Callable[[Results, Selection], Sequence[Reading]]


@dataclass(frozen=True)
class Kind:
    """A figure that rules may name.

    Attributes:
        title: for people.
        worse: 1 where more is worse, -1 where less is.
        takes: keys of :class:`Selection` that choose among its figures.
        read: finds them.
        low, high: what it can be.
        adversaries: whose names it takes; empty: any.
        conditions, attacks: that results or this program have, which are all that can be meant;
            empty: any.
        attacked: whether it is what somebody finds out, so that who tries less finds less.
    """

    title: str
    worse: int
    takes: tuple[str, ...]
    read: Reader
    low: float = 0.0
    high: float = float("inf")
    adversaries: tuple[str, ...] = (*(a.value for a in Adversary), EVERY)
    conditions: tuple[str, ...] = ()
    attacks: tuple[str, ...] = ()
    attacked: bool = False


def missing(of: str, why: str, where: str = "") -> list[Reading]:
    """One figure that is not there."""
    return [Reading(of, Figure(None, reason=why), where=where)]


def finding_of(results: Results) -> MembershipFinding | None:
    """The membership finding."""
    return results.findings.membership


NO_MEMBERSHIP = "this study asked nothing about membership"
"""Why there is no figure of it."""


def chosen(wanted: str, known: Sequence[str], own: str, what: str) -> tuple[list[str], str]:
    """Names that are meant, or why there are none."""
    if wanted == EVERY:
        return list(known), ""
    name = wanted or own
    if name in known:
        return [name], ""
    if not name:
        return [], f"the study has no {what} of its own"
    return [], f"the study has no {what} {name!r}. {meant(name, known)}"


def _leaks(results: Results, want: Selection) -> list[tuple[str, Leak | None, str]]:
    """(what of, leak, why there is none)."""
    finding = finding_of(results)
    if finding is None:
        return [("", None, NO_MEMBERSHIP)]
    conditions = [c.name for c in finding.conditions]
    # Who wants every condition means those that learnt something.
    tuned = [c.name for c in finding.conditions if not c.is_base]
    names, why = chosen(
        want.condition, tuned if want.condition == EVERY else conditions, finding.main, "condition"
    )
    answers, other = chosen(
        want.answer, [a.value for a in finding.answers], finding.answer.value, "answer"
    )
    if why or other:
        return [("", None, why or other)]
    if want.condition != EVERY and names[0] not in tuned:
        # Exactly guessing, whatever is shipped: a rule about it would hold for nothing.
        return [(names[0], None, f"{names[0]} learnt nothing of anybody who is audited")]
    found = []
    for condition in names:
        for answer in map(OutputPolicy, answers):
            for who in _attackers(finding, want, answer):
                of = f"{condition}, {who.whose or who.attack}, {answer.value} answers"
                known = who.attack and not who.lacking
                leak = finding.leak(condition, who.attack, answer) if known else None
                if leak is None and want.adversary == EVERY and not who.lacking:
                    continue  # not everybody attacks everything
                found.append((of, leak, who.lacking or "that attack did not run there"))
    return found or [("", None, "no attack ran there")]


@dataclass(frozen=True)
class _Attacker:
    """Who is judged: an attack, or the reason why there is none.

    Attributes:
        attack: its name; "" where there is none.
        whose: the adversary for whom it stands, where one was asked for.
        lacking: why there is none.
        by_choice: whether it is because attacks were chosen.
    """

    attack: str
    whose: str = ""
    lacking: str = ""
    by_choice: bool = False


def _named(finding: MembershipFinding, attack: str) -> list[_Attacker]:
    """An attack that a rule names; "every" names all that there are."""
    names, why = chosen(attack, [a.name for a in finding.attacks], "", "attack")
    idle = next((one for one in finding.not_run if one.attack == attack), None)
    if idle is not None:
        names, why = [], f"{attack} did not run: {idle.why.because}"
    elif why and finding.chosen:
        why = f"{attack} was not run, only {_run(finding)}"
    return [_Attacker(name) for name in names] or [_Attacker(attack, lacking=why)]


def _attackers(
    finding: MembershipFinding, want: Selection, answer: OutputPolicy
) -> list[_Attacker]:
    if want.attack:
        return _named(finding, want.attack)
    wanted = want.adversary or finding.strongest.value
    found = [
        _attacker(finding, adversary, answer)
        for adversary in Adversary
        if wanted in (EVERY, adversary.value)
    ]
    # Who attacks nothing of such answers is nobody to judge; who was not asked to is.
    return [one for one in found if wanted != EVERY or one.attack or one.by_choice]


def _attacker(finding: MembershipFinding, adversary: Adversary, answer: OutputPolicy) -> _Attacker:
    """What stands for an adversary, or why nothing does that a rule may be held against."""
    whose, at = adversary.value, finding.answers.index(answer)
    row = next((r for r in finding.adversaries if r.adversary is adversary), None)
    if row is None and finding.chosen:
        why = f"by --attacks no attack of {whose} was run, only {_run(finding)}"
        return _Attacker("", whose, why, by_choice=True)
    if row is None or not row.attack[at]:
        return _Attacker("", whose, f"no attack of {whose} runs on {answer.value} answers")
    if row.usual and row.usual[at] != row.attack[at]:
        # Another attack than the one that was fixed beforehand may find less.
        why = (
            f"by --attacks {row.usual[at]}, which stands for {whose}, was not run; a rule may"
            f' name another: attack = "{row.attack[at]}"'
        )
        return _Attacker("", whose, why, by_choice=True)
    return _Attacker(row.attack[at], whose)


def _run(finding: MembershipFinding) -> str:
    """The attacks that were chosen."""
    return some(finding.chosen, 6)


def of_leaks(measure: Measure | None, pick: Callable[[Leak, Selection], Figure | None]) -> Reader:
    """A reader of one measure of attacks."""

    def read(results: Results, want: Selection) -> list[Reading]:
        finding = finding_of(results)
        readings = []
        for of, leak, why in _leaks(results, want):
            figure = None if leak is None else pick(leak, want)
            if finding is None or leak is None or figure is None:
                readings += missing(of, why if leak is None else "not measured", "adversaries")
                continue
            paired = measure is not Measure.TPR_1 or want.fpr == 0.01
            key = leak.condition, leak.attack, leak.answer, measure
            readings.append(
                Reading(
                    of,
                    figure,
                    len(finding.counts.people),
                    where="adversaries" if leak.condition == finding.main else "defences",
                    pair=left_out_of(finding, key) if paired else None,
                )
            )
        return readings

    return read


def left_out_of(finding: MembershipFinding, key: tuple[Any, ...]) -> LeftOut | None:
    """What pairs a figure: of that condition, attack, answer and measure."""
    rows = finding.left_out
    return next((r for r in rows if (r.condition, r.attack, r.answer, r.measure) == key), None)


def tpr_at(leak: Leak, want: Selection) -> Figure:
    """At the false-positive rate that is wanted, or the reason why there is none."""
    found = rate(leak.tpr, want.fpr)
    if found is None:
        known = ", ".join(f"{r.fpr:g}" for r in leak.tpr)
        return Figure(None, reason=f"no TPR at {share(want.fpr)}: the study has {known}")
    return found.figure
