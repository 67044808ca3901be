"""`tinymia personalize`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinymia.cli.options import (
    bundle_option,
    connection,
    data_option,
    load_bundle,
    progress,
    target_option,
    thousands,
    training_options,
)


@click.command()
@target_option
@bundle_option
@data_option
@click.option("--person", required=True, help="Whose windows.")
@click.option("--members", default=80, show_default=True, help="Windows to fine-tune on.")
@click.option(
    "--epochs",
    default=20,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Passes over the members.",
)
@training_options
@click.option("--clip", default=0.0, show_default=True, help="Clip norm; 0 switches it off.")
@click.option("--smooth", default=0.0, show_default=True, help="Label smoothing.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Save the personalised bundle here (`tinymia export`, `query` and `build` take it).",
)
def command(bundle_path: Path | None, target: str, out: Path | None, **options: Any) -> None:
    """Fine-tune a board on one person's windows and show what that person gains.

    \b
    Examples:
      tinymia personalize --person p07
      tinymia personalize --person p07 --epochs 50 --clip 1 --out personal.bundle
      tinymia personalize --person p07 --target serial:/dev/ttyACM0
    """
    import numpy as np

    from tinymia import data
    from tinymia.data.splits import draw, model_pool
    from tinymia.device.settings import TrainSettings
    from tinymia.export.bundle import Tail
    from tinymia.export.personal import personalized_bundle
    from tinymia.study.audit import seen_people

    bundle = load_bundle(bundle_path)
    dataset = data.load(options["dataset"])
    dataset.check_model(bundle.meta)
    pool = model_pool(dataset, options["person"], bundle.meta)
    drawn = draw(pool, options["seed"], 0, options["members"])
    if pool.person in seen_people(dataset, bundle):
        click.echo(
            f"note: the bundle was already trained on {pool.person}; these accuracies are not those"
            " of somebody new",
            err=True,
        )
    settings = TrainSettings(
        learning_rate=options["learning_rate"],
        batch=options["batch"],
        clip_norm=options["clip"],
        label_smoothing=options["smooth"],
        seed=options["seed"],
    )
    windows, labels = bundle.quantize(pool.windows.x), pool.windows.y
    slots = np.arange(len(pool))
    with connection(target, bundle) as opened:
        board = opened.board
        board.require_bundle()
        with progress("Sending windows", len(windows)) as advance:
            board.clear()
            board.store(windows, labels, progress=advance)
        board.select(drawn.member)
        board.begin(settings)
        before = board.query(slots)[0].argmax(axis=1) == labels
        with progress("Fine-tuning", options["epochs"], "epochs") as advance:
            trained = board.train(0, options["epochs"], at_once=1, progress=advance)
        after = board.query(slots)[0].argmax(axis=1) == labels
        weights, bias = board.tail()
        unit = opened.unit
    for name, mask in (("held-out", drawn.nonmember), ("members", drawn.member)):
        click.echo(
            f"{name:10} accuracy {before[mask].mean():.3f} before, {after[mask].mean():.3f} after"
            f" ({int(mask.sum())} windows)"
        )
    click.echo(f"loss       {trained.loss:.4f} in the last epoch")
    click.echo(
        f"cost       {thousands(trained.ticks / trained.steps)} {unit} a step,"
        f" {thousands(trained.steps)} steps, {thousands(trained.clipped)} clipped"
    )
    click.echo(f"tail       {trained.tail_hash}")
    if out is not None:
        note = {
            "person": options["person"],
            "epochs": trained.epoch,
            "tail_hash": trained.tail_hash,
            "dataset_sha256": dataset.sha256,
        }
        personal = personalized_bundle(bundle, Tail(weights, bias), note)
        personal.save(out)
        click.echo(f"bundle     {out} ({personal.bundle_id})")
