"""ROC curves where false-positive rates are low."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup

from tinymia.experiments.base import PLAIN, Condition
from tinymia.experiments.membership.types import AdversaryRow, AttackRow, Curve
from tinymia.report.charts import Look, adversary_look
from tinymia.report.facts import Facts
from tinymia.report.section import Section, Table, View
from tinymia.report.svg import Axis, Chart
from tinymia.report.words import interval, several
from tinymia.study.results import Results

_AGES = 4  # dash patterns of style.css

Point = tuple[float, float, float, float]


def _chart(title: str, description: str, lowest: float) -> Chart:
    decades = [(0.001, "0.1 %"), (0.01, "1 %"), (0.1, "10 %"), (1.0, "100 %")]
    floor = 0.001 if lowest < 0.01 else 0.01
    ticks = [tick for tick in decades if tick[0] >= floor]
    chart = Chart(
        Axis(floor, 1.0, ticks, "false-positive rate", math.log10),
        Axis(floor, 1.0, ticks, "true-positive rate", math.log10),
        title,
        description,
        width=360,
        height=330,
        right=20,
    )
    if lowest > floor * 1.001:
        chart.shade(floor, lowest, "unresolved")
    chart.line([(floor, floor), (1.0, 1.0)], "guess")
    return chart


def _points(facts: Facts, curve: Curve) -> list[Point]:
    """(fpr, tpr, low, high) where the curve is resolved."""
    rows = zip(facts.finding.fprs, curve.tpr, curve.low, curve.high, strict=True)
    return [
        (x, y, y if low is None else low, y if high is None else high)
        for x, y, low, high in rows
        if y is not None
    ]


def _draw(facts: Facts, chart: Chart, curve: Curve, css: str, band: bool) -> None:
    rows = _points(facts, curve)
    if band:
        chart.band([(x, low, high) for x, _, low, high in rows], css)
    chart.line([(x, y) for x, y, _, _ in rows], css if band else f"{css} thin")


def _auc(facts: Facts, condition: str, attack: str) -> str:
    leak = facts.leak(condition, attack)
    return interval(leak.auc) if leak else "n/a"


def _by_adversary(facts: Facts, condition: Condition, identity: str) -> dict[str, Any] | None:
    """A line for each adversary on one condition; the strongest stated one has a band."""
    found = [
        (row, attack, curve)
        for row, attack in facts.active
        if (curve := facts.curve(condition.name, attack.name)) is not None
    ]
    if not found:
        return None
    described = "; ".join(
        f"{row.title} AUC {_auc(facts, condition.name, attack.name)}" for row, attack, _ in found
    )
    text = f"Log-log ROC of each adversary, {condition.title}: {described}."
    chart = _chart(condition.title, text, facts.finding.from_fpr)
    legend = []
    for row, attack, curve in found:
        css, _ = adversary_look(row.adversary)
        _draw(facts, chart, curve, css, facts.leads(row))
        auc = _auc(facts, condition.name, attack.name)
        legend.append({"css": css, "shape": "", "title": f"{row.title}, AUC {auc}"})
    title = f"By adversary, {condition.title}"
    return {"title": title, "svg": Markup(chart.render(identity)), "legend": legend}


def _over_plain(
    facts: Facts, condition: Condition, attack: AttackRow, look: Look, identity: str
) -> dict[str, Any] | None:
    """One adversary's line on a defence, over that on plain fine-tuning."""
    curve = facts.curve(condition.name, attack.name)
    if curve is None:
        return None
    auc = _auc(facts, condition.name, attack.name)
    text = f"Log-log ROC by the {attack.title} with its 95 % band, {condition.title}; AUC {auc}."
    chart = _chart(condition.title, text, facts.finding.from_fpr)
    legend = [{"css": look[0], "shape": "", "title": f"AUC {auc}"}]
    plain = facts.curve(condition.reference, attack.name)
    if plain is not None:
        _draw(facts, chart, plain, PLAIN[0], False)
        legend.append({"css": f"{PLAIN[0]} thin", "shape": "", "title": "no defence"})
    _draw(facts, chart, curve, look[0], True)
    return {"title": condition.title, "svg": Markup(chart.render(identity)), "legend": legend}


def _by_epochs(facts: Facts, row: AdversaryRow, attack: AttackRow) -> dict[str, Any] | None:
    """Plain fine-tuning by epochs, one adversary."""
    found = [
        (c, curve)
        for c in facts.plain
        if not c.is_base and (curve := facts.curve(c.name, attack.name)) is not None
    ][-_AGES:]
    if len(found) < 2:
        return None
    title = f"By epochs, no defence: {row.title}"
    text = f"Log-log ROC by the {attack.title} by epochs."
    chart = _chart(title, text, facts.finding.from_fpr)
    legend = []
    for i, (condition, curve) in enumerate(found):
        css = f"{PLAIN[0]} age{_AGES - len(found) + i}"
        _draw(facts, chart, curve, css, False)
        epochs = several(condition.epochs, "epoch")
        legend.append({"css": f"{css} thin", "shape": "", "title": epochs})
    return {"title": title, "svg": Markup(chart.render("fig-roc-epochs")), "legend": legend}


def _by_defence(facts: Facts, row: AdversaryRow, attack: AttackRow) -> dict[str, Any] | None:
    """A line for each defence, one adversary."""
    shown = [c for c in (facts.main, *facts.defended) if c is not None]
    found = [(c, k) for c in shown if (k := facts.curve(c.name, attack.name)) is not None]
    if len(found) < 2:
        return None
    title = f"By defence: {row.title}"
    text = f"Log-log ROC by the {attack.title} for each defence."
    chart = _chart(title, text, facts.finding.from_fpr)
    legend = []
    for condition, curve in found:
        _draw(facts, chart, curve, condition.style, False)
        css = f"{condition.style} thin"
        legend.append({"css": css, "shape": "", "title": condition.title})
    return {"title": title, "svg": Markup(chart.render("fig-roc-defences")), "legend": legend}


def _all_of(facts: Facts) -> list[dict[str, Any]]:
    """For each adversary, the curves of every defence, to be unfolded."""
    groups = []
    for i, (row, attack) in enumerate(facts.active):
        panels = [
            _over_plain(
                facts, condition, attack, (condition.style, condition.shape), f"fig-roc-{i}-{k}"
            )
            for k, condition in enumerate(facts.defended)
        ]
        shown = [panel for panel in panels if panel]
        if shown:
            groups.append({"title": f"{row.title} ({attack.title})", "panels": shown})
    return groups


def view(results: Results) -> View | None:
    """Panels; None where no curve is resolved."""
    facts = Facts.of(results)
    if facts is None or not facts.finding.curves or facts.main is None:
        return None
    chosen = facts.strongest or (facts.active[-1] if facts.active else None)
    panels = [
        _by_adversary(facts, facts.main, "fig-roc-main"),
        _by_epochs(facts, *chosen) if chosen else None,
        _by_defence(facts, *chosen) if chosen else None,
    ]
    return {
        "panels": [panel for panel in panels if panel],
        "groups": _all_of(facts),
        "lowest": f"{100 * facts.finding.from_fpr:.2g} %",
    }


def table(results: Results) -> Table:
    """The curves where they are resolved."""
    columns = ("condition", "attack", "answer", "fpr", "tpr", "low", "high")
    finding = results.findings.membership
    rows = [
        (curve.condition, curve.attack, curve.answer, fpr, tpr, low, high)
        for curve in (finding.curves if finding else ())
        for fpr, tpr, low, high in zip(
            finding.fprs if finding else (), curve.tpr, curve.low, curve.high, strict=True
        )
        if tpr is not None
    ]
    return Table(columns, rows)


SECTION = Section(
    title="ROC curves at low false-positive rates",
    short="ROC",
    order=40,
    view=view,
    tables={"roc.csv": table},
)
