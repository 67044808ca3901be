"""The table of defences as Markdown, for a README."""

from __future__ import annotations

from tinymia.errors import ReportError
from tinymia.report.facts import Facts
from tinymia.report.recommend import Row, promised, rows
from tinymia.report.words import MINUS, count, interval, number, percent
from tinymia.study.results import Results

_HEADS = (
    *("way of training", "guarantee", "AUC, strongest attack", "AUC, worst attack for it"),
    *("held-out accuracy", "step", "training", "answer", "RAM", "flash", "line"),
)


def defences(results: Results) -> str:
    """One row a way of fine-tuning, see :class:`tinymia.report.recommend.Row`.

    Columns that no row has a figure for are left out. ▼ behind the strongest attack's AUC: lower
    than without a defence beyond doubt, corrected for how many were compared.

    Raises:
        ReportError: the audit asked nothing about membership.
    """
    facts = Facts.of(results)
    made = rows(facts) if facts else []
    if not facts or not made:
        raise ReportError(
            "This audit asked nothing about membership, so there is no table of defences.",
            "Run `tinymia audit` with --experiments membership among others.",
        )
    plain = next((row for row in made if row.condition.name == facts.finding.main), None)
    table = [_cells(facts, row, plain) for row in made]
    kept = [i for i in range(len(_HEADS)) if any(cells[i] for cells in table)]
    lines = [_line([_HEADS[i] for i in kept]), "|" + "---|" * len(kept)]
    lines += [_line([cells[i] or "–" for i in kept]) for cells in table]
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _cells(facts: Facts, row: Row, plain: Row | None) -> list[str]:
    flash = count(row.flash) if row.flash else ""
    if row.flash and plain and plain.flash and row is not plain:
        added = row.flash - plain.flash
        flash += f" ({'+' if added >= 0 else MINUS}{count(abs(added))})"
    lost = "" if row.lost is None or row is plain else f" ({number(-100 * row.lost, 1, True)})"
    return [
        row.condition.title,
        promised(row, facts),
        interval(row.strongest) + (" ▼" if row.lowers else "") if row.strongest else "",
        f"{number(row.worst.value)}, {row.worst_attack}" if row.worst else "",
        percent(row.heldout) + lost if row.heldout else "",
        count(row.step) if row.step else "",
        f"{row.training / 1e6:,.1f} M" if row.training else "",
        count(row.answer) if row.answer else "",
        count(row.ram) if row.ram else "",
        flash,
        f"{count(row.line_out)}, {count(row.line_in or 0)}" if row.line_out else "",
    ]
