"""The table of defences, the front of leakage against accuracy, and what is recommended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from tinymia.experiments.base import Condition, Figure
from tinymia.report.cells import named
from tinymia.report.charts import bounds, ends, tick_percent
from tinymia.report.choice import sentence
from tinymia.report.facts import Facts
from tinymia.report.recommend import Row, front, hiding, promised, rows, rule, sentences
from tinymia.report.section import Section, Table, View
from tinymia.report.svg import Chart, linear_axis
from tinymia.report.words import MINUS, count, interval, number, percent, ratio_text
from tinymia.study.results import Results


def _figure_of(row: Row, worst: bool) -> Figure | None:
    return row.worst if worst else row.strongest


def _plot(made: Sequence[Row], worst: bool, title: str, identity: str) -> dict[str, Any] | None:
    """Leakage against accuracy, a numbered point for each row, and a line through the front."""
    found = [
        (i, row, x, row.heldout)
        for i, row in enumerate(made, 1)
        if (x := _figure_of(row, worst)) is not None
        and x.value is not None
        and row.heldout is not None
        and row.heldout.value is not None
    ]
    if len(found) < 2:
        return None
    best = front(made, worst)
    described = "; ".join(
        f"{i} {row.condition.title}: AUC {interval(x)}, accuracy {percent(y)}"
        for i, row, x, y in found
    )
    low, high = ends([x for _, _, x, _ in found], 0.5)
    chart = Chart(
        linear_axis(max(0.0, low), min(high, 1.0), "AUC (left: less leakage)", number),
        linear_axis(*ends([y for *_, y in found]), "held-out accuracy", tick_percent),
        title,
        f"95 % intervals. {described}. On the front: "
        + ", ".join(row.condition.title for row in best),
        height=400,
    )
    chart.line([(0.5, chart.y.low), (0.5, chart.y.high)], "guess")
    steps: list[tuple[float, float]] = []
    for row in best:
        at = (_figure_of(row, worst) or Figure(0.5)).value or 0.5
        steps += [(at, steps[-1][1])] if steps else []
        steps.append((at, row.accuracy or 0.0))
    chart.line(steps, "guess")
    for _, row, x, y in found:
        across, up = x.value or 0.0, y.value or 0.0
        chart.error_bar(bounds(x), (up, up), f"{row.condition.style} faint")
        chart.error_bar((across, across), bounds(y), f"{row.condition.style} faint")
    for i, row, x, y in found:
        across, up = x.value or 0.0, y.value or 0.0
        hint = f"{row.condition.title}: AUC {interval(x)}, accuracy {percent(y)}"
        chart.point(across, up, row.condition.style, row.condition.shape, hint)
        chart.text(across, up, str(i), css="value", dx=7, dy=-6)
    return {"title": title, "svg": Markup(chart.render(identity)), "legend": []}


def _detail(condition: Condition, tuned: frozenset[str]) -> str:
    """The defences with their numbers, and whether those were chosen on other people."""
    if not condition.defences:
        return ""
    chosen = " (chosen on other people)" if tuned >= {*condition.defences} else ""
    return condition.detail + chosen


def _cells(
    facts: Facts,
    row: Row,
    number_of: int,
    best: Sequence[Row],
    plain: Row | None,
    tuned: frozenset[str],
) -> dict[str, Any]:
    condition = row.condition
    added = None
    if row is not plain and plain is not None and row.flash and plain.flash:
        added = row.flash - plain.flash
    return {
        **named(condition),
        "number": str(number_of),
        "detail": _detail(condition, tuned),
        "front": row in best,
        "guarantee": promised(row, facts),
        # What an answer promises is no bound on all of them.
        "proven": condition.name in facts.privacy,
        "strongest": interval(row.strongest) if row.strongest else "does not run",
        "worst": interval(row.worst) if row.worst else "none runs",
        "worst_attack": row.worst_attack,
        "heldout": percent(row.heldout) if row.heldout else "n/a",
        "lost": "" if row.lost is None else f"{number(-100 * row.lost, 1, signed=True)} points",
        "step": count(row.step) if row.step else "n/a",
        "training": f"{row.training / 1e6:,.1f} M" if row.training else "n/a",
        "answer": count(row.answer) if row.answer else "n/a",
        "extra": "" if row.extra is None else ratio_text(1 + row.extra),
        "ram": count(row.ram) if row.ram else "n/a",
        "flash": count(row.flash) if row.flash else "n/a",
        "added": "" if added is None else f"{'+' if added >= 0 else MINUS}{count(abs(added))}",
        "line_out": count(row.line_out) if row.line_out else "n/a",
        "line_in": count(row.line_in) if row.line_in else "n/a",
    }


def view(results: Results) -> View | None:
    """The table, two plots and the sentences; None where nothing is compared."""
    facts = Facts.of(results)
    if facts is None or not (facts.defended or facts.other_depths):
        return None
    made = rows(facts)
    best = front(made, worst=True)
    tuning = results.findings.tuning
    tuned = frozenset(row.defence for row in tuning.chosen) if tuning else frozenset[str]()
    plain = next((row for row in made if row.condition.name == facts.finding.main), None)
    strongest = facts.strongest
    panels = [
        strongest
        and _plot(made, False, f"Strongest attack: {strongest[1].title}", "fig-front-strongest"),
        _plot(made, True, "The attack that is worst for each", "fig-front-worst"),
    ]
    return {
        "attack": strongest[1].title if strongest else "none runs",
        "rows": [_cells(facts, row, i, best, plain, tuned) for i, row in enumerate(made, 1)],
        "measured": any(row.step for row in made),
        "flash": any(row.flash for row in made),
        "line": any(row.line_out for row in made),
        "unit": facts.unit,
        "panels": [panel for panel in panels if panel],
        "sentences": [text for _, _, text in sentences(facts, made)],
        "chosen": sentence(facts.finding),
        "rule": rule(facts.unit if any(row.extra is not None for row in made) else ""),
        "hiding": [f"{row.condition.title} ({row.worst_attack})" for row in hiding(made, plain)],
        "useless": [
            row.condition.title
            for row in made
            if row.condition.name != facts.finding.main and not row.lowers
        ],
    }


def table(results: Results) -> Table:
    """Every row."""
    columns = (
        *("condition", "guarantee", "strongest_attack", "strongest_auc", "strongest_low"),
        *("strongest_high", "worst_attack", "worst_auc", "worst_low", "worst_high", "heldout"),
        *("heldout_low", "heldout_high", "lost", "extra", "step", "training", "answer"),
        *("ram", "flash", "line_out", "line_in", "front"),
    )
    facts = Facts.of(results)
    if facts is None:
        return Table(columns, [])
    made = rows(facts)
    best = front(made, worst=True)
    attack = facts.strongest[1].name if facts.strongest else ""
    return Table(
        columns,
        [
            (
                *(row.condition.name, row.guarantee, attack, *_ends(row.strongest)),
                *(row.worst_attack, *_ends(row.worst), *_ends(row.heldout)),
                *(row.lost, row.extra, row.step, row.training, row.answer),
                *(row.ram, row.flash, row.line_out, row.line_in, row in best),
            )
            for row in made
        ],
    )


def recommended(results: Results) -> Table:
    """What is recommended for each budget."""
    facts = Facts.of(results)
    found = sentences(facts, rows(facts)) if facts else []
    return Table(
        ("more", "points", "condition", "sentence"),
        [
            (budget.extra, budget.points, row.condition.name if row else "", text)
            for budget, row, text in found
        ],
    )


def _ends(figure: Figure | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if figure is None else (figure.value, figure.low, figure.high)


SECTION = Section(
    title="What to choose",
    short="Choice",
    order=28,
    view=view,
    tables={"front.csv": table, "recommended.csv": recommended},
)
