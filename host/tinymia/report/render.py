"""Render results as one self-contained HTML page and CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tinymia
from tinymia.errors import ReportError
from tinymia.files import write_whole
from tinymia.report.check import check
from tinymia.report.page import environment, whole_page
from tinymia.report.section import Table, all_sections
from tinymia.report.words import several
from tinymia.study.results import Results

PAGE = "report.html"
OUTPUTS = (PAGE, *(name for _, section in all_sections() for name in section.tables))
"""Every file that :func:`render` writes: the page, then the CSV files of its sections."""


def render(results: Results, folder: Path) -> Path:
    """Write ``report.html`` and the CSV files.

    Args:
        results: of a study, made or read by :func:`tinymia.study.results.load`.
        folder: made if missing.

    Returns:
        Path of the page.

    Raises:
        ReportError: the results are of another version or contradict themselves, or the files
            cannot be written.
    """
    check(results)
    page = _page(results)
    tables = {
        name: make(results)
        for _, section in all_sections()
        for name, make in section.tables.items()
    }
    for name, table in tables.items():
        write_whole(folder / name, _csv(table), "the table", ReportError)
    return write_whole(folder / PAGE, page.encode(), "the report", ReportError)


def _csv(table: Table) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    return out.getvalue().encode()


def _page(results: Results) -> str:
    """The whole page."""
    from markupsafe import Markup

    templates = environment()
    parts: list[Mapping[str, Any]] = []
    for name, section in all_sections():
        view = section.view(results)
        if view is not None:
            template = templates.get_template(section.template or f"{name}.html.j2")
            parts.append(
                {
                    "name": name,
                    "title": section.title,
                    "short": section.short,
                    "body": Markup(template.render(view)),
                }
            )
    return whole_page(
        "page.html.j2",
        {
            "version": tinymia.__version__,
            "subtitle": _subtitle(results),
            "older": _older(results),
            "parts": parts,
            "files": OUTPUTS[1:],
        },
    )


def _older(results: Results) -> str:
    """Which tinymia made the results, where it is another than the one that makes the page."""
    made = next((v.value for v in results.context.versions if v.name == "tinymia"), "")
    return made if made != tinymia.__version__ else ""


def _subtitle(results: Results) -> str:
    finding, device = results.findings.membership, results.context.device
    parts = [results.context.dataset, device.board]
    if finding is not None:
        counts = finding.counts
        parts.append(
            f"{len(counts.people)} people, {several(counts.repetitions, 'repetition')}, "
            f"{several(len(finding.conditions), 'condition')}"
        )
    return " \u00b7 ".join(part for part in parts if part)
