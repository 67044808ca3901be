"""An audit as evidence: row by row what a document asks, and the figure or "not measured here"."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import tinymia
from tinymia.compat import StrEnum
from tinymia.errors import ReportError
from tinymia.evidence import OutputPolicy
from tinymia.files import write_whole
from tinymia.gate.chapters import kinds_of
from tinymia.gate.figures import Kind, Reading, Selection, finding_of
from tinymia.gate.names import meant
from tinymia.gate.outputs import value_words
from tinymia.gate.questions import QUESTIONS, SOURCES, Asked, Question
from tinymia.report.check import check
from tinymia.report.page import environment, whole_page
from tinymia.report.words import several
from tinymia.study.results import RESULTS, Results

VERSION = 1
"""Of the JSON."""
PAGE, JSON = "evidence.html", "evidence.json"


class Status(StrEnum):
    """Of an answer. What is claimed or computed is stated, not measured."""

    MEASURED = "measured"
    STATED = "stated"
    NOT_MEASURED = "not measured here"


_STATED = frozenset({"epsilon.claimed"})


@dataclass(frozen=True)
class Fact:
    """A figure that answers a question.

    Attributes:
        figure: its name.
        title: for people.
        of: condition, adversary, answers.
        value, low, high: with the 95 % interval, where there is one.
        unit: behind them.
        words: the same as text.
        where: on the report.
    """

    figure: str
    title: str
    of: str
    value: float
    low: float | None
    high: float | None
    unit: str
    words: str
    where: str


@dataclass(frozen=True)
class Row:
    """A question with its answer.

    Attributes:
        source, clause, question: what is asked.
        status: whether anything that answers it was measured.
        answer: a sentence.
        facts: the figures; empty where nothing was measured.
        beyond: what the question also asks.
    """

    source: str
    clause: str
    question: str
    status: Status
    answer: str
    facts: tuple[Fact, ...]
    beyond: str


def rows(results: Results, condition: str = "") -> list[Row]:
    """All questions.

    Args:
        results: of a study.
        condition: what is shipped; "" plain fine-tuning.

    Raises:
        ReportError: there is no such condition.
    """
    finding = finding_of(results)
    known = [] if finding is None else [c.name for c in finding.conditions]
    if condition and condition not in known:
        raise ReportError(f"There is no condition {condition!r}.", meant(condition, known))
    kinds = kinds_of(results)
    return [_row(question, results, condition, kinds) for question in QUESTIONS]


def _row(question: Question, results: Results, condition: str, kinds: Mapping[str, Kind]) -> Row:
    facts = list(
        dict.fromkeys(
            fact for asked in question.asked for fact in _facts(asked, results, condition, kinds)
        )
    )
    status, answer = _answer(question, facts, results)
    return Row(
        question.source,
        question.clause,
        question.text,
        status,
        answer,
        tuple(facts) if status is not Status.NOT_MEASURED else (),
        question.beyond,
    )


def _answer(question: Question, facts: Sequence[Fact], results: Results) -> tuple[Status, str]:
    """Whether it was measured, and a sentence."""
    claims = results.context.privacy
    if question.needs and not claims:
        return Status.NOT_MEASURED, f"{Status.NOT_MEASURED}: nothing is claimed"
    if "neighbours" in question.needs:
        relations = dict.fromkeys(row.neighbours for row in claims)
        return Status.STATED, f"stated, not measured: {'; '.join(relations)}"
    if not facts:
        return Status.NOT_MEASURED, Status.NOT_MEASURED.value
    many = several(len(facts), "figure")
    if all(fact.figure in _STATED for fact in facts):
        return Status.STATED, f"computed by an accountant, not measured: {many}"
    finding = finding_of(results)
    people = 0 if finding is None else len(finding.counts.people)
    over = f" over {people} people" if any(fact.low is not None for fact in facts) else ""
    return Status.MEASURED, f"measured: {many}{over}"


def _facts(
    asked: Asked, results: Results, condition: str, kinds: Mapping[str, Kind]
) -> Iterator[Fact]:
    for name in _named(asked, kinds):
        kind = kinds[name]
        for select in _selections(asked, kind, condition, results):
            for reading in kind.read(results, select):
                if reading.figure.value is not None:
                    yield _fact(name, kind, reading)


def _named(asked: Asked, kinds: Mapping[str, Kind]) -> Iterator[str]:
    for figure in asked.figures:
        whole, star, _ = figure.partition(".*")
        if star:
            yield from (name for name in kinds if name.startswith(f"{whole}."))
        else:
            yield figure


def _selections(asked: Asked, kind: Kind, condition: str, results: Results) -> Iterator[Selection]:
    finding = finding_of(results)
    known = {a.value for a in finding.answers} if finding is not None else set()
    wanted = asked.conditions or condition
    base = Selection(condition=wanted if "condition" in kind.takes else "")
    if "answer" not in kind.takes:
        yield base
        return
    for who in asked.adversaries or ("",):
        for answer in asked.answers or ("",):
            if answer in known or answer not in {p.value for p in OutputPolicy}:
                yield replace(base, adversary=str(who), answer=answer)


def _fact(name: str, kind: Kind, reading: Reading) -> Fact:
    figure = reading.figure
    assert figure.value is not None
    where = f"report.html#{reading.where}" if reading.where else ""
    return Fact(
        name,
        kind.title,
        reading.of,
        figure.value,
        figure.low,
        figure.high,
        reading.unit,
        value_words(figure, reading.unit),
        where,
    )


@dataclass(frozen=True)
class Input:
    """Where the figures come from."""

    name: str
    value: str


def inputs(results: Results, path: Path) -> list[Input]:
    """Provenance of everything that went in; what is not known is left out."""
    context, device = results.context, results.context.device
    found = [
        ("results", f"{path.name}, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}"),
        ("command", context.command),
        ("seed", str(context.seed)),
        ("data", f"{context.dataset}, SHA-256 {context.dataset_sha256}"),
        ("people of the base model", ", ".join(context.public_people)),
        ("audited people", ", ".join(context.audited_people)),
        ("bundle", f"{device.bundle}, id {device.bundle_id}"),
        ("firmware", f"{device.board}, build {device.build_id}"),
        ("twin", device.twin_build_id),
        ("versions", ", ".join(f"{v.name} {v.value}" for v in context.versions)),
    ]
    return [Input(name, value) for name, value in found if value]


def write(results: Results, folder: Path, condition: str = "") -> tuple[Path, Path]:
    """Write ``evidence.html`` and ``evidence.json`` into the folder of ``results.json``.

    Returns:
        Page and JSON.

    Raises:
        ReportError: the condition is unknown, the results contradict themselves, or the disk does
            not take the files.
    """
    check(results)
    found, given = rows(results, condition), inputs(results, folder / RESULTS)
    finding = finding_of(results)
    shown = condition or (finding.main if finding is not None else "")
    content: dict[str, Any] = {
        "version": VERSION,
        "tinymia": tinymia.__version__,
        "condition": shown,
        "sources": [asdict(source) for source in SOURCES],
        "inputs": [asdict(one) for one in given],
        "rows": [asdict(row) for row in found],
    }
    template = environment().from_string(
        (resources.files("tinymia.gate") / "evidence.html.j2").read_text(encoding="utf-8")
    )
    view = {
        "version": tinymia.__version__,
        "condition": shown,
        "dataset": results.context.dataset,
        "board": results.context.device.board,
        "measured": sum(row.status is Status.MEASURED for row in found),
        "groups": [
            (source, [row for row in found if row.source == source.key]) for source in SOURCES
        ],
        "inputs": given,
    }
    text = whole_page(template, view)
    data = json.dumps(content, indent=1, allow_nan=False) + "\n"
    return (
        write_whole(folder / PAGE, text.encode(), error=ReportError),
        write_whole(folder / JSON, data.encode(), error=ReportError),
    )
