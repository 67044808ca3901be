"""Render results as one self-contained HTML page and CSV files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import tinymia
from tinymia.audit.analyse import FORMAT
from tinymia.audit.wording import count, interval, listing, percent, points
from tinymia.errors import ReportError
from tinymia.report import charts, confirmed, csvs, depths, limits, view
from tinymia.report.svg import key

Results = dict[str, Any]

_PANELS = 6
"""ROC curves that the page shows at once; with more, those of the defences are folded away."""
_STRONG = re.compile(
    r"not distinguishable(?: from (?:none|it))?|adds leakage|(?:reduces?|raises?) leakage"
    r"|points the wrong way|Personalising (?:raises|lowers)"
)


def render(results: Mapping[str, Any], out_dir: Path | str) -> Path:
    """Write ``report.html`` and the CSV files.

    Args:
        results: what ``analyse`` returned, or the same read from ``results.json``.
        out_dir: folder, made if missing.

    Returns:
        Path of the page.

    Raises:
        ReportError: the results are of another version or incomplete, or cannot be written.
    """
    if not isinstance(results, Mapping):
        raise ReportError("These are no results.", "Make them again with 'tinymia audit'.")
    if results.get("format") != FORMAT:
        raise ReportError(
            f"These results have format {results.get('format')}; this version reads {FORMAT}.",
            "Make them again with 'tinymia audit'.",
        )
    from jinja2 import UndefinedError

    try:
        page = _page(dict(results))
    except (KeyError, TypeError, StopIteration, UndefinedError) as error:
        raise ReportError(
            f"The results lack {error}.", "Make them again with 'tinymia audit'."
        ) from error
    folder = Path(out_dir)
    target = folder / "report.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target.write_text(page, encoding="utf-8")
        csvs.write(dict(results), folder)
    except OSError as error:
        raise ReportError(
            f"The report cannot be written to {folder}: {error.strerror}.",
            "Choose a folder that you can write to.",
        ) from error
    return target


def _page(results: Results) -> str:
    """The whole page."""
    import jinja2
    from markupsafe import Markup, escape

    def emphasise(sentence: str) -> Markup:
        return Markup(_STRONG.sub(lambda m: f"<strong>{m[0]}</strong>", str(escape(sentence))))

    def mark(css: str, shape: str) -> Markup:
        return Markup(key(css, shape))

    folder = resources.files("tinymia.report") / "templates"
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    template = environment.from_string((folder / "report.html.j2").read_text(encoding="utf-8"))
    defences = view.defence_rows(results)
    bars = view.step_bars(results)
    unit = (results["context"].get("device") or {}).get("unit", "instructions")
    main = next((c for c in results["conditions"] if c["key"] == results["main"]), None)
    tuned = main is not None and len(charts.plain(results)) > 1
    for row in defences:
        row["key"] = mark(row["css"], row["shape"])
    attacks, matrix = view.attack_table(results), view.auc_matrix(results)
    trained = depths.depth_rows(results)
    panels = [{**panel, "svg": Markup(panel["svg"])} for panel in charts.roc_panels(results)]
    for row in [*attacks, *matrix, *trained]:
        row["key"] = mark(row["css"], row["shape"])
    page = template.render(
        css=Markup((folder / "style.css").read_text(encoding="utf-8")),
        version=tinymia.__version__,
        subtitle=_subtitle(results),
        answer=[emphasise(sentence) for sentence in results["answer"]],
        tiles=view.tiles(results),
        headline=next(a for a in results["attacks"] if a["headline"]),
        keys={
            "plain": mark("s-plain", "circle"),
            "heldout": mark("s-heldout", "circle"),
            "members": mark("s-members", "square"),
        },
        epochs={
            "leakage": Markup(charts.leakage_by_epochs(results)),
            "accuracy": Markup(charts.accuracy_by_epochs(results)),
            "guessing": results["leakage"]
            .get("base", {})
            .get(results["headline"], {})
            .get("guessing", False),
        }
        if tuned
        else None,
        accuracy=_accuracy_rows(results, mark),
        roc=panels,
        unfolded=len(panels)
        if len(panels) <= _PANELS
        else len([p for p in panels if not p["defence"]]),
        private=bool(results["context"].get("privacy")),
        depths={
            "rows": trained,
            "leakage": Markup(depths.leakage_chart(results, trained)),
            "accuracy": Markup(depths.accuracy_chart(results, trained)),
            "sentence": depths.depth_sentence(results, trained),
        }
        if trained
        else None,
        confirmation=confirmed.confirmation_text(results),
        confirmed=confirmed.confirmation_rows(results),
        roc_from=f"{100 * results['roc']['from_fpr']:.2g} %",
        defences=defences,
        reference=_reference(results),
        tradeoff=Markup(charts.tradeoff(results, defences)) if defences else "",
        steps=Markup(charts.steps(bars, unit)) if bars else "",
        unit=unit,
        attacks=attacks,
        matrix=matrix,
        attack_heads=[(a["title"], a["reference"], a["headline"]) for a in results["attacks"]],
        fprs=[f"{100 * f['fpr']:g} %" for f in results["rules"]["fprs"]],
        unresolved=[
            f"{f['reason'][0].upper()}{f['reason'][1:]}."
            for f in results["rules"]["fprs"]
            if not f["resolved"]
        ],
        paired=view.paired_table(results),
        persons=view.person_table(results),
        main_title=main["title"] if main else "base model",
        device=view.device_table(results),
        members_notes=view.members_notes(results),
        method_notes=limits.method_notes(results),
        levels=[
            {**row, **{k: f"{100 * row[k]:.1f} %" for k in ("percentile", "jackknife")}}
            for row in results["null_checks"]["simulated"]
        ],
        limits=limits.limits(results),
        provenance=view.provenance(results),
        csv_names=listing(list(csvs.FILES)),
    )
    # A percent sign stays on the line of its number.
    return re.sub(r"(?<=\d) (?=%)", "\u00a0", page)


def _subtitle(results: Results) -> str:
    context, counts = results["context"], results["counts"]
    board = (context.get("device") or {}).get("board")
    repetitions = counts["repetitions"]
    parts = [
        context.get("dataset"),
        board,
        f"{len(counts['people'])} people, {repetitions} repetition{'s' if repetitions != 1 else ''}"
        f", {len(results['conditions'])} conditions",
    ]
    return " \u00b7 ".join(str(part) for part in parts if part)


def _reference(results: Results) -> dict[str, str] | None:
    """The plain row of the defence table."""
    main = results["main"]
    if main is None:
        return None
    figures = results["leakage"][main][results["headline"]]
    tpr = figures["tpr"][0]
    step = results["costs"][main]["train_step"]
    return {
        "title": next(c["title"] for c in results["conditions"] if c["key"] == main),
        "auc": interval(figures["auc"]),
        "tpr": percent(tpr) if tpr["value"] is not None else "not resolved",
        "heldout": percent(results["accuracy"][main]["heldout"]),
        "step": count(step) if step else "n/a",
    }


def _accuracy_rows(results: Results, mark: Any) -> list[dict[str, Any]]:
    rows = []
    for condition in results["conditions"]:
        figures = results["accuracy"][condition["key"]]
        gain = results["gain"].get(condition["key"])
        rows.append(
            {
                "key": mark(*charts.style(results, condition)),
                "title": condition["title"],
                "heldout": percent(figures["heldout"]),
                "members": percent(figures["members"]),
                "gain": points(gain["difference"]) if gain else "",
                "verdict": gain["verdict"] if gain else "",
                "tone": view.tone(gain["verdict"], "raises") if gain else "neutral",
            }
        )
    return rows
