"""`tinymia compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from tinymia.cli.options import FilePath, data_option, json_option, print_json, show, table

if TYPE_CHECKING:
    from tinymia.gate.compare import Change, Compared
    from tinymia.study.settings import StudySettings


@click.command()
@click.argument("old", type=FilePath(exists=True))
@click.argument("new", type=FilePath(exists=True))
@data_option
@click.option("--person", "people", multiple=True, help="Whom to audit. Can be given again.")
@click.option("--repetitions", default=5, show_default=True, type=click.IntRange(1, 65535))
@click.option("--members", default=80, show_default=True, type=click.IntRange(1))
@click.option("--epochs", default=50, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--defence",
    "defences",
    multiple=True,
    help="Also with this defence, and with its strength as it is by default. Can be given again.",
)
@click.option("--shadows", default=64, show_default=True, type=click.IntRange(16, 65536))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0, 2**32 - 1))
@click.option(
    "--target",
    default="twin:",
    show_default=True,
    help="A board that confirms, and has costs; twin: for none.",
)
@click.option(
    "--out",
    default="compare",
    show_default=True,
    type=FilePath(file_okay=False),
    help="Folder of the two audits of bundles.",
)
@json_option
def command(
    old: Path,
    new: Path,
    dataset: str,
    people: tuple[str, ...],
    repetitions: int,
    members: int,
    epochs: int,
    defences: tuple[str, ...],
    shadows: int,
    seed: int,
    target: str,
    out: Path,
    as_json: bool,
) -> None:
    """Compare two bundles, or the folders of two audits: what changed, paired.

    Two bundles are audited alike: the same people, whom neither base model has seen, the same draws
    and the same seed. It goes on where it was interrupted. Two folders are compared as they are,
    paired person by person where both have audited the same; that is how two firmware builds are
    compared, each with the audit that it made.

    Verdicts are corrected for all differences of a measure that were compared. It ends with 0
    whatever changed; `tinymia check --against` is what judges.

    \b
    Examples:
      tinymia compare last-release/model.bundle model.bundle
      tinymia compare old.bundle new.bundle --defence dp --target qemu:netduinoplus2
      tinymia compare last-release audit --json
    """
    from tinymia.errors import StudyError
    from tinymia.gate.compare import compared
    from tinymia.study.results import load

    if old.is_dir() != new.is_dir():
        raise StudyError(
            "One of these is a folder and the other a file.",
            "Give two bundles, or the folders of two audits.",
        )
    if old.is_dir():
        context = click.get_current_context()
        for parameter in context.command.params:
            name = parameter.name or ""
            given = context.get_parameter_source(name) is not ParameterSource.DEFAULT
            if given and name not in ("old", "new", "as_json", "quiet"):
                raise click.UsageError(
                    f"{parameter.opts[0]} is for two bundles, which are audited; these are audits."
                )
        before, now = load(old), load(new)
    else:
        from tinymia.cli.audit import Bars
        from tinymia.gate.audits import Bundles, audited

        settings = asked_of_both(
            dataset=dataset,
            people=people,
            repetitions=repetitions,
            members=members,
            epochs=epochs,
            defences=defences,
            shadows=shadows,
            seed=seed,
        )
        with Bars() as bars:
            before, now = audited(Bundles(old, new, settings, out, (target,)), bars, bars.say)
    found = compared(now, before)
    if as_json:
        print_json({"old": str(old), "new": str(new), **vars(found)})
    else:
        _show(found)


def asked_of_both(
    *,
    dataset: str,
    people: tuple[str, ...],
    repetitions: int,
    members: int,
    epochs: int,
    defences: tuple[str, ...],
    shadows: int,
    seed: int,
) -> StudySettings:
    """What two bundles are audited with; raises StudyError where that is not possible."""
    from tinymia.study.settings import StudySettings

    return StudySettings(
        dataset=dataset,
        people=people,
        repetitions=repetitions,
        members=members,
        epochs=(epochs,),
        defences=defences,
        depths=(),
        policies=("label",),
        shadows=shadows,
        dear_shadows=min(shadows, 64),
        epsilon_devices=0,
        seed=seed,
    )


def _show(found: Compared) -> None:
    if not found.changes:
        show("There is no figure that both studies have.")
    show_changes(found.changes)
    for note in found.notes:
        show(f"note: {note}")


def show_changes(changes: Sequence[Change]) -> None:
    """Print figures with intervals, then costs."""
    from tinymia.gate.outputs import value_words
    from tinymia.report.words import number

    rows = [c for c in changes if not c.figure.startswith("cost.")]
    columns = ("", "old", "new", "difference, 95 % interval", "would have seen", "verdict")
    listed = table("New less old", columns)
    listed.columns[5].justify = "left"
    for row in rows:
        listed.add_row(
            _name(row),
            number(row.old.value),
            number(row.new.value),
            value_words(row.difference, signed=True),
            "" if row.smallest_effect is None else number(row.smallest_effect),
            row.verdict,
        )
    if rows:
        show(listed)
    costs = [c for c in changes if c.figure.startswith("cost.")]
    if costs:
        listed = table("\nCosts, exact", ("", "old", "new", "difference"))
        for row in costs:
            listed.add_row(
                f"{row.figure} {row.condition}",
                *(value_words(f, row.unit) for f in (row.old, row.new)),
                value_words(row.difference, row.unit),
            )
        show(listed)
    ways = {row.how for row in rows}
    for way in sorted(ways):
        show(f"{way[:1].upper()}{way[1:]}.")


def _name(row: Change) -> str:
    figure = row.figure if not row.attack and "heldout" not in row.figure else ""
    figure = figure or row.figure.partition(".")[2]
    return ", ".join(filter(None, (row.case, row.condition, row.adversary, row.answer, figure)))
