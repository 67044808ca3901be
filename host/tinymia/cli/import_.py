"""`tinymia import`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinymia.cli.options import FilePath, Finite, json_option, print_json, show, thousands
from tinymia.cli.values import listed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tinymia.export.bundle import Bundle
    from tinymia.export.importing import Imported, Wanted
    from tinymia.study.imported import Checked


def _words(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[str, ...]:
    """Names with commas between them; none where the flag was not given."""
    return listed(ctx, param, text) or ()


def _numbers(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[float, ...]:
    try:
        found = tuple(map(float, _words(ctx, param, text)))
    except ValueError:
        raise click.BadParameter(f"{text!r} is no list of numbers, as in 0.5,1.25.") from None
    if not all(map(math.isfinite, found)):
        raise click.BadParameter("Every number must be finite.")
    return found


def _sides(_: click.Context, __: click.Parameter, text: str | None) -> tuple[int, ...]:
    parts = text.replace("x", ",").split(",") if text else []
    if not all(part.strip().isdigit() for part in parts):
        raise click.BadParameter(f"{text!r} is no shape, as in 50,6 or 32x32x3.")
    return tuple(int(part) for part in parts)


@click.command("import")
@click.argument("model", type=FilePath())
@click.option("--labels", callback=_words, help="Names of the classes, with commas between.")
@click.option("--labels-file", type=FilePath(), help="The same, one on each line.")
@click.option(
    "--train",
    default="all",
    show_default=True,
    metavar="DEPTH",
    help="What a device can train: head, last:K, biases, biases:K or all. Fewer layers make the"
    " bundle smaller.",
)
@click.option("--rate", type=Finite(0), default=0.0, help="Of sensor windows, in Hz.")
@click.option(
    "--channels", callback=_words, help="Names of the channels of sensor windows, as in ax,ay,az."
)
@click.option(
    "--mean", callback=_numbers, help="Examples are (x - MEAN) / STD: one number or one a channel."
)
@click.option("--std", callback=_numbers, help="See --mean.  [default: examples as they are]")
@click.option(
    "--shape", callback=_sides, help="Of an example, where it is not the model's, as in 50,6."
)
@click.option(
    "--representative",
    metavar="FILE|NAME",
    help="Examples in raw units, an .npy or .npz file or a data set: they set the scales of a Keras"
    " model, and are what bundle and file are compared on.",
)
@click.option(
    "--cut-ends/--keep-ends",
    default=True,
    show_default=True,
    help="Cut QUANTIZE and DEQUANTIZE at the model's ends off; their scales are kept.",
)
@click.option("--name", help="Of the bundle.  [default: the file's]")
@click.option("--out", type=FilePath(), help="The bundle.  [default: MODEL's name.bundle]")
@click.option("--tflite", type=FilePath(), help="Also save what a Keras model became.")
@json_option
def command(
    model: Path,
    labels: tuple[str, ...],
    labels_file: Path | None,
    train: str,
    rate: float,
    channels: tuple[str, ...],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    shape: tuple[int, ...],
    representative: str | None,
    cut_ends: bool,
    name: str | None,
    out: Path | None,
    tflite: Path | None,
    as_json: bool,
) -> None:
    """Make a bundle of MODEL: an int8 .tflite file, a Keras file, a SavedModel's folder, or another
    bundle of which a device is to train fewer layers.

    The last dense layer becomes the float32 tail that a device trains, what lies before it stays
    the int8 model that it is. The bundle is held against the file: its embeddings must be the same
    bytes.

    \b
    Examples:
      tinymia import kws.tflite --labels-file words.txt --out kws.bundle
      tinymia import har.tflite --labels sit,walk,run --rate 50 --channels ax,ay,az --train head
      tinymia import large.bundle --train head --out small.bundle
      tinymia import cnn.keras --representative images.npz --std 255 --labels 0,1,2,3,4,5,6,7,8,9
    """
    from tinymia.errors import BundleError
    from tinymia.export.importing import Wanted

    if _is_bundle(model):
        if out is None:
            raise click.UsageError("MODEL is a bundle: give --out.")
        _shorten(model, train, out, as_json)
        return
    stem = model.stem or "model"
    where = out or Path(f"{stem}.bundle")
    if labels_file is not None:
        labels = tuple(_read(labels_file, BundleError).decode("utf-8-sig", "replace").splitlines())
        labels = tuple(line.strip() for line in labels if line.strip())
    wanted = Wanted(
        labels,
        train=train,
        rate_hz=rate,
        channels=channels,
        mean=mean,
        std=std,
        shape=shape,
        cut_ends=cut_ends,
        name=name or stem,
        file=model.name,
    )
    imported, checked = import_file(model, wanted, representative, tflite)
    imported.bundle.save(where)
    if as_json:
        print_json(
            {
                **_facts(imported.bundle, where),
                "operators": len(imported.graph.operators),
                "macs": imported.graph.macs,
                "trainable": imported.trainable,
                "trained": imported.kept,
                "checked": checked,
            }
        )
        return
    _say(imported, checked, where, train)


def _facts(bundle: Bundle, where: Path) -> dict[str, Any]:
    return {
        "bundle": where,
        "bundle_id": bundle.bundle_id,
        "bytes": len(bundle.to_bytes()),
        "layers": [bundle.layers.describe(i) for i in range(len(bundle.layers))],
        "parameters": len(bundle.layers.parameters),
    }


def import_file(
    model: Path, wanted: Wanted, representative: str | None = None, tflite: Path | None = None
) -> tuple[Imported, Checked]:
    """A model's file as a bundle, held against the file.

    Args:
        model: an int8 .tflite file, a Keras file or a SavedModel's folder.
        wanted: what the file does not say.
        representative: examples in raw units, a file or a data set's name; a Keras model needs it.
        tflite: where what a Keras model became is also saved.

    Raises:
        TinymiaError: see :func:`tinymia.export.importing.import_tflite`; or bundle and file differ.
    """
    from tinymia.errors import ModelError
    from tinymia.export.importing import import_tflite
    from tinymia.export.keras_file import is_keras, load_examples, normalized
    from tinymia.files import write_whole
    from tinymia.study.imported import check_import, check_loads

    shape = wanted.shape

    def examples_of(inputs: tuple[int, ...]) -> NDArray[np.float32]:
        # In the shape that --mean and --std speak of; whoever takes them, lays them out.
        given = shape if math.prod(shape) == math.prod(inputs) else inputs
        return normalized(load_examples(str(representative), given), wanted.mean, wanted.std)

    if is_keras(model):
        if representative is None:
            raise ModelError(
                f"{model} is a float model: its scales must be set on examples.",
                "Give some with --representative: an .npz file or a data set's name.",
            )
        from tinymia.export.keras_file import keras_to_int8

        file = keras_to_int8(model, examples_of)
        if tflite is not None:
            write_whole(tflite, file, "the model", ModelError)
    else:
        file = _read(model, ModelError)
    imported = import_tflite(file, wanted)
    check_loads(imported)
    examples = None
    if representative is not None:
        source = imported.found.source.shape
        examples = _codes(imported, examples_of(source[1:] or source))
    return imported, check_import(imported, examples)


def _is_bundle(path: Path) -> bool:
    from tinymia.export.sections import MAGIC

    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:  # said where it is read
        return False


def _shorten(path: Path, train: str, where: Path, as_json: bool) -> None:
    from tinymia.export.bundle import Bundle
    from tinymia.export.importing import with_fewer_layers

    bundle = Bundle.load(path)
    made = with_fewer_layers(bundle, train)
    made.save(where)
    if as_json:
        print_json(_facts(made, where))
        return
    click.echo(f"bundle     {where} ({made.bundle_id})")
    for i in range(len(made.layers)):
        click.echo(f"{'trained' if not i else '':10} {made.layers.describe(i)}")
    before, now = len(bundle.to_bytes()), len(made.to_bytes())
    click.echo(f"size       {thousands(now)} bytes, {thousands(before - now)} fewer than before")


def _read(path: Path, kind: type[Exception]) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise kind(f"Cannot read {path}: {error.strerror}.", "Check the path.") from error


def _codes(imported: Imported, examples: NDArray[np.float32]) -> NDArray[np.int8]:
    """Examples as the model takes them, quantised: (n, values) int8."""
    import numpy as np

    from tinymia.errors import DataError

    rows = examples.reshape(len(examples), -1)
    source = imported.found.source
    if rows.shape[1] != source.elements or source.quantization is None:
        raise DataError(
            f"An example has {rows.shape[1]} values, but the model takes {source.elements}.",
            "Give --representative with examples as the model takes them.",
        )
    scale, zero = source.quantization
    codes = np.rint(rows / np.float32(scale)) + zero
    return np.asarray(np.clip(codes, -128, 127), np.int8)


def _say(imported: Imported, checked: Checked, where: Path, train: str) -> None:
    from tinymia.cli.fit import fit_table
    from tinymia.device.boards import boards
    from tinymia.study.memory import depths, fits

    bundle, found, graph = imported.bundle, imported.found, imported.graph
    data = bundle.to_bytes()
    layers = bundle.layers
    parts: list[tuple[str, Any]] = [("bundle", f"{where} ({bundle.bundle_id})")]
    if found.ends:
        parts.append(("cut off", "; ".join(map(str, found.ends)) + ": their scales are kept"))
    given = " x ".join(map(str, bundle.meta["input"]["shape"]))
    block = bundle.meta["input"]
    parts += [
        ("input", f"{given}, scale {block['scale']:.6g}, zero point {block['zero_point']}"),
        ("model", f"{len(graph.operators)} operators, {thousands(graph.macs)} MACs"),
        ("backbone", f"up to {found.embedding}"),
        ("tail", f"{found.operator}, {found.tail.dim} to {found.tail.classes}, in float32"),
        ("trained", _trained(imported, train)),
        *(("", layers.describe(i)) for i in range(len(layers))),
        (
            "size",
            f"{thousands(len(data))} bytes: model {thousands(len(bundle.model))}, layers"
            f" {thousands(len(layers.to_bytes()))}",
        ),
        ("same", _same(checked)),
        ("answers", _answers(checked)),
    ]
    for title, text in parts:
        click.echo(f"{title:10} {text}")
    ways = depths(bundle)
    show("")
    show(fit_table(fits(data, ways, boards()), ways))


def _trained(imported: Imported, train: str) -> str:
    layers = imported.bundle.layers
    text = (
        f"{imported.kept} of {imported.trainable} layers with weights,"
        f" {thousands(len(layers.parameters))} parameters (--train {train})"
    )
    if imported.blocked is not None:
        op = imported.blocked
        bias = "" if max(op.inputs[2:], default=-1) >= 0 or not op.macs else ", which has no bias"
        text += f"; what lies before {op}{bias} cannot be trained"
    return text


def _same(checked: Checked) -> str:
    inputs = "of the examples given" if checked.real else "random and extreme ones"
    alone = checked.engine == "twin" or checked.differing
    whole = "its own" if alone else "TensorFlow Lite's"
    text = (
        f"all {thousands(checked.values)} bytes of the embeddings, {checked.inputs} inputs"
        f" ({inputs}): the firmware's interpreter beside {whole} on the whole file"
    )
    if checked.differing:
        text += (
            f"; TensorFlow Lite's kernels differ in {thousands(checked.differing)} of them, by at"
            f" most {checked.steps} of 256 steps"
        )
    return text


def _answers(checked: Checked) -> str:
    if checked.same_top is None:
        return "not compared: TensorFlow Lite does not take the file"
    text = f"{100 * checked.same_top:.1f} % of the top answers are the file's"
    if checked.largest is not None:
        text += f"; a probability differs by at most {checked.largest:.4f}"
    return f"{text} (the tail is float32, the file's last layer int8)"
