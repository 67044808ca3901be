"""What a section of the page is, and how all are found."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinymia.study.results import Results

View = Mapping[str, Any]
"""What a template prints: text, rows of text, and charts as Markup."""


@dataclass(frozen=True)
class Table:
    """A CSV file: names of the columns, and rows of as many values; None is an empty cell."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class Section:
    """One part of the page: a module of ``report/sections`` with its template beside it.

    Attributes:
        title: its heading; "" for none.
        order: place on the page, ascending; that of the files too.
        view: what the template prints; None leaves the section out.
        tables: its CSV files by name.
        template: "" for the one beside the module, of its name; else one of ``report/templates``.
        short: what the list of contents calls it; "" leaves it out there.
    """

    title: str
    order: int
    view: Callable[[Results], View | None]
    tables: Mapping[str, Callable[[Results], Table]] = field(default_factory=dict)
    template: str = ""
    short: str = ""


@functools.cache
def all_sections() -> tuple[tuple[str, Section], ...]:
    """(name, section) in the order of the page: each module that has ``SECTION``, or several."""
    found: list[tuple[str, Section]] = []
    for module in pkgutil.iter_modules([str(Path(__file__).with_name("sections"))]):
        loaded = importlib.import_module(f"tinymia.report.sections.{module.name}")
        if hasattr(loaded, "SECTION"):
            found.append((module.name, loaded.SECTION))
        found += getattr(loaded, "SECTIONS", {}).items()
    files = [name for _, section in found for name in section.tables]
    assert len(set(files)) == len(files), f"two sections write one file among {files}"
    return tuple(sorted(found, key=lambda pair: pair[1].order))
