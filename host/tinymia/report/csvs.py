"""The figures of the page as CSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Results = dict[str, Any]
Row = dict[str, Any]
_BOUNDS = ("low", "high", "boot_low", "boot_high")


def _summary(results: Results) -> Iterator[Row]:
    for condition, attacks in results["leakage"].items():
        for attack, figures in attacks.items():
            named = [("auc", figures["auc"])]
            named += [(f"tpr@{t['fpr']:g}", t) for t in figures["tpr"]]
            named += [(k, figures[k]) for k in ("advantage", "balanced_accuracy")]
            for metric, figure in named:
                yield {
                    "condition": condition,
                    "attack": attack,
                    "metric": metric,
                    "value": figure["value"],
                    **{k: figure[k] for k in _BOUNDS},
                    "note": figure.get("reason", "guessing" if figures["guessing"] else ""),
                }


def _paired(results: Results) -> Iterator[Row]:
    for row in [*results["added"], *results["paired"]]:
        yield {
            **{k: row[k] for k in ("condition", "reference", "measure", "attack")},
            "difference": row["difference"]["value"],
            **{k: row["difference"][k] for k in _BOUNDS},
            "verdict": row["verdict"],
        }


def _roc(results: Results) -> Iterator[Row]:
    for condition, attacks in results["roc"]["curves"].items():
        for attack, curve in attacks.items():
            columns = (results["roc"]["fpr"], curve["tpr"], curve["low"], curve["high"])
            for fpr, tpr, low, high in zip(*columns, strict=True):
                if tpr is not None:
                    yield {
                        "condition": condition,
                        "attack": attack,
                        "fpr": fpr,
                        "tpr": tpr,
                        "low": low,
                        "high": high,
                    }


def _accuracy(results: Results) -> Iterator[Row]:
    for condition, parts in results["accuracy"].items():
        for part, figure in parts.items():
            yield {
                "condition": condition,
                "windows": part,
                "accuracy": figure["value"],
                **{k: figure[k] for k in _BOUNDS},
                "verdict": "",
            }
        gain = results["gain"].get(condition)
        if gain:
            yield {
                "condition": condition,
                "windows": "heldout minus base",
                "accuracy": gain["difference"]["value"],
                **{k: gain["difference"][k] for k in _BOUNDS},
                "verdict": gain["verdict"],
            }


def _costs(results: Results) -> Iterator[Row]:
    for key, value in (results["context"].get("device") or {}).items():
        if not isinstance(value, dict):
            yield {"scope": "device", "cost": key, "value": value}
    for condition, cost in results["costs"].items():
        for key in ("train_step", "train_step_ratio", "workspace", "trained"):
            if cost[key] is not None:
                yield {"scope": condition, "cost": key, "value": cost[key]}
        for key, value in cost["cell_means"].items():
            yield {"scope": condition, "cost": f"{key} (mean of cells)", "value": value}


def _privacy(results: Results) -> Iterator[Row]:
    for condition, account in (results["context"].get("privacy") or {}).items():
        yield {"condition": condition, **account}


def _confirmed(results: Results) -> Iterator[Row]:
    for row in (results.get("confirmation") or {}).get("rows", []):
        yield {
            **row,
            "people": " ".join(row["people"]),
            "epochs": " ".join(map(str, row["epochs"])),
        }


def _levels(results: Results) -> Iterator[Row]:
    checks = results["null_checks"]
    for row in checks["base_auc"]:
        figure = row["auc"]
        yield {
            "check": "AUC on the base model",
            "case": row["attack"],
            "value": figure["value"],
            "low": figure["low"],
            "high": figure["high"],
        }
    empty = {"low": None, "high": None}
    if checks["base_gap"] is not None:
        name = "largest difference to the base answers"
        yield {"check": name, "case": "base", "value": checks["base_gap"], **empty}
    if checks["shuffled"]:
        name, shuffled = "shuffled membership", checks["shuffled"]
        yield {"check": name, "case": "mean AUC", "value": shuffled["mean_auc"], **empty}
        yield {"check": name, "case": "excludes 0.5", "value": shuffled["excluded"], **empty}
    for row in checks["simulated"]:
        case = f"{row['people']} people, {row['repetitions']} repetitions, {row['case']}"
        case += f", {row['figure']}"
        for method in ("percentile", "jackknife"):
            name = f"simulated error rate, {method}"
            yield {"check": name, "case": case, "value": row[method], **empty}


FILES = {
    "summary.csv": _summary,
    "paired.csv": _paired,
    "roc.csv": _roc,
    "accuracy.csv": _accuracy,
    "costs.csv": _costs,
    "people.csv": lambda results: iter(results["per_person"]),
    "null_checks.csv": _levels,
    "privacy.csv": _privacy,
    "confirmation.csv": _confirmed,
}


def write(results: Results, out_dir: Path) -> None:
    """Write every CSV file; a file without rows gets no header and is empty."""
    for name, rows_of in FILES.items():
        rows = list(rows_of(results))
        with (out_dir / name).open("w", newline="", encoding="utf-8") as file:
            if rows:
                writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
