"""What the charts of several sections share: looks, axes, lines with bands, lanes of figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from tinymia.attacks.base import Adversary
from tinymia.evidence import OutputPolicy
from tinymia.experiments.base import Condition, Figure
from tinymia.report.svg import Axis, Chart, linear_axis, marker
from tinymia.report.words import interval, number

Look = tuple[str, str]
"""A colour class of ``style.css`` and a marker's shape."""

_SHAPES = ("circle", "square", "triangle", "diamond")
HELD_OUT: Look = ("s-heldout", "circle")
MEMBERS: Look = ("s-members", "square")


def adversary_look(adversary: Adversary) -> Look:
    """The same in all charts and tables."""
    return f"s-{adversary.value}", _SHAPES[list(Adversary).index(adversary) % len(_SHAPES)]


def answer_look(answer: OutputPolicy) -> Look:
    """The same in all charts and tables."""
    return f"s-answer-{answer.value}", _SHAPES[list(OutputPolicy).index(answer) % len(_SHAPES)]


def bounds(figure: Figure) -> tuple[float, float]:
    """A figure's interval; the value itself twice where it has none."""
    value = figure.value or 0.0
    return (
        value if figure.low is None else figure.low,
        value if figure.high is None else figure.high,
    )


def ends(figures: Sequence[Figure], *more: float) -> tuple[float, float]:
    """The range that holds all intervals."""
    values = [*more, *(end for f in figures if f.value is not None for end in bounds(f))]
    return min(values), max(values)


def tick_percent(value: float, digits: int) -> str:
    """A fraction on an axis as "93 %"."""
    return f"{number(100 * value, max(0, digits - 2))} %"


def tick_signed(value: float, digits: int) -> str:
    """A difference on an axis: "+0.02", and "0.00" without a sign."""
    return number(value, digits, signed=abs(value) > 1e-12)


def tick_points(value: float, digits: int) -> str:
    """A difference of fractions on an axis, in percentage points."""
    return number(100 * value, max(0, digits - 2), signed=abs(value) > 1e-12)


def epoch_axis(conditions: Sequence[Condition]) -> Axis:
    """Epochs, the base model at 0."""
    ticks = [(float(c.epochs), str(c.epochs) if c.epochs else "base") for c in conditions]
    low, high = ticks[0][0], max(ticks[-1][0], ticks[0][0] + 1)
    return Axis(low, high, ticks, "epochs of fine-tuning", math.log1p)


def series(chart: Chart, rows: Sequence[tuple[float, Figure]], look: Look) -> None:
    """A line with its band and markers."""
    css, shape = look
    known = [(x, f.value, f) for x, f in rows if f.value is not None]
    chart.band([(x, *bounds(f)) for x, _, f in known], css)
    chart.line([(x, value) for x, value, _ in known], css)
    for x, value, figure in known:
        chart.point(x, value, css, shape, interval(figure))


def dot(chart: Chart, x: float, figure: Figure, look: Look, hint: str = "") -> None:
    """A marker with its error bar in a column."""
    if figure.value is None:
        return
    css, shape = look
    chart.error_bar((x, x), bounds(figure), css)
    chart.point(x, figure.value, css, shape, hint or interval(figure))


@dataclass(frozen=True)
class Lane:
    """A labelled row of figures, one below the other.

    Attributes:
        label: above the figures.
        dots: (figure, look, what it is).
        note: at the end of the label's line.
    """

    label: str
    dots: Sequence[tuple[Figure, Look, str]]
    note: str = ""


def lanes(
    identity: str,
    title: str,
    rows: Sequence[Lane],
    axis: tuple[float, float, str],
    tick: Callable[[float, int], str],
    guess: float,
) -> str:
    """Figures with their intervals on one horizontal axis, in labelled rows.

    Args:
        identity: unique on the page.
        title: of the chart.
        rows: from top to bottom.
        axis: (low, high, title) of the horizontal axis.
        tick: label of a tick.
        guess: where guessing is, a dashed line.

    Returns:
        The SVG element.
    """
    width, left, right, top, step, head = 520, 6, 18, 8, 13, 22
    low, high, what = axis
    x_axis = linear_axis(low, high, what, tick)

    def px(value: float) -> float:
        return left + x_axis.place(value) * (width - left - right)

    parts, y = [], float(top)
    for row in rows:
        note = (
            f'<text class="tick" x="{width - right}" y="{y + 15:.1f}" text-anchor="end">'
            f"{escape(row.note)}</text>"
        )
        parts.append(
            f'<text class="lane" x="{left}" y="{y + 15:.1f}">{escape(row.label)}</text>'
            f"{note if row.note else ''}"
        )
        y += head
        for figure, (css, shape), hint in row.dots:
            if figure.value is not None:
                a, b = (px(end) for end in bounds(figure))
                parts.append(
                    f'<line class="bar {escape(css)}" x1="{a:.1f}" y1="{y + 6:.1f}" x2="{b:.1f}" '
                    f'y2="{y + 6:.1f}"/>'
                )
                text = f"{hint}: {interval(figure)}"
                parts.append(marker(px(figure.value), y + 6, css, shape, text))
            y += step
        y += 8
    floor = y
    grid = "".join(
        f'<line class="grid" x1="{px(v):.1f}" y1="{top}" x2="{px(v):.1f}" y2="{floor:.1f}"/>'
        f'<text class="tick" x="{px(v):.1f}" y="{floor + 17:.1f}" text-anchor="middle">'
        f"{escape(label)}</text>"
        for v, label in x_axis.ticks
    )
    grid += (
        f'<polyline class="line guess" points="{px(guess):.1f},{top} {px(guess):.1f},{floor:.1f}"/>'
        f'<text class="axis" x="{width / 2:.1f}" y="{floor + 38:.1f}" text-anchor="middle">'
        f"{escape(x_axis.title)}</text>"
    )
    described = "; ".join(
        f"{row.label}: " + ", ".join(f"{hint} {interval(figure)}" for figure, _, hint in row.dots)
        for row in rows
    )
    return (
        f'<svg viewBox="0 0 {width} {floor + 46:.0f}" role="img" '
        f'aria-labelledby="{identity}-t {identity}-d"><title id="{identity}-t">{escape(title)}'
        f'</title><desc id="{identity}-d">{escape(described)}.</desc>{grid}{"".join(parts)}</svg>'
    )
