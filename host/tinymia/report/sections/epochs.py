"""Leakage and accuracy as fine-tuning goes on, and the accuracy of every condition."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from tinymia.experiments.base import Condition, Measure
from tinymia.report.cells import named
from tinymia.report.charts import (
    HELD_OUT,
    MEMBERS,
    adversary_look,
    ends,
    epoch_axis,
    series,
    tick_percent,
)
from tinymia.report.facts import Facts
from tinymia.report.section import Section, Table, View
from tinymia.report.svg import Chart, linear_axis
from tinymia.report.words import interval, number, percent, points, tone, verdict_words
from tinymia.study.results import Results


def _leakage(facts: Facts, conditions: list[Condition]) -> str:
    """AUC against epochs, a line for each adversary."""
    lines = []
    for row, attack in facts.active:
        found = [(c, facts.leak(c.name, attack.name)) for c in conditions]
        figures = [(float(c.epochs), leak.auc) for c, leak in found if leak is not None]
        if figures:
            lines.append((row, figures))
    low, high = ends([f for _, figures in lines for _, f in figures], 0.5)
    described = "; ".join(
        f"{row.title}: " + ", ".join(f"{x:g} epochs {interval(f)}" for x, f in figures)
        for row, figures in lines
    )
    chart = Chart(
        epoch_axis(conditions),
        linear_axis(low, min(high, 1.0), "AUC of the attack", number),
        "Leakage against epochs",
        f"AUC of each adversary's attack, 95 % interval. {described}.",
        right=34,
    )
    chart.line([(chart.x.low, 0.5), (chart.x.high, 0.5)], "guess")
    for row, figures in lines:
        series(chart, figures, adversary_look(row.adversary))
    for row, figures in lines:
        x, last = figures[-1]
        if facts.leads(row) and last.value is not None:
            text = number(last.value)
            chart.text(x, last.value, text, css="value", anchor="middle", dy=-11)
    return chart.render("fig-leakage")


def _accuracy(facts: Facts, conditions: list[Condition]) -> str:
    """Accuracy on members and on held-out windows against epochs."""
    rows = [(float(c.epochs), facts.accuracy[c.name]) for c in conditions]
    low, high = ends([f for _, a in rows for f in (a.members, a.heldout)])
    described = "; ".join(
        f"{x:g} epochs: held-out {percent(a.heldout)}, members {percent(a.members)}"
        for x, a in rows
    )
    chart = Chart(
        epoch_axis(conditions),
        linear_axis(low, min(high, 1.0), "accuracy", tick_percent),
        "Accuracy against epochs",
        f"Accuracy on members and on held-out windows, 95 % interval. {described}.",
        right=34,
    )
    # Members first: the held-out line is what counts and lies on top.
    for part, look, dy in (("members", MEMBERS, -11), ("heldout", HELD_OUT, 20)):
        figures = [(x, getattr(a, part)) for x, a in rows]
        series(chart, figures, look)
        x, last = figures[-1]
        if last.value is not None:
            text = number(100 * last.value, 1)
            chart.text(x, last.value, text, css="value", anchor="middle", dy=dy)
    return chart.render("fig-accuracy")


def _row(facts: Facts, condition: Condition) -> dict[str, Any]:
    found = facts.accuracy[condition.name]
    base = condition.is_base
    measure = Measure.HELD_OUT
    return {
        **named(condition),
        "heldout": percent(found.heldout),
        "members": percent(found.members),
        "gain": "" if base else points(found.gain),
        "verdict": "" if base else verdict_words(found.verdict, measure),
        "tone": tone(found.verdict, measure),
    }


def view(results: Results) -> View | None:
    """Two charts where there are several epochs, and the accuracy table."""
    facts = Facts.of(results)
    if facts is None:
        return None
    plain = [c for c in facts.plain if c.name in facts.accuracy]
    charts = len(plain) > 1
    guessing = [
        row.title
        for row, attack in facts.active
        for c in plain
        if c.is_base and (leak := facts.leak(c.name, attack.name)) and leak.guessing
    ]
    legend = [
        dict(zip(("css", "shape"), adversary_look(row.adversary), strict=True))
        | {"title": f"{row.title}: {attack.title}"}
        for row, attack in facts.active
    ]
    return {
        "legend": [*legend, {"css": "guess", "shape": "", "title": "guessing"}],
        "leakage": Markup(_leakage(facts, plain)) if charts and facts.active else "",
        "accuracy": Markup(_accuracy(facts, plain)) if charts else "",
        "guessing": bool(guessing),
        "heldout": dict(zip(("css", "shape"), HELD_OUT, strict=True)),
        "members": dict(zip(("css", "shape"), MEMBERS, strict=True)),
        "rows": [_row(facts, c) for c in facts.finding.conditions if c.name in facts.accuracy],
    }


def table(results: Results) -> Table:
    """Accuracy of every condition, and the paired gain over the base model."""
    columns = (
        *("condition", "windows", "accuracy"),
        *("low", "high", "boot_low", "boot_high", "verdict"),
    )
    facts = Facts.of(results)
    rows: list[tuple[object, ...]] = []
    for found in facts.finding.accuracy if facts else ():
        for windows, f, verdict in (
            ("members", found.members, ""),
            ("heldout", found.heldout, ""),
            ("base", found.before, ""),
            ("heldout minus base", found.gain, str(found.verdict)),
        ):
            bounds = f.low, f.high, f.boot_low, f.boot_high
            rows.append((found.condition, windows, f.value, *bounds, verdict))
    return Table(columns, rows)


SECTION = Section(
    title="Leakage and accuracy against epochs",
    short="Epochs",
    order=20,
    view=view,
    tables={"accuracy.csv": table},
)
