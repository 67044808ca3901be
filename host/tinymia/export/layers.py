"""The float network of a bundle: what a device trains, from any layer on.

A record is ``layer.h`` of the core: activations are (height, width, channels); input number 0 is
the network's input, number i the output of layer i - 1. Weights are dense (out, in), convolution
(out, kernel_h, kernel_w, in), depthwise (kernel_h, kernel_w, out), as in TFLite.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import BundleError

RECORD = struct.Struct("<4B14H4I")
HEADER = struct.Struct("<IIII")
NO_CUT = 0xFFFF
WHOLE_MODEL = 0xFFFE
"""Cut of a layer that reads the model's output."""
MAX_LAYERS = 64
MAX_VALUES = 1 << 24
MAX_CLASSES = 256
MAX_DIM = 4096

_REBUILD = "Copy the file again, or export it again with this version of tinymia."


class LayerKind(IntEnum):
    """What a layer computes."""

    DENSE = 1
    CONV = 2
    DEPTHWISE = 3
    AVERAGE_POOL = 4
    MAX_POOL = 5
    ADD = 6


class Activation(IntEnum):
    """What follows the layer."""

    NONE = 0
    RELU = 1
    RELU6 = 2


@dataclass(frozen=True)
class Layer:
    """One record; the fields are those of ``layer.h``."""

    kind: LayerKind
    activation: Activation
    input: int
    other: int
    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    out_c: int
    kernel_h: int = 0
    kernel_w: int = 0
    stride_h: int = 0
    stride_w: int = 0
    pad_top: int = 0
    pad_left: int = 0
    cut: int = NO_CUT
    weights: int = 0
    weight_count: int = 0
    bias_count: int = 0

    @property
    def inputs(self) -> int:
        """Numbers that it reads."""
        return self.in_h * self.in_w * self.in_c

    @property
    def outputs(self) -> int:
        """Numbers that it gives."""
        return self.out_h * self.out_w * self.out_c

    @property
    def parametric(self) -> bool:
        """Whether it has weights."""
        return self.weight_count > 0

    def pack(self) -> bytes:
        """The record's 48 bytes."""
        return RECORD.pack(
            *(self.kind, self.activation, self.input, self.other),
            *(self.in_h, self.in_w, self.in_c, self.out_h, self.out_w, self.out_c),
            *(self.kernel_h, self.kernel_w, self.stride_h, self.stride_w),
            *(self.pad_top, self.pad_left, self.cut, 0),
            *(self.weights, self.weight_count, self.bias_count, 0),
        )

    @classmethod
    def unpack(cls, data: bytes) -> Layer:
        """Read a record; raises BundleError for an unknown kind."""
        values = RECORD.unpack(data)
        try:
            kind, activation = LayerKind(values[0]), Activation(values[1])
        except ValueError as error:
            raise BundleError(f"The bundle has an unknown layer ({error}).", _REBUILD) from None
        if values[17] or values[21]:
            raise BundleError("A layer's record in the bundle is damaged.", _REBUILD)
        return cls(kind, activation, *values[2:17], *values[18:21])


def _words(kind: LayerKind) -> str:
    return kind.name.lower().replace("_", " ")


def _fault(r: Layer) -> str | None:
    """What is wrong with a record by itself."""
    if not (1 <= r.inputs <= MAX_VALUES and 1 <= r.outputs <= MAX_VALUES):
        return "it is empty or too large"
    same = (r.in_h, r.in_w, r.in_c) == (r.out_h, r.out_w, r.out_c)
    taps = r.kernel_h * r.kernel_w * r.out_c
    fits, weights = {
        LayerKind.DENSE: ((r.out_h, r.out_w) == (1, 1), r.inputs * r.out_c),
        LayerKind.CONV: (_windows_touch(r), taps * r.in_c),
        LayerKind.DEPTHWISE: (_windows_touch(r) and r.out_c % r.in_c == 0, taps),
        LayerKind.AVERAGE_POOL: (_windows_touch(r) and r.in_c == r.out_c, 0),
        LayerKind.MAX_POOL: (_windows_touch(r) and r.in_c == r.out_c, 0),
        LayerKind.ADD: (same, 0),
    }[r.kind]
    if not fits or (r.other and r.kind is not LayerKind.ADD):
        return f"its sizes are not those of a {_words(r.kind)} layer"
    if (r.weight_count, r.bias_count) != (weights, r.out_c if weights else 0):
        return "it has another number of parameters than its sizes say"
    return None


def _windows_touch(r: Layer) -> bool:
    """Whether every output's window reads some of the input."""
    sides = (
        (r.in_h, r.out_h, r.kernel_h, r.stride_h, r.pad_top),
        (r.in_w, r.out_w, r.kernel_w, r.stride_w, r.pad_left),
    )
    return all(
        min(kernel, stride) > 0 and pad < kernel and (outputs - 1) * stride < inputs + pad
        for inputs, outputs, kernel, stride, pad in sides
    )


def _one_tensor_before(records: Sequence[Layer], first: int) -> bool:
    """Whether a layer's input is all that it and those behind it read of what lies before."""
    return all(
        n > first or n == records[first].input
        for r in records[first:]
        for n in ((r.input, r.other) if r.kind is LayerKind.ADD else (r.input,))
    )


@dataclass(frozen=True)
class Layers:
    """A float network, from some tensor of the int8 model to the logits.

    Attributes:
        records: the layers, in order of computation; the last one is dense, without activation.
        parameters: (parameters,) float32: each layer's weights, then its bias.
    """

    records: tuple[Layer, ...]
    parameters: NDArray[np.float32]

    def __post_init__(self) -> None:
        values = np.ascontiguousarray(self.parameters, dtype=np.float32)
        if not np.isfinite(values).all():
            raise BundleError("The float layers hold NaN or infinite values.", "Train them again.")
        object.__setattr__(self, "parameters", values)

    def __len__(self) -> int:
        return len(self.records)

    def to_bytes(self) -> bytes:
        """The body of a ``LAYR`` section."""
        head = HEADER.pack(len(self.records), len(self.parameters), 0, 0)
        records = b"".join(record.pack() for record in self.records)
        return head + records + self.parameters.astype("<f4").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Layers:
        """Read a ``LAYR`` section's body; raises BundleError if it is damaged."""
        if len(data) < HEADER.size:
            raise BundleError("The bundle's LAYR section is too short.", _REBUILD)
        count, parameters, *rest = HEADER.unpack_from(data)
        size = HEADER.size + RECORD.size * count + 4 * parameters
        if any(rest) or not 1 <= count <= MAX_LAYERS or len(data) != size:
            raise BundleError(
                f"The bundle's LAYR section is {len(data)} bytes, which does not fit {count} layers"
                f" and {parameters} parameters.",
                _REBUILD,
            )
        at = [HEADER.size + RECORD.size * i for i in range(count)]
        records = tuple(Layer.unpack(data[a : a + RECORD.size]) for a in at)
        values = np.frombuffer(data, "<f4", offset=HEADER.size + RECORD.size * count)
        layers = cls(records, values.astype(np.float32))
        layers.check()
        return layers

    def check(self) -> None:
        """Raise BundleError unless a device takes these layers: the rules are the firmware's."""
        if not 1 <= len(self.records) <= MAX_LAYERS:
            raise BundleError(f"A bundle holds 1 to {MAX_LAYERS} layers, not {len(self.records)}.")
        sizes, left, cut = [self.records[0].inputs], len(self.parameters), 0
        for i, r in enumerate(self.records):
            inputs = (r.input, r.other) if r.kind is LayerKind.ADD else (r.input,)
            fault = _fault(r)
            left -= r.weight_count + r.bias_count
            if any(n > i or sizes[n] != r.inputs for n in inputs):
                fault = "it does not fit the layers that it reads"
            elif left < 0 or r.weights + r.weight_count + r.bias_count > len(self.parameters):
                fault = "its parameters are not there"
            elif r.cut != NO_CUT and (r.cut < cut or not _one_tensor_before(self.records, i)):
                fault = "training cannot start there"
            if fault:
                raise BundleError(f"Layer {i} of the bundle is wrong: {fault}.", _REBUILD)
            cut = cut if r.cut == NO_CUT else r.cut
            sizes.append(r.outputs)
        last = self.records[-1]
        if last.kind is not LayerKind.DENSE or last.activation or last.cut == NO_CUT:
            raise BundleError("The bundle's last layer is no dense layer to logits.", _REBUILD)
        if not 2 <= last.out_c <= MAX_CLASSES or last.inputs > MAX_DIM:
            raise BundleError(
                f"A last layer of {last.inputs} numbers to {last.out_c} classes is not possible.",
                f"Give 2 to {MAX_CLASSES} classes and an embedding of at most {MAX_DIM} numbers.",
            )

    def weights(self, layer: int) -> NDArray[np.float32]:
        """A layer's weights, flat, as a view."""
        r = self.records[layer]
        return self.parameters[r.weights : r.weights + r.weight_count]

    def bias(self, layer: int) -> NDArray[np.float32]:
        """A layer's bias, as a view."""
        r = self.records[layer]
        return self.parameters[r.weights + r.weight_count :][: r.bias_count]

    def boundaries(self) -> list[int]:
        """Layers at which training can start: a single tensor lies before them."""
        return [i for i, r in enumerate(self.records) if r.cut != NO_CUT]

    def describe(self, layer: int) -> str:
        """One line for people."""
        r = self.records[layer]
        shape = f"{r.in_h}x{r.in_w}x{r.in_c} -> {r.out_h}x{r.out_w}x{r.out_c}"
        if r.kind is LayerKind.DENSE:
            shape = f"{r.inputs} -> {r.outputs}"
        count = r.weight_count + r.bias_count
        numbers = f", {count:,} parameters" if count else ""
        return f"{layer}: {_words(r.kind)}, {shape}{numbers}"

    def trained_slices(self, first: int, biases_only: bool) -> list[slice]:
        """Where in :attr:`parameters` what is trained lies, in the core's order."""
        out = []
        for r in self.records[first:]:
            if r.parametric:
                start = r.weights + (r.weight_count if biases_only else 0)
                out.append(slice(start, r.weights + r.weight_count + r.bias_count))
        return out

    def with_trained(self, theta: NDArray[np.float32], first: int, biases_only: bool) -> Layers:
        """The layers with what a device has trained from ``first`` on: ``theta`` (trained,).

        Raises:
            BundleError: the number of trained parameters is another.
        """
        slices = self.trained_slices(first, biases_only)
        sizes = [s.stop - s.start for s in slices]
        if sum(sizes) != len(theta):
            raise BundleError(
                f"{len(theta)} trained parameters do not fit the bundle's {sum(sizes)}.",
                "Use the bundle that the device ran.",
            )
        values = self.parameters.copy()
        for part, size, start in zip(
            slices, sizes, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True
        ):
            values[part] = theta[start : start + size]
        return replace(self, parameters=values)


def with_cuts(records: Sequence[Layer], operators: Sequence[int]) -> tuple[Layer, ...]:
    """The records with ``cut`` set where training can start.

    Args:
        records: layers without cuts.
        operators: for each, how many operators of the model compute its input.
    """
    out, last = [], 0
    for i, record in enumerate(records):
        can = operators[i] >= last and _one_tensor_before(records, i)
        last = operators[i] if can else last
        out.append(replace(record, cut=operators[i] if can else NO_CUT))
    return tuple(out)


def dense(weights: NDArray[np.float32], bias: NDArray[np.float32]) -> Layers:
    """A network of one dense layer behind the whole model: weights (classes, dim), bias."""
    classes, dim = weights.shape
    record = Layer(
        *(LayerKind.DENSE, Activation.NONE, 0, 0, 1, 1, dim, 1, 1, classes),
        cut=WHOLE_MODEL,
        weight_count=classes * dim,
        bias_count=classes,
    )
    return Layers((record,), np.concatenate([weights.ravel(), bias]))


def join(front: Layers | None, head: Layers) -> Layers:
    """``front`` with a dense layer behind it; ``head`` alone if there is no front."""
    if front is None:
        return head
    offset = len(front.parameters)
    last = replace(head.records[0], input=len(front.records), weights=offset)
    return Layers((*front.records, last), np.concatenate([front.parameters, head.parameters]))


def last_layers(layers: Layers, first: int) -> Layers:
    """The network from a place on at which training can start, as one of its own.

    Raises:
        BundleError: training cannot start there.
    """
    if layers.records[first].cut == NO_CUT:
        raise BundleError(f"Training cannot start at layer {first}.", "Take an earlier one.")
    kept = layers.records[first:]
    start = next((r.weights for r in kept if r.parametric), len(layers.parameters))

    def moved(r: Layer) -> Layer:
        # All that is read of what lies before is the first layer's input, which becomes number 0.
        return replace(
            r,
            input=max(r.input - first, 0),
            other=max(r.other - first, 0),
            weights=r.weights - start if r.parametric else 0,
        )

    return Layers(tuple(map(moved, kept)), layers.parameters[start:])


def resolve(layers: Layers, depth: str) -> tuple[int, bool]:
    """What "head", "last:K", "biases", "biases:K" or "all" means.

    Returns:
        The first trained layer, and whether biases alone are trained.

    Raises:
        BundleError: the network cannot be trained from there; says from where it can.
    """
    wanted, _, biases_only = _layers_of(layers, depth)
    return [i for i, r in enumerate(layers.records) if r.parametric][-wanted], biases_only


def canonical(layers: Layers, depth: str) -> str:
    """The one name, of those that :func:`resolve` takes, of what is trained: "all" for "last:4" in
    a network of four layers with weights.

    Raises:
        BundleError: see :func:`resolve`.
    """
    wanted, count, biases_only = _layers_of(layers, depth)
    if biases_only:
        return "biases" if wanted == count else f"biases:{wanted}"
    if wanted == 1:
        return "head"
    return "all" if wanted == count else f"last:{wanted}"


def _layers_of(layers: Layers, depth: str) -> tuple[int, int, bool]:
    """How many layers with weights, of how many, a depth stands for; whether biases alone."""
    match = re.fullmatch(r"(head|all|last|biases)(?::([1-9][0-9]{0,3}))?", depth)
    if match is None or (match[1] in ("head", "all") and match[2]):
        raise BundleError(
            f"{depth[:40]!r} does not say what to train.",
            "Give head, last:K (the last K layers), biases, biases:K or all.",
        )
    parametric = [i for i, r in enumerate(layers.records) if r.parametric]
    count = len(parametric)
    wanted = int(match[2]) if match[2] else {"head": 1, "last": 1}.get(match[1], count)
    possible = [k for k in range(1, count + 1) if layers.records[parametric[-k]].cut != NO_CUT]
    if wanted not in possible:
        raise BundleError(
            f"This network cannot be trained from its last {wanted} layers on; it has {count} with"
            " weights.",
            f"K can be {', '.join(map(str, possible))}: there a single tensor lies before.",
        )
    return wanted, count, match[1] == "biases"
