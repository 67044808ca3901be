"""Who attacks, with what, and what the device answers them: the same leak, measured for each."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from tinymia.attacks.base import Adversary
from tinymia.evidence import OutputPolicy
from tinymia.experiments.base import Figure
from tinymia.experiments.membership.types import AdversaryRow, Leak
from tinymia.report.cells import auc_words, tpr_text
from tinymia.report.charts import Lane, adversary_look, answer_look, ends, lanes, tick_percent
from tinymia.report.choice import instead, sentence
from tinymia.report.facts import Facts, rate
from tinymia.report.section import Section, Table, View
from tinymia.report.words import above_guessing, count, number, portion, share
from tinymia.study.results import Results, ShadowRow

_HAS = {
    Adversary.NO_SHADOWS: "asks the device, and has the public base model",
    Adversary.OTHER_PEOPLE: "also trains shadow devices, on windows of other people",
    Adversary.CANDIDATES: "also holds the windows in question, trains shadow devices on them, and "
    "judges each window by the answers to it",
    Adversary.JOINT: "the same, and judges all windows at once by all answers",
    Adversary.FLASH: "also reads the trained weights out of the device",
}


def _leak(facts: Facts, row: AdversaryRow, answer: OutputPolicy) -> Leak | None:
    attack = facts.headline(row, answer)
    return facts.leak(facts.finding.main, attack.name, answer) if attack else None


def _row(facts: Facts, row: AdversaryRow) -> dict[str, Any]:
    css, shape = adversary_look(row.adversary)
    own = facts.headline(row)
    leak = _leak(facts, row, facts.finding.answer)
    cells = []
    for answer in facts.finding.answers:
        attack = facts.headline(row, answer)
        by = f"by {attack.title}" if attack and attack is not own else ""
        cells.append({**auc_words(_leak(facts, row, answer)), "by": by})
    return {
        "title": row.title,
        "css": css,
        "shape": shape,
        "sub": _stands(facts, row),
        "cells": cells,
        "tprs": [tpr_text(leak, fpr) for fpr in _fprs(facts)],
        "strongest": facts.leads(row),
    }


def _stands(facts: Facts, row: AdversaryRow) -> str:
    """The attack that the row's figures are of."""
    own = facts.headline(row)
    if own is None:
        return "no attack runs"
    replaced = instead(facts.finding, row)
    return f"{own.title} ({own.reference})" + (f", {replaced}" if replaced else "")


def _fprs(facts: Facts) -> list[float]:
    found = {r.fpr for row in facts.finding.adversaries for r in row.tpr}
    return sorted(found, reverse=True)


def _auc_chart(facts: Facts) -> str:
    rows, figures = [], []
    for row in facts.finding.adversaries:
        dots = [
            (leak.auc, answer_look(answer), facts.answer_title(answer))
            for answer in facts.finding.answers
            if (leak := _leak(facts, row, answer)) is not None
        ]
        figures += [figure for figure, _, _ in dots]
        rows.append(Lane(row.title, dots))
    low, high = ends(figures, 0.5)
    axis = low, min(high, 1.0), "AUC"
    title = "Leakage by adversary and answers"
    return lanes("fig-adversaries", title, rows, axis, number, 0.5)


def _tpr_chart(facts: Facts, fpr: float) -> str:
    rows, figures = [], []
    for row in facts.finding.adversaries:
        found = rate(row.tpr, fpr)
        dots: list[tuple[Figure, tuple[str, str], str]] = []
        note = "not resolved"
        if found is not None and found.figure.value is not None:
            hint = facts.answer_title(facts.finding.answer)
            dots = [(found.figure, adversary_look(row.adversary), hint)]
            note = portion(found.figure.value)
        figures += [figure for figure, _, _ in dots]
        rows.append(Lane(row.title, dots, note))
    if not figures:
        return ""
    low, high = ends(figures, 0.0, fpr)
    axis = low, min(high, 1.0), "members found"
    title = f"Members found at {share(fpr)} false positives, by adversary"
    return lanes("fig-adversaries-tpr", title, rows, axis, tick_percent, fpr)


def _shadow_rows(facts: Facts) -> list[dict[str, str]]:
    return [
        {
            "title": facts.condition(row.condition).title,
            "used": count(row.used) if row.used else "none",
            "whole": count(row.whole) if row.whole else "none",
        }
        for row in facts.results.context.shadows
    ]


def _shadow_note(facts: Facts) -> str:
    """Whether this was a quick run, and how one gets the whole."""
    found = facts.results.context.shadows
    if not any(row.whole for row in found):
        return "No attack of this study had shadow devices."
    fewer = _fewer(facts)
    if not fewer:
        return "Every condition's attacks had as many shadow devices as the whole run has."
    return (
        f"This was a quick run: for {count(len(fewer))} of {count(len(found))} conditions attacks "
        "had fewer shadow devices for each person than in the whole run, and an attack that was "
        "trained on fewer finds less. Their figures, and verdicts on them, speak of that attack."
    )


def _fewer(facts: Facts) -> list[ShadowRow]:
    return [row for row in facts.results.context.shadows if row.used < row.whole]


def view(results: Results) -> View | None:
    """Adversaries against answer policies; None where nothing was fine-tuned."""
    facts = Facts.of(results)
    if facts is None or facts.main is None:
        return None
    fprs = _fprs(facts)
    return {
        "main": facts.main,
        "chosen": sentence(facts.finding),
        "stated": "strongest chosen" if facts.by_choice else "strongest stated",
        "own": facts.answer_title(facts.finding.answer),
        "answers": [
            {"title": facts.answer_title(a), "css": answer_look(a)[0], "shape": answer_look(a)[1]}
            for a in facts.finding.answers
        ],
        "fprs": [share(fpr) for fpr in fprs],
        "rows": [_row(facts, row) for row in facts.finding.adversaries],
        "has": [(row.title, _HAS.get(row.adversary, "")) for row in facts.finding.adversaries],
        "auc": Markup(_auc_chart(facts)),
        "tpr": Markup(_tpr_chart(facts, fprs[0])) if fprs else "",
        "tpr_fpr": share(fprs[0]) if fprs else "",
        "shadows": _shadow_rows(facts),
        "shadow_note": _shadow_note(facts),
        "quick": bool(_fewer(facts)),
    }


def table(results: Results) -> Table:
    """Every adversary under every policy, on plain fine-tuning."""
    columns = (
        "adversary", "answer", "attack", "strongest", "metric", "value", "low", "high", "verdict",
    )  # fmt: skip
    rows: list[tuple[object, ...]] = []
    facts = Facts.of(results)
    for row in facts.finding.adversaries if facts else ():
        assert facts is not None
        for answer in facts.finding.answers:
            leak = _leak(facts, row, answer)
            if leak is None:
                rows.append((row.adversary, answer, *[None] * 6, "no attack runs"))
                continue
            stated = facts.leads(row)
            who = row.adversary, answer, leak.attack, stated
            f = leak.auc
            rows.append((*who, "auc", f.value, f.low, f.high, above_guessing(leak)))
            for found in leak.tpr:
                f = found.figure
                rows.append((*who, f"tpr@{found.fpr:g}", f.value, f.low, f.high, f.reason))
    return Table(columns, rows)


def shadow_table(results: Results) -> Table:
    """Shadow devices of each condition's attacks, and how many the whole run has."""
    rows = [(row.condition, row.used, row.whole) for row in results.context.shadows]
    return Table(("condition", "used", "whole"), rows)


SECTION = Section(
    title="Who attacks, and what the device answers",
    short="Adversaries",
    order=10,
    view=view,
    tables={"adversaries.csv": table, "shadows.csv": shadow_table},
)
