"""Leakage against how much of the network is trained, for each adversary."""

from __future__ import annotations

import textwrap
from typing import Any

from markupsafe import Markup

from tinymia.experiments.base import Condition
from tinymia.report.cells import auc_words, change, named
from tinymia.report.charts import HELD_OUT, MEMBERS, adversary_look, dot, ends, tick_percent
from tinymia.report.facts import Facts
from tinymia.report.section import Section, View
from tinymia.report.svg import Axis, Chart, linear_axis
from tinymia.report.words import count, interval, number, percent, points
from tinymia.study.results import Results


def _conditions(facts: Facts) -> list[Condition]:
    """From what changes few parameters to what changes all; empty if only one depth was run."""
    if facts.main is None or not facts.other_depths:
        return []
    found = [facts.main, *facts.other_depths]

    def size(condition: Condition) -> float:
        cost = facts.costs.get(condition.name)
        return float("inf") if cost is None or cost.trained is None else cost.trained

    return sorted(found, key=size)


def _axis(conditions: list[Condition]) -> Axis:
    ticks = [
        (float(i), "\n".join(textwrap.wrap(c.depth_title, 12))) for i, c in enumerate(conditions)
    ]
    return Axis(-0.5, len(conditions) - 0.5, ticks, "what is trained")


def _chart(conditions: list[Condition], y: Axis, title: str, description: str) -> Chart:
    x = _axis(conditions)
    lines = max(label.count("\n") for _, label in x.ticks)
    return Chart(x, y, title, description, height=330 + 16 * lines, bottom=48 + 16 * lines)


def _leakage(facts: Facts, conditions: list[Condition]) -> str:
    """AUC at each depth, a marker for each adversary who has an attack there."""
    columns = [
        [
            (leak.auc, adversary_look(row.adversary), row.title)
            for row, attack in facts.active
            if (leak := facts.leak(c.name, attack.name)) is not None
        ]
        for c in conditions
    ]
    low, high = ends([f for column in columns for f, _, _ in column], 0.5)
    described = "; ".join(
        f"{c.depth_title}: " + ", ".join(f"{who} {interval(f)}" for f, _, who in column)
        for c, column in zip(conditions, columns, strict=True)
    )
    chart = _chart(
        conditions,
        linear_axis(low, min(high, 1.0), "AUC of the attack", number),
        "Leakage against depth",
        f"AUC of each adversary's attack, 95 % interval. {described}.",
    )
    chart.line([(chart.x.low, 0.5), (chart.x.high, 0.5)], "guess")
    for i, column in enumerate(columns):
        for k, (figure, look, who) in enumerate(column):
            x = i + 0.13 * (k - (len(column) - 1) / 2)
            dot(chart, x, figure, look, f"{who}: {interval(figure)}")
    return chart.render("fig-depth-leakage")


def _accuracy(facts: Facts, conditions: list[Condition]) -> str:
    """Accuracy on members and on held-out windows at each depth."""
    found = [facts.accuracy[c.name] for c in conditions]
    low, high = ends([f for a in found for f in (a.members, a.heldout)])
    described = "; ".join(
        f"{c.depth_title}: held-out {percent(a.heldout)}, members {percent(a.members)}"
        for c, a in zip(conditions, found, strict=True)
    )
    chart = _chart(
        conditions,
        linear_axis(low, min(high, 1.0), "accuracy", tick_percent),
        "Accuracy against depth",
        f"Accuracy on members and on held-out windows, 95 % interval. {described}.",
    )
    for i, accuracy in enumerate(found):
        dot(chart, i - 0.09, accuracy.members, MEMBERS)
        dot(chart, i + 0.09, accuracy.heldout, HELD_OUT)
        value = accuracy.heldout.value
        if value is not None:
            text = number(100 * value, 1)
            chart.text(i + 0.09, value, text, css="value", dx=10, dy=4)
    return chart.render("fig-depth-accuracy")


def _row(facts: Facts, condition: Condition) -> dict[str, Any]:
    accuracy, cost = facts.accuracy[condition.name], facts.costs.get(condition.name)
    empty = "reference" if condition.is_plain else ""
    cells = []
    for _, attack in facts.active:
        leak = facts.leak(condition.name, attack.name)
        cells.append(
            {
                "value": auc_words(leak)["text"],
                **change(facts.change(condition.name, attack.name), empty if leak else ""),
            }
        )
    return {
        **named(condition),
        "title": condition.depth_title,
        "cells": cells,
        "heldout": {
            "value": percent(accuracy.heldout),
            **change(facts.gained(condition.name), empty),
        },
        "gain": points(accuracy.gain),
        "rate": f"{cost.learning_rate:g}" if cost else "n/a",
        "trained": count(cost.trained) if cost and cost.trained else "n/a",
        "workspace": count(cost.workspace) if cost and cost.workspace else "n/a",
        "step": count(cost.step) if cost and cost.step else "n/a",
    }


def view(results: Results) -> View | None:
    """Charts and rows; None if only one depth was run."""
    facts = Facts.of(results)
    conditions = _conditions(facts) if facts else []
    if facts is None or not conditions:
        return None
    looks = [(row.title, adversary_look(row.adversary)) for row, _ in facts.active]
    legend = [{"title": title, "css": css, "shape": shape} for title, (css, shape) in looks]
    return {
        "rows": [_row(facts, c) for c in conditions],
        "heads": [{"title": row.title, "sub": attack.title} for row, attack in facts.active],
        "legend": [*legend, {"css": "guess", "shape": "", "title": "guessing"}],
        "heldout": dict(zip(("css", "shape"), HELD_OUT, strict=True)),
        "members": dict(zip(("css", "shape"), MEMBERS, strict=True)),
        "leakage": Markup(_leakage(facts, conditions)),
        "accuracy": Markup(_accuracy(facts, conditions)),
        "unit": facts.unit,
    }


SECTION = Section(title="Leakage against depth", short="Depth", order=50, view=view)
