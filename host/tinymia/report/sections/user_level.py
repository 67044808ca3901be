"""Whose device it is: the question about people, not about windows."""

from __future__ import annotations

from typing import Any

from tinymia.experiments.user_level import UserLevelRow
from tinymia.report.facts import Facts
from tinymia.report.section import Section, Table, View
from tinymia.report.words import NOT_MEASURED, count, interval, number
from tinymia.study.results import Results


def identified(row: UserLevelRow) -> str:
    """ "97.5 % (guessing: 25.0 %)"."""
    own, guess = number(100 * row.identified, 1), number(100 / row.people, 1)
    return f"{own} % (guessing: {guess} %)"


def _row(row: UserLevelRow) -> dict[str, Any]:
    auc = row.auc
    told = auc.excludes(0.5) and (auc.value or 0.0) > 0.5
    # There is no bound here, so nothing is ever said to be no more than guessing.
    words = "tells the owner" if told else "not distinguishable from guessing"
    return {
        "title": row.title,
        "auc": interval(auc),
        "words": words if auc.low is not None else NOT_MEASURED,
        "tone": "bad" if told else "neutral",
        "identified": identified(row),
        "people": count(row.people),
        "devices": count(row.devices),
    }


def view(results: Results) -> View | None:
    """A row for each statistic; None where nobody was asked for."""
    finding, facts = results.findings.user_level, Facts.of(results)
    if finding is None:
        return None
    known = facts.conditions if facts else {}
    condition = known.get(finding.condition)
    return {
        "condition": condition.title if condition else finding.condition,
        "rows": [_row(row) for row in finding.rows],
    }


def table(results: Results) -> Table:
    """Every statistic."""
    columns = (
        *("condition", "statistic", "auc", "low", "high", "boot_low", "boot_high"),
        *("identified", "people", "devices"),
    )
    finding = results.findings.user_level
    rows: list[tuple[object, ...]] = []
    for r in finding.rows if finding else ():
        f = r.auc
        bounds = f.value, f.low, f.high, f.boot_low, f.boot_high
        condition = finding.condition if finding else ""
        rows.append((condition, r.title, *bounds, r.identified, r.people, r.devices))
    return Table(columns, rows)


SECTION = Section(
    title="Whose device is it",
    short="Owner",
    order=85,
    view=view,
    tables={"user_level.csv": table},
)
