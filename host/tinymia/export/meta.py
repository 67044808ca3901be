"""What a bundle's META section must hold for the host to rely on it."""

from __future__ import annotations

import math
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


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _check_quantization(block: Any, name: str) -> None:
    _need(isinstance(block, dict), f"{name} must be an object")
    scale, zero = block.get("scale"), block.get("zero_point")
    _need(_number(scale) and scale > 0, f"{name}.scale must be positive")
    _need(isinstance(zero, int) and -128 <= zero <= 127, f"{name}.zero_point must be an int8")


def _check_shape(meta: dict[str, Any]) -> int:
    """Check ``input.shape`` and ``window``, of which one is there; returns the last axis."""
    shape = meta["input"].get("shape")
    if shape is not None:
        right = isinstance(shape, list) and bool(shape) and all(_whole(n) for n in shape)
        _need(right, "input.shape must be positive whole numbers")
    if "window" not in meta:
        _need(shape is not None, "window is missing, and so is input.shape")
        return int(shape[-1])
    window = meta["window"]
    _need(isinstance(window, dict), "window must be an object")
    for key in ("length", "channels"):
        _need(_whole(window.get(key)), f"window.{key} must be a positive number")
    if "rate_hz" in window:
        rate = window["rate_hz"]
        _need(_number(rate) and rate > 0, "window.rate_hz must be positive")
    length, channels = int(window["length"]), int(window["channels"])
    if "channel_names" in window:
        names = window["channel_names"]
        right = isinstance(names, list) and all(isinstance(name, str) for name in names)
        right = right and len(names) == len(set(names)) == channels
        _need(right, "window.channel_names must be a list of text, another one for each channel")
    if shape is not None:
        right = math.prod(shape) == length * channels
        _need(right, f"input.shape {shape} is not {length} samples of {channels} channels")
    return channels


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
    for owner in (provenance, *notes):
        content = owner.get("content", {})
        right = isinstance(content, dict) and all(
            isinstance(marks, str) and not set(marks) - set("0123456789abcdef")
            for marks in content.values()
        )
        _need(right, "content must hold hexadecimal text for each person")
    labels = meta.get("labels")
    _need(isinstance(labels, list) and len(labels) > 1, "labels must be a list of names")
    _need(all(isinstance(label, str) for label in labels), "labels must be text")
    _need(meta.get("classes") == len(labels), "classes must be the number of labels")
    _check_quantization(meta.get("input"), "input")
    channels = _check_shape(meta)
    norm = meta.get("normalization")
    _need(isinstance(norm, dict), "normalization is missing")
    for key in ("mean", "std"):
        values = norm.get(key)
        right = isinstance(values, list) and len(values) in (1, channels)
        right = right and all(_number(v) for v in values)
        _need(right, f"normalization.{key} needs one number, or one a channel ({channels})")
    _need(len(norm["mean"]) == len(norm["std"]), "normalization.mean and .std must be as many")
    _need(min(norm["std"]) > 0, "normalization.std must be positive")
    training = meta.get("training", {})
    _need(isinstance(training, dict), "training must be an object")
    rate, batch = training.get("learning_rate", 1), training.get("batch", 1)
    _need(_number(rate) and rate > 0, "training.learning_rate must be positive")
    _need(_whole(batch), "training.batch must be a positive whole number")
    if tail_shape is not None:
        _check_quantization(meta.get("embedding"), "embedding")
        _need(
            meta["embedding"].get("dim") == tail_shape[1], "embedding.dim must be the tail's width"
        )
        _need(tail_shape[0] == len(labels), "the tail must have one row a label")
