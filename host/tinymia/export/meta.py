"""What a bundle's META section must hold for the host to rely on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinymia.errors import BundleError

FORMAT_VERSION = 1

_REBUILD = "Copy the file again, or make it anew (`tinymia train`, `tinymia import`)."


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise BundleError(f"The bundle's metadata is wrong: {what}.", _REBUILD)


def _number(value: Any) -> bool:
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return plain and bool(np.isfinite(value))


def _check_quantization(block: Any, name: str) -> None:
    _need(isinstance(block, dict), f"{name} must be an object")
    scale, zero = block.get("scale"), block.get("zero_point")
    _need(_number(scale) and scale > 0, f"{name}.scale must be positive")
    _need(isinstance(zero, int) and -128 <= zero <= 127, f"{name}.zero_point must be an int8")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _check_window(window: Any) -> None:
    if window is None:
        return
    _need(isinstance(window, dict), "window must be an object")
    for key in ("length", "channels"):
        _need(_whole(window.get(key)), f"window.{key} must be a positive number")
    rate = window.get("rate_hz", 1)
    _need(_number(rate) and rate > 0, "window.rate_hz must be positive")
    names = window.get("channel_names", [""] * window["channels"])
    right = isinstance(names, list) and len(names) == window["channels"]
    _need(
        right and all(isinstance(name, str) for name in names),
        "window.channel_names needs one a channel",
    )


def input_shape(meta: Any) -> tuple[int, ...]:
    """The shape of an example without the batch; raises BundleError where META has none."""
    window, shape = meta.get("window"), meta.get("input", {}).get("shape")
    if window is not None:
        return window["length"], window["channels"]
    right = isinstance(shape, list) and shape and all(_whole(n) for n in shape)
    _need(bool(right), "input.shape must be a list of positive numbers where there is no window")
    return tuple(shape)


def check_meta(meta: Any, tail_shape: tuple[int, int] | None) -> None:
    """Raise BundleError unless ``meta`` has what the host relies on.

    Args:
        meta: the parsed META section.
        tail_shape: (classes, dim) of the tail, or None for a complete model.
    """
    _need(isinstance(meta, dict), "it must be an object")
    version = meta.get("format_version")
    _need(isinstance(version, int), "format_version is missing")
    if version > FORMAT_VERSION:
        raise BundleError(
            f"The bundle's metadata has version {version}; this tinymia reads up to "
            f"{FORMAT_VERSION}.",
            "Update tinymia.",
        )
    kind = "complete" if tail_shape is None else "personalizable"
    _need(meta.get("kind") == kind, f"kind must be {kind!r} for the sections that are there")
    _need(isinstance(meta.get("name"), str), "name must be text")
    provenance = meta.get("provenance", {})
    _need(isinstance(provenance, dict), "provenance must be an object")
    notes = provenance.get("personalized", [])
    notes = [notes] if isinstance(notes, dict) else notes  # of versions that kept the last one
    right = isinstance(notes, list) and all(isinstance(note, dict) for note in notes)
    _need(right, "personalized must be a list of objects")
    _need(isinstance(provenance.get("public_people", []), list), "public_people must be a list")
    labels = meta.get("labels")
    _need(isinstance(labels, list) and len(labels) > 1, "labels must be a list of names")
    _need(all(isinstance(label, str) for label in labels), "labels must be text")
    _need(meta.get("classes") == len(labels), "classes must be the number of labels")
    _check_window(meta.get("window"))
    _check_quantization(meta.get("input"), "input")
    shape = input_shape(meta)
    norm = meta.get("normalization")
    _need(isinstance(norm, dict), "normalization is missing")
    for key in ("mean", "std"):
        values = norm.get(key)
        right = isinstance(values, list) and len(values) in (1, shape[-1])
        _need(
            right and all(_number(v) for v in values),
            f"normalization.{key} needs one number, or one a channel",
        )
    _need(min(norm["std"]) > 0, "normalization.std must be positive")
    if tail_shape is not None:
        _check_quantization(meta.get("embedding"), "embedding")
        _need(
            meta["embedding"].get("dim") == tail_shape[1], "embedding.dim must be the tail's width"
        )
        _need(tail_shape[0] == len(labels), "the tail must have one row a label")
