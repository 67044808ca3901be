"""A bundle with the layers that a device has trained."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import BundleError
from tinymia.export.bundle import Bundle, split_tail
from tinymia.export.front import sources
from tinymia.export.layers import Layers
from tinymia.export.provenance import personalizations
from tinymia.wire.settings import Parameters


@dataclass(frozen=True)
class Requantized:
    """What it cost to write trained layers back into the int8 backbone.

    Attributes:
        layers: how many were written.
        saturated: weights and biases that lie beyond what their scale can hold.
        largest_error: of a weight, in steps of its scale; 0.5 where nothing saturates.
    """

    layers: int
    saturated: int
    largest_error: float


def personalized_bundle(
    base: Bundle, first: int, trained: Parameters, theta: NDArray[np.float32], note: dict[str, Any]
) -> Bundle:
    """The base bundle with what a device has trained from layer ``first`` on.

    The float layers take ``theta`` as it is. Layers of the backbone are also written back into the
    int8 model, with the scales that it has, so that it computes what was trained when the bundle
    is flashed again; the cost of that is kept in the metadata.

    Args:
        base: what the device ran.
        first: the first trained layer.
        trained: weights and biases, or biases alone.
        theta: (trained,) float32, as :meth:`Board.parameters` reads it.
        note: whose windows it learnt from, and how; goes behind what ``provenance.personalized``
            holds of earlier devices.

    Raises:
        BundleError: the parameters do not fit the bundle, or layers that share a buffer of the
            int8 model have learnt different numbers.
    """
    layers = base.layers.with_trained(theta, first, trained is Parameters.BIASES)
    front, tail = split_tail(layers)
    model, block = base.model, {}
    if front is not None and first < len(front):
        model, report = _write_back(base.model, front, first)
        block = {"requantized": asdict(report)}
    meta = copy.deepcopy(base.meta)
    meta["name"] = f"{meta['name'].removesuffix('-personal')}-personal"
    own = {"base": base.bundle_id, "first_layer": first, **note, **block}
    meta.setdefault("provenance", {})["personalized"] = [*personalizations(base), own]
    meta.pop("accuracy", None)  # it was the base model's
    return replace(base, model=model, tail=tail, meta=meta, front=front)


def _write_back(backbone: bytes, front: Layers, first: int) -> tuple[bytes, Requantized]:
    """Weights and biases of ``front`` from ``first`` on into a .tflite, as int8 and int32."""
    data = bytearray(backbone)
    found = sources(data)
    wanted: list[tuple[int, NDArray[Any], NDArray[Any]]] = []
    # A bundle may hold the last of its model's layers only.
    found = found[max(0, len(found) - len(front)) :]
    if len(found) != len(front):
        raise BundleError("The bundle's float layers are not its model's.", "Export it again.")
    written, saturated, worst = 0, 0, 0.0
    for i in range(first, len(front)):
        source = found[i]
        if source is None:
            continue
        exact = front.weights(i) / source.weight_scale
        # (An unchanged -128, which some converters write, stays.)
        source.weights[:] = np.clip(np.rint(exact), np.minimum(source.weights, -127), 127)
        bias = np.rint(front.bias(i) / source.bias_scale)
        source.bias[:] = np.clip(bias, -(2**31) + 1, 2**31 - 1)
        wanted.append((i, source.weights.copy(), source.bias.copy()))
        written += 1
        saturated += int((np.rint(exact) != source.weights).sum() + (bias != source.bias).sum())
        worst = max(worst, float(np.abs(exact - source.weights).max()))
    for i, weights, biases in wanted:
        kept = found[i]
        if kept is None or (kept.weights != weights).any() or (kept.bias != biases).any():
            raise BundleError(
                f"Layer {i} shares its weights or bias with another in the int8 model, so both"
                " cannot be written back.",
                "Export the model with a buffer for each, or train fewer layers.",
            )
    return bytes(data), Requantized(written, saturated, worst)


def requantized(bundle: Bundle) -> str | None:
    """For people: what writing trained layers into the int8 backbone has cost; None if none was."""
    costs = [note["requantized"] for note in personalizations(bundle) if "requantized" in note]
    return "; before that ".join(_said(cost) for cost in reversed(costs)) or None


def _said(cost: Mapping[str, Any]) -> str:
    layers = "1 layer" if cost["layers"] == 1 else f"{cost['layers']} layers"
    return (
        f"{layers} of the backbone written back to int8: weights off by at most"
        f" {cost['largest_error']:.3g} of a step, {cost['saturated']} numbers beyond their range"
    )
