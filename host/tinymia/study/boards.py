"""What was built, what was run, and where: a row for each board file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinymia.device.boards import BoardFile
from tinymia.device.build import BuildResult, build
from tinymia.errors import DeviceError, StudyError
from tinymia.files import plain_json

START, END = "<!-- tinymia boards: begin -->", "<!-- tinymia boards: end -->"


@dataclass(frozen=True)
class Row:
    """One board.

    Attributes:
        board: its file.
        built: its image; None when it does not build here.
        why_not: the reason then.
        runs: what ``pytest hil --results`` said of targets that run this very image.
    """

    board: BoardFile
    built: BuildResult | None
    why_not: str
    runs: tuple[dict[str, Any], ...]


def load_results(path: Path) -> list[dict[str, Any]]:
    """The targets of a results file of the hardware-in-the-loop suite.

    Raises:
        StudyError: it is missing or damaged.
    """
    try:
        found = plain_json(path.read_text(encoding="utf-8"))
        if found["schema"] != 1:
            raise StudyError(f"{path} is of another version.", "Run `pytest hil --results` again.")
        return [dict(target) for target in found["targets"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StudyError(
            f"{path} cannot be read as results of the suite ({error}).",
            "Write them: `pytest hil --target qemu:netduinoplus2 --results FILE`.",
        ) from error


def survey(
    boards: dict[str, BoardFile],
    results: list[dict[str, Any]],
    advance: Callable[[int], None] = lambda _: None,
) -> list[Row]:
    """Build every board's image and find what the suite said of it.

    A result counts only for the image that is built now: its build id must be the same.

    Args:
        boards: by id.
        results: of :func:`load_results`.
        advance: told of each board.
    """
    rows = []
    for board in boards.values():
        try:
            image, why = build(board.env), ""
        except DeviceError as error:
            image, why = None, error.message
        runs = () if image is None else tuple(r for r in results if r["build_id"] == image.build_id)
        rows.append(Row(board, image, why, runs))
        advance(1)
    return rows


def stale(boards: dict[str, BoardFile], rows: list[Row], results: list[dict[str, Any]]) -> set[str]:
    """Targets in the results whose image is no longer the one that is built."""
    used = {run["target"] for row in rows for run in row.runs}
    names = {board.id for board in boards.values()}
    return {r["target"] for r in results if r["target"] not in used and r["board"] in names}


def markdown(rows: list[Row]) -> str:
    """The table for a README."""
    lines = [
        "| board | chip, core | built | run on | suite | inference | step | RAM, flash |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        b = row.board
        core = b.core.replace("cortex-m", "M").replace("plus", "+").replace("+nomve", "")
        title = f"`{b.id}`" if b.simulated_only else f"`{b.id}`, {b.name}"
        chip = f"{b.chip}, {core}" + ("" if b.fpu else " without FPU")
        built = "yes" if row.built else "no: needs PlatformIO's registry" if b.platform else "no"
        memory = ""
        if row.built is not None:
            memory = (
                f"{_kb(row.built.ram_static_bytes)} + {_kb(row.built.arena_bytes)},"
                f" {_kb(row.built.flash_bytes)} of {_kb(row.built.flash_size)}"
            )
        runs = row.runs or ({},)
        for number, run in enumerate(runs):
            first = number == 0
            cells = (
                title if first else "",
                chip if first else "",
                built if first else "",
                f"`{run['target']}`" if run else "never",
                _verdict(run),
                _cost(run, "inference"),
                _cost(run, "step"),
                memory if first else "",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_between_marks(path: Path, table: str) -> None:
    """Put the table between the marks of a file, in place of what is there.

    Raises:
        StudyError: the file has no marks.
    """
    text = path.read_text(encoding="utf-8")
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise StudyError(f"{path} has no marks for the table.", f"Write {START} and {END} into it.")
    path.write_text(f"{before}{START}\n{table}\n{END}{after}", encoding="utf-8")


def _verdict(run: dict[str, Any]) -> str:
    if not run:
        return ""
    skipped = f", {run['skipped']} skipped" if run["skipped"] else ""
    failed = f", **{run['failed']} failed**" if run["failed"] else ""
    return f"{run['passed']} passed{failed}{skipped}"


def _cost(run: dict[str, Any], what: str) -> str:
    if not run or run.get(what) is None:
        return ""
    return f"{run[what]:,.0f} {run['unit']}"


def _kb(size: int) -> str:
    return f"{size / 1024:,.0f} KB" if size < 1 << 20 else f"{size / (1 << 20):g} MB"
