"""Figures of results by name: ``membership.auc``, ``accuracy.heldout``, ``cost.step``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tinymia.evidence import OutputPolicy
from tinymia.experiments.base import Figure, Measure
from tinymia.experiments.epsilon import Checked, Finding, Relation, Verdict, devices_for, reach
from tinymia.gate.figures import (
    EVERY,
    NO_MEMBERSHIP,
    Kind,
    Reader,
    Reading,
    Selection,
    chosen,
    finding_of,
    left_out_of,
    missing,
    of_leaks,
    tpr_at,
)
from tinymia.study.results import Results


def _accuracy(field_: str) -> Reader:
    def read(results: Results, want: Selection) -> list[Reading]:
        finding = finding_of(results)
        if finding is None:
            return missing("", NO_MEMBERSHIP)
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
                pair=left_out_of(finding, (name, "", finding.answer, Measure.HELD_OUT))
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
            limited=_limited(found, row),
        )
        for found in findings
        for row in found.checked
        if str(row.relation) in names and want.at_of({"windows": str(found.design.members)})
    ] or missing("", "no claim was held against devices there", "epsilon")


def _limited(found: Finding, row: Checked) -> Callable[[float], str]:
    """Why a bound within a limit says nothing: so few devices could not have shown more."""

    def why(limit: float) -> str:
        if row.chance and limit == row.epsilon:
            return ""  # the claim's whole curve was asked, which few devices can contradict
        devices = found.design.devices
        most = reach(devices, row.delta, found.design.level)
        if limit < most:
            return ""
        needed = devices_for(limit, devices, most)
        return (
            f"{devices:,} devices show an epsilon of {most:.3f} at most, even if each gives itself"
            f" away: about {needed:,} could show more than {limit:g} (--epsilon-devices)"
        )

    return why


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


def _people(results: Results, want: Selection) -> list[Reading]:
    return [Reading("", Figure(float(len(results.context.audited_people))), where="provenance")]


def _repetitions(results: Results, want: Selection) -> list[Reading]:
    finding = finding_of(results)
    if finding is None:
        return missing("", NO_MEMBERSHIP)
    return [Reading("", Figure(float(finding.counts.repetitions)), where="provenance")]


def _shadows(results: Results, want: Selection) -> list[Reading]:
    rows, finding = results.context.shadows, finding_of(results)
    own = "" if finding is None else finding.main
    names, why = chosen(
        want.condition, [r.condition for r in rows], own, "condition with shadow devices"
    )
    if why:
        return missing("", why)
    return [
        Reading(r.condition, Figure(float(r.used)), where="provenance")
        for r in rows
        if r.condition in names
    ]


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
        *(of_leaks(Measure.AUC, lambda leak, _: leak.auc), 0.0, 1.0),
        attacked=True,
    ),
    "membership.tpr": Kind(
        *("TPR of membership inference at a low FPR", 1, (*_LEAK, "fpr")),
        *(of_leaks(Measure.TPR_1, tpr_at), 0.0, 1.0),
        attacked=True,
    ),
    "membership.advantage": Kind(
        *("TPR - FPR of membership inference", 1, _LEAK),
        *(of_leaks(None, lambda leak, _: leak.advantage), -1.0, 1.0),
        attacked=True,
    ),
    "owner.auc": Kind("AUC of telling whose device it is", 1, (), _owner, 0.0, 1.0, attacked=True),
    "accuracy.heldout": Kind(
        "accuracy on held-out data", -1, ("condition",), _accuracy("heldout"), 0.0, 1.0
    ),
    "accuracy.gain": Kind(
        *("gain in held-out accuracy over the base model", -1, ("condition",)),
        *(_accuracy("gain"), -1.0, 1.0),
    ),
    "epsilon.claimed": Kind("epsilon that is claimed", 1, ("condition",), _claimed),
    "epsilon.measured": Kind(
        "epsilon measured from below", 1, ("relation", "at"), _measured, attacked=True
    ),
    "cost.step": Kind("cost of a training step", 1, ("condition", "unit"), _cost("step")),
    "cost.answer": Kind("cost of an answer", 1, ("condition", "unit"), _cost("answer")),
    "cost.workspace": Kind("RAM beside the store", 1, ("condition",), _cost("workspace", "bytes")),
    "cost.inference": Kind("cost of an inference", 1, ("unit",), _device("inference")),
    "cost.flash": Kind("flash of the image", 1, (), _device("flash_bytes", "bytes")),
    "cost.arena": Kind("arena that is used", 1, (), _device("arena_used", "bytes")),
    "cost.stack": Kind("stack that is used", 1, (), _device("stack_used", "bytes")),
    "audit.people": Kind("people who were audited", -1, (), _people),
    "audit.repetitions": Kind("draws of members a person", -1, (), _repetitions),
    "audit.shadows": Kind("shadow devices a person", -1, ("condition",), _shadows),
    "controls.failed": Kind("controls that do not hold", 1, (), _controls),
    "confirmation.devices": Kind("devices that a board confirmed", -1, (), _boards),
}
"""What every study may have; see :func:`tinymia.gate.chapters.kinds_of` for the rest."""


ANSWERS = (*(p.value for p in OutputPolicy), EVERY)
RELATIONS = (*(r.value for r in Relation), EVERY)
