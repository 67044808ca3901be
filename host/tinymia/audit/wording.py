"""Numbers and verdicts as words, the same in the answer, the terminal and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinymia.statistics.intervals import Estimate

NOT_DISTINGUISHABLE = "not distinguishable"
NOT_MEASURED = "not measured"
MINUS = "\u2212"


def verdict(difference: Estimate, noun: str) -> str:
    """ "raises <noun>", "reduces <noun>" (leakage), "lowers <noun>" (all else), or neither.

    A direction is claimed only if the interval of the paired difference excludes zero.
    """
    if difference.low is None:
        return NOT_MEASURED
    if not difference.excludes(0.0):
        return NOT_DISTINGUISHABLE
    if difference.value > 0:
        return f"raises {noun}"
    return f"{'reduces' if noun == 'leakage' else 'lowers'} {noun}"


def number(value: float | None, digits: int = 3, signed: bool = False) -> str:
    """A number with a true minus sign; "n/a" for None."""
    if value is None:
        return "n/a"
    text = f"{round(value, digits) + 0.0:{'+' if signed else ''}.{digits}f}"
    return text.replace("-", MINUS)


def interval(
    figure: Mapping[str, Any], digits: int = 3, signed: bool = False, scale: float = 1.0
) -> str:
    """A figure {value, low, high} as "0.561 [0.540, 0.583]", or the reason why there is none."""
    if figure.get("value") is None:
        return str(figure.get("reason") or "n/a")
    value = number(scale * figure["value"], digits, signed)
    if figure.get("low") is None:
        return value
    low, high = (number(scale * figure[key], digits, signed) for key in ("low", "high"))
    return f"{value} [{low}, {high}]"


def percent(figure: Mapping[str, Any], digits: int = 1) -> str:
    """A fraction with its interval as "93.4 % [92.0, 94.8]"."""
    text = interval(figure, digits, scale=100.0)
    value, _, rest = text.partition(" [")
    if figure.get("value") is None:
        return text
    return f"{value} % [{rest}" if rest else f"{value} %"


def points(figure: Mapping[str, Any]) -> str:
    """A difference of fractions in percentage points, "+7.4 points [+5.1, +9.7]"."""
    text = interval(figure, 1, signed=True, scale=100.0)
    value, _, rest = text.partition(" [")
    if figure.get("value") is None:
        return text
    return f"{value} points [{rest}" if rest else f"{value} points"


def ratio_text(ratio: float) -> str:
    """A price against another: "+4.4 %", or "x29" where it is more than double."""
    if ratio >= 2:
        return f"\u00d7{ratio:.1f}" if ratio < 10 else f"\u00d7{ratio:.0f}"
    return f"{number(100 * (ratio - 1), 1, signed=True)} %"


def count(value: float) -> str:
    """A whole number with thousands separated: 7,255."""
    return f"{round(value):,}"


def listing(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
