"""Checks whose outcome is known beforehand: where nothing leaks, and where all does."""

from __future__ import annotations

from tinymia.attacks.base import Adversary
from tinymia.report.facts import Facts
from tinymia.report.section import Section, Table, View
from tinymia.report.words import interval, listing
from tinymia.study.results import Results

_HOLDS = {
    True: ("holds", "good"),
    False: ("does not hold", "bad"),
    None: ("cannot be told", "neutral"),
}


def view(results: Results) -> View | None:
    """A row for each control, and what follows where one fails."""
    facts = Facts.of(results)
    if facts is None or not facts.finding.controls:
        return None
    found = facts.finding.controls
    # The one that memorised is judged by an adversary, whose attack it names.
    titles = {adversary.value: adversary.words for adversary in Adversary}
    titles |= {attack.name: attack.title for attack in facts.finding.attacks}
    rows = []
    for control in found:
        words, tone = _HOLDS[control.holds]
        rows.append(
            {
                "title": control.title,
                "attack": titles.get(control.attack, control.attack),
                "figure": interval(control.figure),
                "expected": control.expected,
                "holds": words,
                "tone": tone,
            }
        )
    failed = list(dict.fromkeys(c.title for c in found if c.holds is False))
    unclear = [c.title for c in found if c.holds is None and c.figure.value is None]
    return {
        "rows": rows,
        "failed": listing(failed),
        "unclear": listing(unclear),
        "all": not failed,
    }


def table(results: Results) -> Table:
    """Every control."""
    columns = ("control", "title", "attack", "value", "low", "high", "expected", "holds")
    finding = results.findings.membership
    rows = [
        (
            *(c.name, c.title, c.attack, c.figure.value, c.figure.low, c.figure.high),
            *(c.expected, c.holds),
        )
        for c in (finding.controls if finding else ())
    ]
    return Table(columns, rows)


SECTION = Section(
    title="Controls",
    short="Controls",
    order=90,
    view=view,
    tables={"controls.csv": table},
)
