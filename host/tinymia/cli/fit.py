"""How a bundle fits the boards, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymia.cli.options import table, thousands

if TYPE_CHECKING:
    from rich.table import Table

    from tinymia.study.memory import Depth, Fit


def fit_table(fits: list[Fit], ways: list[Depth]) -> Table:
    """A row a board: flash for the bundle, arena, and the windows that each training leaves."""
    shown = [ways[0], ways[-1]] if len(ways) > 1 else ways
    columns = ["board", "flash for a bundle", "fits", "arena"]
    columns += [f"windows, {way.depth}" if way.depth else way.title for way in shown]
    listed = table("Windows that are stored beside training:" if ways[0].depth else "", columns)
    for fit in fits:
        room = fit.room
        flash = "yes" if not fit.flash_short else f"no: {thousands(fit.flash_short)} bytes short"
        mark = "" if room.measured else "at most " if room.guessed else "about "
        cells = [
            room.board.id,
            thousands(room.flash),
            flash,
            f"{mark}{thousands(room.arena)}",
        ]
        for way in shown:
            windows = fit.windows[way.depth]
            if windows is None:
                cells.append(f"no: {thousands(fit.arena_short[way.depth])} bytes short")
            else:
                cells.append(thousands(windows) if way.depth else "yes")
        listed.add_row(*cells)
    return listed
