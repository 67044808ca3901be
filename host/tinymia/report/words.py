"""Numbers and verdicts as words, the same in the sentences, the terminal and the page."""

from __future__ import annotations

from collections.abc import Sequence

from tinymia.experiments.base import Comparison, Figure, Measure, Verdict
from tinymia.experiments.membership.types import Leak

MINUS = "\u2212"
NOT_MEASURED = "not measured"
NO_MORE = "no more than guessing"
HARDLY = "hardly more than guessing"
TOLD = ("more than guessing", HARDLY)
WRONG_WAY = "points the wrong way"


class Strong(str):
    """A piece of a sentence that the page sets in bold."""

    __slots__ = ()


Pieces = tuple[str, ...]
"""A sentence in pieces; those that are :class:`Strong` are emphasised."""


def plain(pieces: Pieces) -> str:
    """The sentence without emphasis."""
    return "".join(pieces)


def number(value: float | None, digits: int = 3, signed: bool = False) -> str:
    """A number with a true minus sign; "n/a" for None."""
    if value is None:
        return "n/a"
    text = f"{round(value, digits) + 0.0:{'+' if signed else ''}.{digits}f}"
    return text.replace("-", MINUS)


def interval(
    figure: Figure | None, digits: int = 3, signed: bool = False, scale: float = 1.0, unit: str = ""
) -> str:
    """A figure as "0.561 [0.540, 0.583]", or the reason why there is none.

    Args:
        figure: None reads as not measured.
        digits: decimals.
        signed: with a plus sign.
        scale: 100 for per cent.
        unit: behind the value, before the brackets: " %".
    """
    if figure is None:
        return NOT_MEASURED
    if figure.value is None:
        return figure.reason or NOT_MEASURED
    value = number(scale * figure.value, digits, signed) + unit
    if figure.low is None or figure.high is None:
        return value
    low, high = (number(scale * end, digits, signed) for end in (figure.low, figure.high))
    return f"{value} [{low},\u00a0{high}]"  # lines break before the bracket


def percent(figure: Figure | None, digits: int = 1) -> str:
    """A fraction with its interval as "93.4 % [92.0, 94.8]"."""
    return interval(figure, digits, scale=100.0, unit=" %")


def portion(fraction: float | None, digits: int = 1) -> str:
    """A fraction that stands alone as "93.4 %"; "n/a" for None."""
    return "n/a" if fraction is None else f"{number(100 * fraction, digits)} %"


def points(figure: Figure | None) -> str:
    """A difference of fractions in percentage points, "+7.4 points [+5.1, +9.7]"."""
    return interval(figure, 1, signed=True, scale=100.0, unit=" points")


def share(fraction: float) -> str:
    """A round fraction as "0.1 %"."""
    return f"{100 * fraction:g} %"


def ratio_text(ratio: float) -> str:
    """A price against another: "+4.4 %", or "x29" where it is more than double."""
    if ratio >= 2:
        return f"\u00d7{ratio:.1f}" if ratio < 10 else f"\u00d7{ratio:.0f}"
    return f"{number(100 * (ratio - 1), 1, signed=True)} %"


def count(value: float) -> str:
    """A whole number with thousands separated: 7,255."""
    return f"{round(value):,}"


def several(value: int, noun: str) -> str:
    """ "1 epoch", "2 epochs"."""
    return f"{count(value)} {noun}{'' if value == 1 else 's'}"


def quoted(title: str) -> str:
    """A title with commas of its own inside a sentence."""
    return f"\u201c{title}\u201d"


def lower_first(text: str) -> str:
    """A title inside a sentence: "Joint decoder" as "joint decoder", "LiRA" as it is."""
    return (
        text[:1].lower() + text[1:]
        if text[1:2].islower() and text.split(maxsplit=1)[0][1:].islower()
        else text
    )


def listing(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def some(items: Sequence[str], most: int = 20) -> str:
    """The same for what may be thousands: "a, b, ..., and 9,980 more"."""
    if len(items) <= most:
        return listing(items)
    return f"{', '.join(items[:most])} and {count(len(items) - most)} more"


def decided(comparison: Comparison) -> Verdict:
    """The verdict that counts: corrected for the number compared, where that was more than one."""
    if comparison.verdict_adjusted is Verdict.NOT_MEASURED and comparison.family == 1:
        return comparison.verdict
    return comparison.verdict_adjusted


_NOUNS = {Measure.AUC: "leakage", Measure.TPR_1: "leakage", Measure.HELD_OUT: "accuracy"}


def verdict_words(verdict: Verdict, measure: Measure) -> str:
    """ "lowers leakage", "raises accuracy"; what names no direction stands alone."""
    if verdict in (Verdict.RAISES, Verdict.LOWERS):
        return f"{verdict} {_NOUNS[measure]}"
    return str(verdict)


def tone(verdict: Verdict, measure: Measure) -> str:
    """Style class of a verdict: good, bad or neutral."""
    if verdict not in (Verdict.RAISES, Verdict.LOWERS):
        return "neutral"
    better = Verdict.RAISES if measure is Measure.HELD_OUT else Verdict.LOWERS
    return "good" if verdict is better else "bad"


def not_told(leak: Leak) -> bool:
    """Whether an attack that judges anything is not told from guessing, either way."""
    low, high = leak.auc.low, leak.auc.high
    ruled_out = leak.guessing_ruled_out or (high is not None and high < 0.5)
    return not leak.guessing and (low is None or high is None or not ruled_out)


def above_guessing(leak: Leak) -> str:
    """What an AUC says against guessing.

    "No more than guessing" is a bound and needs one; a test that failed says "not distinguishable".
    """
    auc = leak.auc
    if leak.guessing:
        return "can only guess"
    if auc.low is None or auc.high is None:
        return "no interval"
    if leak.guessing_ruled_out:
        return HARDLY if leak.no_more_than_guessing else TOLD[0]
    if auc.high < 0.5:
        return WRONG_WAY
    if leak.no_more_than_guessing:
        return NO_MORE
    return "not distinguishable from guessing"
