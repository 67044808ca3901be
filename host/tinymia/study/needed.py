"""What an image for one bundle needs of the firmware, and what flash that leaves free."""

from __future__ import annotations

from tinymia.device.build import build
from tinymia.device.checkout import DEFAULT_ENV
from tinymia.device.chosen import Chosen
from tinymia.errors import BundleError
from tinymia.export.bundle import Bundle
from tinymia.export.depth import resolve
from tinymia.export.tflite_file import builtin_code, open_graph, schema

EVERYTHING = "everything"
"""An image for any bundle."""

NOTHING = "none"
"""An image for one bundle, which answers and does not train."""


def operators(tflite: bytes) -> frozenset[int]:
    """Numbers, in the .tflite schema, of a model's operators.

    Raises:
        ModelError: the file is damaged.
    """
    model, graph = open_graph(tflite)
    return frozenset(builtin_code(model, graph, o) for o in range(graph.OperatorsLength()))


def has_wide(tflite: bytes) -> bool:
    """Whether a model computes on int16 values anywhere.

    Raises:
        ModelError: the file is damaged.
    """
    model, graph = open_graph(tflite)
    tensors = [graph.Tensors(t) for t in range(graph.TensorsLength())]
    return any(
        t.Type() == schema().TensorType.INT16
        and not t.IsVariable()
        and model.Buffers(t.Buffer()).DataLength() == 0
        for t in tensors
    )


def wanted(bundle: Bundle, only: str | None) -> Chosen | None:
    """As :func:`needed`; None, everything, for :data:`EVERYTHING` or where nothing is said."""
    return None if only in (None, EVERYTHING) else needed(bundle, only)


def needed(bundle: Bundle, only: str) -> Chosen:
    """What an image for this bundle alone is built with.

    Args:
        bundle: that it will carry.
        only: how far it can train the bundle: a depth ("head", "last:2", "all", ...), or
            :data:`NOTHING`.

    Raises:
        BundleError: the bundle has nothing to train, cannot be trained from there, or needs what
            trains even to answer.
    """
    if only != NOTHING:
        first, _ = resolve(bundle, only)
        kinds = frozenset(int(record.kind) for record in bundle.layers.records[first:])
        return _chosen(bundle.model, kinds)
    if bundle.tail is not None:
        raise BundleError(
            "This bundle's last layer is a float one, which takes what trains it to answer, too.",
            "Give --only head, or make a complete model of it: `tinymia export --personalized`.",
        )
    return _chosen(bundle.model, frozenset())


def _chosen(tflite: bytes, kinds: frozenset[int]) -> Chosen:
    return Chosen(operators(tflite), kinds, has_wide(tflite))


def least(bundle: Bundle) -> str:
    """The smallest image that a bundle runs on, as :func:`needed` takes it."""
    return NOTHING if bundle.tail is None else "head"


def model_flash(tflite: bytes) -> int:
    """Bytes of code and constants of the default board's image for one model, without training.

    Raises:
        ModelError: the file is damaged.
        DeviceError: the image does not build.
    """
    return build(chosen=_chosen(tflite, frozenset())).flash_bytes


def flash_costs(bundle: Bundle, env: str = DEFAULT_ENV) -> list[tuple[str, int]]:
    """Bytes of code and constants of images that can carry a bundle, the largest first.

    Args:
        bundle: that they are for.
        env: environment of ``platformio.ini``.

    Returns:
        What each can do, and its bytes, without the bundle's own.

    Raises:
        DeviceError: one does not build.
    """
    name = bundle.meta.get("name", "this bundle")
    ways = [("all operators, all training", EVERYTHING)]
    if bundle.tail is None:
        ways.append((f"{name} alone", NOTHING))
    else:
        ways += [
            (f"{name} alone, training every layer", "all"),
            (f"{name} alone, training the head", "head"),
        ]
    return [(title, build(env, chosen=wanted(bundle, only)).flash_bytes) for title, only in ways]
