"""Cells of the page's tables: a figure, its paired change, and verdicts on that."""

from __future__ import annotations

from typing import Any

from tinymia.evidence import OutputPolicy
from tinymia.experiments.base import Comparison, Condition, Figure, Measure, Verdict
from tinymia.experiments.membership.types import Leak
from tinymia.report.facts import Facts, rate
from tinymia.report.words import (
    above_guessing,
    decided,
    interval,
    number,
    percent,
    points,
    portion,
    tone,
    verdict_words,
)

Cell = dict[str, Any]
FPR = {Measure.TPR_1: 0.01}
"""False-positive rates of the measures that have one."""


def named(condition: Condition) -> Cell:
    """What a row's head shows of a condition."""
    return {"title": condition.title, "css": condition.style, "shape": condition.shape}


def auc_words(leak: Leak | None, none: str = "no attack runs") -> Cell:
    """An AUC with what it says, where that is less than that members are told."""
    if leak is None:
        return {"text": none, "tag": "", "tone": "neutral"}
    words = above_guessing(leak)
    return {
        "text": number(leak.auc.value) if leak.guessing else interval(leak.auc),
        "tag": "" if words in ("more than guessing", "no interval") else words,
        "tone": "good" if words == "no more than guessing" else "neutral",
    }


def tpr_text(leak: Leak | None, fpr: float) -> str:
    """A TPR; low ones have one more decimal, and what is not resolved says so."""
    found = rate(leak.tpr, fpr) if leak else None
    if found is None:
        return "n/a"
    if found.figure.value is None:
        return "not resolved"
    digits = 1 if fpr >= 0.01 else 2
    if leak and leak.guessing:
        return portion(found.figure.value, digits)
    return percent(found.figure, digits)


def change(comparison: Comparison | None, empty: str = "") -> Cell:
    """A paired change as text, its verdicts, and the least change that would have been seen.

    Keys: ``text``; ``verdict`` and ``tone`` of the corrected verdict; ``alone``, the uncorrected
    one where it differs; ``seen``, the smallest effect where nothing was distinguished.
    """
    if comparison is None:
        return {"text": empty, "verdict": "", "tone": "neutral", "alone": "", "seen": ""}
    verdict, measure = decided(comparison), comparison.measure
    alone = comparison.verdict
    return {
        "text": _difference(comparison.difference, measure),
        "verdict": verdict_words(verdict, measure),
        "tone": tone(verdict, measure),
        "alone": "" if alone is verdict else f"uncorrected: {verdict_words(alone, measure)}",
        "seen": seen(comparison) if verdict is Verdict.NOT_DISTINGUISHABLE else "",
    }


def seen(comparison: Comparison) -> str:
    """The smallest effect that the study would have seen, if there is any."""
    if comparison.smallest_effect is None:
        return "could not have seen any"
    return f"would have seen {size(comparison.smallest_effect, comparison.measure)}"


def _difference(figure: Figure, measure: Measure) -> str:
    return interval(figure, signed=True) if measure is Measure.AUC else points(figure)


def size(effect: float, measure: Measure) -> str:
    """A size without a sign: "0.012" of an AUC, "1.2 points" of a rate."""
    return number(effect) if measure is Measure.AUC else f"{number(100 * effect, 1)} points"


def matrix_row(
    facts: Facts,
    condition: Condition,
    attacks: list[str],
    measure: Measure = Measure.AUC,
    answer: OutputPolicy | None = None,
) -> Cell:
    """A condition's row: for each attack its figure, and what changed against the reference.

    An attack that is "" or did not run gives an empty cell.
    """
    cells = []
    for attack in attacks:
        leak = facts.leak(condition.name, attack, answer)
        paired = facts.change(condition.name, attack, measure, answer)
        if measure is Measure.AUC:
            value = auc_words(leak, "does not run")["text"]
        else:
            value = tpr_text(leak, FPR[measure])
        cells.append({"value": value, **change(paired)})
    return {**named(condition), "cells": cells}
