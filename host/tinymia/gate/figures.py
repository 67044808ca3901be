"""Figures of results by name: ``membership.auc``, ``accuracy.heldout``, ``cost.step``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinymia.attacks.base import Adversary
from tinymia.evidence import OutputPolicy
from tinymia.experiments.base import Figure, Measure
from tinymia.experiments.epsilon import Relation, Verdict
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
    """

    of: str
    figure: Figure
    people: int = 0
    unit: str = ""
    where: str = ""
    pair: LeftOut | None = None
    claim: float | None = None
    contradicts: bool | None = None


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


def missing(of: str, why: str, where: str = "") -> list[Reading]:
    """One figure that is not there."""
    return [Reading(of, Figure(None, reason=why), where=where)]


def finding_of(results: Results) -> MembershipFinding | None:
    """The membership finding."""
    return results.findings.membership


_NO_MEMBERSHIP = "this study asked nothing about membership"


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
        return [("", None, _NO_MEMBERSHIP)]
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
    found = []
    for condition in names:
        for answer in map(OutputPolicy, answers):
            for attack, whose, lacking in _attackers(finding, want, answer):
                of = f"{condition}, {whose or attack}, {answer.value} answers"
                leak = finding.leak(condition, attack, answer) if attack else None
                if leak is None and want.adversary == EVERY and not lacking:
                    continue  # not everybody attacks everything
                found.append((of, leak, lacking or "that attack did not run there"))
    return found or [("", None, "no attack ran there")]


def _attackers(
    finding: MembershipFinding, want: Selection, answer: OutputPolicy
) -> list[tuple[str, str, str]]:
    """(attack, adversary, why there is none)."""
    if want.attack:
        names, why = chosen(want.attack, [a.name for a in finding.attacks], "", "attack")
        if why and finding.chosen:
            why = f"{want.attack} was not run, only {_run(finding)}"
        return [(name, "", "") for name in names] or [(want.attack, "", why)]
    wanted = want.adversary or finding.strongest.value
    found = [
        _attacker(finding, adversary, answer)
        for adversary in Adversary
        if wanted in (EVERY, adversary.value)
    ]
    # Who attacks nothing of such answers is nobody to judge; who was not asked to is.
    return [one for one in found if wanted != EVERY or one[0] or one[2].startswith(_NOT_CHOSEN)]


_NOT_CHOSEN = "by --attacks"


def _attacker(
    finding: MembershipFinding, adversary: Adversary, answer: OutputPolicy
) -> tuple[str, str, str]:
    """What stands for an adversary, or why nothing does that a rule may be held against."""
    whose, at = adversary.value, finding.answers.index(answer)
    row = next((r for r in finding.adversaries if r.adversary is adversary), None)
    if row is None and finding.chosen:
        return "", whose, f"{_NOT_CHOSEN} no attack of {whose} was run, only {_run(finding)}"
    if row is None or not row.attack[at]:
        return "", whose, f"no attack of {whose} runs on {answer.value} answers"
    if row.usual and row.usual[at] != row.attack[at]:
        # Another attack than the one that was fixed beforehand may find less.
        return (
            "",
            whose,
            (
                f"{_NOT_CHOSEN} {row.usual[at]}, which stands for {whose}, was not run; a rule may"
                f' name another: attack = "{row.attack[at]}"'
            ),
        )
    return row.attack[at], whose, ""


def _run(finding: MembershipFinding) -> str:
    """The attacks that were chosen."""
    return some(finding.chosen, 6)


def _of_leaks(measure: Measure | None, pick: Callable[[Leak, Selection], Figure | None]) -> Reader:
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
                    pair=_left_out(finding, key) if paired else None,
                )
            )
        return readings

    return read


def _left_out(finding: MembershipFinding, key: tuple[Any, ...]) -> LeftOut | None:
    rows = finding.left_out
    return next((r for r in rows if (r.condition, r.attack, r.answer, r.measure) == key), None)


def _tpr(leak: Leak, want: Selection) -> Figure:
    found = rate(leak.tpr, want.fpr)
    if found is None:
        known = ", ".join(f"{r.fpr:g}" for r in leak.tpr)
        return Figure(None, reason=f"no TPR at {share(want.fpr)}: the study has {known}")
    return found.figure


def _accuracy(field_: str) -> Reader:
    def read(results: Results, want: Selection) -> list[Reading]:
        finding = finding_of(results)
        if finding is None:
            return missing("", _NO_MEMBERSHIP)
        known = [row.condition for row in finding.accuracy]
        names, why = chosen(want.condition, known, finding.main, "condition")
        if why:
            return missing("", why)
        of = {row.condition: row for row in finding.accuracy}
        people = len(finding.counts.people)
        return [
            Reading(
                name,
                getattr(of[name], field_),
                people,
                where="defences",
                pair=_left_out(finding, (name, "", finding.answer, Measure.HELD_OUT))
                if field_ == "heldout"
                else None,
            )
            for name in names
        ]

    return read


def _exact(value: float | None, of: str, unit: str, where: str) -> Reading:
    reason = "" if value is not None else "not measured: no board took part"
    return Reading(of, Figure(value, reason=reason), 0, unit, where)


def _cost(field_: str, fixed: str = "") -> Reader:
    """Of a condition; ``fixed`` is its unit where that is not the device's."""

    def read(results: Results, want: Selection) -> list[Reading]:
        context, finding = results.context, finding_of(results)
        own = "" if finding is None else finding.main
        names, why = chosen(
            want.condition, [c.condition for c in context.costs], own, "condition with costs"
        )
        if why:
            return missing("", why)
        of = {c.condition: c for c in context.costs}
        unit = fixed or context.device.unit
        return [_in_unit(_exact(getattr(of[n], field_), n, unit, "defences"), want) for n in names]

    return read


def _device(field_: str, fixed: str = "") -> Reader:
    def read(results: Results, want: Selection) -> list[Reading]:
        device = results.context.device
        value = getattr(device, field_)
        return [_in_unit(_exact(value, "", fixed or device.unit, "device"), want)]

    return read


def _in_unit(reading: Reading, want: Selection) -> Reading:
    if not want.unit or reading.unit == want.unit or reading.figure.value is None:
        return reading
    why = f"the study counts {reading.unit or 'nothing'}, the rule {want.unit}"
    return Reading(reading.of, Figure(None, reason=why), where=reading.where)


def _claimed(results: Results, want: Selection) -> list[Reading]:
    rows, finding = results.context.privacy, finding_of(results)
    if not rows:
        return missing("", "no condition of this study claims differential privacy", "privacy")
    known = [row.condition for row in rows]
    own = finding.main if finding is not None and finding.main in known else known[0]
    names, why = chosen(want.condition, known, own, "condition with an account")
    if why:
        return missing("", why, "privacy")
    return [
        Reading(f"{r.condition}, delta {r.delta:g}", Figure(r.epsilon), where="privacy")
        for r in rows
        if r.condition in names
    ]


def _measured(results: Results, want: Selection) -> list[Reading]:
    findings = results.findings.epsilon
    if not findings:
        return missing("", "this study held no claim against devices", "epsilon")
    known = list(dict.fromkeys(str(c.relation) for found in findings for c in found.checked))
    names, why = chosen(want.relation or EVERY, known, "", "relation")
    if why:
        return missing("", why, "epsilon")
    if not all(found.controls_hold for found in findings):
        return missing("", "the controls of the epsilon audit do not hold", "epsilon")
    return [
        Reading(
            f"{found.title}, {row.relation}, from below, delta {row.delta:g}".removeprefix(", "),
            Figure(row.best.epsilon),
            where="epsilon",
            claim=row.epsilon,
            contradicts=row.verdict is Verdict.CONTRADICTS,
        )
        for found in findings
        for row in found.checked
        if str(row.relation) in names
    ]


def _controls(results: Results, want: Selection) -> list[Reading]:
    finding = finding_of(results)
    chapters = results.findings.chapters
    own = () if finding is None else finding.controls
    if not own and not any(chapter.controls for chapter in chapters):
        return missing("", "this study has no controls", "controls")
    failed = [c.title for c in own if c.holds is False]
    failed += [
        f"{chapter.name}: {c.title}"
        for chapter in chapters
        for c in chapter.controls
        if not c.holds
    ]
    open_ = [c.title for c in own if c.holds is None]
    if open_ and not failed:
        return missing("", f"it cannot be told whether these hold: {', '.join(open_)}", "controls")
    return [Reading(", ".join(failed), Figure(float(len(failed))), where="controls")]


def _boards(results: Results, want: Selection) -> list[Reading]:
    done = results.context.confirmation
    return [Reading(done.board, Figure(float(done.devices_board)), where="confirmation")]


def _owner(results: Results, want: Selection) -> list[Reading]:
    finding = results.findings.user_level
    if finding is None or not finding.rows:
        return missing("", "this study did not ask whose device it is", "user_level")
    return [
        Reading(f"{finding.condition}, {row.title}", row.auc, row.people, where="user_level")
        for row in finding.rows
    ]


_LEAK = ("condition", "adversary", "attack", "answer")
KINDS: Mapping[str, Kind] = {
    "membership.auc": Kind(
        *("AUC of membership inference", 1, _LEAK),
        *(_of_leaks(Measure.AUC, lambda leak, _: leak.auc), 0.0, 1.0),
    ),
    "membership.tpr": Kind(
        *("TPR of membership inference at a low FPR", 1, (*_LEAK, "fpr")),
        *(_of_leaks(Measure.TPR_1, _tpr), 0.0, 1.0),
    ),
    "membership.advantage": Kind(
        *("TPR - FPR of membership inference", 1, _LEAK),
        *(_of_leaks(None, lambda leak, _: leak.advantage), -1.0, 1.0),
    ),
    "owner.auc": Kind("AUC of telling whose device it is", 1, (), _owner, 0.0, 1.0),
    "accuracy.heldout": Kind(
        "accuracy on held-out data", -1, ("condition",), _accuracy("heldout"), 0.0, 1.0
    ),
    "accuracy.gain": Kind(
        *("gain in held-out accuracy over the base model", -1, ("condition",)),
        *(_accuracy("gain"), -1.0, 1.0),
    ),
    "epsilon.claimed": Kind("epsilon that is claimed", 1, ("condition",), _claimed),
    "epsilon.measured": Kind("epsilon measured from below", 1, ("relation",), _measured),
    "cost.step": Kind("cost of a training step", 1, ("condition", "unit"), _cost("step")),
    "cost.answer": Kind("cost of an answer", 1, ("condition", "unit"), _cost("answer")),
    "cost.workspace": Kind("RAM beside the store", 1, ("condition",), _cost("workspace", "bytes")),
    "cost.inference": Kind("cost of an inference", 1, ("unit",), _device("inference")),
    "cost.flash": Kind("flash of the image", 1, (), _device("flash_bytes", "bytes")),
    "cost.arena": Kind("arena that is used", 1, (), _device("arena_used", "bytes")),
    "cost.stack": Kind("stack that is used", 1, (), _device("stack_used", "bytes")),
    "controls.failed": Kind("controls that do not hold", 1, (), _controls),
    "confirmation.devices": Kind("devices that a board confirmed", -1, (), _boards),
}
"""What every study may have; see :func:`tinymia.gate.chapters.kinds_of` for the rest."""


ANSWERS = (*(p.value for p in OutputPolicy), EVERY)
RELATIONS = (*(r.value for r in Relation), EVERY)
