"""From an int8 backbone back to float layers, so that a device can train them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.export.layers import Activation, Layer, LayerKind, Layers, with_cuts
from tinymia.export.tflite_file import builtin_code, open_graph, schema

U16 = 0xFFFF


@dataclass(frozen=True)
class Source:
    """Where a layer's parameters lie in the .tflite.

    Attributes:
        operator: its operator.
        weights, bias: views into the file's bytes, int8 and int32; writable if the bytes are.
        weight_scale: (weights,) float64, one a weight.
        bias_scale: (bias,) float64.
    """

    operator: int
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    weight_scale: NDArray[np.float64]
    bias_scale: NDArray[np.float64]


class _Reader:
    """Walks the operators; starts anew behind one that cannot be trained."""

    def __init__(self, tflite: bytes | bytearray) -> None:
        self.model, self.graph = open_graph(tflite)
        self.reader = schema()
        self._restart(int(self.graph.Inputs(0)), 0)

    def _restart(self, tensor: int, operators: int) -> None:
        self.numbers = {tensor: 0}  # tensor -> input number
        self.ready = {tensor: operators}  # tensor -> operators that compute it
        self.layers: list[Layer] = []
        self.operators: list[int] = []
        self.values: list[NDArray[np.float32]] = []
        self.sources: list[Source | None] = []

    def read(self) -> Layers | None:
        for o in range(self.graph.OperatorsLength()):
            operator = self.graph.Operators(o)
            out = int(operator.Outputs(0))
            if not self._take(o, operator, out):
                self._restart(out, o + 1)
        if not self.layers or self.numbers.get(int(self.graph.Outputs(0))) != len(self.layers):
            return None
        values = np.concatenate([np.zeros(0, np.float32), *self.values])
        return Layers(with_cuts(self.layers, self.operators), values)

    def _take(self, o: int, operator: Any, out: int) -> bool:
        """Adds a layer; False when the core has none like this operator."""
        builtin = self.reader.BuiltinOperator
        code = builtin_code(self.model, self.graph, o)
        source = int(operator.Inputs(0))
        if source not in self.numbers:
            return False
        if code in (builtin.RESHAPE, builtin.SQUEEZE, builtin.EXPAND_DIMS):
            self.numbers[out], self.ready[out] = self.numbers[source], o + 1
            return True
        kinds = {
            builtin.FULLY_CONNECTED: self._dense,
            builtin.CONV_2D: self._conv,
            builtin.DEPTHWISE_CONV_2D: self._depthwise,
            builtin.AVERAGE_POOL_2D: self._pool,
            builtin.MAX_POOL_2D: self._pool,
            builtin.MEAN: self._mean,
            builtin.ADD: self._add,
        }
        if code not in kinds or len(self.layers) >= 63:
            return False
        shape_in, shape_out = self._shape(source), self._shape(out)
        if shape_in is None or shape_out is None:
            return False
        fields = kinds[code](operator, code, shape_in, shape_out)
        if fields is None:
            return False
        parameters = self._parameters(o, operator) if fields.pop("parametric") else None
        if parameters is not None:
            weights = parameters.weights * parameters.weight_scale
            bias = parameters.bias * parameters.bias_scale
            fields |= {
                "weights": sum(map(len, self.values)),
                "weight_count": len(weights),
                "bias_count": len(bias),
            }
            self.values.append(np.concatenate([weights, bias]).astype(np.float32))
        names = ("in_h", "in_w", "in_c", "out_h", "out_w", "out_c")
        sides = zip(names, (*shape_in, *shape_out), strict=True)
        fields |= {"input": self.numbers[source], **dict(sides)}
        self.layers.append(Layer(**{"other": 0} | fields))
        self.operators.append(self.ready[source])
        self.sources.append(parameters)
        self.numbers[out], self.ready[out] = len(self.layers), o + 1
        return True

    def _shape(self, tensor: int) -> tuple[int, int, int] | None:
        shape = [int(n) for n in self.graph.Tensors(tensor).ShapeAsNumpy()]
        if len(shape) > 4 or not shape or (len(shape) > 1 and shape[0] != 1):
            return None
        full = [1] * (4 - len(shape)) + shape
        if len(shape) == 3:  # (1, length, channels)
            full = [1, shape[1], 1, shape[2]]
        return (full[1], full[2], full[3]) if max(full) <= U16 else None

    def _activation(self, code: int) -> Activation | None:
        kinds = self.reader.ActivationFunctionType
        known = {
            kinds.NONE: Activation.NONE,
            kinds.RELU: Activation.RELU,
            kinds.RELU6: Activation.RELU6,
        }
        return known.get(code)

    def _options(self, operator: Any, kind: str) -> Any:
        table = operator.BuiltinOptions()
        options = getattr(self.reader, kind)()
        options.Init(table.Bytes, table.Pos)
        return options

    def _dense(self, operator: Any, _: int, source: Any, out: Any) -> dict[str, Any] | None:
        activation = self._activation(
            self._options(operator, "FullyConnectedOptions").FusedActivationFunction()
        )
        if activation is None or out[:2] != (1, 1):
            return None
        return {"kind": LayerKind.DENSE, "activation": activation, "parametric": True}

    def _windows(
        self, options: Any, kernel: tuple[int, int], source: Any, out: Any
    ) -> dict[str, Any] | None:
        activation = self._activation(options.FusedActivationFunction())
        stride = int(options.StrideH()), int(options.StrideW())
        if activation is None or 0 in (*kernel, *stride):
            return None
        pads = [0, 0]
        if options.Padding() == self.reader.Padding.SAME:
            for i in range(2):
                total = (out[i] - 1) * stride[i] + kernel[i] - source[i]
                pads[i] = max(total, 0) // 2
        return {
            "activation": activation,
            **{"kernel_h": kernel[0], "kernel_w": kernel[1]},
            **{"stride_h": stride[0], "stride_w": stride[1]},
            **{"pad_top": pads[0], "pad_left": pads[1]},
        }

    def _filter(self, operator: Any) -> tuple[int, int]:
        shape = self.graph.Tensors(operator.Inputs(1)).ShapeAsNumpy()
        return int(shape[1]), int(shape[2])

    def _conv(self, operator: Any, _: int, source: Any, out: Any) -> dict[str, Any] | None:
        options = self._options(operator, "Conv2DOptions")
        if (options.DilationHFactor(), options.DilationWFactor()) != (1, 1):
            return None
        fields = self._windows(options, self._filter(operator), source, out)
        return None if fields is None else fields | {"kind": LayerKind.CONV, "parametric": True}

    def _depthwise(self, operator: Any, _: int, source: Any, out: Any) -> dict[str, Any] | None:
        options = self._options(operator, "DepthwiseConv2DOptions")
        if (options.DilationHFactor(), options.DilationWFactor()) != (1, 1):
            return None
        fields = self._windows(options, self._filter(operator), source, out)
        if fields is None:
            return None
        return fields | {"kind": LayerKind.DEPTHWISE, "parametric": True}

    def _pool(self, operator: Any, code: int, source: Any, out: Any) -> dict[str, Any] | None:
        options = self._options(operator, "Pool2DOptions")
        kernel = int(options.FilterHeight()), int(options.FilterWidth())
        average = code == self.reader.BuiltinOperator.AVERAGE_POOL_2D
        fields = self._windows(options, kernel, source, out)
        if fields is None:
            return None
        kind = LayerKind.AVERAGE_POOL if average else LayerKind.MAX_POOL
        return fields | {"kind": kind, "parametric": False}

    def _mean(self, operator: Any, _: int, source: Any, out: Any) -> dict[str, Any] | None:
        tensor = self.graph.Tensors(operator.Inputs(1))
        data = self.model.Buffers(tensor.Buffer()).DataAsNumpy()
        if not isinstance(data, np.ndarray) or out != (1, 1, source[2]):
            return None
        if sorted(data.view("<i4").tolist()) != [1, 2]:
            return None
        return {
            **{"kind": LayerKind.AVERAGE_POOL, "activation": Activation.NONE, "parametric": False},
            **{"kernel_h": source[0], "kernel_w": source[1], "stride_h": 1, "stride_w": 1},
        }

    def _add(self, operator: Any, _: int, source: Any, out: Any) -> dict[str, Any] | None:
        activation = self._activation(
            self._options(operator, "AddOptions").FusedActivationFunction()
        )
        other = int(operator.Inputs(1))
        if activation is None or other not in self.numbers:
            return None
        if not self._shape(other) == source == out:
            return None
        return {
            **{"kind": LayerKind.ADD, "activation": activation, "parametric": False},
            "other": self.numbers[other],
        }

    def _parameters(self, o: int, operator: Any) -> Source:
        w, b = (self.graph.Tensors(operator.Inputs(i)) for i in (1, 2))
        weights = self.model.Buffers(w.Buffer()).DataAsNumpy().view(np.int8)
        bias = self.model.Buffers(b.Buffer()).DataAsNumpy().view("<i4")
        q = w.Quantization()
        scales = np.asarray(q.ScaleAsNumpy(), np.float64)
        shape = [int(n) for n in w.ShapeAsNumpy()]
        each = scales
        if len(scales) > 1:
            axis = int(q.QuantizedDimension())
            each = scales.reshape([-1 if i == axis else 1 for i in range(len(shape))])
        spread = np.broadcast_to(each, shape).ravel()
        bias_scales = np.asarray(b.Quantization().ScaleAsNumpy(), np.float64)
        return Source(o, weights, bias, spread, np.broadcast_to(bias_scales, len(bias)))


def front_layers(backbone: bytes) -> Layers | None:
    """The backbone's layers in float32, dequantised: as many as lie behind the last operator that
    the core cannot train; None when there are none.

    Raises:
        ModelError: the file is damaged.
    """
    return _Reader(backbone).read()


def sources(backbone: bytes | bytearray) -> list[Source | None]:
    """For each layer of :func:`front_layers`, where its parameters lie; None where it has none."""
    reader = _Reader(backbone)
    reader.read()
    return reader.sources
