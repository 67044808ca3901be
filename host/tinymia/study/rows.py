"""The figures of a study's cases as rows: what tables and exports hold."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinymia.errors import StudyError
from tinymia.experiments.base import Figure
from tinymia.experiments.membership.types import Leak, MembershipFinding
from tinymia.files import write_whole
from tinymia.study.results import Results
from tinymia.study.series import Case, Series

COLUMNS = (
    *("case", "condition", "defences", "depth", "epochs"),
    *("adversary", "attack", "headline", "answer", "figure"),
    *("value", "low", "high", "people", "reason"),
)
"""Of an export; the axes of the study, "axis.members", come behind the case."""


@dataclass(frozen=True)
class Summary:
    """What a case says of one condition; None where it was not measured.

    Attributes:
        case, condition: names.
        strongest: AUC of the strongest adversary, who is fixed beforehand; where none of their
            attacks was chosen, of the strongest of whom one was.
        whose: who that is, where it is not the one fixed beforehand; else "".
        own: AUC of who judges each window by its own answer.
        accuracy: held-out.
    """

    case: str
    condition: str
    strongest: Figure | None
    own: Figure | None
    accuracy: Figure | None
    whose: str = ""


def summaries(case: Case, results: Results) -> Iterator[Summary]:
    """One for each condition that is trained."""
    finding = results.findings.membership
    if finding is None:
        return
    stated = finding.strongest.value
    there = [row.adversary.value for row in finding.adversaries]
    strongest = stated if stated in there or not there else there[-1]
    for condition in finding.conditions:
        if condition.is_base:
            continue
        held = [a.heldout for a in finding.accuracy if a.condition == condition.name]
        yield Summary(
            case.name,
            condition.name,
            _auc(finding, condition.name, strongest),
            _auc(finding, condition.name, "no-shadows"),
            held[0] if held else None,
            "" if strongest == stated else strongest,
        )


def attack_of(finding: MembershipFinding, adversary: str, answer: int = 0) -> str:
    """The attack that stands for an adversary; "" where none ran."""
    named = {row.adversary.value: row.attack for row in finding.adversaries}
    return named[adversary][answer] if adversary in named else ""


def _auc(finding: MembershipFinding, condition: str, adversary: str) -> Figure | None:
    leak = finding.leak(condition, attack_of(finding, adversary))
    return None if leak is None else leak.auc


def rows(series: Series) -> Iterator[dict[str, Any]]:
    """A row for each case, condition, attack, answer and figure of what is finished.

    Raises:
        ReportError: results are damaged or of another version.
    """
    return rows_of(series.finished())


def rows_of(cases: Iterable[tuple[Case, Results]]) -> Iterator[dict[str, Any]]:
    """The same of cases with their results."""
    for case, results in cases:
        axes = {f"axis.{name}": _cell(value) for name, value in case.axes.items()}
        for row in figures_of(results):
            yield {"case": case.name, **axes, **row}


def figures_of(results: Results) -> Iterator[dict[str, Any]]:
    """A row for each condition, attack, answer and figure, and for each condition's accuracies."""
    finding = results.findings.membership
    if finding is None:
        return
    people = len(finding.counts.people)
    who = {attack.name: attack for attack in finding.attacks}
    heads = {
        (n, a)
        for row in finding.adversaries
        for n, a in zip(row.attack, finding.answers, strict=True)
    }
    of = {
        c.name: {
            "condition": c.name,
            "defences": "+".join(c.defences),
            "depth": c.depth,
            "epochs": c.epochs,
        }
        for c in finding.conditions
    }
    for leak in finding.leaks:
        head = {
            **of[leak.condition],
            "adversary": who[leak.attack].adversary.value,
            "attack": leak.attack,
            "headline": (leak.attack, leak.answer) in heads,
            "answer": leak.answer.value,
        }
        for name, figure in _of_leak(leak):
            yield head | _figure(name, figure, people)
    for row in finding.accuracy:
        for name in ("heldout", "members", "gain"):
            yield {
                **of[row.condition],
                **{"adversary": "", "attack": "", "headline": False},
                "answer": finding.answer.value,
                **_figure(f"accuracy.{name}", getattr(row, name), people),
            }


def _of_leak(leak: Leak) -> Iterator[tuple[str, Figure]]:
    yield "auc", leak.auc
    for rate in leak.tpr:
        yield f"tpr@{rate.fpr:g}", rate.figure
    yield "advantage", leak.advantage


def _figure(name: str, figure: Figure, people: int) -> dict[str, Any]:
    return {
        "figure": name,
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "people": people,
        "reason": figure.reason,
    }


def _cell(value: Any) -> Any:
    """A value that a column can hold; a list of one is that one."""
    if isinstance(value, (tuple, list)):
        return value[0] if len(value) == 1 else ",".join(map(str, value))
    return value


def columns(found: Iterable[dict[str, Any]]) -> list[str]:
    """All columns of some rows in their order."""
    axes = dict.fromkeys(key for row in found for key in row if key.startswith("axis."))
    return [COLUMNS[0], *axes, *COLUMNS[1:]]


def export(found: list[dict[str, Any]], path: Path) -> Path:
    """Write rows as .csv or .parquet; an empty cell is no value.

    Raises:
        StudyError: another suffix, a package that is missing, or the disk does not take it.
    """
    named = columns(found)
    if path.suffix == ".csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, named, lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
        return write_whole(path, text.getvalue().encode(), error=StudyError)
    if path.suffix != ".parquet":
        raise StudyError(f"{path} is neither .csv nor .parquet.", "Name it so.")
    try:
        import polars
    except ImportError as error:
        raise StudyError(
            "Parquet files need polars, which is not installed.",
            "pip install 'tinymia[parquet]', or export a .csv.",
        ) from error
    made = io.BytesIO()
    columns_ = {name: column([row.get(name) for row in found]) for name in named}
    numbers = dict.fromkeys(without_values(columns_), polars.Float64)
    polars.DataFrame(columns_, schema_overrides=numbers).write_parquet(made)
    return write_whole(path, made.getvalue(), error=StudyError)


def without_values(columns_: Mapping[str, Sequence[Any]]) -> list[str]:
    """Columns of which no cell has a value, such as intervals of one person: kept as numbers."""
    return [name for name, cells in columns_.items() if cells and all(c is None for c in cells)]


def column(values: list[Any]) -> list[Any]:
    """Of one type: where texts and numbers mix, all are texts."""
    values = [str(v) if isinstance(v, str) else v for v in values]  # of an enumeration, its text
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} or len(kinds) <= 1:
        return [float(v) if kinds == {int, float} and v is not None else v for v in values]
    return [None if v is None else str(v) for v in values]
