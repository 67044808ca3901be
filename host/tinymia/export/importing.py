"""A bundle out of anybody's int8 .tflite file: cut before its last dense layer."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import tinymia
from tinymia.errors import BundleError, ModelError
from tinymia.export.bundle import META_FORMAT_VERSION, Bundle
from tinymia.export.cut import between, cut
from tinymia.export.front import front_layers, last_untrainable
from tinymia.export.graph import Graph, OperatorInfo, read_graph
from tinymia.export.layers import Layers, dense, join, last_layers, resolve
from tinymia.export.tail import Found, find_tail


@dataclass(frozen=True)
class Wanted:
    """What the file does not say.

    Attributes:
        labels: a name for each class, in the order of the outputs.
        train: what a device can train: head, last:K, biases, biases:K or all.
        rate_hz: of sensor windows; 0: it is not known.
        channels: names of the channels of sensor windows; empty: not known.
        mean, std: examples are (x - mean) / std before they are quantised: one number or one a
            channel; empty: they are as the model takes them.
        shape: of an example; empty: as the model's input.
        cut_ends: cut QUANTIZE and DEQUANTIZE at the model's ends off.
        name: of the bundle.
        file: name of the file, for the bundle's provenance.
    """

    labels: tuple[str, ...]
    train: str = "all"
    rate_hz: float = 0.0
    channels: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    shape: tuple[int, ...] = ()
    cut_ends: bool = True
    name: str = "imported"
    file: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Imported:
    """A file as a bundle.

    Attributes:
        bundle: what was made.
        tflite: the file.
        graph: of it.
        found: how it was taken apart.
        trainable: layers with weights that a device could train, the tail among them.
        kept: those of them that are in the bundle.
        blocked: the operator of the file that cannot be trained, nor what lies before it; None:
            there is none.
    """

    bundle: Bundle
    tflite: bytes
    graph: Graph
    found: Found
    trainable: int
    kept: int
    blocked: OperatorInfo | None


def import_tflite(tflite: bytes, wanted: Wanted) -> Imported:
    """Make a bundle of an int8 .tflite file.

    Args:
        tflite: the whole file.
        wanted: what it does not say.

    Raises:
        ModelError: the file is damaged, has no dense end, several inputs or outputs, a batch, or
            float numbers inside; names operator, its number and tensor.
        BundleError: labels, channels, shape or depth do not fit the model.
    """
    _check_text(wanted)
    graph = read_graph(tflite)
    found = find_tail(graph, cut_ends=wanted.cut_ends)
    classes = found.tail.classes
    if len(wanted.labels) != classes:
        raise BundleError(
            f"The model knows {classes} classes, but {len(wanted.labels)} labels were given.",
            f"Give {classes} names in the order of its outputs: --labels a,b,... or a file with one"
            " on each line (--labels-file).",
        )
    if len(set(wanted.labels)) != classes or not all(wanted.labels):
        raise BundleError("Two labels are the same, or one is empty.", "Give each class a name.")
    operators = between(graph, found.source.number, found.embedding.number)
    backbone = cut(tflite, found.source.number, found.embedding.number)
    last = last_untrainable(backbone)
    whole = join(front_layers(backbone), dense(found.tail.weights, found.tail.bias))
    front, kept = _front(whole, wanted.train)
    meta = _meta(tflite, found, wanted)
    bundle = Bundle(backbone, found.tail, meta, front)
    bundle.to_bytes()  # which checks it
    trainable = sum(r.parametric for r in whole.records)
    blocked = None if last is None else operators[last]
    return Imported(bundle, tflite, graph, found, trainable, kept, blocked)


def _check_text(wanted: Wanted) -> None:
    """Raise BundleError for names that are no text, and numbers that are none."""
    for text in (wanted.name, wanted.file, *wanted.labels, *wanted.channels):
        try:
            text.encode()
        except UnicodeEncodeError as error:  # bytes of a command line in another encoding
            raise BundleError(
                f"{text!r} is no text in UTF-8.", "Write names in UTF-8, and rename the file."
            ) from error
    if not math.isfinite(wanted.rate_hz) or wanted.rate_hz < 0:
        raise BundleError(f"A rate of {wanted.rate_hz:g} Hz cannot be.", "Give --rate in Hz.")


def with_fewer_layers(bundle: Bundle, train: str) -> Bundle:
    """The bundle without the float layers that a device need not train; answers stay the same.

    Raises:
        BundleError: the bundle cannot be trained, or not from there.
    """
    return replace(bundle, front=_front(bundle.layers, train)[0])


def _front(whole: Layers, train: str) -> tuple[Layers | None, int]:
    """The layers before the tail that are wanted, and how many have weights, the tail's too."""
    first, _ = resolve(whole, train)
    kept = last_layers(whole, first)
    count = sum(r.parametric for r in kept.records)
    if len(kept) == 1:
        return None, count
    last = kept.records[-1]
    return Layers(kept.records[:-1], kept.parameters[: last.weights]), count


def _meta(tflite: bytes, found: Found, wanted: Wanted) -> dict[str, Any]:
    scales = {"input": found.source, "embedding": found.embedding}
    blocks = {}
    for what, tensor in scales.items():
        if tensor.quantization is None:
            raise ModelError(f"The {what}, {tensor}, has no scale.", "Convert it to int8 anew.")
        blocks[what] = dict(zip(("scale", "zero_point"), tensor.quantization, strict=True))
    shape = _shape(found.source.shape, wanted)
    for name, values in (("mean", wanted.mean), ("std", wanted.std)):
        if values and len(values) not in (1, shape[-1]):
            raise BundleError(
                f"{len(values)} numbers were given as --{name}, but an example of"
                f" {_sides(shape)} has {shape[-1]} channels.",
                "Give one number, or one for each value of the last axis.",
            )
    if len(set(wanted.channels)) != len(wanted.channels) or not all(wanted.channels or ("-",)):
        raise BundleError("Two channels have one name, or one has none.", "Name each channel.")
    if min(wanted.std, default=1.0) <= 0:
        raise BundleError("--std must be positive.", "It divides the examples.")
    meta: dict[str, Any] = {
        "format_version": META_FORMAT_VERSION,
        "name": wanted.name,
        "kind": "personalizable",
        "labels": list(wanted.labels),
        "classes": len(wanted.labels),
        "input": {**blocks["input"], "shape": list(shape)},
        "normalization": _normalization(wanted),
        "embedding": {**blocks["embedding"], "dim": found.tail.dim},
        "provenance": {
            "imported": {
                "file": wanted.file,
                "sha256": hashlib.sha256(tflite).hexdigest(),
                "tail": str(found.operator),
                **wanted.provenance,
            },
            "created_by": f"tinymia {tinymia.__version__}",
        },
    }
    if wanted.rate_hz or wanted.channels:
        meta["window"] = {"length": shape[0], "channels": shape[1]}
        if wanted.rate_hz:
            meta["window"]["rate_hz"] = wanted.rate_hz
        if wanted.channels:
            meta["window"]["channel_names"] = list(wanted.channels)
    return meta


def _normalization(wanted: Wanted) -> dict[str, list[float]]:
    """As many means as standard deviations."""
    mean, std = wanted.mean or (0.0,), wanted.std or (1.0,)
    count = max(len(mean), len(std))
    each = {"mean": mean, "std": std}
    return {k: list(v) if len(v) == count else [v[0]] * count for k, v in each.items()}


def _shape(tensor: tuple[int, ...], wanted: Wanted) -> tuple[int, ...]:
    """The shape of an example: as asked for, else the input's without the batch."""
    inner = tensor[1:] or tensor
    if wanted.shape:
        if prod(wanted.shape) != prod(inner) or min(wanted.shape) < 1:
            raise BundleError(
                f"An example of {_sides(wanted.shape)} does not fit the model's input of"
                f" {_sides(inner)}.",
                "Give --shape with as many values in all.",
            )
        inner = wanted.shape
    if not wanted.rate_hz and not wanted.channels:
        return inner
    return inner if wanted.shape and len(inner) == 2 else _window(inner, len(wanted.channels))


def _window(inner: tuple[int, ...], named: int) -> tuple[int, int]:
    """(length, channels) of a sensor's window."""
    sides = tuple(n for n in inner if n > 1)
    if named == 1 and len(sides) == 1:
        return sides[0], 1
    if len(sides) == 1 and named and sides[0] % named == 0:
        return sides[0] // named, named  # a window laid out flat, sample by sample
    if len(sides) == 1 and not named and len(inner) > 1:
        return inner[0], prod(inner[1:])
    if len(sides) != 2 or named not in (0, sides[-1]):
        names = f"{named} channels" if named else "samples and channels"
        raise BundleError(
            f"The model's input of {_sides(inner)} is no window of {names}, the channels last.",
            "Give --channels with a name for each value of the last axis, in the model's order;"
            " leave out --rate and --channels where the input is no sensor's window.",
        )
    return sides[0], sides[1]


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
