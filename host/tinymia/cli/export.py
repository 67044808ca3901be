"""`tinymia export`."""

from __future__ import annotations

from pathlib import Path

import click

from tinymia.cli.options import data_option, default_bundle, load_bundle


@click.command()
@click.option(
    "--personalized",
    "personal_path",
    required=True,
    type=click.Path(path_type=Path),
    help="Bundle that `tinymia personalize --out` wrote.",
)
@click.option(
    "--base",
    type=click.Path(path_type=Path),
    help="Complete int8 model to write the tail into.  [default: the shipped har-watch.tflite]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("personal.tflite"),
    show_default=True,
    help="The complete personalised int8 model.",
)
@data_option
@click.option("--person", help="Check accuracy on this person's windows (default: whose it is).")
@click.option(
    "--image", type=click.Path(path_type=Path), help="Also bake it into a firmware image (.elf)."
)
def command(
    personal_path: Path,
    base: Path | None,
    out: Path,
    dataset: str,
    person: str | None,
    image: Path | None,
) -> None:
    """Write a tail that was trained on a device back into a complete int8 .tflite file.

    Reports what the write-back to int8 costs in accuracy and in the answers, and checks the file
    with tflite-runtime.

    \b
    Examples:
      tinymia personalize --person p07 --out personal.bundle
      tinymia export --personalized personal.bundle --out personal.tflite
      tinymia export --personalized personal.bundle --image personal.elf
    """
    from tinymia import data
    from tinymia.data.splits import model_pool
    from tinymia.errors import BundleError
    from tinymia.export.personal import whose
    from tinymia.export.writeback import complete_bundle, personalized_tflite

    bundle = load_bundle(personal_path)
    if bundle.tail is None:
        raise BundleError("This bundle has no tail to write back.", "Run `tinymia personalize`.")
    owner = person or whose(bundle)
    if owner is None:
        raise BundleError("The bundle does not say whose it is.", "Give --person.")
    loaded = data.load(dataset)
    loaded.check_model(bundle.meta)
    pool = model_pool(loaded, owner, bundle.meta)
    source = base or default_bundle().with_suffix(".tflite")
    try:
        base_model = source.read_bytes()
    except OSError as error:
        raise BundleError(f"Cannot read {source}: {error.strerror}.", "Give --base.") from error
    model, report = personalized_tflite(
        bundle, base_model, bundle.tail, pool.windows.x, pool.windows.y
    )
    try:
        out.write_bytes(model)
    except OSError as error:
        raise BundleError(f"Cannot write {out}: {error.strerror}.") from error
    click.echo(f"model      {out}, {len(model):,} bytes")
    click.echo(
        f"accuracy   {report.accuracy_float_tail:.3f} with the device's float32 tail,"
        f" {report.accuracy_int8:.3f} written back to int8 ({report.windows} windows of {owner})"
    )
    click.echo(
        f"answers    largest change of a probability {report.largest_probability_change:.4f},"
        f" mean {report.mean_probability_change:.5f}; {report.changed_answers} top answers differ"
    )
    if report.runtime_difference is not None:
        click.echo(
            f"checked    tflite-runtime and the reference kernels differ by at most"
            f" {report.runtime_difference}/256 in {100 * (report.runtime_differing or 0):.2f} % of"
            " the output bytes"
        )
    if image is not None:
        from tinymia.device.connect import image_for

        whole = complete_bundle(bundle, model)
        made = image_for(whole.to_bytes(), whole.bundle_id, image)
        click.echo(f"image      {made.elf} (runs the complete model: `tinymia flash --image`)")
