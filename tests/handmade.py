"""Builds .tflite files by hand: operators the converter does not emit, and nonsense."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinymia.export.tflite_file import schema as schema_of_tflite

FLOAT32, INT32, UINT8, INT64, INT16, INT8 = 0, 2, 3, 4, 7, 9

ADD, AVERAGE_POOL_2D, CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED = 0, 1, 3, 4, 9
MAX_POOL_2D, RELU, RELU6, RESHAPE, SOFTMAX, PAD, MEAN = 17, 19, 21, 22, 25, 34, 40
SQUEEZE, PADV2, EXPAND_DIMS = 43, 60, 70
CONCATENATION, DEQUANTIZE, LOGISTIC, MUL, TANH, GATHER = 2, 6, 14, 18, 28, 36
RESIZE_BILINEAR, TRANSPOSE, SUB, STRIDED_SLICE, SPLIT, PRELU = 23, 39, 41, 45, 49, 54
MAXIMUM, MINIMUM, SLICE, TRANSPOSE_CONV, SHAPE, REDUCE_MAX = 55, 57, 65, 67, 77, 82
PACK, UNPACK, RESIZE_NEAREST_NEIGHBOR, LEAKY_RELU, SPLIT_V = 83, 88, 97, 98, 102
QUANTIZE, HARD_SWISH, BATCH_MATMUL, UNIDIRECTIONAL_SEQUENCE_LSTM = 114, 117, 126, 44
SVDF, SUM, REDUCE_MIN, MIRROR_PAD = 27, 74, 89, 100

DEPTH_TO_SPACE, SPACE_TO_DEPTH, BATCH_TO_SPACE_ND, SPACE_TO_BATCH_ND = 5, 26, 37, 38
CALL_ONCE, VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE, RESOURCE = 129, 142, 143, 144, 13

_KINDS = {
    INT32: np.int32,
    INT8: np.int8,
    INT16: np.int16,
    FLOAT32: np.float32,
    INT64: np.int64,
}


@dataclass
class Tensor:
    """`scale` may be one number or one a channel; `data` makes it constant."""

    shape: Sequence[int]
    type: int = INT8
    scale: float | Sequence[float] | None = 0.1
    zero_point: int = 0
    data: Any = None
    axis: int = 0
    variable: bool = False


@dataclass
class Op:
    """`options` is a table's name in the schema without "Options", and its fields."""

    code: int
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: str = ""
    fields: dict[str, Any] = field(default_factory=dict)


def build(
    tensors: Sequence[Tensor],
    ops: Sequence[Op],
    inputs: Sequence[int] = (0,),
    outputs: Sequence[int] | None = None,
    once: tuple[Sequence[Tensor], Sequence[Op]] = ((), ()),
    *,
    old: bool = False,
) -> bytes:
    """The file; the last tensor is the output unless `outputs` says otherwise.

    `once` are tensors and operators of a second graph, for CALL_ONCE.
    `old`: as TensorFlow before 2.4 wrote it, with the operator codes of one byte alone.
    """
    import flatbuffers

    schema = schema_of_tflite()
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    codes = sorted({op.code for op in (*ops, *once[1])})
    model.operatorCodes = []
    for code in codes:
        entry = schema.OperatorCodeT()
        entry.builtinCode = 0 if old else code
        entry.deprecatedBuiltinCode = min(code, 127)
        entry.version = 1
        model.operatorCodes.append(entry)
    model.subgraphs = [_graph(schema, model, tensors, ops, codes)]
    model.subgraphs[0].inputs = list(inputs)
    model.subgraphs[0].outputs = list(outputs) if outputs is not None else [len(tensors) - 1]
    if once[1]:
        model.subgraphs.append(_graph(schema, model, *once, codes))
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _graph(
    schema: Any, model: Any, tensors: Sequence[Tensor], ops: Sequence[Op], codes: list[int]
) -> Any:
    graph = schema.SubGraphT()
    graph.tensors = []
    for tensor in tensors:
        out = schema.TensorT()
        out.shape = list(tensor.shape)
        out.type = tensor.type
        if tensor.scale is not None:
            scales = np.atleast_1d(np.asarray(tensor.scale, np.float32))
            out.quantization = schema.QuantizationParametersT()
            out.quantization.scale = scales
            out.quantization.zeroPoint = [tensor.zero_point] * len(scales)
            out.quantization.quantizedDimension = tensor.axis
        out.isVariable = tensor.variable
        if tensor.data is not None:
            buffer = schema.BufferT()
            raw = np.asarray(tensor.data, _KINDS[tensor.type]).tobytes()
            buffer.data = np.frombuffer(raw, np.uint8)
            out.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(out)
    graph.operators = []
    for op in ops:
        entry = schema.OperatorT()
        entry.opcodeIndex = codes.index(op.code)
        entry.inputs = list(op.inputs)
        entry.outputs = list(op.outputs)
        if op.options:
            name = f"{op.options}Options"
            entry.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            entry.builtinOptions = getattr(schema, f"{name}T")()
            for key, value in op.fields.items():
                assert hasattr(entry.builtinOptions, key), key
                setattr(entry.builtinOptions, key, value)
        graph.operators.append(entry)
    return graph
