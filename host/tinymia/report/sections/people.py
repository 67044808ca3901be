"""Each person: what personalising gave them, and how much of them leaks to each adversary."""

from __future__ import annotations

from typing import Any

from tinymia.experiments.membership.types import PersonRow
from tinymia.report.facts import Facts
from tinymia.report.section import Section, Table, View
from tinymia.report.words import number, portion
from tinymia.study.results import Results

_MOST = 30  # people; more are folded away


def _row(facts: Facts, person: str, found: list[PersonRow]) -> dict[str, Any]:
    by_attack = {row.attack: row for row in found}
    first = found[0]
    return {
        "person": person,
        "before": portion(first.heldout_base),
        "after": portion(first.heldout),
        "gain": number(100 * (first.heldout - first.heldout_base), 1, signed=True),
        "members": portion(first.members),
        "aucs": [_auc(by_attack.get(attack.name)) for _, attack in facts.active],
    }


def _auc(row: PersonRow | None) -> tuple[str, str]:
    """The mean over repetitions, and its range."""
    if row is None:
        return "n/a", ""
    return number(row.auc), f"{number(row.auc_min)} to {number(row.auc_max)}"


def view(results: Results) -> View | None:
    """A row for each person, on plain fine-tuning."""
    facts = Facts.of(results)
    if facts is None:
        return None
    groups: dict[str, list[PersonRow]] = {}
    for row in facts.finding.people:
        if row.condition == facts.finding.main:
            groups.setdefault(row.person, []).append(row)
    if not groups:
        return None
    return {
        "main": facts.main.title if facts.main else "",
        "most": _MOST,
        "heads": [{"title": row.title, "sub": attack.title} for row, attack in facts.active],
        "rows": [_row(facts, person, found) for person, found in groups.items()],
    }


def table(results: Results) -> Table:
    """Every row."""
    columns = (
        *("person", "condition", "attack", "auc", "auc_min", "auc_max"),
        *("heldout", "members", "heldout_base"),
    )
    finding = results.findings.membership
    rows = [
        (
            *(r.person, r.condition, r.attack, r.auc, r.auc_min, r.auc_max),
            *(r.heldout, r.members, r.heldout_base),
        )
        for r in (finding.people if finding else ())
    ]
    return Table(columns, rows)


SECTION = Section(
    title="Each person",
    short="People",
    order=80,
    view=view,
    tables={"people.csv": table},
)
