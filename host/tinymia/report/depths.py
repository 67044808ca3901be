"""Leakage against how much of the network is trained: rows and charts."""

from __future__ import annotations

from typing import Any

from tinymia.audit.wording import count, interval, number, percent, points
from tinymia.export.depth import DEPTH_ORDER, depth_title
from tinymia.report.charts import Results, Row, bounds, style
from tinymia.report.svg import Axis, Chart, linear_axis
from tinymia.report.view import tone


def depth_rows(results: Results) -> list[Row]:
    """One row a depth, from what changes little to what changes everything.

    The study's own depth is the plain fine-tuning that all others are compared with. Empty if no
    other was run.
    """
    main = next((c for c in results["conditions"] if c["key"] == results["main"]), None)
    others = [c for c in results["conditions"] if c["depth"]]
    if main is None or not others:
        return []
    training = results["context"].get("training") or {}
    own = str((training.get("plain") or {}).get("depth", "head"))
    rows = [
        _row(results, condition, condition["depth"] or own, training)
        for condition in [main, *others]
    ]
    return sorted(rows, key=lambda row: _place(row["depth"]))


def _place(depth: str) -> tuple[int, int]:
    kind = depth.rstrip("0123456789")
    layers = int(depth.removeprefix(kind) or 0)
    return DEPTH_ORDER.index(kind), layers


def _row(results: Results, condition: Row, depth: str, training: Row) -> Row:
    key, attack = condition["key"], results["headline"]
    css, shape = style(results, condition)
    accuracy, cost = results["accuracy"][key], results["costs"][key]
    changes = {
        row["measure"]: row
        for row in results["paired"]
        if row["condition"] == key and row["attack"] in (attack, None)
    }
    rate = (training.get(key.partition("@")[0]) or {}).get("learning_rate")
    gain = results["gain"][key]
    return {
        "depth": depth,
        "title": depth_title(depth) or depth,
        "own": not condition["depth"],
        "css": css,
        "shape": shape,
        "auc_figure": results["leakage"][key][attack]["auc"],
        "auc": interval(results["leakage"][key][attack]["auc"]),
        "change": _change(changes.get("auc"), interval),
        "heldout_figure": accuracy["heldout"],
        "members_figure": accuracy["members"],
        "heldout": percent(accuracy["heldout"]),
        "heldout_change": _change(changes.get("heldout"), points),
        "gain": points(gain["difference"]),
        "rate": f"{rate:g}" if rate else "n/a",
        "trained": count(cost["trained"]) if cost["trained"] else "n/a",
        "workspace": count(cost["workspace"]) if cost["workspace"] else "n/a",
        "step": count(cost["train_step"]) if cost["train_step"] else "n/a",
    }


def _change(row: Row | None, text: Any) -> Row:
    """A paired change as text with its verdict, or the reference's empty place."""
    if row is None:
        return {"text": "reference", "verdict": "", "tone": "neutral"}
    difference = row["difference"]
    shown = text(difference, signed=True) if text is interval else text(difference)
    good = "reduces" if row["measure"] == "auc" else "raises"
    return {"text": shown, "verdict": row["verdict"], "tone": tone(row["verdict"], good)}


_SHORT = {"biases": "biases", "head": "last layer", "last": "last {}", "all": "all layers"}


def _axis(rows: list[Row]) -> Axis:
    ticks = []
    for i, row in enumerate(rows):
        kind = row["depth"].rstrip("0123456789")
        ticks.append((float(i), _SHORT[kind].format(row["depth"].removeprefix(kind))))
    return Axis(-0.5, len(rows) - 0.5, ticks, "what is trained")


def leakage_chart(results: Results, rows: list[Row]) -> str:
    """AUC of the headline attack at each depth, with its interval."""
    figures = [row["auc_figure"] for row in rows]
    ends = [0.5, *(b for f in figures for b in bounds(f))]
    described = "; ".join(f"{row['title']}: {row['auc']}" for row in rows)
    chart = Chart(
        _axis(rows),
        linear_axis(min(ends), max(ends), "AUC of the attack", number),
        "Leakage against depth",
        f"AUC of the headline attack, 95 % interval. {described}.",
    )
    chart.line([(chart.x.low, 0.5), (chart.x.high, 0.5)], "guess")
    _dots(chart, rows, "auc_figure", 0.0, None)
    for i, figure in enumerate(figures):
        text = number(figure["value"])
        chart.text(i, figure["value"], text, css="value", dx=10, dy=4)
    return chart.render("fig-depth-leakage")


def accuracy_chart(results: Results, rows: list[Row]) -> str:
    """Accuracy on members and on held-out windows at each depth, with intervals."""
    parts = (
        ("members_figure", -0.09, ("s-members", "square")),
        ("heldout_figure", 0.09, ("s-heldout", "circle")),
    )
    ends = [b for row in rows for part, _, _ in parts for b in bounds(row[part])]
    described = "; ".join(
        f"{row['title']}: held-out {row['heldout']}, members {percent(row['members_figure'])}"
        for row in rows
    )
    chart = Chart(
        _axis(rows),
        linear_axis(
            min(ends),
            min(max(ends), 1.0),
            "accuracy",
            lambda v, d: f"{number(100 * v, max(0, d - 2))} %",
        ),
        "Accuracy against depth",
        f"Accuracy on members and on held-out windows, 95 % interval. {described}.",
    )
    for part, shift, look in parts:
        _dots(chart, rows, part, shift, look)
    for i, row in enumerate(rows):
        value = row["heldout_figure"]["value"]
        chart.text(i + 0.09, value, number(100 * value, 1), css="value", dx=10, dy=4)
    return chart.render("fig-depth-accuracy")


def _dots(
    chart: Chart, rows: list[Row], part: str, shift: float, look: tuple[str, str] | None
) -> None:
    """A marker with its error bar in each row's column."""
    for i, row in enumerate(rows):
        css, shape = look or (row["css"], row["shape"])
        figure, x = row[part], i + shift
        chart.error_bar((x, x), bounds(figure), css)
        chart.point(x, figure["value"], css, shape, interval(figure))


def depth_sentence(results: Results, rows: list[Row]) -> str:
    """What training more of the network does to leakage, by the paired changes' verdicts."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        if not row["own"]:
            text = f"training {row['title']} ({row['change']['text']})"
            groups.setdefault(row["change"]["verdict"] or "no verdict", []).append(text)
    own = next(row["title"] for row in rows if row["own"])
    parts = [
        f"{', '.join(items)}: leakage is {verdict} from it"
        if verdict.startswith("not dist")
        else f"{', '.join(items)}: {verdict}"
        for verdict, items in sorted(groups.items())
    ]
    return f"Against training {own}, by the paired change in AUC: {'; '.join(parts)}."
