"""Experiments beyond membership: a list of their answers, and a chapter each, all in one way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from tinymia.evidence import BASE
from tinymia.experiments.base import PLAIN, Figure, Verdict, look
from tinymia.experiments.chapter import Chapter, Line, Measure, Panel, Picture, Plot, Row
from tinymia.experiments.experiment import experiments
from tinymia.report.charts import Look
from tinymia.report.images import image
from tinymia.report.section import Section, Table, View
from tinymia.report.svg import Axis, Chart, linear_axis
from tinymia.report.words import count, interval, number
from tinymia.study.results import Results

_FIRST = 110
"""Place of the first chapter on the page; those of membership stand before."""


def _of(results: Results, name: str) -> Chapter | None:
    return next((c for c in results.findings.chapters if c.name == name), None)


def shown(figure: Figure | None, measure: Measure, signed: bool = False) -> str:
    """A figure in its measure's unit; "" where there is none."""
    if figure is None:
        return ""
    if measure.unit == "%":
        unit = " points" if signed else " %"
        return interval(figure, 1, signed=signed, scale=100.0, unit=unit)
    unit = f" {measure.unit}" if measure.unit else ""
    large = figure.value is not None and abs(figure.value) >= 100
    return interval(figure, 0 if large else 3, signed=signed, unit=unit)


def _words(row: Row, measure: Measure) -> tuple[str, str]:
    """The verdict, and its tone."""
    if row.verdict is Verdict.NOT_MEASURED:
        return "", "neutral"
    if row.verdict is Verdict.NOT_DISTINGUISHABLE:
        return str(row.verdict), "neutral"
    worse = (row.verdict is Verdict.RAISES) == measure.leaks
    return str(row.verdict), "bad" if worse else "good"


def _looks(chapter: Chapter) -> dict[str, Look]:
    """A look for each condition: plain fine-tuning's is the page's."""
    names = {row.condition: row.is_plain for row in chapter.rows}
    found, at = {}, 0
    for name, plain in names.items():
        if plain or name == BASE:
            found[name] = PLAIN
        else:
            found[name] = look(at)
            at += 1
    return found


def _table(chapter: Chapter, measure: Measure, looks: dict[str, Look]) -> dict[str, Any] | None:
    """One measure's rows."""
    rows = [row for row in chapter.rows if row.measure == measure.name]
    if not rows:
        return None
    adversaries = {a.name: a.title for a in chapter.adversaries}
    settings = list(dict.fromkeys(key for row in rows for key in row.at))
    cells = []
    for row in rows:
        css, shape = looks[row.condition]
        words, tone = _words(row, measure)
        cells.append(
            {
                "css": css,
                "shape": shape,
                "title": row.title,
                "adversary": adversaries.get(row.adversary, ""),
                "at": [row.at.get(key, "") for key in settings],
                "figure": shown(row.figure, measure),
                "baseline": shown(row.baseline, measure),
                "change": shown(row.change, measure, signed=True),
                "words": words,
                "tone": tone,
                "devices": f"{count(row.devices)} / {count(row.people)}",
            }
        )
    guess = "" if measure.guess is None else shown(Figure(measure.guess), measure)
    return {
        "title": measure.title,
        "guess": guess,
        "settings": settings,
        "adversaries": any(cell["adversary"] for cell in cells),
        "baselines": any(cell["baseline"] for cell in cells),
        "changes": any(cell["change"] for cell in cells),
        "rows": cells,
    }


def _log_axis(low: float, high: float, title: str) -> Axis:
    """What is measured with a little room; where that is no three decades, also 2 and 5 of each."""
    room = max((high / low) ** 0.06, 1.05)
    low, high = low / room, high * room
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if high / low < 1000 else (1,)
    marks = [m * 10.0**e for e in range(first, last + 1) for m in steps]
    ticks = [(v, f"{v:g}") for v in marks if low <= v <= high]
    return Axis(low, high, ticks, title, math.log10)


def _line(chart: Chart, line: Line, css: str, shape: str) -> None:
    points = list(zip(line.x, line.y, strict=True))
    if line.low:
        chart.band(list(zip(line.x, line.low, line.high, strict=True)), css)
    chart.line(points, css)
    for x, y in () if line.dashed else points:
        chart.point(x, y, css, shape, f"{line.title}: {number(y)}")


def _points(line: Line) -> str:
    """A line in words."""
    return ", ".join(f"{number(y)} at {x:g}" for x, y in zip(line.x, line.y, strict=True))


def plot_view(plot: Plot, identity: str) -> dict[str, Any] | None:
    """A chart of lines."""
    xs = [x for line in plot.lines for x in line.x]
    ys = [y for line in plot.lines for y in (*line.y, *line.low, *line.high)]
    if not xs:
        return None
    positive = plot.log_x and min(xs) > 0
    across = (
        _log_axis(min(xs), max(xs), plot.x)
        if positive
        else linear_axis(min(xs), max(xs), plot.x, number)
    )
    chart = Chart(
        across,
        linear_axis(min(ys), max(ys), plot.y, number),
        plot.title,
        "; ".join(f"{line.title}: {_points(line)}" for line in plot.lines),
    )
    legend, at = [], 0
    for line in plot.lines:
        css, shape = ("guess", "") if line.dashed else (PLAIN if at == 0 else look(at - 1))
        at += not line.dashed
        _line(chart, line, css, shape)
        legend.append({"css": css, "shape": shape, "title": line.title})
    if len(legend) == 1 and plot.lines[0].title == plot.title:
        legend = []  # the chart's title says it
    return {"title": plot.title, "svg": Markup(chart.render(identity)), "legend": legend}


def _window(panel: Panel, low: float, high: float, identity: str) -> Markup:
    """A window as lines, one a channel."""
    length, channels = panel.shape[0], panel.shape[-1] if len(panel.shape) > 1 else 1
    chart = Chart(
        linear_axis(0, max(1, length - 1), "sample", number),
        linear_axis(low, high, "", number),
        panel.title,
        f"{panel.title}: {channels} channels of {length} samples",
        width=260,
        height=170,
        left=40,
    )
    for c in range(channels):
        points = [(float(i), panel.values[i * channels + c]) for i in range(length)]
        chart.line(points, f"s-c{c % 9} thin")
    return Markup(chart.render(identity))


def _picture(picture: Picture, identity: str) -> dict[str, Any]:
    """Panels on one scale."""
    values = [v for panel in picture.panels for v in panel.values]
    low, high = min(values), max(values)
    high = high if high > low else low + 1.0
    made = []
    for i, panel in enumerate(picture.panels):
        of = f"{identity}-{i}"
        drawn = (
            Markup(image(panel.shape, panel.values, low, high, panel.title))
            if len(panel.shape) == 3
            else _window(panel, low, high, of)
        )
        made.append({"title": panel.title, "svg": drawn, "legend": []})
    return {"title": picture.title, "panels": made}


def _confirmed(results: Results, name: str) -> str:
    """What boards ran again of the attacked devices, in a sentence."""
    rows = results.context.confirmation.chapters
    row = next((r for r in rows if r.name == name), None)
    if row is None or not row.devices_board:
        return ""
    return (
        f"Of {count(row.devices)} attacked devices the board trained {count(row.devices_board)}"
        f" again: {count(row.hashes)} hashes of weights and {count(row.answers)} answers are equal"
        " in every bit."
    )


def view_of(name: str, results: Results) -> View | None:
    """A chapter; None where it was not asked for."""
    chapter = _of(results, name)
    if chapter is None:
        return None
    looks = _looks(chapter)
    tables = [_table(chapter, measure, looks) for measure in chapter.measures]
    plots = [plot_view(plot, f"fig-{name}-{i}") for i, plot in enumerate(chapter.plots)]
    return {
        "chapter": chapter,
        "tables": [table for table in tables if table],
        "panels": [plot for plot in plots if plot],
        "pictures": [_picture(p, f"fig-{name}-p{i}") for i, p in enumerate(chapter.pictures)],
        "controls": [
            {
                "title": c.title,
                "expected": c.expected,
                "figure": interval(c.figure),
                "words": "holds" if c.holds else "does not hold",
                "tone": "good" if c.holds else "bad",
            }
            for c in chapter.controls
        ],
        "failed": [c.title for c in chapter.controls if not c.holds],
        "confirmed": _confirmed(results, name),
    }


_COLUMNS = (
    *("measure", "adversary", "condition", "at", "value", "low", "high", "reason", "baseline"),
    *("baseline_low", "baseline_high", "change", "change_low", "change_high", "verdict"),
    *("devices", "people"),
)


def _bounds(figure: Figure | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if figure is None else (figure.value, figure.low, figure.high)


def table_of(name: str, results: Results) -> Table:
    """Every row of a chapter."""
    chapter = _of(results, name)
    return Table(
        _COLUMNS,
        [
            (
                *(row.measure, row.adversary, row.condition),
                "; ".join(f"{key} {value}" for key, value in row.at.items()),
                *(*_bounds(row.figure), row.figure.reason, *_bounds(row.baseline)),
                *(*_bounds(row.change), row.verdict, row.devices, row.people),
            )
            for row in (chapter.rows if chapter else ())
        ],
    )


def overview(results: Results) -> View | None:
    """Each question with its answer."""
    chapters = results.findings.chapters
    return {"chapters": _ordered(chapters)} if chapters else None


def _ordered(chapters: Sequence[Chapter]) -> list[Chapter]:
    known = list(experiments())
    return sorted(chapters, key=lambda c: known.index(c.name) if c.name in known else len(known))


def _chapter(name: str, title: str, order: int) -> Section:
    view: Callable[[Results], View | None] = partial(view_of, name)
    return Section(
        title=title,
        short=title,
        order=order,
        view=view,
        tables={f"{name}.csv": partial(table_of, name)},
        template="chapter.html.j2",
    )


SECTION = Section(
    title="Beyond membership",
    short="Other attacks",
    order=_FIRST - 1,
    view=overview,
)


def sections() -> dict[str, Section]:
    """A section for each experiment there is."""
    return {
        f"chapter-{name}": _chapter(name, experiment.info.title, _FIRST + at)
        for at, (name, experiment) in enumerate(experiments().items())
    }


SECTIONS = sections()
