"""The same bytes as the reference over drawn shapes, scales, zero points and options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import handmade as hm
from handmade import INT32, Op, Tensor
from interp import OK, Interpreter, probe_inputs, reference

Draw = np.random.Generator
Model = Callable[[Draw], bytes]


def _scale(rng: Draw, low: float = 1e-3, high: float = 0.5) -> float:
    return float(np.float32(np.exp(rng.uniform(np.log(low), np.log(high)))))


def _data(rng: Draw, shape: tuple[int, ...], **options: Any) -> Tensor:
    """A tensor with a scale and zero point that are drawn."""
    options = {"scale": _scale(rng), "zero_point": int(rng.integers(-128, 128)), **options}
    return Tensor(shape, **options)


def _product(rng: Draw, tensors: list[Tensor], depth: int) -> float:
    """An output scale at which sums of `depth` products fill the range more or less."""
    scales = [float(np.float32(t.scale)) for t in tensors[:2]]  # type: ignore[arg-type]
    return float(scales[0] * scales[1] * rng.uniform(5, 100) * (1 + np.sqrt(depth) * 30))


def _shape(rng: Draw, rank: int = 0, most: int = 7) -> tuple[int, ...]:
    rank = rank or int(rng.integers(1, 5))
    return tuple(int(n) for n in rng.integers(1, most, rank))


def _numbers(values: Any) -> Tensor:
    values = np.asarray(values, np.int32)
    return Tensor(values.shape, INT32, None, data=values)


def _unary(code: int, options: str = "", **fixed: Any) -> Model:
    def make(rng: Draw) -> bytes:
        shape = _shape(rng)
        fields = {"alpha": float(rng.uniform(-0.5, 1.5))} if options else {}
        tensors = [_data(rng, shape, scale=_scale(rng, 1e-3, 0.3)), _data(rng, shape, **fixed)]
        if code == hm.HARD_SWISH:  # the reference needs an output no finer than that
            tensors[1].scale = float(tensors[0].scale) * float(rng.uniform(0.3, 3))  # type: ignore[arg-type]
        return hm.build(tensors, [Op(code, [0], [1], options, fields)])

    return make


def _broadcast(rng: Draw) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    whole = _shape(rng)
    if rng.random() < 0.3:
        return whole, whole, whole
    thin = tuple(1 if rng.random() < 0.4 else n for n in whole)
    thin = thin[int(rng.integers(0, len(thin))) :]
    return (whole, thin, whole) if rng.random() < 0.7 else (thin, whole, whole)


def _binary(code: int, options: str) -> Model:
    def make(rng: Draw) -> bytes:
        first, second, whole = _broadcast(rng)
        activation = {"fusedActivationFunction": int(rng.integers(0, 4))}
        tensors = [
            _data(rng, first),
            _data(rng, second, data=rng.integers(-128, 128, second)),
            _data(rng, whole),
        ]
        if code in (hm.MAXIMUM, hm.MINIMUM, hm.PRELU):
            activation = {}
        if code == hm.MUL:
            tensors[2].scale = _product(rng, tensors, 1)
        if code == hm.SUB:  # no finer than 2^-20 of the inputs
            tensors[2].scale = _scale(rng, 0.01, 0.5)
        order = [1, 0] if code != hm.PRELU and rng.random() < 0.3 else [0, 1]
        return hm.build(tensors, [Op(code, order, [2], options, activation)])

    return make


def _concatenation(rng: Draw) -> bytes:
    rank = int(rng.integers(1, 5))
    axis = int(rng.integers(-rank, rank))
    shape = list(_shape(rng, rank))
    parts, total = [], 0
    for _ in range(int(rng.integers(1, 5))):
        shape[axis] = int(rng.integers(1, 6))
        total += shape[axis]
        parts.append(tuple(shape))
    shape[axis] = total
    same: dict[str, Any] = {"scale": 0.07, "zero_point": -9}
    tensors = [Tensor(parts[0], **same)]
    tensors += [Tensor(p, data=rng.integers(-128, 128, p), **same) for p in parts[1:]]
    tensors.append(Tensor(tuple(shape), **same))
    op = Op(hm.CONCATENATION, range(len(parts)), [len(parts)], "Concatenation", {"axis": axis})
    return hm.build(tensors, [op])


def _pack(rng: Draw) -> bytes:
    shape = _shape(rng, int(rng.integers(1, 4)))
    axis = int(rng.integers(-len(shape) - 1, len(shape) + 1))
    count = int(rng.integers(1, 4))
    packed = list(shape)
    packed.insert(axis % (len(shape) + 1), count)
    tensors = [Tensor(shape), Tensor(shape, data=rng.integers(-128, 128, shape)), Tensor(packed)]
    inputs = [int(i) for i in rng.integers(0, 2, count)]
    if 0 not in inputs:
        inputs[0] = 0
    fields = {"valuesCount": count, "axis": axis}
    return hm.build(tensors, [Op(hm.PACK, inputs, [2], "Pack", fields)])


def _split(code: int) -> Model:
    """Two of the parts are joined again in another order, so that all of them are seen."""

    def make(rng: Draw) -> bytes:
        rank = int(rng.integers(1, 5))
        axis = int(rng.integers(-rank, rank))
        shape = list(_shape(rng, rank))
        count = int(rng.integers(1, 4))
        if code == hm.SPLIT:
            lengths = [int(rng.integers(1, 4))] * count
        elif code == hm.UNPACK:
            lengths = [1] * count
        else:
            lengths = [int(n) for n in rng.integers(1, 4, count)]
        shape[axis] = sum(lengths)
        parts = [list(shape) for _ in lengths]
        for part, length in zip(parts, lengths, strict=True):
            part[axis] = length
            if code == hm.UNPACK:
                del part[axis % rank]
        outputs = list(range(1, count + 1))
        tensors = [Tensor(shape), *(Tensor(p) for p in parts)]
        places = len(tensors)
        tensors += [_numbers(axis), _numbers(lengths)]
        if code == hm.SPLIT:
            op = Op(code, [places, 0], outputs, "Split", {"numSplits": count})
        elif code == hm.SPLIT_V:
            op = Op(code, [0, places + 1, places], outputs, "SplitV", {"numSplits": count})
        else:
            op = Op(code, [0], outputs, "Unpack", {"num": count, "axis": axis})
        if code == hm.UNPACK:
            tensors.append(Tensor((*parts[0], count)))
            back = Op(
                hm.PACK, outputs[::-1], [places + 2], "Pack", {"valuesCount": count, "axis": -1}
            )
        else:
            tensors.append(Tensor(shape))
            back = Op(
                hm.CONCATENATION, outputs[::-1], [places + 2], "Concatenation", {"axis": axis}
            )
        return hm.build(tensors, [op, back])

    return make


def _transpose(rng: Draw) -> bytes:
    shape = _shape(rng)
    order = rng.permutation(len(shape))
    tensors = [Tensor(shape), _numbers(order), Tensor([shape[i] for i in order])]
    return hm.build(tensors, [Op(hm.TRANSPOSE, [0, 1], [2], "Transpose", {})])


def _shuffle(rng: Draw) -> bytes:
    """A transposition of five axes, as channels are shuffled with."""
    shape = _shape(rng, 5, 4)
    order = rng.permutation(5)
    turned = [shape[i] for i in order]
    size = int(np.prod(shape))
    tensors = [Tensor((1, size)), Tensor(shape), _numbers(order), Tensor(turned), Tensor((size,))]
    ops = [
        Op(hm.RESHAPE, [0], [1], "Reshape", {"newShape": list(shape)}),
        Op(hm.TRANSPOSE, [1, 2], [3], "Transpose", {}),
        Op(hm.RESHAPE, [3], [4], "Reshape", {"newShape": [size]}),
    ]
    return hm.build(tensors, ops)


def _slice(rng: Draw) -> bytes:
    shape = _shape(rng)
    begin = [int(rng.integers(0, n)) for n in shape]
    size = [int(rng.integers(1, n - b + 1)) for n, b in zip(shape, begin, strict=True)]
    open_ended = rng.random(len(shape)) < 0.3
    real = [n - b if o else s for n, b, s, o in zip(shape, begin, size, open_ended, strict=True)]
    said = [-1 if o else s for s, o in zip(size, open_ended, strict=True)]
    tensors = [Tensor(shape), _numbers(begin), _numbers(said), Tensor(real)]
    return hm.build(tensors, [Op(hm.SLICE, [0, 1, 2], [3], "Slice", {})])


def _strided_slice(rng: Draw) -> bytes:
    shape = _shape(rng)
    while True:
        begin, end = (rng.integers(-9, 10, len(shape)) for _ in range(2))
        steps = rng.choice([-3, -2, -1, 1, 1, 1, 2, 3], len(shape))
        masks = rng.integers(0, 2, (2, len(shape)))
        shrink = rng.random(len(shape)) < 0.2
        index: list[Any] = []
        for i, n in enumerate(shape):
            if shrink[i]:
                begin[i] = rng.integers(-n, n)
                steps[i], masks[0][i] = 1, 0
                index.append(int(begin[i]))
                continue
            first = None if masks[0][i] else int(begin[i])
            last = None if masks[1][i] else int(end[i])
            index.append(slice(first, last, int(steps[i])))
        taken = np.zeros(shape)[tuple(index)].shape
        if taken and 0 not in taken:
            break
    tensors = [Tensor(shape), _numbers(begin), _numbers(end), _numbers(steps), Tensor(taken)]
    fields = {
        "beginMask": int(sum(int(m) << i for i, m in enumerate(masks[0]))),
        "endMask": int(sum(int(m) << i for i, m in enumerate(masks[1]))),
        "shrinkAxisMask": int(sum(int(m) << i for i, m in enumerate(shrink))),
    }
    return hm.build(tensors, [Op(hm.STRIDED_SLICE, [0, 1, 2, 3], [4], "StridedSlice", fields)])


def _resize(code: int, options: str) -> Model:
    def make(rng: Draw) -> bytes:
        batch, height, width, channels = _shape(rng, 4, 9)
        size = rng.integers(1, 20, 2)
        corners = bool(rng.integers(0, 2))
        half = bool(rng.integers(0, 2)) and not (corners and code == hm.RESIZE_BILINEAR)
        tensors = [
            Tensor((batch, height, width, channels)),
            _numbers(size),
            Tensor((batch, *size, channels)),
        ]
        fields = {"alignCorners": corners, "halfPixelCenters": half}
        return hm.build(tensors, [Op(code, [0, 1], [2], options, fields)])

    return make


def _reduce(code: int) -> Model:
    return lambda rng: _reduced(rng, code)


def _reduced(rng: Draw, code: int) -> bytes:
    shape = _shape(rng)
    first = int(rng.integers(0, len(shape)))
    last = int(rng.integers(first, len(shape)))
    axes = list(range(first, last + 1))
    keep = bool(rng.integers(0, 2)) or len(axes) == len(shape)
    left = [1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes]
    signed = [a - len(shape) if rng.random() < 0.3 else a for a in axes]
    tensors = [Tensor(shape), _numbers(signed), Tensor(left)]
    if code in (hm.SUM, hm.MEAN):
        count = int(np.prod([shape[i] for i in axes]))
        tensors[0] = _data(rng, shape)
        tensors[2] = _data(rng, left)
        spread = 1 if code == hm.MEAN else np.sqrt(count)
        tensors[2].scale = float(tensors[0].scale) * spread * float(rng.uniform(0.2, 1.5))  # type: ignore[arg-type]
    return hm.build(tensors, [Op(code, [0, 1], [2], "Reducer", {"keepDims": keep})])


def _gather(rng: Draw) -> bytes:
    shape = _shape(rng, int(rng.integers(1, 4)))
    axis = int(rng.integers(0, len(shape)))
    positions = rng.integers(0, shape[axis], _shape(rng, 1, 5))
    taken = (*shape[:axis], *positions.shape, *shape[axis + 1 :])
    said = axis - len(shape) if rng.random() < 0.3 else axis
    tensors = [Tensor(shape), _numbers(positions), Tensor(taken)]
    return hm.build(tensors, [Op(hm.GATHER, [0, 1], [2], "Gather", {"axis": said})])


def _batch_matmul(rng: Draw) -> bytes:
    rank = int(rng.integers(2, 5))
    batch = list(_shape(rng, rank - 2)) if rank > 2 else []
    rows, depth, columns = (int(n) for n in rng.integers(1, 7, 3))
    turned = rng.integers(0, 2, 2)
    left = [depth, rows] if turned[0] else [rows, depth]
    right = [columns, depth] if turned[1] else [depth, columns]
    thin = [1 if rng.random() < 0.4 else n for n in batch]
    second = _data(rng, (*thin, *right), data=rng.integers(-128, 128, (*thin, *right)))
    tensors = [_data(rng, (*batch, *left)), second, _data(rng, (*batch, rows, columns))]
    tensors[2].scale = _product(rng, tensors, depth)
    fields = {"adjX": bool(turned[0]), "adjY": bool(turned[1])}
    return hm.build(tensors, [Op(hm.BATCH_MATMUL, [0, 1], [2], "BatchMatMul", fields)])


def _transpose_conv(rng: Draw) -> bytes:
    batch, height, width, channels = _shape(rng, 4, 5)
    filters, kh, kw = (int(n) for n in rng.integers(1, 5, 3))
    sh, sw = (int(n) for n in rng.integers(1, 4, 2))
    same = bool(rng.integers(0, 2))
    size = (height * sh, width * sw) if same else ((height - 1) * sh + kh, (width - 1) * sw + kw)
    scales = [_scale(rng) for _ in range(filters)]
    source = _data(rng, (batch, height, width, channels))
    bias = [float(source.scale) * s for s in scales]  # type: ignore[arg-type]
    tensors = [
        source,
        _numbers([batch, *size, filters]),
        Tensor(
            (filters, kh, kw, channels),
            scale=scales,
            data=rng.integers(-127, 128, (filters, kh, kw, channels)),
        ),
        Tensor((filters,), INT32, bias, data=rng.integers(-5000, 5000, filters)),
        _data(rng, (batch, *size, filters)),
    ]
    tensors[4].scale = float(source.scale) * scales[0] * float(rng.uniform(50, 5000))  # type: ignore[arg-type]
    fields = {"padding": 0 if same else 1, "strideH": sh, "strideW": sw}
    inputs = [1, 2, 0, 3] if rng.random() < 0.7 else [1, 2, 0]
    return hm.build(tensors, [Op(hm.TRANSPOSE_CONV, inputs, [4], "TransposeConv", fields)])


def _depth(code: int, options: str) -> Model:
    def make(rng: Draw) -> bytes:
        batch, height, width, channels = _shape(rng, 4, 4)
        block = int(rng.integers(1, 4))
        deep = Tensor((batch, height, width, channels * block**2))
        wide = Tensor((batch, height * block, width * block, channels))
        tensors = [deep, wide] if code == hm.DEPTH_TO_SPACE else [wide, deep]
        return hm.build(tensors, [Op(code, [0], [1], options, {"blockSize": block})])

    return make


def _space_batch(code: int, options: str) -> Model:
    def make(rng: Draw) -> bytes:
        spatial = int(rng.integers(1, 3))
        batch, *parts, channels = _shape(rng, spatial + 2, 4)
        blocks = rng.integers(1, 4, spatial)
        edges = np.array(
            [rng.integers(0, n * b // 3 + 1, 2) for n, b in zip(parts, blocks, strict=True)]
        )
        if code == hm.SPACE_TO_BATCH_ND:  # the reference never sets what it pads with
            edges *= 0
        whole = [n * b - sum(e) for n, b, e in zip(parts, blocks, edges, strict=True)]
        zero_point = int(rng.integers(-128, 128))
        tensors = [
            Tensor((batch, *whole, channels), zero_point=zero_point),
            _numbers(blocks),
            _numbers(edges),
            Tensor((batch * int(np.prod(blocks)), *parts, channels), zero_point=zero_point),
        ]
        if code == hm.BATCH_TO_SPACE_ND:
            tensors[0], tensors[3] = tensors[3], tensors[0]
        return hm.build(tensors, [Op(code, [0, 1, 2], [3], options, {})])

    return make


def _lstm(rng: Draw) -> bytes:
    batch, steps, inputs = _shape(rng, 3, 6)
    units = int(rng.integers(1, 7))
    time_first = bool(rng.integers(0, 2))
    source = _data(rng, (steps, batch, inputs) if time_first else (batch, steps, inputs))
    hidden = {"scale": _scale(rng, 0.003, 0.02), "zero_point": int(rng.integers(-20, 20))}
    output = (*source.shape[:2], units)
    tensors = [source]
    for columns in (inputs, units):
        for _ in range(4):
            weights = rng.integers(-127, 128, (units, columns))
            tensors.append(Tensor((units, columns), scale=_scale(rng, 1e-3, 0.02), data=weights))
    for i in range(4):
        scale = float(source.scale) * float(tensors[1 + i].scale)  # type: ignore[arg-type]
        data = rng.integers(-2000, 2000, units)
        tensors.append(Tensor((units,), INT32, scale, data=data))
    cell_scale = 2.0 ** -int(rng.integers(8, 16))
    tensors += [
        Tensor((batch, units), variable=True, **hidden),
        Tensor((batch, units), hm.INT16, cell_scale, variable=True),
        Tensor(output, **hidden),
    ]
    order = [0, *range(1, 9), -1, -1, -1, *range(9, 13), -1, -1, 13, 14, -1, -1, -1, -1]
    fields = {
        "fusedActivationFunction": 4,
        "timeMajor": time_first,
        "cellClip": float(rng.choice([0.0, 0.5, 10.0])),
    }
    op = Op(hm.UNIDIRECTIONAL_SEQUENCE_LSTM, order, [15], "UnidirectionalSequenceLSTM", fields)
    return hm.build(tensors, [op])


MODELS: dict[str, Model] = {
    "quantize": _unary(hm.QUANTIZE),
    "logistic": _unary(hm.LOGISTIC, scale=1 / 256, zero_point=-128),
    "tanh": _unary(hm.TANH, scale=1 / 128, zero_point=0),
    "hard_swish": _unary(hm.HARD_SWISH),
    "leaky_relu": _unary(hm.LEAKY_RELU, "LeakyRelu"),
    "mul": _binary(hm.MUL, "Mul"),
    "sub": _binary(hm.SUB, "Sub"),
    "prelu": _binary(hm.PRELU, ""),
    "maximum": _binary(hm.MAXIMUM, "MaximumMinimum"),
    "minimum": _binary(hm.MINIMUM, "MaximumMinimum"),
    "concatenation": _concatenation,
    "pack": _pack,
    "split": _split(hm.SPLIT),
    "split_v": _split(hm.SPLIT_V),
    "unpack": _split(hm.UNPACK),
    "transpose": _transpose,
    "shuffle": _shuffle,
    "slice": _slice,
    "strided_slice": _strided_slice,
    "resize_nearest": _resize(hm.RESIZE_NEAREST_NEIGHBOR, "ResizeNearestNeighbor"),
    "resize_bilinear": _resize(hm.RESIZE_BILINEAR, "ResizeBilinear"),
    "reduce_max": _reduce(hm.REDUCE_MAX),
    "reduce_min": _reduce(hm.REDUCE_MIN),
    "mean": _reduce(hm.MEAN),
    "sum": _reduce(hm.SUM),
    "gather": _gather,
    "batch_matmul": _batch_matmul,
    "transpose_conv": _transpose_conv,
    "lstm": _lstm,
    "depth_to_space": _depth(hm.DEPTH_TO_SPACE, "DepthToSpace"),
    "space_to_depth": _depth(hm.SPACE_TO_DEPTH, "SpaceToDepth"),
    "space_to_batch": _space_batch(hm.SPACE_TO_BATCH_ND, "SpaceToBatchND"),
    "batch_to_space": _space_batch(hm.BATCH_TO_SPACE_ND, "BatchToSpaceND"),
}

DRAWS = 60


@pytest.mark.parametrize("name", MODELS)
def test_same_bytes_as_the_reference(name: str) -> None:
    for seed in range(DRAWS):
        model = MODELS[name](np.random.default_rng((seed, *name.encode())))
        interpreter = Interpreter(model)
        assert interpreter.status == OK, (seed, interpreter.where)
        inputs = probe_inputs(interpreter.input.shape, seed=seed, count=12)
        expected = reference(model, inputs)
        for dsp in (False, True):
            answers = Interpreter(model, dsp=dsp).run(inputs)
            np.testing.assert_array_equal(answers, expected, err_msg=f"draw {seed}")
