"""Figures of experiments beyond membership, by the names that their chapters give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tinymia.attacks.registry import all_attacks
from tinymia.experiments.chapter import Chapter, Measure, Row
from tinymia.experiments.experiment import experiments
from tinymia.gate.figures import (
    EVERY,
    Kind,
    Reader,
    Reading,
    Selection,
    chosen,
    finding_of,
    missing,
)
from tinymia.gate.kinds import KINDS
from tinymia.study.results import Results


def kinds_of(results: Results) -> dict[str, Kind]:
    """All figures that can be named of these results: ``KINDS``, and ``CHAPTER.MEASURE`` of each
    experiment beyond membership; each with the conditions and attacks that rules on it may name.
    """
    finding = finding_of(results)
    own = [] if finding is None else [c.name for c in finding.conditions]
    # An attack that did not run here is no slip: other policies have other attacks.
    attacks = [] if finding is None else [a.name for a in finding.attacks]
    attacks += [a.info.name for a in all_attacks()] if attacks else []
    found = {
        name: replace(
            kind,
            conditions=(*own, EVERY) if own and "condition" in kind.takes else (),
            attacks=tuple(dict.fromkeys(attacks)) if "attack" in kind.takes else (),
        )
        for name, kind in KINDS.items()
    }
    for chapter in results.findings.chapters:
        conditions = dict.fromkeys((*own, *(row.condition for row in chapter.rows), EVERY))
        for measure in chapter.measures:
            found[f"{chapter.name}.{measure.name}"] = Kind(
                f"{chapter.title}: {measure.title}",
                1 if measure.leaks else -1,
                ("condition", "adversary", "at"),
                _of_chapter(chapter, measure),
                -float("inf"),
                adversaries=(*(a.name for a in chapter.adversaries), EVERY),
                conditions=tuple(filter(None, conditions)),
                attacked=measure.leaks,
            )
    return found


def kind_of(name: str, kinds: Mapping[str, Kind]) -> Kind | None:
    """The figure of that name; None where there is none.

    An experiment that there is, but not in these results, has figures that were not measured: a
    policy that names one is not wrong.
    """
    if name in kinds:
        return kinds[name]
    chapter = name.partition(".")[0]
    asked = any(known.startswith(f"{chapter}.") for known in kinds)
    if asked or chapter not in experiments():
        return None

    def read(results: Results, want: Selection) -> list[Reading]:
        return missing("", f"the audit did not run the experiment {chapter!r}")

    anybody = ("condition", "adversary", "at")
    return Kind(f"{chapter}", 1, anybody, read, -float("inf"), adversaries=())


def _of_chapter(chapter: Chapter, measure: Measure) -> Reader:
    """Rows of one measure; without a condition those of plain fine-tuning, where there are any."""
    own = [row for row in chapter.rows if row.measure == measure.name]
    where = f"chapter-{chapter.name}"

    def read(results: Results, want: Selection) -> list[Reading]:
        finding = finding_of(results)
        conditions = list(dict.fromkeys(row.condition for row in own))
        plain = finding.main if finding is not None else ""
        if not want.condition and plain not in conditions:
            plain = next((row.condition for row in own if row.is_plain), "")
        rows = own
        if want.condition or plain:
            names, why = chosen(want.condition, conditions, plain, f"row of {chapter.name} at")
            if why:
                return missing("", why, where)
            rows = [row for row in rows if row.condition in names]
        if want.adversary not in ("", EVERY):
            rows = [row for row in rows if row.adversary == want.adversary]
        rows = [row for row in rows if want.at_of(row.at)]
        if not rows:
            return missing("", f"{chapter.name} has no such row of {measure.name}", where)
        return [_of_row(row, where, measure) for row in rows]

    return read


def _of_row(row: Row, where: str, measure: Measure) -> Reading:
    at = [f"{key} {value}" for key, value in row.at.items()]
    of = ", ".join(filter(None, (row.condition, row.adversary, *at)))
    unit = "" if measure.unit == "%" else measure.unit  # a fraction is a number here
    return Reading(of, row.figure, row.people, unit, where)
