"""``tinymia.run_study``: a family of audits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinymia.api.options import StrPath
from tinymia.api.results import Results, frame_of
from tinymia.cli.audit import Bars
from tinymia.cli.options import quietly
from tinymia.errors import StudyError
from tinymia.study.rows import column, columns, rows_of

if TYPE_CHECKING:
    from tinymia.study.series import Failure, Series


@dataclass(frozen=True, eq=False)
class Study:
    """A study's finished cases.

    Attributes:
        series: cases and folder.
        cases: results by case.
        failures: cases that cannot be, and why.
    """

    series: Series
    cases: Mapping[str, Results]
    failures: tuple[Failure, ...] = ()

    def columns(self) -> dict[str, list[Any]]:
        """All figures as lists by column: a row a case, condition, attack, answer and figure.

        What was varied is in columns "axis.NAME", as in `tinymia study export`.
        """
        finished = ((c, self.cases[c.name]) for c in self.series.cases if c.name in self.cases)
        found = list(rows_of(finished))
        return {name: column([row.get(name) for row in found]) for name in columns(found)}

    def frame(self, library: str = "") -> Any:
        """The same as a data frame, see :meth:`tinymia.api.results.Results.frame`."""
        return frame_of(self.columns(), library)

    def __repr__(self) -> str:
        return f"<tinymia.Study {len(self.cases)} of {len(self.series.cases)} cases finished>"


def run_study(
    file: StrPath,
    out: StrPath | None = None,
    *,
    executor: str | None = None,
    address: str | None = None,
    boards: int | None = None,
    progress: bool = False,
) -> Study:
    """Run all cases of a study file that are not finished: `tinymia study run`.

    Args:
        file: a path, or the name of a study that comes along: "factors/examples".
        out: the study's folder, instead of the file's own.
        executor, address, boards: who works on cases, and how many side by side, instead of what
            the file says: see :func:`tinymia.audit`.
        progress: say on standard error what goes on.

    Returns:
        All finished cases, those of earlier runs among them; cases that cannot be are in
        ``failures``.

    Raises:
        TinymiaError: the file cannot be read (file, line, key and what was probably meant), another
            process works in the folder, or the machine refuses something.
    """
    from tinymia.cli import study_cases, study_file
    from tinymia.study.series import run_series

    with quietly(not progress):
        said = {"executor": executor, "address": address, "boards": boards}
        flags = {f"audit__{key}": value for key, value in said.items()}
        read = study_file.read(study_file.found(str(file))).saying(flags)
        series = study_cases.series(read, None if out is None else Path(out))
        with Bars() as bars:
            failures = run_series(series, bars, bars.say)
        cases = {case.name: Results.of(found) for case, found in series.finished()}
    if not cases:
        raise StudyError(
            f"No case of {file} is finished.", "; ".join(str(f.error) for f in failures)
        )
    return Study(series, cases, tuple(failures))
