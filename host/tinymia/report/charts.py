"""The report's charts, drawn from the results."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from tinymia.audit.wording import count, interval, number, percent, points
from tinymia.report.svg import Axis, Chart, linear_axis

Results = dict[str, Any]
Row = dict[str, Any]

_STYLES = {
    (): ("s-plain", "circle"),
    ("clip",): ("s-clip", "square"),
    ("smooth",): ("s-smooth", "triangle"),
    ("clip", "smooth"): ("s-both", "diamond"),
    ("l2",): ("s-l2", "circle"),
    ("dropout",): ("s-dropout", "square"),
    ("early-stop",): ("s-early", "triangle"),
    ("mixup",): ("s-mixup", "diamond"),
    ("augment",): ("s-augment", "circle"),
}
_DP = ("square", "triangle", "diamond", "circle")
_MORE = [("s-e", "circle"), ("s-f", "square"), ("s-g", "triangle"), ("s-h", "diamond")]
_DEPTHS = {"biases": "triangle", "last": "square", "all": "diamond"}
_ATTACK_STYLES = ("s-plain", "s-clip", "s-smooth age2", "s-both age1", "s-e age0")


def style(results: Results, condition: Row) -> tuple[str, str]:
    """Colour class and marker shape of a condition, the same in all charts and tables."""
    defences = tuple(condition["defences"])
    if condition["depth"]:
        return "s-depth", _DEPTHS.get(condition["depth"].rstrip("0123456789"), "circle")
    if defences in _STYLES:
        return _STYLES[defences]
    found = dict.fromkeys(tuple(c["defences"]) for c in results["conditions"])
    others = [d for d in found if d not in _STYLES]
    private = [d for d in others if len(d) == 1 and d[0].startswith("dp-")]
    if defences in private:
        return "s-dp", _DP[private.index(defences) % len(_DP)]
    rest = [d for d in others if d not in private]
    return _MORE[rest.index(defences) % len(_MORE)]


def defended(results: Results) -> list[Row]:
    """The conditions with a defence."""
    return [c for c in results["conditions"] if c["defences"]]


def plain(results: Results) -> list[Row]:
    """The base model and plain fine-tuning, by epochs."""
    return [c for c in results["conditions"] if not c["defences"] and not c["depth"]]


def _epoch_axis(conditions: list[Row]) -> Axis:
    ticks = [(float(c["epochs"]), str(c["epochs"]) if c["epochs"] else "base") for c in conditions]
    low, high = ticks[0][0], max(ticks[-1][0], ticks[0][0] + 1)
    return Axis(low, high, ticks, "epochs of fine-tuning", math.log1p)


def bounds(figure: Row) -> tuple[float, float]:
    """A figure's interval; the value itself twice where it has none."""
    if figure["low"] is None:
        return figure["value"], figure["value"]
    return figure["low"], figure["high"]


def _series(chart: Chart, rows: list[tuple[float, Row]], css: str, shape: str) -> None:
    """A line with its band and markers over epochs."""
    chart.band([(x, *bounds(f)) for x, f in rows], css)
    chart.line([(x, f["value"]) for x, f in rows], css)
    for x, figure in rows:
        chart.point(x, figure["value"], css, shape, interval(figure))


def leakage_by_epochs(results: Results) -> str:
    """AUC of the headline attack against epochs, with its band."""
    conditions = plain(results)
    attack = results["headline"]
    rows = [(float(c["epochs"]), results["leakage"][c["key"]][attack]["auc"]) for c in conditions]
    ends = [0.5, *(b for _, f in rows for b in bounds(f))]
    described = "; ".join(
        f"{c['title']}: {interval(f)}" for c, (_, f) in zip(conditions, rows, strict=True)
    )
    chart = Chart(
        _epoch_axis(conditions),
        linear_axis(min(ends), max(ends), "AUC of the attack", number),
        "Leakage against epochs",
        f"AUC of the headline attack, 95 % interval. {described}.",
        right=34,
    )
    low, high = chart.x.low, chart.x.high
    chart.line([(low, 0.5), (high, 0.5)], "guess")
    _series(chart, rows, "s-plain", "circle")
    for x, figure in rows[1:]:
        chart.text(
            x, figure["value"], number(figure["value"]), css="value", anchor="middle", dy=-11
        )
    return chart.render("fig-leakage")


def accuracy_by_epochs(results: Results) -> str:
    """Accuracy on members and on held-out windows against epochs."""
    conditions = plain(results)
    figures = [results["accuracy"][c["key"]] for c in conditions]
    epochs = [float(c["epochs"]) for c in conditions]
    ends = [b for f in figures for part in f.values() for b in bounds(part)]
    described = "; ".join(
        f"{c['title']}: held-out {percent(f['heldout'])}, members {percent(f['members'])}"
        for c, f in zip(conditions, figures, strict=True)
    )
    chart = Chart(
        _epoch_axis(conditions),
        linear_axis(
            min(ends),
            min(max(ends), 1.0),
            "accuracy",
            lambda v, d: f"{number(100 * v, max(0, d - 2))} %",
        ),
        "Accuracy against epochs",
        f"Accuracy on members and on held-out windows, 95 % interval. {described}.",
        right=34,
    )
    # Members first: the held-out line is what counts and lies on top.
    for part, css, shape, dy in (
        ("members", "s-members", "square", -11),
        ("heldout", "s-heldout", "circle", 20),
    ):
        rows = [(x, f[part]) for x, f in zip(epochs, figures, strict=True)]
        _series(chart, rows, css, shape)
        last = rows[-1]
        chart.text(
            last[0],
            last[1]["value"],
            number(100 * last[1]["value"], 1),
            css="value",
            anchor="middle",
            dy=dy,
        )
    return chart.render("fig-accuracy")


def _roc_chart(title: str, description: str, lowest: float) -> Chart:
    decades = [(0.001, "0.1 %"), (0.01, "1 %"), (0.1, "10 %"), (1.0, "100 %")]
    floor = 0.001 if lowest < 0.01 else 0.01
    ticks = [tick for tick in decades if tick[0] >= floor]
    chart = Chart(
        Axis(floor, 1.0, ticks, "false-positive rate", math.log10),
        Axis(floor, 1.0, ticks, "true-positive rate", math.log10),
        title,
        description,
        width=360,
        height=330,
        right=20,
    )
    if lowest > floor * 1.001:
        chart.shade(floor, lowest, "unresolved")
    chart.line([(floor, floor), (1.0, 1.0)], "guess")
    return chart


def _curve(
    results: Results, condition: str, attack: str
) -> list[tuple[float, float, float, float]]:
    """(fpr, tpr, low, high) where the curve is shown."""
    curve = results["roc"]["curves"][condition][attack]
    rows = zip(results["roc"]["fpr"], curve["tpr"], curve["low"], curve["high"], strict=True)
    return [
        (x, y, y if low is None else low, y if high is None else high)
        for x, y, low, high in rows
        if y is not None
    ]


def roc_panels(results: Results) -> list[Row]:
    """ROC panels: plain fine-tuning, all epochs, all attacks, and each defence over plain.

    Returns:
        {title, svg, legend: [(css, text)], defence: whether it shows one} for each panel.
    """
    attack, lowest = results["headline"], results["roc"]["from_fpr"]
    main = results["main"]
    panels = []
    shown = [c for c in results["conditions"] if c["key"] == main] + defended(results)
    for i, condition in enumerate(shown):
        css, _ = style(results, condition)
        auc = interval(results["leakage"][condition["key"]][attack]["auc"])
        title = condition["title"]
        text = f"Log-log ROC of the headline attack with its 95 % band, {title}; AUC {auc}."
        chart = _roc_chart(title, text, lowest)
        rows = _curve(results, condition["key"], attack)
        reference = condition["reference"]
        legend = [(css, f"AUC {auc}")]
        chart.band([(x, low, high) for x, _, low, high in rows], css)
        if reference in results["roc"]["curves"]:
            against = _curve(results, reference, attack)
            chart.line([(x, y) for x, y, _, _ in against], "s-plain thin")
            legend.append(("s-plain thin", "no defence"))
        chart.line([(x, y) for x, y, _, _ in rows], css)
        panels.append(
            {
                "title": title,
                "svg": chart.render(f"fig-roc-{i}"),
                "legend": legend,
                "defence": bool(condition["defences"]),
            }
        )
    tuned = [c for c in plain(results) if c["epochs"]]
    if len(tuned) > 1:
        chart = _roc_chart("By epochs", "Log-log ROC of the headline attack by epochs.", lowest)
        legend = []
        for i, condition in enumerate(tuned):
            css = f"s-plain age{max(0, 3 - (len(tuned) - 1 - i))}"
            rows = _curve(results, condition["key"], attack)
            chart.line([(x, y) for x, y, _, _ in rows], css)
            legend.append((css, condition["title"].rpartition(", ")[2]))
        panels.append(
            {
                "title": "No defence, by epochs",
                "svg": chart.render("fig-roc-e"),
                "legend": legend,
                "defence": False,
            }
        )
    if main and len(results["attacks"]) > 1:
        chart = _roc_chart("All attacks", "Log-log ROC of every attack, no defence.", lowest)
        legend = []
        for css, entry in zip(_ATTACK_STYLES, results["attacks"], strict=False):
            rows = _curve(results, main, entry["name"])
            chart.line([(x, y) for x, y, _, _ in rows], f"{css} thin")
            legend.append((f"{css} thin", entry["title"]))
        panels.append(
            {
                "title": "All attacks, no defence",
                "svg": chart.render("fig-roc-a"),
                "legend": legend,
                "defence": False,
            }
        )
    return sorted(panels, key=lambda panel: bool(panel["defence"]))


def tradeoff(results: Results, rows: list[Row]) -> str:
    """Paired change in accuracy against paired change in AUC, one point a defence.

    Args:
        results: the results.
        rows: the defence table's rows (``auc_change``, ``heldout_change``, ``css``, ``shape``).
    """
    xs = [0.0, *(b for row in rows for b in bounds(row["auc_change"]))]
    ys = [0.0, *(b for row in rows for b in bounds(row["heldout_change"]))]
    described = "; ".join(
        f"{row['title']}: AUC {interval(row['auc_change'], signed=True)}, "
        f"accuracy {points(row['heldout_change'])}"
        for row in rows
    )
    chart = Chart(
        linear_axis(
            min(xs),
            max(xs),
            "change in AUC (left: less leakage)",
            lambda v, d: number(v, d, signed=abs(v) > 1e-12),
        ),
        linear_axis(
            min(ys),
            max(ys),
            "change in held-out accuracy, points",
            lambda v, d: number(100 * v, max(0, d - 2), signed=abs(v) > 1e-12),
        ),
        "Trade-off of the defences",
        f"Paired changes against plain fine-tuning, 95 % intervals. {described}.",
        height=360,
    )
    chart.line([(0.0, chart.y.low), (0.0, chart.y.high)], "guess")
    chart.line([(chart.x.low, 0.0), (chart.x.high, 0.0)], "guess")
    for row in rows:
        x, y = row["auc_change"], row["heldout_change"]
        chart.error_bar(bounds(x), (y["value"], y["value"]), row["css"])
        chart.error_bar((x["value"], x["value"]), bounds(y), row["css"])
    chart.point(0.0, 0.0, "s-plain", "circle", "no defence")
    for row in rows:
        chart.point(
            row["auc_change"]["value"],
            row["heldout_change"]["value"],
            row["css"],
            row["shape"],
            row["title"],
        )
    return chart.render("fig-tradeoff")


def steps(rows: list[Row], unit: str) -> str:
    """Bars of what a training step costs on the device.

    Args:
        rows: {title, css, step, note} with known steps.
        unit: "instructions" or "cycles".
    """
    top, gap, width = 8, 52, 520
    height = top + gap * len(rows) + 6
    most = max(row["step"] for row in rows)
    parts = []
    for i, row in enumerate(rows):
        y = top + gap * i
        length = max(2.0, (width - 8) * row["step"] / most)
        note = f" ({row['note']})" if row["note"] else ""
        parts.append(
            f'<text x="0" y="{y + 14}">{escape(row["title"])}</text>'
            f'<text class="value" x="{width - 8}" y="{y + 14}" text-anchor="end">'
            f"{count(row['step'])}{note}</text>"
            f'<rect class="fill {row["css"]}" x="0" y="{y + 22}" width="{length:.1f}" '
            'height="14" rx="2"/>'
        )
    described = "; ".join(f"{escape(row['title'])}: {count(row['step'])}" for row in rows)
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="fig-step-t fig-step-d">'
        f'<title id="fig-step-t">Cost of a training step</title>'
        f'<desc id="fig-step-d">{unit} a training step. {described}.</desc>{"".join(parts)}</svg>'
    )
