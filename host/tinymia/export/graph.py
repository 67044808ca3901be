"""What a .tflite file computes: its operators and tensors, for people and for cutting."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.export.tflite_file import builtin_code, open_graph, schema

ALIASES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
"""Operators that give the same bytes another shape."""


@dataclass(frozen=True, eq=False)
class TensorInfo:
    """One tensor.

    Attributes:
        number, name: in the file.
        shape: with the batch, as stored.
        open_shape: whether the file leaves a dimension open.
        type: its name in the schema, in lower case ("int8").
        scales, zero_points: of its quantisation; empty: it has none.
        axis: along which there is a scale each, where there are several.
        data: (bytes,) uint8, if it is a constant.
        variable: whether it keeps a state from one run to the next.
    """

    number: int
    name: str
    shape: tuple[int, ...]
    open_shape: bool
    type: str
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int
    data: NDArray[np.uint8] | None
    variable: bool

    def __str__(self) -> str:
        sides = "x".join(map(str, self.shape)) or "one number"
        # Converters write the whole path, and that of all that was fused.
        short = "/".join(self.name.split(";")[0].split("/")[-2:])
        name = f" {short!r}" if short else ""
        return f"tensor {self.number}{name} ({self.type}, {sides})"

    @property
    def elements(self) -> int:
        """How many values it holds."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """What it takes of memory; types of a device only."""
        return self.elements * {"int8": 1, "uint8": 1, "bool": 1, "int16": 2, "int64": 8}.get(
            self.type, 4
        )

    @property
    def quantization(self) -> tuple[float, int] | None:
        """(scale, zero point), where all values have the same."""
        if len(self.scales) != 1 or not self.scales[0] > 0:
            return None
        return float(self.scales[0]), int(self.zero_points[0]) if len(self.zero_points) else 0

    def values(self, dtype: Any) -> NDArray[Any] | None:
        """The constant's values in its shape; None: it is none, or of another size."""
        size = self.elements * np.dtype(dtype).itemsize
        if self.data is None or self.data.size != size:
            return None
        found: NDArray[Any] = self.data.view(dtype).reshape(self.shape)
        return found


@dataclass(frozen=True)
class OperatorInfo:
    """One operator.

    Attributes:
        number: its place in the file.
        name: its kind, as the schema calls it.
        inputs, outputs: numbers of tensors; -1: left out.
        macs: multiply-accumulates of one inference.
        activation: what is fused to it, as the schema calls it.
    """

    number: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    macs: int
    activation: str

    def __str__(self) -> str:
        return f"operator {self.number}, {self.name}"


@dataclass(frozen=True, eq=False)
class Graph:
    """A model's only graph.

    Attributes:
        tensors, operators: in the order of the file.
        inputs, outputs: numbers of tensors.
    """

    tensors: tuple[TensorInfo, ...]
    operators: tuple[OperatorInfo, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @functools.cached_property
    def _writers(self) -> dict[int, OperatorInfo]:
        return {t: op for op in reversed(self.operators) for t in op.outputs}

    def writer(self, tensor: int) -> OperatorInfo | None:
        """The operator that computes a tensor; None: an input or a constant."""
        return self._writers.get(tensor)

    def readers(self, tensor: int) -> list[OperatorInfo]:
        """The operators that read a tensor."""
        return [op for op in self.operators if tensor in op.inputs]

    def describe(self, operator: OperatorInfo) -> str:
        """Operator and first output, for messages."""
        if not operator.outputs:
            return str(operator)
        return f"{operator}, which gives {self.tensors[operator.outputs[0]]}"

    def parameters(self, operator: OperatorInfo) -> int:
        """Bytes of the constants that an operator reads."""
        read = {t for t in operator.inputs if t >= 0}
        return sum(d.size for t in read if (d := self.tensors[t].data) is not None)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(op.macs for op in self.operators)


def read_graph(tflite: bytes) -> Graph:
    """Read a .tflite file; raises ModelError where it is none or damaged."""
    model, graph = open_graph(tflite)
    kinds = {v: k.lower() for k, v in vars(schema().TensorType).items() if k.isupper()}
    names = {v: k for k, v in vars(schema().BuiltinOperator).items() if k.isupper()}
    tensors = tuple(_tensor(model, graph, t, kinds) for t in range(graph.TensorsLength()))
    operators = tuple(
        _operator(model, graph, o, names, tensors) for o in range(graph.OperatorsLength())
    )
    return Graph(
        tensors,
        operators,
        tuple(int(graph.Inputs(i)) for i in range(graph.InputsLength())),
        tuple(int(graph.Outputs(i)) for i in range(graph.OutputsLength())),
    )


def _tensor(model: Any, graph: Any, number: int, kinds: dict[int, str]) -> TensorInfo:
    table = graph.Tensors(number)
    data = model.Buffers(table.Buffer()).DataAsNumpy()
    q = table.Quantization()
    signature = stored_array(table.ShapeSignatureAsNumpy())
    return TensorInfo(
        number=number,
        name=(table.Name() or b"").decode("utf-8", "replace"),
        shape=tuple(int(n) for n in stored_array(table.ShapeAsNumpy())),
        open_shape=bool((signature < 0).any()),
        type=kinds.get(table.Type(), f"type {table.Type()}"),
        scales=stored_array(q.ScaleAsNumpy() if q else 0).astype(np.float32),
        zero_points=stored_array(q.ZeroPointAsNumpy() if q else 0).astype(np.int64),
        axis=int(q.QuantizedDimension()) if q else 0,
        data=data if isinstance(data, np.ndarray) and data.size else None,
        variable=bool(table.IsVariable()),
    )


def _operator(
    model: Any, graph: Any, number: int, names: dict[int, str], tensors: tuple[TensorInfo, ...]
) -> OperatorInfo:
    table = graph.Operators(number)
    code = builtin_code(model, graph, number)
    name = names.get(code, f"operator code {code}")
    if name == "CUSTOM":
        custom = model.OperatorCodes(table.OpcodeIndex()).CustomCode() or b""
        name = f"CUSTOM {custom.decode('utf-8', 'replace')}".strip()
    inputs = tuple(int(table.Inputs(i)) for i in range(table.InputsLength()))
    outputs = tuple(int(table.Outputs(i)) for i in range(table.OutputsLength()))
    return OperatorInfo(
        number, name, inputs, outputs, _macs(name, inputs, outputs, tensors), _activation(table)
    )


def _activation(table: Any) -> str:
    """What is fused to an operator; "NONE" where its kind can have nothing."""
    reader = schema()
    kinds = {v: k for k, v in vars(reader.BuiltinOptions).items() if not k.startswith("_")}
    kind = getattr(reader, str(kinds.get(table.BuiltinOptionsType())), None)
    options = table.BuiltinOptions()
    if kind is None or options is None or not hasattr(kind, "FusedActivationFunction"):
        return "NONE"
    read = kind()
    read.Init(options.Bytes, options.Pos)
    names = {v: k for k, v in vars(reader.ActivationFunctionType).items() if k.isupper()}
    return str(names.get(read.FusedActivationFunction(), "another"))


def _macs(
    name: str,
    inputs: tuple[int, ...],
    outputs: tuple[int, ...],
    tensors: tuple[TensorInfo, ...],
) -> int:
    if len(inputs) < 2 or inputs[1] < 0 or not outputs:
        return 0
    source, weights, out = tensors[inputs[0]], tensors[inputs[1]].shape, tensors[outputs[0]]
    count = 0
    if name in ("CONV_2D", "FULLY_CONNECTED"):
        count = out.elements * prod(weights[1:])
    elif name == "DEPTHWISE_CONV_2D":
        count = out.elements * prod(weights[1:3])
    elif name == "TRANSPOSE_CONV" and len(inputs) > 2:
        count = tensors[inputs[2]].elements * prod(weights[:3])
    elif name == "BATCH_MATMUL" and source.shape:
        count = out.elements * source.shape[-1]
    elif name in ("SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM") and source.shape:
        matrices = {t for t in inputs if t >= 0 and len(tensors[t].shape) == 2}
        size = sum(tensors[t].elements for t in matrices if tensors[t].data is not None)
        count = source.elements // source.shape[-1] * size
    return count


def sentence(text: str) -> str:
    """The text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]


def stored_array(values: Any) -> NDArray[Any]:
    """The reader gives 0 instead of an array for a field that is not stored."""
    return values if isinstance(values, np.ndarray) else np.zeros(0, np.int64)
