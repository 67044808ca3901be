"""What a check found, for people and for machines: text, JSON, JUnit XML, SARIF, Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as Xml

import tinymia
from tinymia.errors import PolicyError
from tinymia.experiments.base import Figure
from tinymia.files import write_whole
from tinymia.gate.judge import Judged, Outcome, overall
from tinymia.gate.policy import Compare, Policy
from tinymia.report.words import count, number

VERSION = 1
"""Of what ``--json`` prints."""
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_MARKS = {Outcome.HOLDS: "holds", Outcome.BROKEN: "BROKEN", Outcome.CANNOT_TELL: "cannot tell"}
_KINDS = {Outcome.BROKEN: "fail", Outcome.CANNOT_TELL: "review"}


def sentence(judged: Sequence[Judged]) -> str:
    """The outcome of all rules."""
    found = [sum(one.outcome is outcome for one in judged) for outcome in Outcome]
    holds, broken, open_ = found
    what = {
        Outcome.HOLDS: "The policy holds",
        Outcome.BROKEN: "The policy is broken",
        Outcome.CANNOT_TELL: "It cannot be told whether the policy holds",
    }[overall(judged)]
    return f"{what}: {holds} of {len(judged)} figures within, {broken} beyond, {open_} open."


def figure_words(one: Judged) -> str:
    """A figure with its interval and unit; costs without decimals."""
    return value_words(one.figure, one.unit, signed=one.rule.compare is Compare.NOT_WORSE)


def value_words(figure: Figure, unit: str = "", signed: bool = False) -> str:
    """The same of any figure."""
    value = figure.value
    if value is None:
        return "not measured"
    whole = bool(unit) or (figure.low is None and float(value).is_integer())

    def made(end: float) -> str:
        return count(end) if whole else number(end, signed=signed)

    text = f"{made(value)} {unit}".rstrip()
    if figure.low is None or figure.high is None:
        return text
    return f"{text} [{made(figure.low)}, {made(figure.high)}]"


def limit_words(one: Judged) -> str:
    """What it was held against."""
    signs = {Compare.AT_MOST: "\u2264", Compare.AT_LEAST: "\u2265", Compare.NOT_WORSE: "\u2264 +"}
    limit = "what is claimed" if one.limit is None else f"{one.limit:,g}"
    return f"{signs[one.rule.compare]} {limit}".replace("+ ", "+")


def text(policy: Policy, judged: Sequence[Judged]) -> str:
    """For people."""
    lines = []
    for one in judged:
        lines.append(f"{_MARKS[one.outcome]:11}  {one.rule.name}")
        of = f"  ({one.of})" if one.of else ""
        lines.append(f"             {figure_words(one)}, wanted {limit_words(one)}{of}")
        if one.outcome is not Outcome.HOLDS:
            lines.append(f"             {one.why}")
    return "\n".join([*lines, "", sentence(judged)])


def as_json(policy: Policy, judged: Sequence[Judged], results: Path) -> dict[str, Any]:
    """For ``--json``."""
    whole = overall(judged)
    return {
        "version": VERSION,
        "tinymia": tinymia.__version__,
        "policy": {"name": policy.name, "file": str(policy.path)},
        "results": str(results),
        "outcome": whole.value,
        "status": whole.status,
        "rules": [
            {
                "name": one.rule.name,
                "figure": one.rule.figure,
                "of": one.of,
                "outcome": one.outcome.value,
                "compare": one.rule.compare.value,
                "limit": one.limit,
                "value": one.figure.value,
                "low": one.figure.low,
                "high": one.figure.high,
                "unit": one.unit,
                "people": one.people,
                "people_needed": one.people_needed,
                "why": one.why,
                "where": f"report.html#{one.where}" if one.where else "",
                "line": one.rule.line,
            }
            for one in judged
        ],
    }


def junit(policy: Policy, judged: Sequence[Judged]) -> bytes:
    """JUnit XML as CI systems read it: what is broken failed, what cannot be told is an error.

    It has what the schema of Jenkins' xUnit plugin, which refuses the rest, allows: a rule's line
    is in the text.
    """
    counts = {o: str(sum(one.outcome is o for one in judged)) for o in Outcome}
    numbers = {
        "tests": str(len(judged)),
        "failures": counts[Outcome.BROKEN],
        "errors": counts[Outcome.CANNOT_TELL],
        "time": "0",
    }
    root = Xml.Element("testsuites", {"name": "tinymia check", **numbers})
    named = {"name": _clean(policy.name), "skipped": "0", "file": _clean(str(policy.path))}
    suite = Xml.SubElement(root, "testsuite", named | numbers)
    for one in judged:
        of = f" [{one.of}]" if one.of else ""
        attributes = {
            "name": _clean(f"{one.rule.name}{of}"),
            "classname": _clean(f"{policy.name}.{one.rule.figure}"),
            "time": "0",
        }
        case = Xml.SubElement(suite, "testcase", attributes)
        says = _clean(f"{figure_words(one)}, wanted {limit_words(one)}. {one.why}")
        placed = _clean(f"{policy.path}:{one.rule.line}: {says}")
        if one.outcome is Outcome.HOLDS:
            Xml.SubElement(case, "system-out").text = placed
            continue
        tag = "failure" if one.outcome is Outcome.BROKEN else "error"
        kind = one.outcome.value.replace(" ", "-")
        Xml.SubElement(case, tag, {"message": says, "type": kind}).text = placed
    Xml.indent(root)
    return bytes(Xml.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _clean(value: str) -> str:
    """Without what XML cannot hold: names come from files of others."""
    return "".join(
        c if (c >= " " or c in "\t\n") and c not in "\ufffe\uffff" else "\ufffd" for c in value
    )


def sarif(policy: Policy, judged: Sequence[Judged]) -> dict[str, Any]:
    """SARIF 2.1.0 (OASIS): what is broken or cannot be told, at its rule's line in the policy.

    What holds is left out: who reviews code by it (GitHub, say) takes each result for a problem,
    whatever its kind.
    """
    judged = [one for one in judged if one.outcome is not Outcome.HOLDS]
    figures = list(dict.fromkeys(one.rule.figure for one in judged))
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "tinymia",
                        "version": tinymia.__version__,
                        "rules": [
                            {
                                "id": figure,
                                "shortDescription": {"text": f"Limit on {figure}"},
                                "defaultConfiguration": {"level": "error"},
                            }
                            for figure in figures
                        ],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(policy, one, figures) for one in judged],
            }
        ],
    }


def _result(policy: Policy, one: Judged, figures: list[str]) -> dict[str, Any]:
    says = f"{one.rule.name}: {figure_words(one)}, wanted {limit_words(one)}. {one.why}"
    return {
        "ruleId": one.rule.figure,
        "ruleIndex": figures.index(one.rule.figure),
        "kind": _KINDS[one.outcome],
        # What is no failure has no level (3.27.10).
        "level": "error" if one.outcome is Outcome.BROKEN else "none",
        "message": {"text": says},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(policy.path)},
                    "region": {"startLine": max(1, one.rule.line)},
                }
            }
        ],
        "partialFingerprints": {"rule/v1": f"{one.rule.figure}/{one.rule.name}/{one.of}"},
        "properties": {"outcome": one.outcome.value, "of": one.of},
    }


def _uri(path: Path) -> str:
    """From where the command runs, which is the checkout for a CI job; else absolute."""
    whole = path.resolve()
    if whole.is_relative_to(Path.cwd()):
        return quote(whole.relative_to(Path.cwd()).as_posix())
    return whole.as_uri()


def markdown(policy: Policy, judged: Sequence[Judged]) -> str:
    """A short comment for a pull request."""
    head = {
        Outcome.HOLDS: "holds",
        Outcome.BROKEN: "**broken**",
        Outcome.CANNOT_TELL: "cannot be told",
    }[overall(judged)]
    lines = [
        f"### tinymia check: {_cell(policy.name)} {head}",
        "",
        "| | rule | measured | wanted |",
        "|---|---|---|---|",
    ]
    for one in judged:
        of = f"<br>{_cell(one.of)}" if one.of else ""
        mark = f"**{one.outcome.value}**" if one.outcome is not Outcome.HOLDS else "holds"
        lines.append(
            f"| {mark} | {_cell(one.rule.name)}{of} | {figure_words(one)} | {limit_words(one)} |"
        )
    reasons = [one for one in judged if one.outcome is not Outcome.HOLDS]
    if reasons:
        lines.append("")
        lines += [
            f"- {_cell(f'{one.rule.name} ({one.of})' if one.of else one.rule.name)}:"
            f" {_cell(one.why)}"
            for one in reasons
        ]
    return "\n".join([*lines, "", sentence(judged)]) + "\n"


def _cell(value: str) -> str:
    """Text from files of others inside a table."""
    escaped = value.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(escaped.split())


@contextmanager
def none_left(*paths: Path | None) -> Iterator[None]:
    """Where what is done inside fails, remove these files, which an earlier run may have left."""
    try:
        yield
    except BaseException:
        for path in filter(None, paths):
            with suppress(OSError):
                if path.is_file() and not path.is_symlink():  # no /dev/stdout
                    path.unlink()
        raise


def write(path: Path, content: str | bytes | dict[str, Any]) -> None:
    """Write one of these, whole or not at all; raises PolicyError."""
    if isinstance(content, dict):
        content = json.dumps(content, indent=1, allow_nan=False) + "\n"
    data = content.encode() if isinstance(content, str) else content
    write_whole(path, data, error=PolicyError)
