"""`tinymia personalize`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinymia.cli.catalogue import PERSONALIZE, chosen, interruption
from tinymia.cli.config import Chosen, Grouped, options_of
from tinymia.cli.options import connection, load_bundle, progress, thousands

if TYPE_CHECKING:
    from tinymia.defenses import Defense
    from tinymia.device.client import Trained
    from tinymia.wire.settings import Parameters, TrainSettings


@click.command(cls=Grouped)
@options_of(PERSONALIZE)
def command(config: Path | None, **flags: Any) -> None:
    """Fine-tune a board on one person's windows and show what that person gains.

    \b
    Examples:
      tinymia personalize --person p07
      tinymia personalize --person p07 --epochs 50 --clip 1 --out personal.bundle
      tinymia personalize --person p07 --train last:2 --optimizer adam --learning-rate 0.01
      tinymia personalize --person p07 --noise 1.2 --dp-clip 0.5 --target twin:
      tinymia personalize --person p07 --target serial:/dev/ttyACM0
      tinymia personalize --config host/examples/personalize.toml

    \b
    A file for --config; every option is a key of the table in brackets:
      [personalize]
      person = "p07"
      defence = "clip+dropout"
      [training]
      train = "last:2"
      schedule = "cosine"
      [defences.dropout]
      rate = 0.3
    """
    import numpy as np

    from tinymia import data
    from tinymia.data.splits import draw, model_pool
    from tinymia.export.depth import resolve
    from tinymia.export.personal import personalized_bundle, requantized
    from tinymia.study.audit import seen_people
    from tinymia.study.runner import windows_that_fit

    options = chosen(PERSONALIZE, flags, config)
    asked, seed = options["personalize"], options["training"]["seed"]
    defences = _defences(options)
    bundle = load_bundle(Path(asked["bundle"]) if asked["bundle"] else None)
    first, parameters = resolve(bundle, options.training.train)
    settings = _settings(options, parameters, defences)
    dataset = data.load(asked["data"])
    dataset.check_model(bundle.meta)
    pool = model_pool(dataset, asked["person"], bundle.meta)
    drawn = draw(pool, seed, 0, asked["members"])
    if pool.person in seen_people(dataset, bundle):
        click.echo(
            f"note: the bundle was already trained on {pool.person}; these accuracies are not those"
            " of somebody new",
            err=True,
        )
    steady = interruption(asked, lambda text: click.echo(f"note: {text}", err=True))
    with connection(asked["target"], bundle, steady) as opened:
        board = opened.board
        board.require_bundle()
        board.layout(first, settings.augments)
        kept = windows_that_fit(pool, drawn, board.begin(settings).capacity)
        windows, labels = bundle.quantize(pool.windows.x[kept]), pool.windows.y[kept]
        with progress("Sending windows", len(windows)) as advance:
            board.layout(first, settings.augments)
            board.store(windows, labels, progress=advance)
        board.select(drawn.member[kept])
        begun = board.begin(settings)
        before = board.query(np.arange(len(kept)))[0].argmax(axis=1) == labels
        with progress("Fine-tuning", asked["epochs"], "epochs") as advance:
            trained = board.train(0, asked["epochs"], at_once=1, progress=advance)
        after = board.query(np.arange(len(kept)))[0].argmax(axis=1) == labels
        theta = board.parameters()
        unit = opened.unit
    click.echo(
        f"trained    {options.training.train}: {thousands(begun.trained)} parameters from layer"
        f" {first} on, {thousands(begun.workspace)} bytes beside the store"
    )
    if defences:
        click.echo(f"defences   {'; '.join(defence.title for defence in defences)}")
    for name, mask in (("held-out", drawn.nonmember[kept]), ("members", drawn.member[kept])):
        click.echo(
            f"{name:10} accuracy {before[mask].mean():.3f} before, {after[mask].mean():.3f} after"
            f" ({int(mask.sum())} windows)"
        )
    _say(trained, unit)
    if asked["out"]:
        note = {
            "person": asked["person"],
            "dataset_sha256": dataset.sha256,
            "epochs": trained.epoch,
            "tail_hash": trained.tail_hash,
        }
        personal = personalized_bundle(bundle, first, parameters, theta, note)
        personal.save(asked["out"])
        click.echo(f"bundle     {asked['out']} ({personal.bundle_id})")
        if cost := requantized(personal):
            click.echo(f"layers     {cost}")


def _settings(
    options: Chosen, parameters: Parameters, defences: tuple[Defense, ...]
) -> TrainSettings:
    seed, epochs = options["training"]["seed"], options["personalize"]["epochs"]
    settings = options.training.settings(seed=seed, epochs=epochs, parameters=parameters)
    for defence in defences:
        settings = defence.apply(settings)
    return settings


def _say(trained: Trained, unit: str) -> None:
    """Loss and cost of the training."""
    stopped = "; early stopping ended it" if trained.stopped else ""
    click.echo(f"loss       {trained.loss:.4f} in the last epoch that ran{stopped}")
    click.echo(
        f"cost       {thousands(trained.ticks / max(1, trained.steps))} {unit} a step,"
        f" {thousands(trained.steps)} steps, {thousands(trained.clipped)} clipped"
    )
    click.echo(f"tail       {trained.tail_hash}")


def _defences(options: Chosen) -> tuple[Defense, ...]:
    """What is on: the combination that was asked for, and all of which a number was given."""
    from tinymia.defenses import DpSgd
    from tinymia.defenses.registry import KINDS, build
    from tinymia.errors import StudyError

    asked = options["personalize"]
    names = [name for name in asked["defence"].split("+") if name]
    for kind in KINDS:
        section = f"defences.{kind.name}"
        given = [options[section][key] for at, key in sorted(options.flags) if at == section]
        if given and kind.name not in names and any(value not in (0, (0.0,)) for value in given):
            names.append(kind.name)
    if not names:
        return ()
    sets = build("+".join(names), options.parameters)
    if len(sets) > 1:
        if ("defences.dp", "noise") in options.flags:
            raise StudyError("One run has one noise multiplier.", "Give --noise a single number.")
        sets = sets[:1]
    size = asked["members"], options.training.batch, asked["epochs"]
    return tuple(d.of_training(*size) if isinstance(d, DpSgd) else d for d in sets[0])
