"""`tinymia study`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinymia.cli.catalogue import WORKING
from tinymia.cli.config import flags_of
from tinymia.cli.options import (
    FilePath,
    Finite,
    is_quiet,
    json_option,
    note,
    print_json,
    show,
    table,
)

if TYPE_CHECKING:
    from tinymia.cli.study_file import StudyFile
    from tinymia.experiments.base import Figure
    from tinymia.study.series import Series
    from tinymia.study.wanted import Needed

ASK_ABOVE = 1000
"""Cases of a study that is begun without a question."""


def _options(function: Any) -> Any:
    out = click.option("--out", type=FilePath(file_okay=False), help="Folder, not the file's own.")
    return click.argument("file")(out(function))


@click.group()
def command() -> None:
    """Run a family of audits from one file, and show what they say together.

    A study file is an audit's file (see `tinymia audit --help`) with what is varied. Each
    combination of values is a case: an audit on the twin, of plain fine-tuning and whole answers
    alone; target, defences, depths and policies add to that. All cases share one folder: what two
    of them share is run once, another value runs only what is new, and after an interruption the
    same command goes on. What cannot be, by itself, together or with this bundle, is said with its
    line before anything runs. FILE is a path, or a study that comes along: factors/examples,
    factors/epochs, factors/capacity, factors/uniqueness, factors/regularisation, factors/answers,
    factors/write-back, factors/learning-rate, factors/batch.

    \b
      [study]
      title = "More windows, fewer epochs"
      out = "mine"                # or --out; else named after the file
      [audit]                     # what all cases have
      repetitions = 5
      defences = ["clip"]
      [grid]                      # every combination
      members = [8, 20, 80]
      epochs = [[5], [5, 50]]     # lists, where an option is one
      clip.norm = { from = 0.5, to = 4, points = 4, scale = "log" }
      attacks = [["no-shadows"], ["lira-online", "joint"]]
      [[case]]                    # a list of cases, beside or instead of a grid
      name = "as shipped"
      training.batch = 8

    \b
    Examples:
      tinymia study plan mine.toml --effect 0.05
      tinymia study run mine.toml
      tinymia study show mine.toml
      tinymia study diff before.toml after.toml
      tinymia study export mine.toml mine.parquet
      tinymia study run factors/examples
    """


def _working(function: Any) -> Any:
    """Flags of who works on cases, the same as of an audit."""
    return flags_of(WORKING)(function)


def _series(
    name: str, out: Path | None, flags: Mapping[str, Any] | None = None, *, yes: bool = True
) -> Series:
    from tinymia.cli import study_cases, study_file

    file = study_file.read(study_file.found(name)).saying(flags or {})
    if len(file) > ASK_ABOVE and not yes:
        _ask(len(file))
    if len(file) > ASK_ABOVE and flags is None:
        _begun(file, study_cases.folder_of(file, out))
    return study_cases.series(file, out)


def _begun(file: StudyFile, folder: Path) -> None:
    """Raise StudyError where nothing is finished, before a million cases are looked at for it."""
    from tinymia.errors import StudyError
    from tinymia.study.series import CASES

    if not (folder / CASES).is_dir():
        raise StudyError(
            f"None of the {len(file):,} cases of this study is finished in {folder}.",
            f"tinymia study plan {file.path}",
        )


def _ask(cases: int) -> None:
    from tinymia.errors import StudyError

    if not sys.stdin.isatty():
        raise StudyError(
            f"This study has {cases:,} cases, each of them an audit.", "If that is meant: --yes."
        )
    click.confirm(f"This study has {cases:,} cases. Go on?", abort=True, err=True)


@command.command()
@_options
@_working
@click.option("--yes", is_flag=True, help=f"Do not ask about more than {ASK_ABOVE:,} cases.")
@json_option
def run(file: str, out: Path | None, yes: bool, as_json: bool, **flags: Any) -> None:
    """Run all cases that are not finished, and print their table.

    --executor, --address and --boards hold instead of what the file says in [audit].
    A case that cannot be, such as one with more members than there are windows, is left out and
    said; then it ends with 1, behind all others.
    """
    from tinymia.cli.audit import Bars
    from tinymia.errors import StudyError
    from tinymia.study.series import run_series, told

    study = _series(file, out, flags, yes=yes)
    with Bars() as bars:
        failures = run_series(study, bars, bars.say)
    _show(study, as_json=as_json, whole=not failures)
    if failures:
        said = "; ".join(told(failures)[:5])
        raise StudyError(
            f"{len(failures):,} of {len(study.cases):,} cases cannot be: {said}",
            "Take them out of the study, or mend what they say; the others are finished.",
        )


@command.command()
@_options
@_working
@click.option("--yes", is_flag=True, help=f"Do not ask about more than {ASK_ABOVE:,} cases.")
@click.option(
    "--effect",
    default=0.05,
    show_default=True,
    type=Finite(0, 0.5, min_open=True),
    help="Difference of AUC that the study should find.",
)
@click.option(
    "--measure",
    default=0,
    type=click.IntRange(0),
    help="Finished cases that it rests on.  [default: a tenth of all, from 1 to 3]",
)
@json_option
def plan(
    file: str,
    out: Path | None,
    yes: bool,
    effect: float,
    measure: int,
    as_json: bool,
    **flags: Any,
) -> None:
    """Say what a study takes: cases, time, disk, and how many people and repetitions.

    It rests on the cases that are finished; where they are too few, some are run, spread over the
    study, which then has them. Numbers of people and repetitions are by the model of the page's
    "smallest effect": a difference is found in 80 % of studies. For an AUC against a limit, and for
    what differs most from person to person among the study's paired differences; that draws have
    the same share in a difference's error as in an AUC's is assumed.
    """
    from tinymia.cli.audit import Bars
    from tinymia.errors import StudyError
    from tinymia.report.words import several
    from tinymia.study.series import impossible, run_series, told
    from tinymia.study.wanted import cost, needed, sureness, to_measure

    study = _series(file, out, flags, yes=yes)
    failures = impossible([case for case in study.cases if not study.done(case)])
    for line in told(failures):
        note(f"cannot be: {line}")
    names = {failure.case for failure in failures}
    todo = to_measure(study, measure, names)
    if todo:
        with Bars() as bars:
            run_series(study, bars, bars.say, todo)
    finished = list(study.finished())
    if not finished:
        raise StudyError(
            "None of the cases that were to be measured can be.",
            "Mend what is said above, or measure more: --measure.",
        )
    takes = cost(study, finished, names)
    rows = needed(finished, effect)
    if as_json:
        print_json({**vars(takes), "needed": [vars(row) for row in rows]})
        return
    cannot = f", {takes.impossible:,} cannot be" if takes.impossible else ""
    show(f"{several(takes.cases, 'case')}, {takes.done:,} finished{cannot}")
    low, high = takes.range
    between = "" if takes.done < 2 else f" ({low / 60:,.1f} to {high / 60:,.1f})"
    show(
        f"{takes.seconds / 60:,.1f} minutes{between} for the rest, {takes.disk / 1e6:,.1f} MB in"
        f" all, by {takes.done:,} finished; what cases share is counted once"
    )
    show(f"\nTo find a difference of {effect:g} in AUC in 80 % of studies:")
    listed = table("", ("adversary", "of", "error", "sees now", "people", "or repetitions"))
    measured = finished[0][1].findings.membership
    # What draws add to an error is seen by several of them only.
    repeated = measured is not None and measured.counts.repetitions > 1
    for row in rows:
        if row.error is None:
            listed.add_row(row.adversary, row.of, "none: one person", "?", "?", "?")
            continue
        listed.add_row(
            row.adversary,
            row.of,
            _number(row.error),
            _number(row.sees),
            "over 10,000" if row.people is None else f"{row.people:,}",
            _repetitions(row, several=repeated),
        )
    show(listed)
    if measured is not None:
        people, repetitions = len(measured.counts.people), measured.counts.repetitions
        low, high = sureness(people)
        sure = f" Errors of {people} people are sure to a factor of {low:.2g} to {high:.2g}."
        show(
            f"Measured: {people} people, {repetitions} repetitions of each."
            + (sure if people > 1 else "")
        )


@command.command("show")
@_options
@json_option
def show_(file: str, out: Path | None, as_json: bool) -> None:
    """Print a row for each finished case and condition, and the answer of a study of one factor."""
    _show(_series(file, out), as_json=as_json, whole=False)


@command.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--out", type=FilePath(file_okay=False), help="Folder of all of them.")
@click.option(
    "--page", type=FilePath(dir_okay=False), help="Where it goes.  [default: study.html in --out]"
)
@json_option
def report(files: tuple[str, ...], out: Path | None, page: Path | None, as_json: bool) -> None:
    """Write a page: a chapter for each study, with its answer, curve and band.

    FILES are studies that ask about a factor; "factors" means all that come along.

    \b
    Examples:
      tinymia study report factors/examples
      tinymia study report factors --out factors
    """
    from tinymia.cli.study_file import FACTORS, shipped
    from tinymia.errors import StudyError
    from tinymia.report.studies import PAGE, render_studies
    from tinymia.study import fits

    names = [one for name in files for one in (shipped() if name == FACTORS else [name])]
    answers, folders = [], []
    for name in dict.fromkeys(names):
        study = _series(name, out)
        done = list(study.finished())
        if not done:
            raise StudyError(f"No case of {name} is finished.", f"tinymia study run {name}")
        answer = fits.answer(study.question, done)
        if answer is None:
            raise StudyError(
                f"{name} asks no question.", 'Give it one: fit = "trend" and an axis in [study].'
            )
        answers.append(answer)
        folders.append(study.out)
    path = page or folders[0] / PAGE
    said = shlex.join(["tinymia", *sys.argv[1:]])
    made = render_studies(answers, path, said)
    if as_json:
        print_json({"report": made, "answers": answers})
        return
    click.echo(f"report     {made}")


@command.command()
@click.argument("old")
@click.argument("new")
@json_option
def diff(old: str, new: str, as_json: bool) -> None:
    """Say what changed from study OLD to study NEW, case by case, paired.

    Each is a study's file, the folder that one ran in, or one case of either, FILE#CASE. Cases are
    the same where the same was varied to the same values. Figures are paired person by person, and
    draw by draw where seed, members, split and repetitions are the same; who audited other people
    gets differences that are not paired, and is told. Verdicts are corrected for all differences of
    a measure over all cases. It ends with 0 whatever changed.

    \b
    Examples:
      tinymia study diff before.toml after.toml
      tinymia study diff last-release/study study --json
      tinymia study diff "mine.toml#members=8" "mine.toml#members=80"
    """
    from tinymia.cli.compare import show_changes
    from tinymia.gate import studies
    from tinymia.report.words import several

    before, now = (_finished(name) for name in (old, new))
    found = studies.diff(now, before)
    if as_json:
        print_json({"old": old, "new": new, **vars(found)})
        return
    show(f"{several(len(found.cases), 'case')} compared")
    show_changes(found.changes)
    for text in found.notes:
        show(f"note: {text}")


def _finished(name: str) -> list[Any]:
    """Finished cases of what the command line names."""
    from tinymia.gate import studies

    whole, _, case = name.partition("#")
    if Path(whole).is_dir():
        found = studies.of_folder(Path(whole))
    else:
        found = studies.finished(_series(whole, None), whole)
    return studies.chosen(found, case) if case else found


@command.command()
@_options
@click.argument("to", type=FilePath(dir_okay=False))
@json_option
def export(file: str, out: Path | None, to: Path, as_json: bool) -> None:
    """Write TO (.csv or .parquet): a row a case, condition, attack, answer and figure.

    pandas and polars load it as it is. What was varied is in columns "axis.NAME"; headline says
    whether an attack stands for its adversary, fixed beforehand. Figures of experiments beyond
    membership are in the cases' own results.json. Parquet takes the extra tinymia[parquet].
    """
    from tinymia.errors import StudyError
    from tinymia.study import rows

    study = _series(file, out)
    found = list(rows.rows(study))
    if not found:
        raise StudyError("No case of this study is finished.", f"tinymia study run {file}")
    rows.export(found, to)
    if as_json:
        print_json({"file": to, "rows": len(found), "columns": rows.columns(found)})
    elif not is_quiet():
        click.echo(f"{len(found):,} rows in {to}", err=True)


def _show(study: Series, *, as_json: bool, whole: bool) -> None:
    from tinymia.errors import StudyError
    from tinymia.study import fits, rows

    done = list(study.finished())
    found = [row for case, results in done for row in rows.summaries(case, results)]
    answer = None
    try:
        answer = fits.answer(study.question, done)
    except StudyError as error:
        if whole:
            note(str(error))
    if as_json:
        print_json(
            {
                "folder": study.out,
                "cases": len(study.cases),
                "finished": len(done),
                "rows": [vars(row) for row in found],
                "answer": answer,
            }
        )
        return
    listed = table("", ("case", "condition", "strongest AUC", "own answer AUC", "accuracy"))
    for row in found:
        listed.add_row(
            row.case or "the only one",
            row.condition,
            _interval(row.strongest) + (f" ({row.whose})" if row.whose else ""),
            *(_interval(figure) for figure in (row.own, row.accuracy)),
        )
    if found:
        show(listed)
    if any(row.whose for row in found):
        show("In brackets: the strongest of whom an attack was chosen.")
    show(f"{len(done):,} of {len(study.cases):,} cases are finished, in {study.out}")
    for line in fits.lines(answer) if answer is not None else ():
        show(line)


def _repetitions(row: Needed, *, several: bool) -> str:
    """How many repetitions would do; that people themselves differ too much is an estimate, too."""
    if row.repetitions is not None:
        return f"{row.repetitions:,}"
    if not several:
        return "?"
    return "over 1,000" if row.at_least is None else f"{row.at_least:,} or more, if any"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
