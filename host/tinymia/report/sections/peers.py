"""Other projects' attacks beside ours, on the very same answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinymia.experiments.peers.types import PeerRow, PeersFinding
from tinymia.report.facts import Facts
from tinymia.report.section import Section, Table, View
from tinymia.report.words import count, interval, listing, number, percent, points, several
from tinymia.study.results import Results

_UNEXPLAINED = "differs, unexplained", "bad"


def verdict(row: PeerRow) -> tuple[str, str]:
    """Whether both sides say the same, in words, and the words' style class."""
    if row.failure:
        return "did not run", "neutral"
    if row.agrees is None:
        return "cannot be told", "neutral"
    if row.agrees:
        return "agrees", "good"
    if row.explained:
        return "differs, explained", "neutral"
    if row.explained is None and row.explanation:
        return "differs, for a known reason", "neutral"
    return _UNEXPLAINED


def _why(row: PeerRow) -> Iterator[str]:
    """What stands below a row that does not agree."""
    if row.failure:
        yield row.failure
    elif row.agrees is False:
        yield row.explanation or "No reason is known."
        if row.remaining is not None:
            left = interval(row.remaining, signed=True)
            yield (
                f"With its choices in our code the difference in AUC is {left}: "
                + ("they are the whole reason." if row.explained else "there are other reasons.")
            )


def _row(row: PeerRow, titles: dict[str, str]) -> dict[str, Any]:
    words, tone = verdict(row)
    return {
        "title": row.title,
        "ours": titles.get(row.ours, row.ours),
        "theirs_auc": interval(row.their_auc),
        "ours_auc": interval(row.our_auc),
        "difference": interval(row.difference, signed=True),
        "theirs_tpr": percent(row.their_tpr),
        "ours_tpr": percent(row.our_tpr),
        "tpr_difference": points(row.tpr_difference) if row.tpr_difference.value else "",
        "words": words,
        "tone": tone,
        "why": list(_why(row)),
    }


def _counts(finding: PeersFinding) -> Iterator[str]:
    """How many rows have each outcome."""
    outcomes = [verdict(row)[0] for row in finding.rows]
    words = {
        "agrees": "{} in agreement with ours",
        "differs, explained": "{} apart for reasons that are shown to be the whole",
        "differs, for a known reason": "{} apart for a known reason",
        _UNEXPLAINED[0]: "{} apart unexplained",
        "cannot be told": "{} of which that cannot be told",
        "did not run": "{} not run",
    }
    for outcome, text in words.items():
        if outcome in outcomes:
            yield text.format(count(outcomes.count(outcome)))


def _metrics(finding: PeersFinding) -> Iterator[str]:
    """Whether their metrics give their scores what ours give them."""
    for peer in finding.peers:
        gaps = [r.metric_gap for r in finding.rows if r.peer == peer.name]
        known = [gap for gap in gaps if gap is not None]
        if known:
            least = max(known)
            told = "the same AUC" if least < 5e-7 else f"an AUC within {number(least, 6)}"
            yield f"{peer.title}'s own metric gives its scores {told} in every device as ours does."


def view(results: Results) -> View | None:
    """A table for each project."""
    finding, facts = results.findings.peers, Facts.of(results)
    if finding is None or facts is None:
        return None
    titles = {name: attack.title for name, attack in facts.attacks.items()}
    return {
        "main": facts.condition(finding.condition).title,
        "answer": facts.answer_title(finding.answer),
        "devices": several(finding.devices, "device"),
        "tolerance": number(finding.tolerance),
        "rows": several(len(finding.rows), "attack"),
        "counts": listing(list(_counts(finding))),
        "unexplained": listing([row.title for row in finding.unexplained]),
        "metrics": list(_metrics(finding)),
        "peers": [
            {
                "title": peer.title,
                "version": peer.version,
                "tested": "" if peer.version in peer.tested else listing(peer.tested),
                "rows": [_row(r, titles) for r in finding.rows if r.peer == peer.name],
            }
            for peer in finding.peers
        ],
    }


def table(results: Results) -> Table:
    """Every row; TPRs are at 1 % FPR."""
    figures = ("their_auc", "our_auc", "difference", "their_tpr", "our_tpr", "tpr_difference")
    names = ("peer", "version", "attack", "ours", "condition")
    last = ("agrees", "explanation", "explained", "metric_gap", "failure")
    columns = (
        *names,
        *(f"{name}{end}" for name in (*figures, "remaining") for end in ("", "_low", "_high")),
        *last,
    )
    finding = results.findings.peers
    rows = []
    for row in finding.rows if finding else ():
        shown = [getattr(row, name) for name in (*figures, "remaining")]
        values = [(None,) * 3 if f is None else (f.value, f.low, f.high) for f in shown]
        rows.append(
            (
                *(getattr(row, name) for name in names),
                *(value for triple in values for value in triple),
                *(getattr(row, name) for name in last),
            )
        )
    return Table(columns, rows)


SECTION = Section(
    title="Other projects on the same answers",
    short="Peers",
    order=95,
    view=view,
    tables={"peers.csv": table},
)
