"""META and the model that it stands beside must say the same."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from tinymia.errors import BundleError
from tinymia.export.ends import INT8, End, ends

_HINT = "Make the bundle anew: `tinymia import` reads what a .tflite file says of itself."


def check_model(meta: Mapping[str, Any], tflite: bytes) -> None:
    """Raise BundleError where META says other things of the model than its file.

    A file that cannot be read is left to the device, which refuses it.

    Args:
        meta: checked by :func:`~tinymia.export.meta.check_meta`.
        tflite: the bundle's model.
    """
    found = ends(tflite)
    if found is None:
        return
    source, output = found
    _check_quantization("input", meta["input"], source)
    window, shape = meta.get("window"), meta["input"].get("shape")
    sides = {
        "window": None if window is None else (window["length"], window["channels"]),
        "input.shape": shape,
    }
    for name, given in sides.items():
        if given is not None and prod(given) != source.elements:
            raise BundleError(
                f"The bundle's metadata says {name} {list(given)}, {prod(given)} values, but its"
                f" model takes {source.elements} {list(source.shape)}.",
                _HINT,
            )
    if meta["kind"] == "complete":
        if meta["classes"] != output.elements:
            raise BundleError(
                f"The bundle's metadata names {meta['classes']} classes, but its model gives"
                f" {output.elements} values.",
                _HINT,
            )
        return
    _check_quantization("embedding", meta["embedding"], output)
    if meta["embedding"]["dim"] != output.elements:
        raise BundleError(
            f"The bundle's tail reads {meta['embedding']['dim']} values, but its model gives"
            f" {output.elements}.",
            _HINT,
        )


def _check_quantization(name: str, block: Mapping[str, Any], end: End) -> None:
    if end.type != INT8 or end.scale is None or end.zero_point is None:
        return  # of no model that a device loads
    for key, said, there in (
        ("scale", np.float32(block["scale"]), np.float32(end.scale)),
        ("zero_point", block["zero_point"], end.zero_point),
    ):
        if said != there:
            raise BundleError(
                f"The bundle's metadata says {name}.{key} {said!s}, but its model has {there!s}.",
                _HINT,
            )
