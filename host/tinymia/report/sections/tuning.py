"""Which strength each defence has, and how it was chosen on people who are not audited."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from tinymia.experiments.base import PLAIN, look
from tinymia.experiments.tuning import Tried, TuningFinding
from tinymia.report.charts import tick_percent
from tinymia.report.section import Section, Table, View
from tinymia.report.svg import Chart, linear_axis
from tinymia.report.words import listing, number, portion, several
from tinymia.study.results import Results


def rule(finding: TuningFinding) -> str:
    """How the strength is chosen."""
    lost = f"{number(100 * finding.most_lost, 1)} points"
    return (
        f"Of the strengths that lose at most {lost} of held-out accuracy against no defence on"
        " these people, the one whose best attack has the lowest AUC, to a hundredth; of equals the"
        " next adversary's AUC counts, then accuracy. Where all lose more, the one that loses"
        " least."
    )


def value_of(row: Tried) -> str:
    """ "norm 0.5"; "" for plain fine-tuning."""
    return f"{row.parameter} {row.value:g}" if row.parameter else ""


def is_chosen(finding: TuningFinding, row: Tried) -> bool:
    """Whether the audit compares this strength."""
    return any((c.defence, c.value) == (row.defence, row.value) for c in finding.chosen)


def _row(finding: TuningFinding, row: Tried, names: list[str]) -> dict[str, Any]:
    within = next((c.within for c in finding.chosen if c.defence == row.defence), True)
    taken = is_chosen(finding, row)
    by = {found.attack: number(found.auc) for found in row.attacks}
    lost = finding.plain.heldout - row.heldout
    return {
        "title": row.short,
        "value": value_of(row),
        "aucs": [by.get(name, "–") for name in names],
        "leakage": number(row.leakage),
        "heldout": portion(row.heldout),
        "lost": f"{number(-100 * lost, 1, signed=True)} points" if row.parameter else "",
        "tag": "" if not taken else "chosen" if within else "loses least",
        "tone": "good" if within else "neutral",
    }


def _plot(finding: TuningFinding) -> str:
    """A line for each defence through its strengths."""
    rows = (finding.plain, *finding.tried)
    chart = Chart(
        linear_axis(
            min(r.leakage for r in rows),
            max(*(r.leakage for r in rows), 0.51),
            "greatest AUC (left: less leakage)",
            number,
        ),
        linear_axis(
            min(r.heldout for r in rows),
            max(r.heldout for r in rows),
            "held-out accuracy",
            tick_percent,
        ),
        "Strengths on public people",
        "; ".join(
            f"{r.short} {value_of(r)}: AUC {number(r.leakage)}, accuracy {portion(r.heldout)}"
            for r in rows
        ),
        height=400,
    )
    floor = finding.plain.heldout - finding.most_lost
    if floor >= chart.y.low:
        chart.line([(chart.x.low, floor), (chart.x.high, floor)], "guess")
    for i, kind in enumerate(_kinds(finding)):
        css, shape = look(i)
        own = sorted(finding.of(kind), key=lambda r: (r.leakage, r.heldout))
        chart.line([(r.leakage, r.heldout) for r in own], f"{css} thin")
        for row in own:
            hint = f"{row.short}, {value_of(row)}"
            chart.point(row.leakage, row.heldout, css, shape, hint)
            if is_chosen(finding, row):
                chart.text(row.leakage, row.heldout, f"{row.value:g}", css="value", dx=7, dy=-6)
    chart.point(finding.plain.leakage, finding.plain.heldout, *PLAIN, "no defence")
    return chart.render("fig-tuning")


def _kinds(finding: TuningFinding) -> list[str]:
    return list(dict.fromkeys(row.defence for row in finding.tried))


def view(results: Results) -> View | None:
    """The sweep; None where strengths were as given."""
    finding = results.findings.tuning
    if finding is None:
        return None
    rows = (finding.plain, *finding.tried)
    names = list(dict.fromkeys(found.attack for row in rows for found in row.attacks))
    membership = results.findings.membership
    titles = {a.name: a.title for a in membership.attacks} if membership else {}
    shorts = {row.defence: row.short for row in finding.tried}
    legend = [
        dict(zip(("css", "shape"), look(i), strict=True)) | {"title": shorts[kind]}
        for i, kind in enumerate(_kinds(finding))
    ]
    return {
        "people": listing(list(finding.people)),
        "seen": listing(list(finding.seen)),
        "repetitions": several(finding.repetitions, "repetition"),
        "shadows": finding.shadows,
        "dear": finding.dear_shadows,
        "rule": rule(finding),
        "base": portion(finding.base),
        "heads": [titles.get(name, name) for name in names],
        "rows": [_row(finding, row, names) for row in rows],
        "legend": [
            dict(zip(("css", "shape"), PLAIN, strict=True)) | {"title": "no defence"},
            *legend,
        ],
        "plot": Markup(_plot(finding)),
        "kept": listing(list(finding.kept)),
    }


def table(results: Results) -> Table:
    """Every strength and attack."""
    columns = (
        *("defence", "parameter", "value", "attack", "auc", "leakage", "heldout", "devices"),
        "chosen",
    )
    finding = results.findings.tuning
    rows: list[tuple[object, ...]] = []
    for row in (finding.plain, *finding.tried) if finding else ():
        for found in row.attacks:
            own = row.defence, row.parameter, row.value if row.parameter else None
            taken = finding is not None and is_chosen(finding, row)
            rest = row.leakage, row.heldout, row.devices, taken
            rows.append((*own, found.attack, found.auc, *rest))
    return Table(columns, rows)


SECTION = Section(
    title="Strengths of the defences",
    short="Strengths",
    order=32,
    view=view,
    tables={"tuning.csv": table},
)
