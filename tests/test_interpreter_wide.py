"""The same bytes as the reference where activations have 16 bits, and for SVDF."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import handmade as hm
import test_interpreter_grid as grid
from handmade import INT16, INT32, INT64, Op, Tensor
from interp import (
    OK,
    Interpreter,
    probe_inputs,
    reference,
)

Draw = np.random.Generator
Model = Callable[[Draw], bytes]


def widened(model: bytes, coarser: float = 1.0) -> bytes:
    """An int8 model with int16 values instead, symmetric; its results in steps so much coarser."""
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    read = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    graph = read.subgraphs[0]
    for number, tensor in enumerate(graph.tensors):
        if tensor.type != hm.INT8:
            continue
        tensor.type = INT16
        tensor.quantization.zeroPoint = [0] * len(tensor.quantization.zeroPoint)
        if number in graph.outputs:
            tensor.quantization.scale = np.asarray(tensor.quantization.scale) * coarser
        data = read.buffers[tensor.buffer].data
        if tensor.buffer and data is not None and len(data):
            wide = np.asarray(data, np.uint8).view(np.int8).astype(np.int16) * 257
            read.buffers[tensor.buffer].data = wide.view(np.uint8)
    builder = flatbuffers.Builder(1024)
    builder.Finish(read.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _wide(model: Model, coarser: float = 1.0) -> Model:
    return lambda rng: widened(model(rng), coarser)


def _scale(rng: Draw, low: float, high: float) -> float:
    return float(np.float32(np.exp(rng.uniform(np.log(low), np.log(high)))))


def _sum(code: int, options: str) -> Model:
    def make(rng: Draw) -> bytes:
        first, second, whole = grid._broadcast(rng)
        tensors = [
            Tensor(first, INT16, _scale(rng, 1e-5, 1e-2)),
            Tensor(second, INT16, _scale(rng, 1e-5, 1e-2)),
            Tensor(whole, INT16, _scale(rng, 1e-4, 1e-2)),
        ]
        tensors[1].data = rng.integers(-32768, 32768, second)
        activation = {"fusedActivationFunction": int(rng.integers(0, 4))}
        return hm.build(tensors, [Op(code, [0, 1], [2], options, activation)])

    return make


def _pad(code: int) -> Model:
    def make(rng: Draw) -> bytes:
        shape = tuple(int(n) for n in rng.integers(1, 6, int(rng.integers(1, 5))))
        edges = rng.integers(0, 3, (len(shape), 2))
        padded = [n + int(sum(e)) for n, e in zip(shape, edges, strict=True)]
        zero_point = int(rng.integers(-99, 99))
        tensors = [
            Tensor(shape, INT16, zero_point=zero_point),
            grid._numbers(edges),
            Tensor(padded, INT16, zero_point=zero_point),
        ]
        inputs = [0, 1]
        if code == hm.PADV2:
            tensors.append(Tensor((1,), INT16, zero_point=zero_point, data=[-1234]))
            inputs.append(3)
        options = "Pad" if code == hm.PAD else "PadV2"
        return hm.build(tensors, [Op(code, inputs, [2], options, {})], outputs=[2])

    return make


def _bias(rng: Draw, source: Tensor, scales: list[float], types: tuple[int, ...]) -> Tensor:
    kind = int(rng.choice(types))
    data = rng.integers(-30000, 30000, len(scales))
    if kind == INT64:
        data = data * int(rng.integers(1, 100000))
    own = [float(np.float32(source.scale)) * float(np.float32(s)) for s in scales]  # type: ignore[arg-type]
    return Tensor((len(scales),), kind, own, data=data)


def _layer(rng: Draw, shape: tuple[int, ...]) -> Tensor:
    return Tensor(shape, INT16, _scale(rng, 1e-5, 1e-2))


def _fitting(rng: Draw, source: Tensor, scales: list[float], depth: int) -> float:
    """A scale at which sums of so many products fill the range more or less."""
    typical = float(source.scale) * float(np.mean(scales)) * 80 * np.sqrt(depth)  # type: ignore[arg-type]
    return float(typical * rng.uniform(0.3, 3))


def _conv(depthwise: bool) -> Model:
    def make(rng: Draw) -> bytes:
        batch, height, width = (int(n) for n in rng.integers(1, 7, 3))
        batch = min(batch, 2)
        groups = int(rng.integers(1, 4))
        inside, per = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        inside = 1 if depthwise else inside
        filters = groups * per
        kh, kw = (int(n) for n in rng.integers(1, 4, 2))
        sh, sw = (int(n) for n in rng.integers(1, 3, 2))
        dh, dw = (int(n) for n in rng.integers(1, 3, 2))
        same = bool(rng.integers(0, 2))
        if not same:
            height, width = height + (kh - 1) * dh, width + (kw - 1) * dw
        reach = [height, width] if same else [height - (kh - 1) * dh, width - (kw - 1) * dw]
        size = [-(-n // s) for n, s in zip(reach, (sh, sw), strict=True)]
        source = _layer(rng, (batch, height, width, groups * inside))
        scales = [_scale(rng, 1e-3, 0.1) for _ in range(1 if rng.random() < 0.3 else filters)]
        every = scales * filters if len(scales) == 1 else scales
        shape = (1, kh, kw, filters) if depthwise else (filters, kh, kw, inside)
        weights = Tensor(
            shape,
            scale=scales,
            data=rng.integers(-127, 128, shape),
            axis=3 if depthwise and len(scales) > 1 else 0,
        )
        out = Tensor((batch, *size, filters), INT16, _fitting(rng, source, every, kh * kw * inside))
        types = (INT64,) if depthwise else (INT32, INT64)
        tensors = [source, weights, _bias(rng, source, every, types), out]
        fields = {"padding": 0 if same else 1, "strideH": sh, "strideW": sw}
        fields |= {"dilationHFactor": dh, "dilationWFactor": dw}
        fields["fusedActivationFunction"] = int(rng.integers(0, 4))
        if depthwise:
            fields["depthMultiplier"] = per
        elif rng.random() < 0.3:
            fields["quantizedBiasType"] = INT32
        inputs = [0, 1, 2] if rng.random() < 0.7 else [0, 1]
        code = hm.DEPTHWISE_CONV_2D if depthwise else hm.CONV_2D
        op = Op(code, inputs, [3], "DepthwiseConv2D" if depthwise else "Conv2D", fields)
        return hm.build(tensors, [op])

    return make


def _dense(rng: Draw) -> bytes:
    rows, depth, units = int(rng.integers(1, 4)), int(rng.integers(1, 40)), int(rng.integers(1, 6))
    source = _layer(rng, (rows, depth))
    scales = [_scale(rng, 1e-3, 0.1) for _ in range(1 if rng.random() < 0.5 else units)]
    every = scales * units if len(scales) == 1 else scales
    data = rng.integers(-127, 128, (units, depth))
    bias = _bias(rng, source, every, (INT32, INT64))
    bias.scale = bias.scale[0] if len(scales) == 1 else bias.scale  # type: ignore[index]
    out = Tensor((rows, units), INT16, _fitting(rng, source, every, depth))
    tensors = [source, Tensor((units, depth), scale=scales, data=data), bias, out]
    fields = {"fusedActivationFunction": int(rng.integers(0, 4))}
    if rng.random() < 0.3:
        fields["quantizedBiasType"] = INT32
    inputs = [0, 1, 2] if rng.random() < 0.7 else [0, 1, -1]
    return hm.build(tensors, [Op(hm.FULLY_CONNECTED, inputs, [3], "FullyConnected", fields)])


def _transposed(rng: Draw) -> bytes:
    batch, height, width, channels = (int(n) for n in rng.integers(1, 4, 4))
    filters, kh, kw = (int(n) for n in rng.integers(1, 4, 3))
    sh, sw = (int(n) for n in rng.integers(1, 4, 2))
    same = bool(rng.integers(0, 2))
    size = (height * sh, width * sw) if same else ((height - 1) * sh + kh, (width - 1) * sw + kw)
    source = _layer(rng, (batch, height, width, channels))
    scales = [_scale(rng, 1e-3, 0.1) for _ in range(filters)]
    shape = (filters, kh, kw, channels)
    tensors = [
        source,
        grid._numbers([batch, *size, filters]),
        Tensor(shape, scale=scales, data=rng.integers(-127, 128, shape)),
        _bias(rng, source, scales, (INT16, INT64)),
        Tensor((batch, *size, filters), INT16, _fitting(rng, source, scales, kh * kw * channels)),
    ]
    fields = {"padding": 0 if same else 1, "strideH": sh, "strideW": sw}
    inputs = [1, 2, 0, 3] if rng.random() < 0.7 else [1, 2, 0]
    return hm.build(tensors, [Op(hm.TRANSPOSE_CONV, inputs, [4], "TransposeConv", fields)])


def _pool(code: int) -> Model:
    def make(rng: Draw) -> bytes:
        batch, height, width, channels = (int(n) for n in rng.integers(1, 7, 4))
        kh, kw = int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1))
        sh, sw = (int(n) for n in rng.integers(1, 4, 2))
        same = bool(rng.integers(0, 2))
        reach = (height, width) if same else (height - kh + 1, width - kw + 1)
        size = [-(-n // s) for n, s in zip(reach, (sh, sw), strict=True)]
        tensors = [
            Tensor((batch, height, width, channels), INT16, 0.001),
            Tensor((batch, *size, channels), INT16, 0.001),
        ]
        fields = {"padding": 0 if same else 1, "strideH": sh, "strideW": sw}
        fields |= {"filterHeight": kh, "filterWidth": kw}
        fields["fusedActivationFunction"] = int(rng.integers(0, 4))
        return hm.build(tensors, [Op(code, [0], [1], "Pool2D", fields)])

    return make


def _unary(code: int, options: str = "", **fixed: Any) -> Model:
    def make(rng: Draw) -> bytes:
        shape = grid._shape(rng)
        fields = {"alpha": float(rng.uniform(-0.5, 1.5))} if options else {}
        scale = _scale(rng, 1e-5, 1e-2)
        if code in (hm.LOGISTIC, hm.TANH):
            scale = float(rng.choice([2.0**-12, 2.0**-11, _scale(rng, 1e-6, 2.6)]))
        out = {"scale": scale * float(rng.uniform(0.3, 3)), **fixed}
        if code == hm.LEAKY_RELU:
            out["zero_point"] = int(rng.integers(-99, 99))
        tensors = [Tensor(shape, INT16, scale), Tensor(shape, INT16, **out)]
        if code == hm.RELU6:
            tensors[1].scale = tensors[0].scale = _scale(rng, 2e-4, 1e-2)
        return hm.build(tensors, [Op(code, [0], [1], options, fields)])

    return make


def _quantize(rng: Draw) -> bytes:
    pairs = [(hm.INT8, INT16), (hm.INT8, INT32), (INT16, hm.INT8), (INT16, INT16), (INT16, INT32)]
    pairs += [(INT32, hm.INT8), (INT32, INT16)]
    types = pairs[int(rng.integers(0, len(pairs)))]
    shape = grid._shape(rng)
    tensors = [Tensor(shape, t, _scale(rng, 1e-3, 0.1)) for t in types]
    for tensor in tensors:
        tensor.zero_point = 0 if tensor.type == INT32 else int(rng.integers(-100, 100))
    if types[0] == INT32:  # to values that the output can hold
        tensors[1].scale = float(tensors[0].scale) * 2.0**16  # type: ignore[arg-type]
    return hm.build(tensors, [Op(hm.QUANTIZE, [0], [1])])


def _softmax(rng: Draw) -> bytes:
    shape = grid._shape(rng)
    zero_point = int(rng.integers(-128, 128))
    out = Tensor(shape, INT16, 1 / 65536, zero_point=-32768)
    tensors = [Tensor(shape, scale=_scale(rng, 1e-3, 0.5), zero_point=zero_point), out]
    return hm.build(tensors, [Op(hm.SOFTMAX, [0], [1], "Softmax", {"beta": 1.0})])


def one(code: int, first: Tensor, last: Tensor, options: str = "") -> bytes:
    return hm.build([first, last], [Op(code, [0], [1], options, {})])


def svdf(rng: Draw, **changed: Any) -> bytes:
    """One SVDF; `changed` are fields of the tensor that its name begins with."""
    batch, inputs, units, rank, memory = (int(n) for n in rng.integers(1, 5, 5))
    filters = units * rank
    wide = bool(rng.integers(0, 2)) if "wide" not in changed else changed.pop("wide")
    kind, most = (INT16, 32768) if wide else (hm.INT8, 128)
    source = grid._data(rng, (batch, inputs))
    features = Tensor((filters, inputs), scale=_scale(rng, 1e-3, 0.1))
    features.data = rng.integers(-127, 128, (filters, inputs))
    times = Tensor((filters, memory), kind, _scale(rng, 1e-5, 1e-2) if wide else 0.01)
    times.data = rng.integers(1 - most, most, (filters, memory))
    step = float(source.scale) * float(features.scale) * 127 * np.sqrt(inputs) * 127  # type: ignore[arg-type]
    state = Tensor((batch, memory * filters), kind, step / most, variable=True)
    state.zero_point = 0 if wide else int(rng.integers(-60, 60))
    product = float(np.float32(state.scale)) * float(np.float32(times.scale))  # type: ignore[arg-type]
    bias = Tensor((units,), INT32, product, data=rng.integers(-9999, 9999, units))
    out = Tensor((batch, units), zero_point=int(rng.integers(-100, 100)))
    out.scale = product * most * most * np.sqrt(rank) / 200 * float(rng.uniform(0.3, 3))
    named = {"times": times, "bias": bias, "state": state, "features": features}
    for name, value in changed.items():
        tensor, _, key = name.partition("_")
        setattr(named[tensor], key, value)
    tensors = [source, features, times, bias, state, out]
    op = Op(hm.SVDF, range(5), [5], "SVDF", {"rank": rank, "fusedActivationFunction": 1})
    return hm.build(tensors, [op])


MODELS: dict[str, Model] = {
    "conv": _conv(False),
    "depthwise": _conv(True),
    "dense": _dense,
    "transpose_conv": _transposed,
    "add": _sum(hm.ADD, "Add"),
    "sub": _sum(hm.SUB, "Sub"),
    "mul": _wide(grid.MODELS["mul"], 256.0),
    "maximum": _wide(grid.MODELS["maximum"]),
    "minimum": _wide(grid.MODELS["minimum"]),
    "average_pool": _pool(hm.AVERAGE_POOL_2D),
    "max_pool": _pool(hm.MAX_POOL_2D),
    "mean": _wide(grid.MODELS["mean"]),
    "sum": _wide(grid.MODELS["sum"]),
    "pad": _pad(hm.PAD),
    "pad_v2": _pad(hm.PADV2),
    "concatenation": _wide(grid.MODELS["concatenation"]),
    "pack": _wide(grid.MODELS["pack"]),
    "split": _wide(grid.MODELS["split"]),
    "split_v": _wide(grid.MODELS["split_v"]),
    "unpack": _wide(grid.MODELS["unpack"]),
    "transpose": _wide(grid.MODELS["transpose"]),
    "shuffle": _wide(grid.MODELS["shuffle"]),
    "slice": _wide(grid.MODELS["slice"]),
    "strided_slice": _wide(grid.MODELS["strided_slice"]),
    "leaky_relu": _unary(hm.LEAKY_RELU, "LeakyRelu"),
    "relu": _unary(hm.RELU),
    "relu6": _unary(hm.RELU6),
    "logistic": _unary(hm.LOGISTIC, scale=2.0**-15),
    "tanh": _unary(hm.TANH, scale=2.0**-15),
    "quantize": _quantize,
    "softmax": _softmax,
    "svdf": svdf,
}

DRAWS = 40


@pytest.mark.parametrize("name", MODELS)
def test_same_bytes_as_the_reference(name: str) -> None:
    for seed in range(DRAWS):
        model = MODELS[name](np.random.default_rng((seed, *name.encode())))
        interpreter = Interpreter(model)
        assert interpreter.status == OK, (seed, interpreter.status, interpreter.where)
        inputs = probe_inputs(interpreter.input.shape, seed, 12, interpreter.input.dtype)
        expected = reference(model, inputs)
        for dsp in (False, True):
            answers = Interpreter(model, dsp=dsp).run(inputs)
            np.testing.assert_array_equal(answers, expected, err_msg=f"draw {seed}")


def test_the_arithmetic_on_scales_is_that_of_double_precision() -> None:
    """A tie at which single precision would round the other way."""
    scales = (0.00244954414665699, 0.0015682694502174854)
    model = one(
        hm.LEAKY_RELU, Tensor((1,), INT16, scales[0]), Tensor((1,), INT16, scales[1]), "LeakyRelu"
    )
    value = np.array([[19898]], np.int16)
    assert Interpreter(model).run(value) == reference(model, value) == 31079


def test_the_shape_of_a_transposed_convolution_may_be_an_input() -> None:
    """Nobody reads it: the file says the output's shape."""
    read = hm.build(
        [
            Tensor((1, 2, 2, 1), INT16, 0.001),
            Tensor((4,), INT32, None),
            Tensor((1, 1, 1, 1), scale=1.0, data=[[3]]),
            Tensor((1, 2, 2, 1), INT16, 0.001),
        ],
        [
            Op(
                hm.TRANSPOSE_CONV,
                [1, 2, 0],
                [3],
                "TransposeConv",
                {"padding": 1, "strideH": 1, "strideW": 1},
            )
        ],
        inputs=[0, 1],
    )
    interpreter = Interpreter(read)
    assert interpreter.status == OK
    assert interpreter.ends == (2, 1)
    values = np.array([[[[[1], [2]], [[3], [-4]]]]], np.int16)
    np.testing.assert_array_equal(interpreter.run(values), 3 * values)
