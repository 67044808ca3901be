"""`tinymia train`."""

from __future__ import annotations

from pathlib import Path

import click

from tinymia.cli.options import FilePath, progress


@click.command()
@click.argument("model", default="har-watch")
@click.option(
    "--out",
    type=FilePath(),
    help="Folder for bundle, .tflite and card.  [default: models/MODEL of the checkout,"
    " without one MODEL here]",
)
@click.option(
    "--seed",
    default=1,
    show_default=True,
    type=click.IntRange(0, 2**32 - 1),
    help="Of weights, batches and augmentation.",
)
@click.option("--compare", is_flag=True, help="Also train every candidate again (minutes).")
def command(model: str, out: Path | None, seed: int, compare: bool) -> None:
    """Train and quantise MODEL on the public people; write bundle, .tflite and card.

    MODEL is har-watch (smartwatch movements) or fashion (pictures of clothes; needs Debian's
    package dataset-fashion-mnist).

    \b
    Examples:
      tinymia train har-watch
      tinymia train fashion --out clothes
      tinymia train har-watch --out /tmp/har --seed 2
    """
    from tinymia.device.checkout import in_checkout, models_dir
    from tinymia.errors import ModelError
    from tinymia.export.tensorflow import load_tensorflow
    from tinymia.files import may_write
    from tinymia.study.shipped import publisher

    publish = publisher(model)
    folder = out or (models_dir() if in_checkout() else Path()) / model
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
    click.echo(f"bundle     {folder / f'{model}.bundle'} ({bundle.bundle_id})")
    for name, value in bundle.meta["accuracy"].items():
        click.echo(f"{name:10} {value}")
