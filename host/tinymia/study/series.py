"""A family of audits, the cases of a study: run one after the other in one folder."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinymia.attacks.choice import ALL
from tinymia.errors import DeviceError, StudyError, TinymiaError, TwinError
from tinymia.evidence import digest
from tinymia.export.bundle import Bundle
from tinymia.export.provenance import people_to_audit
from tinymia.study import describe
from tinymia.study.audit import run
from tinymia.study.bases import keep
from tinymia.study.board_runs import Reporter
from tinymia.study.datasets import dataset_of, digest_of
from tinymia.study.people import plan
from tinymia.study.ray_cluster import kept
from tinymia.study.results import RESULTS, Results, load, write_json
from tinymia.study.settings import StudySettings, listed
from tinymia.study.store import Lock, sweep
from tinymia.study.underway import Audit

CASES = "cases"
"""The folder with a folder for each case; results.json in it says that the case is done."""
CASE_FILE = "case.json"
"""In a case's folder: its name, and what was varied."""


@dataclass(frozen=True)
class Case:
    """One audit of a study.

    Attributes:
        name: what tells it from the others: "members=10, batch=4".
        axes: the same by option.
        audit: what is run; its folder is the study's.
    """

    name: str
    axes: dict[str, Any]
    audit: Audit


@dataclass(frozen=True)
class Question:
    """What a study of one factor asks; see :mod:`tinymia.study.fits`.

    Attributes:
        title: for people.
        fit: "power", "trend", "contrast", "answers" or "chapter", several joined by "+"; "" for
            none.
        axis: option that is varied, or "parameters" of the base model.
        axis_title: of the axis, for people; "": its name.
        scale: "log" or "linear", of the axis in charts.
        adversary: whose figures are fitted.
    """

    title: str = ""
    fit: str = ""
    axis: str = ""
    axis_title: str = ""
    scale: str = "log"
    adversary: str = "candidates"

    @property
    def along(self) -> str:
        """The axis, for people."""
        return self.axis_title or self.axis


@dataclass(frozen=True)
class Failure:
    """A case that cannot be, and why."""

    case: str
    error: TinymiaError


@dataclass(frozen=True)
class Series:
    """A study.

    Attributes:
        out: its folder, with one store for all cases: what two of them share is run once.
        cases: in the order of their file.
        question: what is made of their results.
    """

    out: Path
    cases: tuple[Case, ...]
    question: Question = Question()

    def folder(self, case: Case) -> Path:
        """Where a case's results are."""
        return self.out / CASES / key_of(case.audit)

    def done(self, case: Case) -> bool:
        """Whether a case is finished; raises StudyError when the folder cannot be asked."""
        path = self.folder(case) / RESULTS
        try:
            return path.exists()
        except OSError as error:
            raise StudyError(f"Cannot read {path}: {error.strerror}.") from error

    def finished(self) -> Iterator[tuple[Case, Results]]:
        """Finished cases with their results.

        Raises:
            ReportError: results are damaged or of another version of this program.
        """
        for case in self.cases:
            if self.done(case):
                yield case, self.results(case)

    def results(self, case: Case) -> Results:
        """Those of a finished case; raises ReportError."""
        try:
            return load(self.folder(case))
        except TinymiaError as error:
            raise type(error)(
                error.message,
                f"Delete the folder {self.folder(case)}, or all of {self.out / CASES} if it is not"
                " the only one, and run the study again: what is stored beside it is kept, and"
                " used.",
            ) from error


@functools.cache
def _bundle_digest(path: Path, _changed: int) -> str:
    return hashlib.sha256(Bundle.load(path).to_bytes()).hexdigest()


def key_of(audit: Audit) -> str:
    """Digest of everything that an audit's results depend on, but for this program.

    Raises:
        TinymiaError: bundle or data cannot be read.
    """
    path = audit.bundle_path
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return digest(
        {
            # Where all attacks run, nothing is said of them, as before they could be chosen.
            "settings": [row for row in listed(audit.settings) if row != ("attacks", ALL)],
            "bundle": _bundle_digest(path, changed),
            "data": digest_of(audit.settings.dataset),
            "targets": audit.targets,
            "board_only": audit.board_only,
            "force": audit.force,
            "leave_out": audit.leave_out,
            "flash": audit.flash,
            "tune": None if audit.tune is None else (audit.tune.most_lost, sorted(audit.tune.kept)),
        }
    )


def impossible(cases: Sequence[Case]) -> list[Failure]:
    """Cases whose members cannot be drawn from their people's windows: told before any runs.

    Args:
        cases: of a study. Those that draw alike are looked at once.

    Raises:
        TinymiaError: the machine refuses something, such as to read the data.
    """
    found, seen = [], dict[tuple[Any, ...], TinymiaError | None]()
    for case in cases:
        audit, asked = case.audit, case.audit.settings
        # Arms take turns from draw to draw; nothing else that can be wrong does.
        few = replace(asked, repetitions=min(2, asked.repetitions))
        key = (
            str(audit.bundle_path),
            few.dataset,
            few.people,
            few.members,
            few.split,
            few.repetitions,
            audit.force,
        )
        if key not in seen:
            seen[key] = _why_not(audit, few)
        error = seen[key]
        if error is not None:
            found.append(Failure(case.name, error))
    return found


def _why_not(audit: Audit, settings: StudySettings) -> TinymiaError | None:
    try:
        bundle, dataset = Bundle.load(audit.bundle_path), dataset_of(settings.dataset)
        names = people_to_audit(dataset, bundle, settings.people)
        plan(settings, dataset, names, bundle, force=audit.force)
    except TinymiaError as error:
        if _of_the_machine(error):
            raise
        return error
    return None


def told(failures: Sequence[Failure]) -> list[str]:
    """A line for each reason why cases cannot be, with what to do and the first of its cases."""
    found: dict[str, list[str]] = {}
    for one in failures:
        found.setdefault(str(one.error), []).append(one.case or "the only one")
    return [
        f"{cases[0]}{f' and {len(cases) - 1:,} more' if cases[1:] else ''}: {why}"
        for why, cases in found.items()
    ]


def run_series(
    series: Series,
    reporter: Reporter,
    say: Callable[[str], None] = lambda _: None,
    only: Sequence[Case] | None = None,
) -> list[Failure]:
    """Run every case that is not finished; after an interruption the same call goes on.

    A case that cannot be (too many members, say) is left out and the others run; what the machine
    refuses, such as a full disk, ends the study, and what is finished is kept.

    Args:
        series: the study.
        reporter: told of the progress of each audit.
        say: told which case begins.
        only: some of the cases; None: all.

    Returns:
        Cases that cannot be.

    Raises:
        TinymiaError: another process works in the folder, or the machine refuses something.
    """
    failures: list[Failure] = []
    cases = series.cases if only is None else only
    with Lock(series.out / CASES), kept():
        sweep(series.out / CASES, series.out / CASES)
        if len(cases) > 1:  # of one alone, its own run tells
            failures += impossible([case for case in cases if not series.done(case)])
            for line in told(failures):
                say(f"note: left out: {line}")
        left_out = {failure.case for failure in failures}
        for number, case in enumerate(cases, 1):
            if series.done(case):
                series.results(case)  # of another version: said before hours of work
                continue
            if case.name in left_out:
                continue
            say(f"Case {number} of {len(cases)}: {case.name or 'the only one'}")
            try:
                _run_case(series, case, reporter, say)
            except TinymiaError as error:
                if _of_the_machine(error) or len(cases) == 1:
                    raise
                say(f"note: left out: {case.name}: {error}")
                failures.append(Failure(case.name, error))
    return failures


def _run_case(series: Series, case: Case, reporter: Reporter, say: Callable[[str], None]) -> None:
    started = time.monotonic()
    keep(case.audit.bundle_path, series.out)
    run(replace(case.audit, out=series.out), reporter, say)
    folder = series.folder(case)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / CASE_FILE, {"case": case.name, "axes": plain_axes(case)})
        (series.out / describe.SPLITS).replace(folder / describe.SPLITS)
        # Last: what is there is whole.
        (series.out / RESULTS).replace(folder / RESULTS)
    except OSError as error:
        raise StudyError(f"Cannot write to {folder}: {error.strerror}.") from error
    say(f"Done in {time.monotonic() - started:.0f} s")


def plain_axes(case: Case) -> dict[str, Any]:
    """What was varied, as JSON has it."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in case.axes.items()}


def _of_the_machine(error: BaseException | None) -> bool:
    """Whether system, twin or board failed, and not the case: it would stop the others, too."""
    while error is not None:
        if isinstance(error, (OSError, MemoryError, TwinError, DeviceError)):
            return True
        if isinstance(error, TinymiaError) and error.of_machine:
            return True
        error = error.__cause__
    return False
