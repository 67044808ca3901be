"""Charts as inline SVG: axes, lines, bands and points, coloured by the page's style sheet.

Classes instead of colours let one drawing follow the light, the dark and the printed page. Classes
and texts come from results, so all are escaped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape

Scale = Callable[[float], float]
_CORNERS: dict[str, tuple[tuple[float, float], ...]] = {
    "square": ((-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)),
    "diamond": ((0, -6.5), (6.5, 0), (0, 6.5), (-6.5, 0)),
    "triangle": ((0, -6), (6, 5), (-6, 5)),
    "fall": ((0, 6), (6, -5), (-6, -5)),
    "plus": (
        *((-2, -6), (2, -6), (2, -2), (6, -2), (6, 2), (2, 2)),
        *((2, 6), (-2, 6), (-2, 2), (-6, 2), (-6, -2), (-2, -2)),
    ),
    "star": (
        *((0, -7), (1.8, -2.2), (6.7, -2.2), (2.8, 0.9), (4.1, 5.7)),
        *((0, 2.8), (-4.1, 5.7), (-2.8, 0.9), (-6.7, -2.2), (-1.8, -2.2)),
    ),
}
OPEN = "open-"
"""Before a shape's name: its outline alone."""


def _c(value: float) -> str:
    """A coordinate."""
    return f"{value:.1f}"


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        low, high: data range.
        ticks: (value, label) pairs; a label may have several lines on the horizontal axis.
        title: text beside the axis.
        transform: data to a linear scale (identity, log10, log1p).
    """

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    title: str
    transform: Scale = float

    def place(self, value: float) -> float:
        """Position of a value from 0 to 1; values outside the range are cut to it."""
        low, high = self.transform(self.low), self.transform(self.high)
        clipped = min(max(value, self.low), self.high)
        return (self.transform(clipped) - low) / (high - low)


@dataclass
class Chart:
    """A drawing area with two axes; parts are drawn in the order in which they are added."""

    x: Axis
    y: Axis
    title: str
    description: str
    width: int = 520
    height: int = 330
    left: int = 64
    right: int = 16
    top: int = 14
    bottom: int = 48
    parts: list[str] = field(default_factory=list)

    def px(self, value: float) -> float:
        """Horizontal position of a data value."""
        return self.left + self.x.place(value) * (self.width - self.left - self.right)

    def py(self, value: float) -> float:
        """Vertical position of a data value."""
        return (
            self.height - self.bottom - self.y.place(value) * (self.height - self.top - self.bottom)
        )

    def line(self, points: Sequence[tuple[float, float]], css: str) -> None:
        """A line through data points."""
        path = " ".join(f"{_c(self.px(x))},{_c(self.py(y))}" for x, y in points)
        if points:
            self.parts.append(f'<polyline class="line {escape(css)}" points="{path}"/>')

    def band(self, points: Sequence[tuple[float, float, float]], css: str) -> None:
        """An area between two curves, from (x, low, high)."""
        if len(points) < 2:
            return
        upper = [f"{_c(self.px(x))},{_c(self.py(high))}" for x, _, high in points]
        lower = [f"{_c(self.px(x))},{_c(self.py(low))}" for x, low, _ in reversed(points)]
        path = " ".join(upper + lower)
        self.parts.append(f'<polygon class="band {escape(css)}" points="{path}"/>')

    def point(self, x: float, y: float, css: str, shape: str = "circle", hint: str = "") -> None:
        """A marker; ``hint`` is shown on hover and read by screen readers."""
        self.parts.append(marker(self.px(x), self.py(y), css, shape, hint))

    def error_bar(self, x: tuple[float, float], y: tuple[float, float], css: str) -> None:
        """A horizontal or vertical bar between two data points."""
        self.parts.append(
            f'<line class="bar {escape(css)}" x1="{_c(self.px(x[0]))}" y1="{_c(self.py(y[0]))}" '
            f'x2="{_c(self.px(x[1]))}" y2="{_c(self.py(y[1]))}"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        css: str = "",
        anchor: str = "start",
        dx: float = 0,
        dy: float = 0,
    ) -> None:
        """Text at a data point, moved by (dx, dy) pixels."""
        self.parts.append(
            f'<text class="{css}" x="{_c(self.px(x) + dx)}" y="{_c(self.py(y) + dy)}" '
            f'text-anchor="{anchor}">{escape(text)}</text>'
        )

    def shade(self, x_low: float, x_high: float, css: str) -> None:
        """A vertical stripe over the plot's full height."""
        left, right = self.px(x_low), self.px(x_high)
        height = self.height - self.top - self.bottom
        self.parts.append(
            f'<rect class="{css}" x="{_c(left)}" y="{self.top}" '
            f'width="{_c(right - left)}" height="{height}"/>'
        )

    def render(self, identity: str) -> str:
        """The SVG element; ``identity`` must be unique on the page."""
        floor, middle = self.height - self.bottom, (self.left + self.width - self.right) / 2
        grid = []
        for value, label in self.x.ticks:
            x = _c(self.px(value))
            grid.append(f'<line class="grid" x1="{x}" y1="{self.top}" x2="{x}" y2="{floor}"/>')
            lines = "".join(
                f'<tspan x="{x}" dy="{16 * min(i, 1)}">{escape(part)}</tspan>'
                for i, part in enumerate(label.split("\n"))
            )
            grid.append(
                f'<text class="tick" x="{x}" y="{floor + 17}" text-anchor="middle">{lines}</text>'
            )
        for value, label in self.y.ticks:
            y = self.py(value)
            grid.append(
                f'<line class="grid" x1="{self.left}" y1="{_c(y)}" '
                f'x2="{self.width - self.right}" y2="{_c(y)}"/>'
            )
            grid.append(
                f'<text class="tick" x="{self.left - 7}" y="{_c(y + 4)}" text-anchor="end">'
                f"{escape(label)}</text>"
            )
        across = (self.top + floor) / 2
        titles = (
            f'<text class="axis" x="{_c(middle)}" y="{self.height - 9}" text-anchor="middle">'
            f"{escape(self.x.title)}</text>"
            f'<text class="axis" transform="translate(13 {_c(across)}) rotate(-90)" '
            f'text-anchor="middle">{escape(self.y.title)}</text>'
        )
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-labelledby="{identity}-t {identity}-d">'
            f'<title id="{identity}-t">{escape(self.title)}</title>'
            f'<desc id="{identity}-d">{escape(self.description)}</desc>'
            f"{''.join(grid)}{titles}{''.join(self.parts)}</svg>"
        )


def marker(x: float, y: float, css: str, shape: str = "circle", hint: str = "") -> str:
    """A marker at pixel coordinates, of a shape named above, a circle by default."""
    css = escape(css)
    if shape.startswith(OPEN):
        css, shape = f"open {css}", shape.removeprefix(OPEN)
    inside = f"<title>{escape(hint)}</title>" if hint else ""
    corners = _CORNERS.get(shape)
    if corners is None:
        return f'<circle class="mark {css}" cx="{_c(x)}" cy="{_c(y)}" r="5">{inside}</circle>'
    path = " ".join(f"{_c(x + a)},{_c(y + b)}" for a, b in corners)
    return f'<polygon class="mark {css}" points="{path}">{inside}</polygon>'


def key(css: str, shape: str = "circle") -> str:
    """A small marker for a legend in the text."""
    return (
        f'<svg class="key" viewBox="0 0 16 16" aria-hidden="true">{marker(8, 8, css, shape)}</svg>'
    )


def linear_axis(
    low: float, high: float, title: str, text: Callable[[float, int], str], ticks: int = 5
) -> Axis:
    """An axis on round numbers that holds the range with a little room.

    Args:
        low, high: data range.
        title: text beside the axis.
        text: label of a tick, from its value and the decimals that its step needs.
        ticks: about how many.
    """
    span = max(high - low, 1e-9)
    low, high = low - 0.06 * span, high + 0.06 * span
    rough = (high - low) / ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    decimals = max(0, math.ceil(-math.log10(step) - 1e-9))
    if abs(step * 10**decimals - round(step * 10**decimals)) > 1e-6:
        decimals += 1
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return Axis(
        low, high, [(i * step, text(i * step, decimals)) for i in range(first, last + 1)], title
    )
