"""The page of studies of one factor each: a chapter with its answer, its curve and its band."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinymia.errors import ReportError
from tinymia.experiments.base import PLAIN
from tinymia.experiments.chapter import Line, Plot
from tinymia.files import write_whole
from tinymia.report.charts import Lane, ends, lanes
from tinymia.report.page import whole_page
from tinymia.report.sections.chapters import plot_view
from tinymia.report.words import interval, listing, number
from tinymia.study.fits import Answer, Curve

PAGE = "study.html"


def render_studies(answers: Sequence[Answer], path: Path, command: str) -> Path:
    """Write one page, a chapter a study.

    Args:
        answers: at least one.
        path: of the page.
        command: as typed, for its foot.

    Raises:
        ReportError: the page cannot be written.
    """
    text = whole_page(
        "study.html.j2",
        {
            "subtitle": listing([answer.title for answer in answers]),
            "chapters": [_chapter(answer, at) for at, answer in enumerate(answers)],
            "command": command,
        },
    )
    return write_whole(path, text.encode(), "the page", ReportError)


def _chapter(answer: Answer, number: int) -> dict[str, Any]:
    charts: dict[tuple[str, str], list[Curve]] = {}
    for curve in answer.curves:
        charts.setdefault((curve.title, curve.x), []).append(curve)
    panels = [_panel(curves, f"fig-{number}-{i}") for i, curves in enumerate(charts.values())]
    return {
        "id": f"study-{number}",
        "title": answer.title,
        "sentences": answer.sentences,
        "panels": [panel for panel in panels if panel],
        "tables": [
            {
                "title": ", ".join(filter(None, (curve.title, curve.line))),
                "x": curve.x_title or "What",
                "rows": [(name, interval(figure)) for name, figure in curve.points],
            }
            for curve in answer.curves
        ],
    }


def _panel(curves: Sequence[Curve], identity: str) -> dict[str, Any] | None:
    """A chart of curves of one title: lines along an axis, or names side by side."""
    from markupsafe import Markup

    first = curves[0]
    if first.x:
        lines = tuple(map(_line, curves))
        plot = Plot("curve", first.title, first.x_title, "", lines, log_x=first.log_x)
        return plot_view(plot, identity)
    points = [point for curve in curves for point in curve.points if point[1].value is not None]
    if not points:
        return None
    guess = 0.0 if min(figure.value or 0.0 for _, figure in points) < 0.4 else 0.5
    low, high = ends([figure for _, figure in points], guess)
    rows = [Lane(name, [(figure, PLAIN, name)]) for name, figure in points]
    drawn = lanes(identity, first.title, rows, (low, high, first.title), number, guess)
    return {"title": first.title, "svg": Markup(drawn), "legend": []}


def _line(curve: Curve) -> Line:
    """What is measured along an axis; a point without an interval leaves the band out."""
    measured = [(float(x), figure) for x, figure in curve.points if figure.value is not None]
    band = all(figure.low is not None and figure.high is not None for _, figure in measured)
    return Line(
        curve.line or curve.title,
        tuple(x for x, _ in measured),
        tuple(_number(figure.value) for _, figure in measured),
        tuple(_number(figure.low) for _, figure in measured) if band else (),
        tuple(_number(figure.high) for _, figure in measured) if band else (),
    )


def _number(value: float | None) -> float:
    return 0.0 if value is None else value
