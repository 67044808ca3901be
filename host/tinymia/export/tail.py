"""Where a .tflite file's trainable tail lies: its last dense layer, and what surrounds the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import ModelError
from tinymia.export.bundle import Tail
from tinymia.export.graph import ALIASES, Graph, OperatorInfo, TensorInfo, sentence
from tinymia.export.layers import MAX_CLASSES, MAX_DIM

_ANSWERS = ("SOFTMAX", "LOG_SOFTMAX", "LOGISTIC")
_ENDS = ("QUANTIZE", "DEQUANTIZE")
_BEHIND = (*_ANSWERS, *_ENDS, *ALIASES)
_FULL_INTEGER = (
    "Convert with full-integer quantisation (a representative data set, TFLITE_BUILTINS_INT8, int8"
    " input and output), or import the Keras model with --representative."
)
_ONE_EXAMPLE = "Convert with a batch of 1: fix the input's shape before you convert."
_LEAVE_ON = "Leave out --keep-ends: the conversion at the end is cut off and its scale kept."


@dataclass(frozen=True, eq=False)
class Found:
    """A model taken apart.

    Attributes:
        source: the int8 tensor that a device is given.
        embedding: the int8 tensor that the tail reads.
        operator: the dense layer.
        tail: its weights in float32.
        logits: the tensor that it gives.
        answers: what follows it: "SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", or "" for bare logits.
        ends: conversions at the ends that are cut off.
    """

    source: TensorInfo
    embedding: TensorInfo
    operator: OperatorInfo
    tail: Tail
    logits: TensorInfo
    answers: str
    ends: tuple[OperatorInfo, ...]


def find_tail(graph: Graph, *, cut_ends: bool = True) -> Found:
    """Take a model apart at its last dense layer.

    Args:
        graph: of the whole file.
        cut_ends: cut QUANTIZE and DEQUANTIZE at the model's ends off.

    Raises:
        ModelError: it has several inputs or outputs, a batch, no dense layer at its end, or float
            numbers inside; names operator and tensor.
    """
    source, first = _source(graph, cut_ends)
    operator, behind = _dense_operator(graph, cut_ends)
    answers = next((op.name for op in reversed(behind) if op.name in _ANSWERS), "")
    embedding, weights, bias = _parameters(graph, operator)
    logits = graph.tensors[operator.outputs[0]]
    if logits.elements != len(weights):
        times = logits.elements // len(weights)
        raise ModelError(
            f"{_begin(graph, operator)} answers {times} times an example.",
            "A tail answers once: convert with a batch of 1 and pool over time or place before it.",
        )
    if len(weights) > MAX_CLASSES or weights.shape[1] > MAX_DIM:
        raise ModelError(
            f"{_begin(graph, operator)} makes {len(weights)} numbers of {weights.shape[1]}.",
            f"A device trains a last layer to at most {MAX_CLASSES} classes, from at most {MAX_DIM}"
            " numbers: pool before it, or train one to fewer classes.",
        )
    if len(weights) == 1:
        if answers != "LOGISTIC":
            raise ModelError(
                f"{_begin(graph, operator)} gives a single number, so this is no classifier.",
                "Train it with two classes or more, or one output with a sigmoid behind it.",
            )
        # A sigmoid is the softmax of that number and zero.
        weights = np.concatenate([np.zeros_like(weights), weights])
        bias = np.concatenate([np.zeros_like(bias), bias])
    elif answers == "LOGISTIC":
        last = next(op for op in behind if op.name == "LOGISTIC")
        raise ModelError(
            f"{_begin(graph, last)} answers about each of {len(weights)} classes by itself.",
            "A tail says which one class it is: train the model with a softmax.",
        )
    ends = (*([first] if first else []), *(op for op in behind if op.name in _ENDS))
    return Found(source, embedding, operator, Tail(weights, bias), logits, answers, ends)


def without_ends(graph: Graph) -> tuple[int, int]:
    """The int8 tensors behind and before conversions at the ends; the ends where there are none.

    Raises:
        ModelError: there are several inputs or outputs, a batch, or the input is not int8 at all.
    """
    source, _ = _source(graph, True)
    target = _one(graph, graph.outputs, "output").number
    last = graph.writer(target)
    if last is not None and last.name in _ENDS:
        target = last.inputs[0]
    return source.number, target


def _begin(graph: Graph, operator: OperatorInfo) -> str:
    return sentence(graph.describe(operator)) + ","


def _one(graph: Graph, numbers: tuple[int, ...], what: str) -> TensorInfo:
    if len(numbers) != 1:
        listed = "; ".join(str(graph.tensors[t]) for t in numbers) or "none"
        raise ModelError(
            f"The model has {len(numbers)} {what}s: {listed}.",
            f"Convert a model of one {what}: a function that takes and gives one tensor.",
        )
    return graph.tensors[numbers[0]]


def _source(graph: Graph, cut_ends: bool) -> tuple[TensorInfo, OperatorInfo | None]:
    given = _one(graph, graph.inputs, "input")
    if len(given.shape) > 1 and given.shape[0] != 1:
        raise ModelError(
            f"The model takes {given.shape[0]} examples at once: its input is {given}.",
            _ONE_EXAMPLE,
        )
    if given.type == "int8":
        return given, None
    readers = graph.readers(given.number)
    inside = [graph.tensors[t] for op in readers for t in op.outputs]
    quantizes = [op.name for op in readers] == ["QUANTIZE"] and inside[0].type == "int8"
    if not quantizes or given.type not in ("float32", "uint8"):
        raise ModelError(f"The model's input is {given}, not int8.", _FULL_INTEGER)
    if given.type == "uint8" and not _shifted(given, inside[0]):
        raise ModelError(
            f"{_begin(graph, readers[0])} changes the scale of the model's input, {given}.",
            "Convert with int8 input.",
        )
    if not cut_ends:
        raise ModelError(f"The model's input is {given}, which {readers[0]} makes int8.", _LEAVE_ON)
    return inside[0], readers[0]


def _shifted(given: TensorInfo, inside: TensorInfo) -> bool:
    """Whether uint8 and int8 stand for the same numbers."""
    a, b = given.quantization, inside.quantization
    return a is not None and b is not None and a[0] == b[0] and a[1] - b[1] == 128


def _dense_operator(graph: Graph, cut_ends: bool) -> tuple[OperatorInfo, list[OperatorInfo]]:
    """The last dense layer, and what lies behind it, the last one first."""
    at, behind = _one(graph, graph.outputs, "output").number, []
    while (op := graph.writer(at)) is not None and op.name in _BEHIND:
        if op.name in _ENDS and not cut_ends:
            raise ModelError(f"{_begin(graph, op)} lies at the model's end.", _LEAVE_ON)
        behind.append(op)
        at = op.inputs[0]
    if op is None:
        raise ModelError(
            f"The model has no layer with weights before {graph.tensors[graph.outputs[0]]}.",
            "Give a classifier that ends in a dense layer.",
        )
    if not _is_dense(graph, op):
        raise ModelError(
            f"The model does not end in a dense layer: its last one is {graph.describe(op)}.",
            "What is trained on the device is a dense layer: convert the model with one before its"
            " softmax.",
        )
    if op.activation != "NONE":
        raise ModelError(
            f"{_begin(graph, op)} has {op.activation} fused to it, so it gives no logits.",
            "End the model in a dense layer without activation, or in a softmax.",
        )
    return op, behind


def _is_dense(graph: Graph, op: OperatorInfo) -> bool:
    """A FULLY_CONNECTED, or a convolution with one weight a channel over a single place."""
    if op.name == "FULLY_CONNECTED":
        return True
    if op.name != "CONV_2D":
        return False
    weights = graph.tensors[op.inputs[1]].shape
    places = graph.tensors[op.inputs[0]].shape
    return weights[1:3] == (1, 1) and places[1:3] == (1, 1) and weights[3] == places[3]


def _parameters(
    graph: Graph, op: OperatorInfo
) -> tuple[TensorInfo, NDArray[np.float32], NDArray[np.float32]]:
    """Embedding, weights (classes, dim) and bias (classes,) of a dense layer."""
    source, matrix = graph.tensors[op.inputs[0]], graph.tensors[op.inputs[1]]
    for tensor in (source, matrix, graph.tensors[op.outputs[0]]):
        if tensor.type != "int8":
            raise ModelError(f"{_begin(graph, op)} is not full-integer: {tensor}.", _FULL_INTEGER)
    quantization, codes = source.quantization, matrix.values(np.int8)
    if quantization is None or codes is None or not _spread(matrix):
        bad = source if quantization is None else matrix
        raise ModelError(
            f"{_begin(graph, op)} reads {bad}, which is not quantised as it should be."
            if quantization is None or codes is not None
            else f"{_begin(graph, op)} reads {matrix}, which is no constant.",
            _FULL_INTEGER,
        )
    rows = codes.reshape(len(codes), -1).astype(np.float64)
    if source.elements != rows.shape[1]:
        raise ModelError(
            f"{_begin(graph, op)} reads {source}, {source.elements // rows.shape[1]} rows of"
            f" {rows.shape[1]} numbers.",
            _ONE_EXAMPLE,
        )
    scales = matrix.scales.astype(np.float64)[:, None]
    zeros = matrix.zero_points[:, None] if len(matrix.zero_points) else np.zeros((1, 1))
    weights = (rows - zeros) * scales
    bias = np.zeros(len(rows))
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        table = graph.tensors[op.inputs[2]]
        numbers = table.values("<i4") if table.type == "int32" else None
        if numbers is None or numbers.size != len(rows):
            raise ModelError(f"{_begin(graph, op)} has no int32 bias: {table}.", _FULL_INTEGER)
        # TensorFlow Lite's kernels take this scale, whatever the file says of the bias.
        bias = numbers.ravel() * quantization[0] * np.broadcast_to(scales.ravel(), len(rows))
    return source, weights.astype(np.float32), bias.astype(np.float32)


def _spread(matrix: TensorInfo) -> bool:
    """Whether there is one scale, or one a row."""
    counts: tuple[Any, ...] = (1, matrix.shape[0])
    right = len(matrix.scales) in counts and len(matrix.zero_points) in (0, *counts)
    return (
        right and bool((matrix.scales > 0).all()) and (len(matrix.scales) == 1 or not matrix.axis)
    )
