"""Whether a claim of differential privacy holds: lower bounds on epsilon beside it."""

from __future__ import annotations

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


def _chart(finding: Finding) -> str:
    """Claims and bounds on one axis."""
    rows, figures = [], []
    for found in finding.checked:
        dots = [(Figure(found.epsilon), _CLAIM, "claim")]
        dots += [(Figure(_best(found, view)), _LOOKS[view], f"bound, {view}") for view in View]
        figures += [figure for figure, _, _ in dots]
        rows.append(Lane(_relation(found), dots))
    low, high = ends(figures, 0.0)
    axis = low, high, "\u03b5"
    return lanes("fig-epsilon", "Claims and lower bounds of epsilon", rows, axis, number, 0.0)


def view(results: Results) -> Shown | None:
    """Relations with their claims and bounds, every method, and both controls."""
    finding = results.findings.epsilon
    if finding is None:
        return None
    design = finding.design
    methods = list(dict.fromkeys(b.title for found in finding.checked for b in found.bounds))
    details = []
    for found in finding.checked:
        for which in View:
            by_title = {b.title: b for b in found.bounds if b.view is which}
            cells = [
                number(by_title[title].epsilon, 2) if title in by_title else "n/a"
                for title in methods
            ]
            details.append({"title": _relation(found), "view": str(which), "cells": cells})
    notes = {b.title: _note(b.assumes_gaussian, b.is_fit) for b in finding.checked[0].bounds}
    return {
        "devices": count(design.devices),
        "level": share(1 - design.level),
        "mechanism": f"noise {design.settings.noise_multiplier:g}, clip norm "
        f"{design.settings.clip_norm:g}, {several(design.epochs, 'epoch')}, "
        f"{count(design.members)} members",
        "rows": [_row(found) for found in finding.checked],
        "views": [str(v) for v in View],
        "broken": any(found.verdict is Verdict.CONTRADICTS for found in finding.checked),
        "controls_hold": finding.controls_hold,
        "controls": [
            _control(finding.nothing, "no canary in either arm", Verdict.BELOW),
            _control(finding.leak, "almost no noise", Verdict.CONTRADICTS),
        ],
        "chart": Markup(_chart(finding)),
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
        *("checked", "relation", "size_with", "size_without", "claim", "delta", "accountant"),
        *("method", "view", "epsilon", "assumes_gaussian", "is_fit", "verdict"),
    )
    finding = results.findings.epsilon
    rows: list[tuple[object, ...]] = []
    if finding is not None:
        named = [("claim", found) for found in finding.checked]
        named += [("nothing", finding.nothing), ("leak", finding.leak)]
        for what, found in named:
            about = (what, found.relation, *found.sizes, found.epsilon, found.delta)
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
