"""Whether a claim of differential privacy holds: lower bounds on epsilon beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from tinymia.experiments.base import Figure
from tinymia.experiments.epsilon import Checked, Finding, Relation, Verdict, View
from tinymia.report.charts import Lane, Look, ends, lanes
from tinymia.report.section import Section, Table
from tinymia.report.section import View as Shown
from tinymia.report.words import count, number, several, share
from tinymia.study.results import Results

_LOOKS: dict[View, Look] = {View.WHITE: ("s-flash", "circle"), View.BLACK: ("s-joint", "diamond")}
_CLAIM: Look = ("s-plain", "square")


def _relation(found: Checked) -> str:
    """ "one window added: 81 against 80 members"."""
    words = {
        Relation.ADD: "one window added",
        Relation.REMOVE: "one window removed",
        Relation.REPLACE: "one window replaced",
        None: "nothing differs",
    }[found.relation]
    return f"{words}: {count(found.sizes[0])} against {count(found.sizes[1])} members"


def _best(found: Checked, view: View) -> float | None:
    """The largest bound in a view that holds whatever the mechanism is."""
    sound = [
        b.epsilon
        for b in found.bounds
        if b.view is view and not b.assumes_gaussian and not b.is_fit
    ]
    return max(sound, default=None)


def _row(found: Checked) -> dict[str, Any]:
    beaten = found.verdict is Verdict.CONTRADICTS
    return {
        "title": _relation(found),
        "claim": number(found.epsilon, 2),
        "delta": f"\u03b4 = {found.delta:g}",
        "accountant": found.accountant,
        "bounds": [number(_best(found, view), 2) for view in View],
        "chance": "n/a"
        if not found.chance
        else ", ".join(f"{_chance(c)} ({view})" for view, c in found.chance.items()),
        "verdict": str(found.verdict),
        "tone": "bad" if beaten else "good",
    }


def _chance(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else number(value)


def _control(found: Checked, title: str, expected: Verdict) -> dict[str, Any]:
    holds = found.verdict is expected
    return {
        **_row(found),
        "title": title,
        "expected": str(expected),
        "holds": "holds" if holds else "does not hold",
        "tone": "good" if holds else "bad",
    }


def _chart(named: Sequence[tuple[str, Checked]]) -> str:
    """Claims and bounds on one axis."""
    rows, figures = [], []
    for title, found in named:
        dots = [(Figure(found.epsilon), _CLAIM, "claim")]
        dots += [(Figure(_best(found, view)), _LOOKS[view], f"bound, {view}") for view in View]
        figures += [figure for figure, _, _ in dots]
        rows.append(Lane(title, dots))
    low, high = ends(figures, 0.0)
    axis = low, high, "\u03b5"
    return lanes("fig-epsilon", "Claims and lower bounds of epsilon", rows, axis, number, 0.0)


def _of(finding: Finding, findings: Sequence[Finding], words: str) -> str:
    """The words, behind the condition they are about where there are several."""
    return words if len(findings) < 2 else f"{finding.title}, {words}"


def _mechanism(finding: Finding) -> str:
    design = finding.design
    return (
        f"noise {design.settings.noise_multiplier:g}, clip norm {design.settings.clip_norm:g}, "
        f"{several(design.epochs, 'epoch')}, {count(design.members)} members"
    )


def view(results: Results) -> Shown | None:
    """Relations with their claims and bounds, every method, and both controls."""
    findings = results.findings.epsilon
    if not findings:
        return None
    design = findings[0].design
    checked = [(_of(f, findings, _relation(found)), found) for f in findings for found in f.checked]
    methods = list(dict.fromkeys(b.title for _, found in checked for b in found.bounds))
    details = []
    for title, found in checked:
        for which in View:
            by_title = {b.title: b for b in found.bounds if b.view is which}
            cells = [
                number(by_title[name].epsilon, 2) if name in by_title else "n/a" for name in methods
            ]
            details.append({"title": title, "view": str(which), "cells": cells})
    notes = {b.title: _note(b.assumes_gaussian, b.is_fit) for b in checked[0][1].bounds}
    return {
        "devices": count(design.devices),
        "level": share(1 - design.level),
        "mechanism": "; ".join(_of(f, findings, _mechanism(f)) for f in findings),
        "rows": [{**_row(found), "title": title} for title, found in checked],
        "views": [str(v) for v in View],
        "few": min(f.design.members for f in findings),
        "sizes": len({f.design.members for f in findings}),
        "broken": any(found.verdict is Verdict.CONTRADICTS for _, found in checked),
        "controls_hold": all(f.controls_hold for f in findings),
        "controls": [
            row
            for f in findings
            for row in (
                _control(f.nothing, _of(f, findings, "no canary in either arm"), Verdict.BELOW),
                _control(f.leak, _of(f, findings, "almost no noise"), Verdict.CONTRADICTS),
            )
        ],
        "chart": Markup(_chart(checked)),
        "legend": [
            {"title": "claim", "css": _CLAIM[0], "shape": _CLAIM[1]},
            *({"title": f"bound, {v}", "css": _LOOKS[v][0], "shape": _LOOKS[v][1]} for v in View),
        ],
        "methods": [{"title": title, "sub": notes.get(title, "")} for title in methods],
        "details": details,
    }


def _note(assumes_gaussian: bool, is_fit: bool) -> str:
    if is_fit:
        return "an estimate"
    return "if the mechanism is Gaussian" if assumes_gaussian else "holds for any mechanism"


def table(results: Results) -> Table:
    """Every bound of every relation and control."""
    columns = (
        *("condition", "checked", "relation", "size_with", "size_without", "claim", "delta"),
        *("accountant", "method", "view", "epsilon", "assumes_gaussian", "is_fit", "verdict"),
    )
    rows: list[tuple[object, ...]] = []
    for finding in results.findings.epsilon:
        named = [("claim", found) for found in finding.checked]
        named += [("nothing", finding.nothing), ("leak", finding.leak)]
        for what, found in named:
            about = (finding.title, what, found.relation, *found.sizes, found.epsilon, found.delta)
            rows += [
                (
                    *(*about, found.accountant, b.method, b.view, b.epsilon),
                    *(b.assumes_gaussian, b.is_fit, found.verdict),
                )
                for b in found.bounds
            ]
    return Table(columns, rows)


SECTION = Section(
    title="Does the claim of differential privacy hold",
    short="Epsilon",
    order=112,
    view=view,
    tables={"epsilon.csv": table},
)
