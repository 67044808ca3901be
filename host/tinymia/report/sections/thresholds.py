"""One threshold for everybody, one a person, one a window: three adversaries, three figures."""

from __future__ import annotations

from typing import Any

from tinymia.experiments.base import Figure
from tinymia.experiments.membership.types import ThresholdRow
from tinymia.report.cells import named
from tinymia.report.facts import Facts
from tinymia.report.section import Section, Table, View
from tinymia.report.words import number, percent, portion, share
from tinymia.study.results import Results


def _cell(label: str, tpr: Figure, realised: float | None = None) -> dict[str, str]:
    """A TPR, and the FPR that came out, or why there is no TPR."""
    note = "" if realised is None else f"at {portion(realised, 2)} false positives"
    if tpr.value is None:
        return {"label": label, "value": "n/a", "note": tpr.reason}
    return {"label": label, "value": percent(tpr), "note": note}


def _row(facts: Facts, row: ThresholdRow) -> dict[str, Any]:
    attack = facts.attacks[row.attack]
    titles = {a.adversary: a.title for a in facts.finding.adversaries}
    low, high = number(100 * row.people_low, 2), number(100 * row.people_high, 2)
    return {
        **named(facts.condition(row.condition)),
        "adversary": titles.get(attack.adversary, attack.adversary.words),
        "attack": attack.title,
        "fpr": share(row.fpr),
        "cells": [
            _cell("One threshold for everybody", row.global_tpr),
            _cell("One for each person", row.person_tpr),
            _cell("One for each window", row.window_tpr, row.window_fpr),
        ],
        "people": f"{low} to {high} %",
        "windows": portion(row.windows_with_all),
    }


def view(results: Results) -> View | None:
    """Rows of plain fine-tuning, and those of every other condition to be unfolded."""
    facts = Facts.of(results)
    if facts is None or not facts.finding.thresholds:
        return None
    rows = facts.finding.thresholds
    main = [r for r in rows if r.condition == facts.finding.main]
    rest = [r for r in rows if r.condition != facts.finding.main]
    return {
        "main": facts.main.title if facts.main else "",
        "rows": [_row(facts, r) for r in main],
        "rest": [_row(facts, r) for r in rest],
    }


def table(results: Results) -> Table:
    """Every row."""
    columns = (
        *("condition", "attack", "fpr", "threshold", "tpr", "low", "high", "note"),
        *("realised_fpr", "people_fpr_low", "people_fpr_high", "windows_with_all_false_alarms"),
    )
    finding = results.findings.membership
    rows: list[tuple[object, ...]] = []
    for r in finding.thresholds if finding else ():
        alarms = r.people_low, r.people_high, r.windows_with_all
        for kind, f, realised, spread in (
            ("everybody", r.global_tpr, None, alarms),
            ("person", r.person_tpr, None, (None, None, None)),
            ("window", r.window_tpr, r.window_fpr, (None, None, None)),
        ):
            figure = f.value, f.low, f.high, f.reason
            rows.append((r.condition, r.attack, r.fpr, kind, *figure, realised, *spread))
    return Table(columns, rows)


SECTION = Section(
    title="Whose threshold",
    short="Thresholds",
    order=70,
    view=view,
    tables={"thresholds.csv": table},
)
