"""From an int8 backbone back to float layers, so that a device can train them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.export.graph import stored_array
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

    blocked: int | None = None  # the last operator that cannot be trained

    def read(self) -> Layers | None:
        for o in range(self.graph.OperatorsLength()):
            operator = self.graph.Operators(o)
            out = int(operator.Outputs(0))
            if not self._take(o, operator, out):
                self.blocked = o
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
        shape_in, shape_out = self._shape(source), self._shape(out)
        if code not in kinds or len(self.layers) >= 63 or shape_in is None or shape_out is None:
            return False
        fields = kinds[code](operator, code, shape_in, shape_out)
        if fields is None:
            return False
        parameters = None
        if fields.pop("parametric"):
            parameters = self._parameters(o, operator, _weight_count(fields, shape_in, shape_out))
            if parameters is None or len(parameters.bias) != shape_out[2]:
                return False
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
        """(height, width, channels) of an int8 tensor; None for any other."""
        table = self.graph.Tensors(tensor)
        shape = [int(n) for n in stored_array(table.ShapeAsNumpy())]
        if table.Type() != self.reader.TensorType.INT8 or min(shape, default=0) < 1:
            return None
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
        """The operator's table of that kind; None when it has none."""
        table = operator.BuiltinOptions()
        if table is None or operator.BuiltinOptionsType() != getattr(
            self.reader.BuiltinOptions, kind
        ):
            return None
        options = getattr(self.reader, kind)()
        options.Init(table.Bytes, table.Pos)
        return options

    def _dense(self, operator: Any, _: int, source: Any, out: Any) -> dict[str, Any] | None:
        options = self._options(operator, "FullyConnectedOptions")
        if options is None or options.WeightsFormat() != 0 or out[:2] != (1, 1):
            return None
        activation = self._activation(options.FusedActivationFunction())
        if activation is None:
            return None
        return {"kind": LayerKind.DENSE, "activation": activation, "parametric": True}

    def _windows(
        self, options: Any, kernel: tuple[int, int], source: Any, out: Any
    ) -> dict[str, Any] | None:
        activation = self._activation(options.FusedActivationFunction())
        stride = int(options.StrideH()), int(options.StrideW())
        if activation is None or not all(1 <= n <= U16 for n in (*kernel, *stride)):
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
        """(height, width) of a convolution's kernel; zeros when it has none."""
        tensor = int(operator.Inputs(1)) if operator.InputsLength() > 1 else -1
        if tensor < 0 or self.graph.Tensors(tensor).ShapeLength() != 4:
            return 0, 0
        shape = self.graph.Tensors(tensor).ShapeAsNumpy()
        return int(shape[1]), int(shape[2])

    def _conv(self, operator: Any, _: int, source: Any, out: Any) -> dict[str, Any] | None:
        options = self._options(operator, "Conv2DOptions")
        if options is None or (options.DilationHFactor(), options.DilationWFactor()) != (1, 1):
            return None
        fields = self._windows(options, self._filter(operator), source, out)
        return None if fields is None else fields | {"kind": LayerKind.CONV, "parametric": True}

    def _depthwise(self, operator: Any, _: int, source: Any, out: Any) -> dict[str, Any] | None:
        options = self._options(operator, "DepthwiseConv2DOptions")
        if options is None or (options.DilationHFactor(), options.DilationWFactor()) != (1, 1):
            return None
        fields = self._windows(options, self._filter(operator), source, out)
        if fields is None:
            return None
        return fields | {"kind": LayerKind.DEPTHWISE, "parametric": True}

    def _pool(self, operator: Any, code: int, source: Any, out: Any) -> dict[str, Any] | None:
        options = self._options(operator, "Pool2DOptions")
        if options is None:
            return None
        kernel = int(options.FilterHeight()), int(options.FilterWidth())
        average = code == self.reader.BuiltinOperator.AVERAGE_POOL_2D
        fields = self._windows(options, kernel, source, out)
        if fields is None:
            return None
        kind = LayerKind.AVERAGE_POOL if average else LayerKind.MAX_POOL
        return fields | {"kind": kind, "parametric": False}

    def _mean(self, operator: Any, _: int, source: Any, out: Any) -> dict[str, Any] | None:
        axes = self._constant(operator, 1, self.reader.TensorType.INT32)
        rank = self.graph.Tensors(operator.Inputs(0)).ShapeLength()
        if axes is None or out != (1, 1, source[2]):
            return None
        # Over height and width, or over the time of (1, length, channels).
        if sorted(int(axis) % rank for axis in axes) != list(range(1, rank - 1)):
            return None
        return {
            **{"kind": LayerKind.AVERAGE_POOL, "activation": Activation.NONE, "parametric": False},
            **{"kernel_h": source[0], "kernel_w": source[1], "stride_h": 1, "stride_w": 1},
        }

    def _add(self, operator: Any, _: int, source: Any, out: Any) -> dict[str, Any] | None:
        options = self._options(operator, "AddOptions")
        other = int(operator.Inputs(1)) if operator.InputsLength() > 1 else -1
        if options is None or other not in self.numbers:
            return None
        activation = self._activation(options.FusedActivationFunction())
        if activation is None:
            return None
        if not self._shape(other) == source == out:
            return None
        return {
            **{"kind": LayerKind.ADD, "activation": activation, "parametric": False},
            "other": self.numbers[other],
        }

    def _constant(self, operator: Any, place: int, kind: int) -> NDArray[Any] | None:
        """The operator's input at that place, flat, if it is a constant of that type."""
        number = int(operator.Inputs(place)) if place < operator.InputsLength() else -1
        if number < 0:
            return None
        tensor = self.graph.Tensors(number)
        data = self.model.Buffers(tensor.Buffer()).DataAsNumpy()
        dtype = np.dtype(np.int8 if kind == self.reader.TensorType.INT8 else "<i4")
        size = int(np.prod(stored_array(tensor.ShapeAsNumpy()), dtype=np.int64)) * dtype.itemsize
        if tensor.Type() != kind or not isinstance(data, np.ndarray) or data.size != size:
            return None
        return data.view(dtype)

    def _parameters(self, o: int, operator: Any, count: int) -> Source | None:
        """Weights, ``count`` of them, and bias; None unless both are quantised constants."""
        kinds = self.reader.TensorType
        weights = self._constant(operator, 1, kinds.INT8)
        bias = self._constant(operator, 2, kinds.INT32)
        if weights is None or bias is None or len(weights) != count:
            return None
        w, b = (self.graph.Tensors(operator.Inputs(i)) for i in (1, 2))
        scales, axis = self._scales(w), 0
        bias_scales = self._scales(b)
        shape = [int(n) for n in w.ShapeAsNumpy()]
        if len(scales) > 1:
            axis = int(w.Quantization().QuantizedDimension())
            if not 0 <= axis < len(shape) or len(scales) != shape[axis]:
                return None
        if len(scales) == 0 or len(bias_scales) not in (1, len(bias)):
            return None
        each = scales.reshape([-1 if i == axis else 1 for i in range(len(shape))])
        spread = np.broadcast_to(each, shape).ravel()
        return Source(o, weights, bias, spread, np.broadcast_to(bias_scales, len(bias)))

    def _scales(self, tensor: Any) -> NDArray[np.float64]:
        """Of a tensor that is quantised around zero; empty for any other."""
        q = tensor.Quantization()
        found = stored_array(q.ScaleAsNumpy() if q is not None else 0).astype(np.float64)
        symmetric = q is not None and not stored_array(q.ZeroPointAsNumpy()).any()
        return found if symmetric and np.all(found > 0) else np.zeros(0)


def _weight_count(
    fields: dict[str, Any], source: tuple[int, int, int], out: tuple[int, int, int]
) -> int:
    """How many weights the layer has; other numbers (of groups, say) are of other operators."""
    if fields["kind"] is LayerKind.DENSE:
        return source[0] * source[1] * source[2] * out[2]
    taps = int(fields["kernel_h"] * fields["kernel_w"] * out[2])
    if fields["kind"] is LayerKind.CONV:
        return taps * source[2]
    return taps if out[2] % source[2] == 0 else -1


def front_layers(backbone: bytes) -> Layers | None:
    """The backbone's layers in float32, dequantised: as many as lie behind the last operator that
    the core cannot train; None when there are none. A layer without a bias is one of those, since
    what it learns could not be written back.

    Raises:
        ModelError: the file is damaged.
    """
    return _Reader(backbone).read()


def last_untrainable(backbone: bytes) -> int | None:
    """The operator behind which :func:`front_layers` lie; None: there is none, all are layers.

    Raises:
        ModelError: the file is damaged.
    """
    reader = _Reader(backbone)
    reader.read()
    return reader.blocked


def sources(backbone: bytes | bytearray) -> list[Source | None]:
    """For each layer of :func:`front_layers`, where its parameters lie; None where it has none."""
    reader = _Reader(backbone)
    reader.read()
    return reader.sources
