"""Results of an audit with their figures as frames."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tinymia.api.options import StrPath
from tinymia.errors import ReportError
from tinymia.experiments.base import Figure
from tinymia.study import results as stored
from tinymia.study.rows import COLUMNS, column, figures_of, without_values
from tinymia.study.training import guess

FIGURES = "figures"
"""The frame with a row a condition, attack, answer and figure, as `tinymia study export` has it."""
_LIBRARIES = ("polars", "pandas")
_EXTRA = {"polars": "pip install 'tinymia[parquet]'", "pandas": "pip install pandas"}


def frame_of(columns_: dict[str, list[Any]], library: str = "") -> Any:
    """Columns as a data frame.

    Args:
        columns_: by name, each of one type; None: no value. One without any value is of numbers.
        library: "polars" or "pandas"; "": the first of them that is installed.

    Raises:
        ReportError: it is not installed, or another library is named.
    """
    if library and library not in _LIBRARIES:
        raise ReportError(f"There are no frames of {library!r}.", guess(library, _LIBRARIES))
    empty = without_values(columns_)
    for name in [library] if library else _LIBRARIES:
        with suppress(ImportError):
            if name == "polars":
                import polars

                return polars.DataFrame(
                    columns_, schema_overrides=dict.fromkeys(empty, polars.Float64)
                )
            import pandas

            numbers = {name: [math.nan] * len(columns_[name]) for name in empty}
            return pandas.DataFrame(columns_ | numbers)
    raise ReportError(
        f"A frame needs {library or ' or '.join(_LIBRARIES)}, which is not installed.",
        f"{_EXTRA[library or 'polars']}; without it, columns() gives lists.",
    )


class Results(stored.Results):
    """Everything that an audit found, as ``results.json`` holds it, and its figures as frames.

    ``context`` says how the findings came about, ``findings.membership`` has the figures as typed
    objects (:class:`~tinymia.experiments.membership.types.MembershipFinding`) and
    ``findings.chapters`` those of further experiments.
    """

    @classmethod
    def of(cls, found: stored.Results) -> Results:
        """The same results with frames."""
        return cls(**vars(found))

    @property
    def frames(self) -> tuple[str, ...]:
        """Names of all frames: "figures", then the page's tables."""
        return (FIGURES, *(name for name, _ in _tables()))

    def columns(self, name: str = FIGURES) -> dict[str, list[Any]]:
        """A frame as lists by column, which needs no further package.

        Args:
            name: one of :attr:`frames`. "figures" has a row for each condition, attack, answer and
                figure (``auc``, ``tpr@0.01``, ``advantage``, ``accuracy.heldout``, ...), with its
                95 % interval (``low``, ``high``); the others are the CSV files of the report:
                "paired" differences between conditions, "roc", "costs", "people", ...

        Raises:
            ReportError: there is no such frame; says what was probably meant.
        """
        if name == FIGURES:
            rows = list(figures_of(self))
            return {key: column([row[key] for row in rows]) for key in COLUMNS[1:]}
        tables = dict(_tables())
        if name not in tables:
            raise ReportError(f"There is no frame {name!r}.", guess(name, self.frames))
        table = tables[name](self)
        cells = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
        return {key: column(list(of)) for key, of in zip(table.columns, cells, strict=True)}

    def frame(self, name: str = FIGURES, library: str = "") -> Any:
        """A table of figures as a data frame.

        Args:
            name: see :meth:`columns`.
            library: "polars" or "pandas"; "": polars (``tinymia[parquet]``), else pandas.

        Returns:
            A ``polars.DataFrame`` or a ``pandas.DataFrame``.

        Raises:
            ReportError: there is no such frame, or the library is not installed.
        """
        return frame_of(self.columns(name), library)

    def save(self, folder: StrPath) -> Path:
        """Write ``results.json``, the page and its CSV files.

        Returns:
            Path of the page.

        Raises:
            TinymiaError: the folder cannot be written.
        """
        from tinymia.report.render import render

        where = Path(folder)
        page = render(self, where)
        stored.write_json(where / stored.RESULTS, stored.to_json(self))
        return page

    def _leaks(self) -> list[tuple[str, str, Figure]]:
        """Who attacks, with what, and the AUC on plain fine-tuning."""
        finding = self.findings.membership
        rows = () if finding is None else finding.adversaries
        return [(row.title, row.attack[0], row.auc) for row in rows if row.auc is not None]

    def __repr__(self) -> str:
        words = [self.context.dataset, f"{len(self.context.audited_people)} people"]
        if (finding := self.findings.membership) is not None:
            words.append(f"{len(finding.conditions)} conditions")
        words += [f"{title}: AUC {_said(auc)}" for title, _, auc in self._leaks()]
        words += [f"{chapter.name}: {chapter.answer}" for chapter in self.findings.chapters]
        return f"<tinymia.Results {'; '.join(words)}>"

    def _repr_html_(self) -> str:
        rows = [("who attacks", "attack", "AUC on plain fine-tuning"), *self._said_leaks()]
        rows += [
            (chapter.title, chapter.name, chapter.answer) for chapter in self.findings.chapters
        ]
        cells = ("".join(f"<td>{html.escape(text)}</td>" for text in row) for row in rows)
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"

    def _said_leaks(self) -> Sequence[tuple[str, str, str]]:
        return [(title, attack, _said(auc)) for title, attack, auc in self._leaks()]


def _said(figure: Figure) -> str:
    if figure.value is None:
        return figure.reason or "not measured"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def _tables() -> list[tuple[str, Any]]:
    """The page's tables: name without suffix, and what makes them of results."""
    from tinymia.report.section import all_sections

    return [
        (name.removesuffix(".csv"), make)
        for _, section in all_sections()
        for name, make in section.tables.items()
    ]


def load(path: StrPath) -> Results:
    """Read the results of a finished audit.

    Args:
        path: the audit's folder, or the ``results.json`` in it.

    Raises:
        ReportError: there are none, or they are of another version or damaged.
    """
    where = Path(path)
    return Results.of(stored.load(where.parent if where.name == stored.RESULTS else where))
