"""Every attack: what it needs, what it finds, on every condition and under every policy."""

from __future__ import annotations

from typing import Any

from tinymia.attacks.base import Adversary
from tinymia.evidence import Knowledge, Reveals
from tinymia.experiments.base import Condition
from tinymia.experiments.membership.types import AttackRow, Leak
from tinymia.report.cells import auc_words, change, matrix_row, named, tpr_text
from tinymia.report.choice import sentence
from tinymia.report.facts import Facts
from tinymia.report.section import Section, Table, View
from tinymia.report.words import above_guessing, interval, number, share
from tinymia.study.results import Results

_NEEDS = {
    Reveals.LABEL: "the label",
    Reveals.TOP_PROBABILITY: "the top probability",
    Reveals.ALL_PROBABILITIES: "every probability",
}

_KNOWS: dict[str, str] = {
    Knowledge.SAME_PERSON: "on the windows in question",
    Knowledge.HALF: "on half of the windows in question",
    Knowledge.OTHER_PEOPLE: "on other people's windows",
    Knowledge.MISMATCHED: "on the windows in question, by another recipe",
    Knowledge.UNDEFENDED: "on the windows in question, without the defence",
}


def _fprs(facts: Facts) -> list[float]:
    return sorted({r.fpr for leak in facts.finding.leaks for r in leak.tpr}, reverse=True)


def _advantage(leak: Leak | None) -> str:
    if leak is None:
        return "n/a"
    if leak.guessing:
        return number(leak.advantage.value)
    return interval(leak.advantage, signed=True)


def _attack(facts: Facts, attack: AttackRow, main: Condition, fprs: list[float]) -> dict[str, Any]:
    own = facts.leak(main.name, attack.name)
    return {
        "title": attack.title,
        "reference": attack.reference,
        "headline": attack.headline,
        "needs": f"needs {_NEEDS[attack.needs]}",
        "shadows": f"shadow devices {_KNOWS.get(attack.knowledge, attack.knowledge)}"
        if attack.knowledge
        else "no shadow devices",
        "cells": [
            auc_words(facts.leak(main.name, attack.name, answer), "does not run")
            for answer in facts.finding.answers
        ],
        "tprs": [tpr_text(own, fpr) for fpr in fprs],
        "advantage": _advantage(own),
        "added": change(facts.added(main.name, attack.name)),
    }


def _group(facts: Facts, adversary: Adversary, title: str, fprs: list[float]) -> dict[str, Any]:
    """An adversary's attacks on plain fine-tuning, and each on every condition."""
    attacks = [a for a in facts.finding.attacks if a.adversary is adversary]
    main = facts.main
    return {
        "title": title,
        "attacks": [_attack(facts, a, main, fprs) for a in attacks] if main else [],
        "heads": [
            {"title": a.title, "sub": "headline" if a.headline else a.reference} for a in attacks
        ],
        "rows": [
            matrix_row(facts, condition, [a.name for a in attacks])
            for condition in facts.finding.conditions
        ],
    }


def view(results: Results) -> View | None:
    """One group of tables for each adversary."""
    facts = Facts.of(results)
    if facts is None:
        return None
    fprs = _fprs(facts)
    unresolved = {
        r.figure.reason
        for leak in facts.finding.leaks
        for r in leak.tpr
        if r.figure.value is None and r.figure.reason
    }
    titles = {row.adversary: row.title for row in facts.finding.adversaries}
    return {
        "main": named(facts.main) if facts.main else None,
        "chosen": sentence(facts.finding),
        "own": facts.answer_title(facts.finding.answer),
        "answers": [facts.answer_title(a) for a in facts.finding.answers],
        "fprs": [share(fpr) for fpr in fprs],
        "groups": [
            _group(facts, adversary, titles.get(adversary, adversary.words), fprs)
            for adversary in Adversary
            if any(a.adversary is adversary for a in facts.finding.attacks)
        ],
        "unresolved": [f"{reason[0].upper()}{reason[1:]}." for reason in sorted(unresolved)],
    }


def table(results: Results) -> Table:
    """Every figure of every attack on every condition under every policy."""
    columns = (
        *("condition", "attack", "adversary", "answer", "metric", "value"),
        *("low", "high", "boot_low", "boot_high", "note"),
    )
    facts = Facts.of(results)
    rows: list[tuple[object, ...]] = []
    for leak in facts.finding.leaks if facts else ():
        assert facts is not None
        who = leak.condition, leak.attack, facts.attacks[leak.attack].adversary, leak.answer
        figures = [("auc", leak.auc, above_guessing(leak))]
        figures += [(f"tpr@{r.fpr:g}", r.figure, r.figure.reason) for r in leak.tpr]
        figures += [("advantage", leak.advantage, leak.advantage.reason)]
        for metric, f, note in figures:
            rows.append((*who, metric, f.value, f.low, f.high, f.boot_low, f.boot_high, note))
    return Table(columns, rows)


SECTION = Section(
    title="Every attack",
    short="Attacks",
    order=60,
    view=view,
    tables={"summary.csv": table},
)
