"""What ran on the twin and what on a board, and that they agree."""

from __future__ import annotations

from tinymia.audit.conditions import parse
from tinymia.audit.wording import count, listing
from tinymia.report.charts import Results, Row


def confirmation_text(results: Results) -> str:
    """Where the cells ran, in a sentence or two; empty if the results do not say."""
    found = results.get("confirmation")
    if not found:
        return ""
    name = (results["context"].get("device") or {}).get("board")
    board = f"{name} ({found['board']})" if name else found["board"]
    if found["main"] == found["board"]:
        return f"All {count(found['cells'])} runs were made on {board}; the twin took no part."
    runs = f"All {count(found['cells'])} runs were made on the twin"
    if not found["cells_board"]:
        return (
            f"{runs}, the firmware's core compiled for this machine. Nothing of this study was "
            "confirmed on a board."
        )
    share = 100 * found["cells_board"] / found["cells"]
    return (
        f"{runs}, the firmware's core compiled for this machine, and {count(found['cells_board'])} "
        f"of them ({share:.0f} %) again on {board}, in the same command and through the same "
        f"messages. At every epoch compared, weights and answers are equal in every bit: "
        f"{count(found['hashes'])} hashes of the trained weights and {count(found['answers'])} "
        "answers. Had one differed, there would be no report."
    )


def confirmation_rows(results: Results) -> list[Row]:
    """One row a run: how often it ran where, and behind which epochs it was compared."""
    found = results.get("confirmation")
    if not found or found["main"] == found["board"]:
        return []
    rows = []
    for row in found["rows"]:
        confirmed = bool(row["cells_board"])
        epochs = [str(e) if e else "base" for e in row["epochs"]]
        rows.append(
            {
                "title": _title(results, row["run"]),
                "twin": count(row["cells"]),
                "board": count(row["cells_board"]),
                "who": f"{listing(row['people'])}; {row['repetitions']} each"
                if confirmed
                else "none",
                "epochs": ", ".join(epochs) if confirmed else "",
                "hashes": f"{count(row['hashes'])} equal" if confirmed else "not confirmed",
                "answers": f"{count(row['answers'])} equal" if confirmed else "",
            }
        )
    return rows


def _title(results: Results, run: str) -> str:
    """A run's title: that of its conditions, without epochs."""
    if run == "plain":
        return "no defence"
    for condition in results["conditions"]:
        if condition["key"].partition("@")[0] == run:
            return str(condition["title"])
    return parse(f"{run}@1").title
