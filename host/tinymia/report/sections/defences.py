"""What each defence changes for each adversary, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from markupsafe import Markup

from tinymia.experiments.base import PLAIN, Comparison, Condition, Measure
from tinymia.experiments.membership.types import AdversaryRow, AttackRow
from tinymia.report.cells import auc_words, change, matrix_row, named, size, tpr_text
from tinymia.report.charts import bounds, ends, tick_points, tick_signed
from tinymia.report.facts import Facts
from tinymia.report.section import Section, Table, View
from tinymia.report.svg import Chart, linear_axis
from tinymia.report.words import (
    count,
    interval,
    number,
    percent,
    points,
    ratio_text,
)
from tinymia.study.results import Cost, Results

Pair = tuple[AdversaryRow, AttackRow]


def _heads(pairs: Sequence[Pair]) -> list[dict[str, str]]:
    return [{"title": row.title, "sub": attack.title} for row, attack in pairs]


def _reference(facts: Facts, main: Condition, pairs: Sequence[Pair], tpr: bool) -> dict[str, Any]:
    """The row of plain fine-tuning, which the others are compared with."""
    cells = []
    for _, attack in pairs:
        leak = facts.leak(main.name, attack.name)
        value = tpr_text(leak, 0.01) if tpr else auc_words(leak)["text"]
        cells.append({"value": value, **change(None, "reference")})
    return {**named(main), "cells": cells}


def _tradeoff(facts: Facts, pair: Pair, number_of: int) -> dict[str, Any] | None:
    """Paired change in accuracy against paired change in AUC, a point for each defence."""
    row, attack = pair
    found = [
        (condition, auc.difference, gained.difference)
        for condition in facts.defended
        if (auc := facts.change(condition.name, attack.name)) is not None
        and (gained := facts.gained(condition.name)) is not None
        and auc.difference.value is not None
        and gained.difference.value is not None
    ]
    if not found:
        return None
    described = "; ".join(
        f"{condition.title}: AUC {interval(x, signed=True)}, accuracy {points(y)}"
        for condition, x, y in found
    )
    chart = Chart(
        linear_axis(
            *ends([x for _, x, _ in found], 0.0),
            "change in AUC (left: less leakage)",
            tick_signed,
            4,
        ),
        linear_axis(
            *ends([y for _, _, y in found], 0.0), "change in held-out accuracy, points", tick_points
        ),
        f"Trade-off of the defences: {row.title}",
        f"Paired changes against plain fine-tuning, 95 % intervals. {described}.",
        width=360,
        height=320,
        left=56,
    )
    chart.line([(0.0, chart.y.low), (0.0, chart.y.high)], "guess")
    chart.line([(chart.x.low, 0.0), (chart.x.high, 0.0)], "guess")
    for condition, x, y in found:
        at = x.value or 0.0, y.value or 0.0
        chart.error_bar(bounds(x), (at[1], at[1]), condition.style)
        chart.error_bar((at[0], at[0]), bounds(y), condition.style)
    chart.point(0.0, 0.0, *PLAIN, "no defence")
    for condition, x, y in found:
        chart.point(
            x.value or 0.0, y.value or 0.0, condition.style, condition.shape, condition.title
        )
    svg = Markup(chart.render(f"fig-tradeoff-{number_of}"))
    return {"title": row.title, "svg": svg, "legend": []}


def _price(facts: Facts, condition: Condition) -> dict[str, Any]:
    """Accuracy, epsilon and cost of a condition."""
    accuracy = facts.accuracy.get(condition.name)
    account, cost = facts.privacy.get(condition.name), facts.costs.get(condition.name)
    gained = facts.gained(condition.name)
    reference = condition.name == facts.finding.main
    return {
        **named(condition),
        "heldout": {
            "value": percent(accuracy.heldout) if accuracy else "n/a",
            **change(gained, "reference" if reference else ""),
        },
        "epsilon": number(account.epsilon, 2) if account else "\u221e",
        "delta": f"\u03b4 = {account.delta:g}" if account else "",
        "step": _step(cost, reference),
        "workspace": count(cost.workspace) if cost and cost.workspace else "n/a",
    }


def _step(cost: Cost | None, reference: bool) -> str:
    """ "7,100 (+4.4 %)", or "n/a"."""
    if cost is None or not cost.step:
        return "n/a"
    extra = f" ({ratio_text(cost.ratio)})" if cost.ratio and not reference else ""
    answer = f"; an answer {count(cost.answer)}" if cost.answer else ""
    return count(cost.step) + extra + answer


def step_bars(facts: Facts) -> str:
    """Bars of what a training step costs on the device; "" where nothing was measured."""
    shown = [c for c in (facts.main, *facts.defended) if c is not None]
    rows = [(c, cost) for c in shown if (cost := facts.costs.get(c.name)) and cost.step]
    if not rows:
        return ""
    top, gap, width = 8, 52, 520
    most = max(cost.step or 0.0 for _, cost in rows)
    parts = []
    for i, (condition, cost) in enumerate(rows):
        y, step = top + gap * i, cost.step or 0.0
        length = max(2.0, (width - 8) * step / most)
        parts.append(
            f'<text x="0" y="{y + 14}">{escape(condition.title)}</text>'
            f'<text class="value" x="{width - 8}" y="{y + 14}" text-anchor="end">'
            f"{_step(cost, condition.name == facts.finding.main)}</text>"
            f'<rect class="fill {escape(condition.style)}" x="0" y="{y + 22}" '
            f'width="{length:.1f}" height="14" rx="2"/>'
        )
    described = "; ".join(f"{escape(c.title)}: {count(cost.step or 0.0)}" for c, cost in rows)
    return (
        f'<svg viewBox="0 0 {width} {top + gap * len(rows) + 6}" role="img" '
        f'aria-labelledby="fig-step-t fig-step-d"><title id="fig-step-t">Cost of a training step'
        f'</title><desc id="fig-step-d">{escape(facts.unit)} a training step. {described}.</desc>'
        f"{''.join(parts)}</svg>"
    )


def _details(facts: Facts, pairs: Sequence[Pair]) -> list[dict[str, str]]:
    """Every comparison of the matrix with its p-values and simultaneous interval."""
    rows = []
    found: list[tuple[Condition, str, Comparison | None]] = [
        (condition, row.title, facts.change(condition.name, attack.name))
        for condition in facts.defended
        for row, attack in pairs
    ]
    found += [(c, "held-out accuracy", facts.gained(c.name)) for c in facts.defended]
    for condition, who, item in found:
        if item is None:
            continue
        auc = item.measure is Measure.AUC
        both = item.simultaneous
        rows.append(
            {
                "condition": condition.title,
                "who": who,
                "difference": interval(item.difference, signed=True)
                if auc
                else points(item.difference),
                "alone": str(item.verdict),
                "p": _p(item.p_value),
                "corrected": str(item.verdict_adjusted),
                "p_adjusted": _p(item.p_adjusted),
                "family": count(item.family),
                "simultaneous": "n/a"
                if both is None
                else interval(both, signed=True)
                if auc
                else points(both),
                "seen": "none"
                if item.smallest_effect is None
                else size(item.smallest_effect, item.measure),
            }
        )
    return rows


def _p(value: float | None) -> str:
    """A p-value; "n/a" where there is no interval."""
    if value is None:
        return "n/a"
    return "< 0.0001" if value < 0.0001 else f"{value:.2g}" if value < 0.001 else number(value)


def _family(facts: Facts, pairs: Sequence[Pair]) -> int:
    found = [
        item.family
        for c in facts.defended
        for _, attack in pairs
        if (item := facts.change(c.name, attack.name))
    ]
    return max(found, default=1)


def _policies(facts: Facts) -> list[dict[str, Any]]:
    """The matrix again under every other answer policy."""
    out = []
    for answer in facts.finding.answers:
        pairs = [
            (row, attack)
            for row in facts.finding.adversaries
            if (attack := facts.headline(row, answer)) is not None
        ]
        if answer is facts.finding.answer or not pairs:
            continue
        names = [attack.name for _, attack in pairs]
        shown = [facts.main] if facts.main else []
        rows = [
            matrix_row(facts, condition, names, answer=answer)
            for condition in (*shown, *facts.defended)
        ]
        out.append({"title": facts.answer_title(answer), "heads": _heads(pairs), "rows": rows})
    return out


def view(results: Results) -> View | None:
    """The matrix of verdicts, trade-offs and prices; None without a defence."""
    facts = Facts.of(results)
    if facts is None or not facts.defended:
        return None
    pairs, main = facts.active, facts.main
    names = [attack.name for _, attack in pairs]
    panels = [_tradeoff(facts, pair, i) for i, pair in enumerate(pairs)]
    shown = [main] if main else []
    tpr = any(facts.change(c.name, n, Measure.TPR_1) for c in facts.defended for n in names)
    first = [_reference(facts, main, pairs, False)] if main else []
    first_tpr = [_reference(facts, main, pairs, True)] if main else []
    return {
        "own": facts.answer_title(facts.finding.answer),
        "family": count(_family(facts, pairs)),
        "heads": _heads(pairs),
        "rows": [*first, *(matrix_row(facts, c, names) for c in facts.defended)],
        "tpr_rows": [
            *first_tpr,
            *(matrix_row(facts, c, names, Measure.TPR_1) for c in facts.defended),
        ]
        if tpr
        else [],
        "policies": _policies(facts),
        "panels": [panel for panel in panels if panel],
        "legend": [named(c) | {"title": c.title} for c in (*shown, *facts.defended)],
        "prices": [_price(facts, c) for c in (*shown, *facts.defended)],
        "private": bool(facts.privacy),
        "unit": facts.unit,
        "measured": any(cost.step for cost in facts.costs.values()),
        "steps": Markup(step_bars(facts)),
        "details": _details(facts, pairs),
    }


def table(results: Results) -> Table:
    """Every paired change: what fine-tuning adds, and what each defence and depth changes."""
    columns = (
        *("condition", "reference", "measure", "attack", "answer", "difference"),
        *("low", "high", "boot_low", "boot_high", "verdict", "p", "p_adjusted"),
        *("simultaneous_low", "simultaneous_high", "verdict_adjusted", "family"),
        "smallest_effect",
    )
    finding = results.findings.membership
    rows = []
    for item in (*finding.added, *finding.paired) if finding else ():
        f, both = item.difference, item.simultaneous
        rows.append(
            (
                *(item.condition, item.reference, item.measure, item.attack, item.answer),
                *(f.value, f.low, f.high, f.boot_low, f.boot_high),
                *(item.verdict, item.p_value, item.p_adjusted),
                *((both.low, both.high) if both else (None, None)),
                *(item.verdict_adjusted, item.family, item.smallest_effect),
            )
        )
    return Table(columns, rows)


SECTION = Section(
    title="Defences",
    short="Defences",
    order=30,
    view=view,
    tables={"paired.csv": table},
)
