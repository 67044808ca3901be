"""`tinymia train`."""

from __future__ import annotations

from pathlib import Path

import click

from tinymia.cli.options import progress


@click.command()
@click.argument("model", default="har-watch")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for bundle, .tflite and card.  [default: models/MODEL of the checkout,"
    " without one MODEL here]",
)
@click.option("--seed", default=1, show_default=True, help="Of weights, batches and augmentation.")
@click.option("--compare", is_flag=True, help="Also train every candidate again (minutes).")
def command(model: str, out: Path | None, seed: int, compare: bool) -> None:
    """Train and quantise MODEL on the public people; write bundle, .tflite and card.

    \b
    Examples:
      tinymia train har-watch
      tinymia train har-watch --out /tmp/har --seed 2
    """
    from tinymia.device.checkout import in_checkout, models_dir
    from tinymia.errors import ModelError
    from tinymia.export.tensorflow import load_tensorflow
    from tinymia.files import may_write
    from tinymia.models.har_watch import NAME
    from tinymia.study.model_card import publish

    if model != NAME:
        raise ModelError(f"There is no model {model!r}.", f"Known: {NAME}.")
    folder = out or (models_dir() if in_checkout() else Path()) / NAME
    if not may_write(folder):  # said before the minutes that training takes
        raise ModelError(f"You may not write to {folder}.", "Give --out FOLDER.")
    load_tensorflow()  # so that without it no empty folder is left
    at, stage = 0, ""
    with progress("Training", None) as advance:

        def on_progress(now: str, done: int, total: int) -> None:
            nonlocal at, stage
            if now != stage:
                click.echo(f"{now} ({total})", err=True)
                at, stage = 0, now
            advance(done - at)
            at = done

        bundle = publish(folder, seed, on_progress, compare=compare)
    click.echo(f"bundle     {folder / f'{NAME}.bundle'} ({bundle.bundle_id})")
    for name, value in bundle.meta["accuracy"].items():
        click.echo(f"{name:10} {value}")
