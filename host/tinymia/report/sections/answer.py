"""The top of the page: the answer, and its figures."""

from __future__ import annotations

from typing import Any

from tinymia.experiments.base import Figure
from tinymia.report.answer import Answer, compose
from tinymia.report.facts import Facts, resolved
from tinymia.report.section import Section, View
from tinymia.report.words import Pieces, Strong, count, number, points, portion, share
from tinymia.study.results import Results


def _pieces(pieces: Pieces) -> list[tuple[str, bool]]:
    return [(str(piece), isinstance(piece, Strong)) for piece in pieces]


def _sentence(answer: Answer) -> dict[str, Any]:
    return {"lead": _pieces(answer.lead), "parts": [_pieces(part) for part in answer.parts]}


def tiles(facts: Facts) -> list[dict[str, str]]:
    """The figures at the top: of the strongest stated adversary, of accuracy and of price."""
    main = facts.main
    if main is None:
        return []
    out = []
    chosen = facts.strongest or (facts.active[-1] if facts.active else None)
    leak = chosen and facts.leak(main.name, chosen[1].name)
    if chosen and leak:
        out.append(
            {
                "name": f"Leakage, AUC: {chosen[0].title}",
                "value": number(leak.auc.value),
                "note": f"{_range(leak.auc)}; 0.5 is guessing",
            }
        )
        tpr = resolved(leak.tpr)
        if tpr is not None and tpr.figure.value is not None:
            out.append(
                {
                    "name": f"Members found at {share(tpr.fpr)} false positives",
                    "value": portion(tpr.figure.value),
                    "note": f"{_range(tpr.figure, 100, 1)}; guessing finds {share(tpr.fpr)}",
                }
            )
    accuracy = facts.accuracy.get(main.name)
    if accuracy and accuracy.heldout.value is not None:
        out.append(
            {
                "name": "Held-out accuracy of the person",
                "value": portion(accuracy.heldout.value),
                "note": f"{points(accuracy.gain)} by personalising",
            }
        )
    cost = facts.costs.get(main.name)
    if cost and cost.step:
        inference = facts.results.context.device.inference
        out.append(
            {
                "name": f"A training step, {facts.unit}",
                "value": count(cost.step),
                "note": f"an inference takes {count(inference)}" if inference else "",
            }
        )
    return out


def _range(figure: Figure, scale: float = 1.0, digits: int = 3) -> str:
    if figure.low is None or figure.high is None:
        return "no interval"
    low, high = number(scale * figure.low, digits), number(scale * figure.high, digits)
    return f"95 % interval {low} to {high}"


def view(results: Results) -> View | None:
    """The sentences in pieces, and the tiles; None where only other questions were asked."""
    facts = Facts.of(results)
    if facts is None and results.findings.chapters:
        return None
    return {
        "answer": [_sentence(answer) for answer in compose(results)],
        "tiles": tiles(facts) if facts else [],
    }


SECTION = Section(title="", order=0, view=view)
