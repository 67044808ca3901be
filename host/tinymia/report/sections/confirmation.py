"""What ran on the twin and what on a board, and that they agree."""

from __future__ import annotations

from tinymia.report.section import Section, Table, View
from tinymia.report.words import count, some
from tinymia.study.results import Confirmation, Results


def _text(found: Confirmation, name: str) -> str:
    """Where the devices ran, in a sentence or two."""
    board = f"{name} ({found.board})" if name else found.board
    every = f"All {count(found.devices)} devices were trained on"
    if found.main == found.board:
        return f"{every} {board}; the twin took no part."
    runs = f"{every} the twin, the firmware's core compiled for this machine"
    if not found.devices_board:
        return f"{runs}. Nothing of this study was confirmed on a board."
    share = 100 * found.devices_board / found.devices
    return (
        f"{runs}, and {count(found.devices_board)} of them ({share:.0f} %) again on {board}, in "
        "the same command and through the same messages. At every epoch compared, weights and "
        f"answers are equal in every bit: {count(found.hashes)} hashes of the trained weights and "
        f"{count(found.answers)} answers. Had one differed, there would be no report. The shadow "
        "devices of the attacks were trained on the twin alone: an attacker has it too."
    )


def view(results: Results) -> View | None:
    """The text, and a row for each recipe where a twin and a board took part."""
    found = results.context.confirmation
    if not found.devices:
        return None
    rows = []
    shown = found.main != found.board and found.devices_board
    for row in found.rows if shown else ():
        confirmed = bool(row.devices_board)
        each = f"{some(row.people)}; {row.repetitions} each"
        rows.append(
            {
                "title": row.title,
                "twin": count(row.devices),
                "board": count(row.devices_board),
                "who": each if confirmed else "none",
                "epochs": ", ".join(str(e) if e else "base" for e in row.epochs),
                "hashes": f"{count(row.hashes)} equal" if confirmed else "not confirmed",
                "answers": f"{count(row.answers)} equal" if confirmed else "",
            }
        )
    return {"text": _text(found, results.context.device.board), "rows": rows}


def table(results: Results) -> Table:
    """A row for each recipe."""
    columns = (
        *("run", "devices", "devices_board", "people", "repetitions", "epochs"),
        *("answers", "hashes"),
    )
    rows = [
        (
            *(r.title, r.devices, r.devices_board, " ".join(r.people), r.repetitions),
            *(" ".join(map(str, r.epochs)), r.answers, r.hashes),
        )
        for r in results.context.confirmation.rows
    ]
    return Table(columns, rows)


SECTION = Section(
    title="What ran where",
    short="Confirmation",
    order=210,
    view=view,
    tables={"confirmation.csv": table},
)
