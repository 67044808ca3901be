"""`tinymia forget`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinymia.cli.catalogue import PERSONALIZE, chosen, interruption
from tinymia.cli.config import Grouped, options_of
from tinymia.cli.options import connection, json_option, note, print_json, progress, thousands
from tinymia.errors import StudyError

if TYPE_CHECKING:
    from tinymia.cli.fitting import Fitting
    from tinymia.evidence import Run
    from tinymia.experiments.gradients.attack import Server
    from tinymia.study.forgetting import Forgot


@click.command(cls=Grouped)
@options_of(PERSONALIZE)
@click.option(
    "--forget",
    "forgotten",
    default="0",
    show_default=True,
    help="windows to forget: numbers of members, from 0, joined by commas",
)
@json_option
def command(config: Path | None, forgotten: str, as_json: bool, **flags: Any) -> None:
    """Fine-tune a board on one person's windows, then let it forget some of them.

    The board goes back to the base network and is trained again without them, with another key: the
    weights are those of a device that never saw them, in every bit. Shows what that costs, that a
    membership attack on the forgotten windows falls to chance, and what whoever saw the device
    before and after learns from the difference.

    \b
    Examples:
      tinymia forget --person p07
      tinymia forget --person p07 --forget 3,17 --epochs 50
      tinymia forget --person p07 --noise 1.3 --target twin: --out without.bundle
    """
    from dataclasses import replace

    from tinymia.cli import fitting
    from tinymia.evidence import Run
    from tinymia.study import forgetting

    options = chosen(PERSONALIZE, flags, config)
    asked = options["personalize"]
    forgetting.numbers(forgotten, asked["members"])  # what cannot be is said first
    fit = fitting.prepare(options)
    epochs = asked["epochs"]
    with connection(asked["target"], fit.bundle, interruption(asked, note)) as opened:
        board = opened.board
        kept = fit.kept(board)
        codes, member = fit.codes[kept], fit.drawn.member[kept]
        gone = forgetting.numbers(forgotten, int(member.sum()))
        gone = (member.nonzero()[0])[gone]
        with progress("Training twice", 2 * epochs, "epochs") as advance:
            done = forgetting.forget(
                board,
                fit.bundle,
                fit.depth,
                codes,
                fit.pool.windows.y[kept],
                member,
                gone,
                fit.settings,
                epochs,
                advance,
            )
    _check(done)
    if not as_json:
        fitting.say_defences(fit.defences, fit.size, fit.settings.seed, 0)
        _say(done, len(gone), int(member.sum()), epochs, opened.unit)
    at = None
    if len(gone) == 1 and fit.depth == "head":
        settings = replace(fit.settings, seed=0)
        run = Run("plain", "no defence", fit.depth, fit.defences, epochs, settings)
        server = _server(fit, run)
        at = forgetting.rank(server, run, done, codes, int(gone[0]), int(member.sum()))
        if not as_json:
            click.echo(
                f"difference whoever saw both states finds the window in place {at} of {len(kept)}"
                " of the person's"
            )
    if as_json:
        print_json(_as_json(done, len(gone), int(member.sum()), len(kept), at, opened.unit))
    if asked["out"]:
        fit.save(asked["out"], done.after, done.theta_after, not as_json)


def _as_json(
    done: Forgot, gone: int, members: int, windows: int, place: int | None, unit: str
) -> dict[str, Any]:
    """What is printed otherwise, as numbers."""
    before, after, never = done.losses
    return {
        "forgotten": gone,
        "members": members,
        "windows": windows,
        "unit": unit,
        "cost": done.after.ticks,
        "cost_of_learning_all": done.before.ticks,
        "loss_before": before,
        "loss_after": after,
        "never_learnt": len(never),
        "below_before": done.below(before),
        "below_after": done.below(after),
        "place_by_difference": place,
        "tail": done.after.hash,
    }


def _check(done: Forgot) -> None:
    """Raise StudyError where forgetting is not exact."""
    if not done.same:
        raise StudyError(
            "The board is not what a device that never saw the windows would be.",
            "Board and twin must be built from the same source: build and flash again.",
        )


def _say(done: Forgot, gone: int, members: int, epochs: int, unit: str) -> None:
    """What forgetting cost, and what is left."""
    click.echo(
        f"forgotten  {gone} of {members} windows; the weights equal in every bit those of a twin"
        " that never saw them"
    )
    click.echo(
        f"cost       {thousands(done.after.ticks)} {unit} for {epochs} epochs and"
        f" {thousands(done.after.steps)} steps; learning all took {thousands(done.before.ticks)}"
    )
    before, after, never = done.losses
    click.echo(
        f"membership their loss is {before:.3f} before and {after:.3f} after; of {len(never)}"
        f" devices that never learnt them {100 * done.below(before):.0f} % have a smaller one"
        f" than before, {100 * done.below(after):.0f} % than after"
    )


def _server(fit: Fitting, run: Run) -> Server:
    """Who knows public people and the base model."""
    import tempfile

    from tinymia.experiments.gradients.attack import Server
    from tinymia.study.public import public_of
    from tinymia.study.settings import StudySettings
    from tinymia.study.store import Store
    from tinymia.study.workbench import TwinWorkbench, public_pools

    audited = (fit.person,)
    bench = TwinWorkbench(
        StudySettings(),
        fit.bundle.to_bytes(),
        (),
        public_pools(fit.dataset, fit.bundle, audited),
        {"": run},
        public_of(fit.dataset, fit.bundle, audited),
        Store(Path(tempfile.gettempdir())),
    )
    return Server(bench, run)
