"""What an audit found, for the card of the model that was audited."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinymia.attacks.base import Adversary
from tinymia.attacks.choice import weaker_elsewhere
from tinymia.attacks.registry import headline_of
from tinymia.errors import ModelError
from tinymia.evidence import OutputPolicy
from tinymia.experiments.base import Figure
from tinymia.experiments.membership.types import MembershipFinding
from tinymia.study.fitting import LEFT_OUT
from tinymia.study.results import load

_WHO = {
    "no-shadows": "judges each by its own answer",
    "other-people": "also trains shadow devices on other people",
    "candidates": "holds the candidates, judges each alone",
    "joint": "holds the candidates, judges all together",
    "flash": "also reads the flash",
}


def audit_figures(folder: Path, bundle_id: str) -> dict[str, Any]:
    """The figures of a card, out of an audit's folder.

    Args:
        folder: of the audit.
        bundle_id: of the model whose card it is.

    Raises:
        ReportError: there are no results.
        ModelError: they are of another bundle, or without membership.
    """
    results = load(folder)
    found, context = results.findings.membership, results.context
    if context.device.bundle_id != bundle_id:
        raise ModelError(
            f"{folder} is an audit of the bundle {context.device.bundle_id}, not of {bundle_id}.",
            "Audit the model of this folder.",
        )
    if found is None or not found.main:
        raise ModelError(f"{folder} has no membership attack on plain fine-tuning.")
    headline = {row.adversary.value: row.attack[0] for row in found.adversaries if row.attack[0]}
    accuracy = {row.condition: row.heldout.value for row in found.accuracy}
    return {
        "command": _command(context.command),
        "seconds": results.timings["total_seconds"],
        "devices": context.confirmation.devices,
        "board": context.confirmation.board,
        "devices_board": context.confirmation.devices_board,
        "answers": context.confirmation.answers,
        "left_out": [note for note in context.notes if note.startswith(LEFT_OUT)],
        "inference": context.device.inference,
        "unit": context.device.unit,
        "main": found.condition(found.main).title,
        "people": len(found.counts.people),
        "repetitions": found.counts.repetitions,
        "nonmembers": found.counts.nonmembers_pooled,
        "nonmembers_distinct": found.counts.nonmembers_distinct,
        "policies": [answer.value for answer in found.answers],
        "adversaries": [
            {
                "who": row.adversary.value,
                "attack": list(row.attack),
                "auc": [
                    _auc(found, found.main, attack, answer)
                    for attack, answer in zip(row.attack, found.answers, strict=True)
                ],
                "tpr": {f"{r.fpr:g}": _figure(r.figure) for r in row.tpr},
            }
            for row in found.adversaries
        ],
        "conditions": [
            {
                "title": condition.title,
                "heldout": accuracy.get(condition.name),
                "auc": {
                    who: _auc(found, condition.name, attack, found.answer)
                    for who, attack in headline.items()
                },
            }
            for condition in found.conditions
        ],
        "controls": [c.holds for c in found.controls],
    }


def audit_page(audit: Mapping[str, Any]) -> str:
    """The section of a card."""
    rates = sorted({float(f) for row in audit["adversaries"] for f in row["tpr"]}, reverse=True)[:2]
    heads = ["who attacks", *audit["policies"], *(f"finds at {100 * r:g} %" for r in rates)]
    rows = []
    for row in audit["adversaries"]:
        cells = [_words(figure) for figure in row["auc"]]
        cells += [_share(row["tpr"].get(f"{r:g}")) for r in rates]
        name = f" (`{row['attack'][0]}`)" if row["attack"][0] else ""
        rows.append((_WHO.get(row["who"], row["who"]) + name, *cells))
    names = [row["who"] for row in audit["adversaries"]]
    conditions = []
    for row in audit["conditions"]:
        cells = [_plain(row["auc"].get(name)) for name in names]
        accuracy = "–" if row["heldout"] is None else f"{100 * row['heldout']:.1f} %"
        conditions.append((row["title"], *cells, accuracy))
    board = "nothing was confirmed on a board"
    if audit["board"]:
        board = (
            f"{audit['board']} made {audit['devices_board']:,} of them again, equal in every bit"
            f" ({audit['answers']:,} answers)"
        )
    cost = ""
    if audit["inference"]:
        cost = f" An inference takes {audit['inference']:,.0f} {audit['unit']} on the board."
    told = (
        f"{audit['people']} people or draws, {audit['repetitions']} draws of members each;"
        f" {audit['devices']:,} devices on the twin, {board}.{cost} It took"
        f" {audit['seconds'] / 60:.0f} minutes on two cores that had other work. AUC with 95 %"
        f" interval on {audit['main']}, by what is answered; the last columns are true positive"
        f" rates for full answers, pooled over {audit['nonmembers']:,} answers about non-members"
        f" ({audit['nonmembers_distinct']:,} distinct examples):"
    )
    parts = (
        "## What an audit finds",
        _code(audit["command"]),
        textwrap.fill(told, 100),
        _table(heads, rows),
        "Full answers: each adversary's AUC, and accuracy on what no device was trained on:",
        _table(["condition", *names, "accuracy"], conditions),
        *(textwrap.fill(f"{note}.", 100) for note in _notes(audit)),
    )
    return "\n" + "\n\n".join(parts) + "\n"


def _notes(audit: Mapping[str, Any]) -> Iterator[str]:
    yield from audit["left_out"]
    for row in audit["adversaries"]:
        if behind := weaker_elsewhere(row["attack"]):
            names = " or ".join(f"`{name}`" for name in behind)
            yield (
                f"`{row['attack'][0]}` is tried on full answers alone: figures of other answers are"
                f" of {names}, and could be higher with it"
            )
    yield from _superseded(audit)


def _superseded(audit: Mapping[str, Any]) -> Iterator[str]:
    """That the same command runs other attacks today, if it does."""
    policy = OutputPolicy(audit["policies"][0])
    usual = [headline_of(Adversary(row["who"]), policy) for row in audit["adversaries"]]
    later = [
        attack.info
        for attack, row in zip(usual, audit["adversaries"], strict=True)
        if attack is not None and attack.info.name != row["attack"][0]
    ]
    if later:
        names = " and ".join(f"`{info.name}`" for info in later)
        how = " (`--about 0` leaves them out)" if all(info.chooses for info in later) else ""
        yield (
            f"The same command stands on {names} today{how}, which were not there when these"
            " figures were found and may find more"
        )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _command(command: str) -> str:
    """An audit's command without where its results went, which a reader does not have, and
    without what it left unsaid.
    """
    words = shlex.split(command)
    kept = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if "--out" not in (before, word) and not word.startswith("--out=") and word != "--quiet"
    ]
    return shlex.join(kept)


def _code(command: str) -> str:
    lines = textwrap.wrap(command, 90, break_long_words=False, break_on_hyphens=False)
    return "    " + " \\\n        ".join(lines)


def _auc(
    found: MembershipFinding, condition: str, attack: str, answer: OutputPolicy
) -> list[float | None] | None:
    leak = found.leak(condition, attack, answer) if attack else None
    return None if leak is None else _figure(leak.auc)


def _figure(figure: Figure) -> list[float | None]:
    return [figure.value, figure.low, figure.high]


def _words(figure: list[float | None] | None) -> str:
    if figure is None or figure[0] is None:
        return "–"
    value, low, high = figure
    return f"{value:.3f}" + ("" if low is None else f" [{low:.3f}, {high:.3f}]")


def _share(figure: list[float | None] | None) -> str:
    return "–" if figure is None or figure[0] is None else f"{100 * figure[0]:.1f} %"


def _plain(figure: list[float | None] | None) -> str:
    return "–" if figure is None or figure[0] is None else f"{figure[0]:.3f}"
