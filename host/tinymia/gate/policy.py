"""A policy: what must hold of an audit's figures before a model is shipped."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tinymia.compat import StrEnum
from tinymia.errors import PolicyError
from tinymia.gate.chapters import kind_of
from tinymia.gate.figures import Kind, Selection
from tinymia.gate.kinds import ANSWERS, RELATIONS
from tinymia.gate.names import meant
from tinymia.gate.pins import Pin, read_pins
from tinymia.gate.toml_lines import At, document, line_of, where

CLAIMED = "claimed"
"""A limit: what the study itself claims of the figure."""


class Compare(StrEnum):
    """What a rule asks of a figure."""

    AT_MOST = "at_most"
    AT_LEAST = "at_least"
    NOT_WORSE = "worse_by_at_most"


class By(StrEnum):
    """What of a figure must be within the limit: the far end of its interval, or its value."""

    BOUND = "bound"
    VALUE = "value"


@dataclass(frozen=True)
class Rule:
    """One demand.

    Attributes:
        name: for people.
        figure: name of what it is about.
        compare: how.
        limit: the number; None: what is claimed.
        by: whether the interval counts.
        select: which figure of that name.
        line: where it stands in its file.
    """

    name: str
    figure: str
    compare: Compare
    limit: float | None
    by: By
    select: Selection
    line: int


@dataclass(frozen=True)
class Policy:
    """Rules from one file.

    Attributes:
        name: for people.
        path: of the file.
        rules: in its order, at least one.
        audit: what must be so of the audit that it is held against.
    """

    name: str
    path: Path
    rules: tuple[Rule, ...]
    audit: tuple[Pin, ...] = ()


_TABLES = ("policy", "audit", "rule")
_TEXT = "a text"
_NUMBER = "a number"
_TABLE = "a table of texts"
_SELECTS = {f.name: {"fpr": _NUMBER, "at": _TABLE}.get(f.name, _TEXT) for f in fields(Selection)}
_KEYS: dict[str, str] = {
    "name": _TEXT,
    "figure": _TEXT,
    **{c.value: _NUMBER for c in Compare},
    "by": _TEXT,
    **_SELECTS,
}
_CHOICES: dict[str, Sequence[str]] = {
    "by": tuple(By),
    "answer": ANSWERS,
    "relation": RELATIONS,
}


def read(path: Path, kinds: Mapping[str, Kind]) -> Policy:
    """Read and check a policy.

    Args:
        path: a TOML file.
        kinds: figures that can be named, by :func:`tinymia.gate.chapters.kinds_of`.

    Raises:
        PolicyError: with file, line and key, and what was probably meant.
    """
    text, content = document(
        path,
        PolicyError,
        unread="`tinymia check --template > leakage.toml` makes one to begin with.",
        nested="No rule needs that.",
    )

    def fail(at: At, message: str, hint: str = "") -> PolicyError:
        return PolicyError(f"{where(path, text, at)}: {message}", hint)

    for key in content:
        if key not in _TABLES:
            raise fail((key,), f"there is no table {key!r} in a policy.", meant(key, _TABLES))
    name = _head(content.get("policy", {}), fail) or path.stem
    given = content.get("rule", [])
    if not isinstance(given, list) or not all(isinstance(rule, dict) for rule in given):
        raise fail(("rule",), "rules are tables in a list.", "Head each with [[rule]].")
    if not given:
        raise PolicyError(
            f"{path} has no rules, so it would hold whatever is measured.",
            "Head each rule with [[rule]]; `tinymia check --template` shows some.",
        )
    rules = [
        _rule(rule, ("rule", i), line_of(text, ("rule", i)) or 0, kinds, fail)
        for i, rule in enumerate(given)
    ]
    pins = read_pins(
        content.get("audit", {}), ("audit",), lambda at: where(path, text, at), path.parent
    )
    return Policy(name, path, tuple(rules), pins)


Fail = Callable[..., PolicyError]


def _head(table: Any, fail: Fail) -> str:
    if not isinstance(table, dict):
        raise fail(("policy",), "policy is a table.", "Write [policy], then name = ...")
    for key, value in table.items():
        if key != "name":
            raise fail(("policy", key), f"there is no key {key!r}.", meant(key, ["name"]))
        if not isinstance(value, str):
            raise fail(("policy", key), f"name must be a text, not {_short(value)}.")
    return str(table.get("name", ""))


def _rule(
    table: Mapping[str, Any], at: At, line: int, kinds: Mapping[str, Kind], fail: Fail
) -> Rule:
    for key, value in table.items():
        if key not in _KEYS:
            raise fail((*at, key), f"there is no key {key!r} in a rule.", meant(key, _KEYS))
        _check_value(key, value, (*at, key), fail)
    kind = _kind(table, at, kinds, fail)
    figure: str = table["figure"]
    asked = [c for c in Compare if c.value in table]
    if len(asked) != 1:
        raise fail(
            (*at, asked[1].value) if asked else at,
            f"a rule has one limit, this one {len(asked) or 'none'}.",
            f"Give one of {', '.join(Compare)}.",
        )
    compare = asked[0]
    select = _select(table, kind, at, fail)
    limit = table[compare.value]
    if limit == CLAIMED and (figure != "epsilon.measured" or compare is not Compare.AT_MOST):
        raise fail((*at, compare.value), f"nothing is claimed of {figure}: its limit is a number.")
    number = None if limit == CLAIMED else float(limit)
    if number is not None:
        _check_range(figure, kind, compare, number, at, fail)
    name = table.get("name") or words_of(figure, compare, number, select)
    return Rule(name, figure, compare, number, By(table.get("by", By.BOUND)), select, line)


def _kind(table: Mapping[str, Any], at: At, kinds: Mapping[str, Kind], fail: Fail) -> Kind:
    if "figure" not in table:
        raise fail(at, "this rule has no figure.", f"Known: {', '.join(kinds)}.")
    figure = table["figure"]
    found = kind_of(figure, kinds)
    if found is None:
        raise fail((*at, "figure"), f"there is no figure {figure!r}.", meant(figure, kinds))
    return found


def _select(table: Mapping[str, Any], kind: Kind, at: At, fail: Fail) -> Selection:
    """Which of the figures of a kind."""
    given = {key: table[key] for key in _SELECTS if key in table}
    for key in given:
        if key not in kind.takes:
            raise fail(
                (*at, key),
                f"{table['figure']} is not chosen by {key!r}.",
                f"It takes {', '.join(kind.takes) or 'none of these'}.",
            )
    if "attack" in given and "adversary" in given:
        raise fail((*at, "attack"), "a rule names an attack or an adversary, not both.")
    whom, known = given.get("adversary"), kind.adversaries
    if whom is not None and known and whom not in known:
        raise fail((*at, "adversary"), f"there is no adversary {whom!r}.", meant(whom, known))
    for key, there in (("condition", kind.conditions), ("attack", kind.attacks)):
        name = given.get(key)
        if name and there and name not in there:
            raise fail((*at, key), f"these results have no {key} {name!r}.", meant(name, there))
    if "at" in given:
        given["at"] = tuple((key, str(value)) for key, value in given["at"].items())
    return Selection(**given)


def _check_range(
    figure: str, kind: Kind, compare: Compare, number: float, at: At, fail: Fail
) -> None:
    """A limit that every figure keeps, or none can, is a slip: 60 for 0.60."""
    if compare is Compare.NOT_WORSE:
        if number < 0:
            raise fail((*at, compare.value), "a margin cannot be less than 0.")
        nothing = number >= kind.high - kind.low
    elif compare is Compare.AT_MOST:
        nothing = not kind.low <= number < kind.high
    else:
        nothing = not kind.low < number <= kind.high
    if nothing:
        raise fail(
            (*at, compare.value),
            f"{figure} is from {kind.low:g} to {kind.high:g}, so {number:g} limits nothing.",
            "Write a share as a fraction: 5 % is 0.05." if kind.high <= 1 else "",
        )


def _check_value(key: str, value: Any, at: At, fail: Fail) -> None:
    kind = _KEYS[key]
    if kind == _NUMBER:
        if value == CLAIMED and key == Compare.AT_MOST:
            return
        if not _is_number(value):
            raise fail(at, f"{key} must be {kind}, not {_short(value)}.")
    elif kind == _TABLE:
        held = value.values() if isinstance(value, dict) else [value]
        if not isinstance(value, dict) or any(isinstance(v, (dict, list)) for v in held):
            raise fail(at, f"{key} must be {kind}, not {_short(value)}.", 'at = { batch = "4" }')
    elif not isinstance(value, str):
        raise fail(at, f"{key} must be {kind}, not {_short(value)}.")
    if key == "fpr" and not 0 < value < 1:
        raise fail(at, f"fpr is between 0 and 1, not {_short(value)}.", "1 % is 0.01.")
    if key in _CHOICES and value not in _CHOICES[key]:
        raise fail(at, f"there is no {key} {value!r}.", meant(value, _CHOICES[key]))


def _is_number(value: Any) -> bool:
    """Whether it is one that a limit can be; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:  # of a thousand digits
        return False


def words_of(figure: str, compare: Compare, limit: float | None, select: Selection) -> str:
    """A rule that has no name of its own."""
    chosen = [
        f"{f.name} {getattr(select, f.name)}"
        for f in fields(Selection)
        if f.name != "at" and getattr(select, f.name) != f.default
    ]
    chosen += [f"{key} {value}" for key, value in select.at]
    of = f" ({', '.join(chosen)})" if chosen else ""
    number = CLAIMED if limit is None else f"{limit:g}"
    return f"{figure}{of} {compare.replace('_', ' ')} {number}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]} ..."


TEMPLATE = """\
# What must hold of an audit before a model is shipped:
#   tinymia check audit --policy leakage.toml
# It ends with 0 (all rules hold), 1 (one is broken) or 2 (it cannot be told: too few people, or not
# measured), and with 64 where there is no answer: this file or the results cannot be read.

[policy]
name = "leakage"

# Results of anything else than this are refused. A path is relative to this file; any setting that
# the report lists can be demanded, and what has no line here is left to whoever audits.
# [audit]
# bundle = "model.bundle"
# dataset = "watch"
# epochs = [1, 5, 20, 50]
# attacks = "all"

# A rule holds where the whole 95 % interval of a figure is within the limit, is broken where the
# whole interval is beyond it, and cannot be told in between. by = "value" looks at the value alone.
# The strongest adversary is meant, who is fixed beforehand; adversary = "every" means all of them:
# no-shadows, other-people, candidates, joint, flash. Without a condition it is plain fine-tuning;
# name the one that you ship: condition = "dp-1.3@50".
[[rule]]
figure = "membership.auc"
at_most = 0.60

[[rule]]
figure = "membership.tpr"
fpr = 0.01
at_most = 0.05

# [[rule]]
# name = "labels alone tell nothing to anybody"
# figure = "membership.auc"
# adversary = "every"                # or attack = "lira-online"
# answer = "label"                   # full, rounded, top1, label, or every
# at_most = 0.55

[[rule]]
figure = "accuracy.heldout"
at_least = 0.85

# What devices show at least against what the accountant claims at most.
# [[rule]]
# figure = "epsilon.measured"
# at_most = "claimed"
# [[rule]]
# figure = "epsilon.claimed"
# condition = "dp-1.3@50"
# at_most = 8

# Costs are exact: no interval. Instructions are a simulated board's, cycles a real one's.
# [[rule]]
# figure = "cost.step"
# unit = "instructions"
# at_most = 5000

# Against another results folder, as in: tinymia check audit --policy F --against last-release
# Paired person by person where both have audited the same people.
# [[rule]]
# figure = "membership.auc"
# worse_by_at_most = 0.02

# Other experiments (tinymia audit --experiments stealing), by what their chapters measure; their
# adversaries, too, are named as there, and without one all are meant.
# [[rule]]
# figure = "stealing.fidelity"
# at = { questions = "64" }
# at_most = 0.9

# A small audit, or one with few shadow devices, finds less.
# [[rule]]
# figure = "audit.shadows"            # audit.people, audit.repetitions
# at_least = 256

# An audit whose controls fail says nothing.
[[rule]]
figure = "controls.failed"
at_most = 0
"""
