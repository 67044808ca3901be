"""What the engine refuses of operators on int16 activations, as the reference does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import handmade as hm
import test_interpreter_grid as grid
from handmade import INT16, INT32, INT64, Op, Tensor
from interp import (
    BIAS_SCALE,
    MALFORMED,
    OK,
    UNSUPPORTED_OP,
    UNSUPPORTED_SHAPE,
    UNSUPPORTED_TYPE,
    Interpreter,
)
from test_interpreter_wide import one, svdf


def _layers(code: int, bias: int = INT64, **changed: Any) -> bytes:
    """One layer of two channels on (1, 3, 3, 2); `changed` are fields as `TENSOR_field`."""
    source = Tensor((1, 3, 3, 2), INT16, 0.001)
    weights = Tensor((2, 1, 1, 2), scale=0.01, data=np.ones(4))
    biases = Tensor((2,), bias, 1e-5, data=[9, -9])
    out = Tensor((1, 3, 3, 2), INT16, 0.001)
    if code == hm.DEPTHWISE_CONV_2D:
        weights.shape = (1, 1, 1, 4)
        biases = Tensor((4,), bias, 1e-5, data=[9] * 4)
        out.shape = (1, 3, 3, 4)
    if code == hm.FULLY_CONNECTED:
        weights.shape = (2, 2)
    named = {"source": source, "weights": weights, "bias": biases, "out": out}
    for name, value in changed.items():
        tensor, _, key = name.partition("_")
        setattr(named[tensor], key, value)
    tensors = [source, weights, biases, out, grid._numbers([1, 3, 3, 2])]
    fields: dict[str, Any] = {"padding": 1, "strideH": 1, "strideW": 1}
    options, inputs = "Conv2D", [0, 1, 2]
    if code == hm.DEPTHWISE_CONV_2D:
        options, fields = "DepthwiseConv2D", {**fields, "depthMultiplier": 2}
    if code == hm.FULLY_CONNECTED:
        options, fields = "FullyConnected", {}
    if code == hm.TRANSPOSE_CONV:
        options, inputs = "TransposeConv", [4, 1, 0, 2]
    return hm.build(tensors, [Op(code, inputs, [3], options, fields)], outputs=[3])


def _two(code: int, options: str, **changed: Any) -> bytes:
    tensors = [Tensor((4,), INT16, 0.001) for _ in range(3)]
    tensors[1].data = [1, 2, 3, 4]
    for name, value in changed.items():
        tensor, _, key = name.partition("_")
        setattr(tensors[int(tensor[1:])], key, value)
    return hm.build(tensors, [Op(code, [0, 1], [2], options, {})])


def _svdf(**changed: Any) -> bytes:
    return svdf(np.random.default_rng(4), **changed)


_W = {"type": INT16, "scale": 0.001}
_LAYERS = (hm.CONV_2D, hm.DEPTHWISE_CONV_2D, hm.FULLY_CONNECTED, hm.TRANSPOSE_CONV)

REFUSED: dict[str, tuple[int, Callable[[], bytes]]] = {
    "conv: a zero point": (
        UNSUPPORTED_TYPE,
        lambda: _layers(hm.CONV_2D, source_zero_point=1),
    ),
    "conv: a zero point of the output": (
        UNSUPPORTED_TYPE,
        lambda: _layers(hm.CONV_2D, out_zero_point=1),
    ),
    "conv: bias of 16 bits": (UNSUPPORTED_TYPE, lambda: _layers(hm.CONV_2D, INT16)),
    "depthwise: bias of 32 bits": (
        UNSUPPORTED_TYPE,
        lambda: _layers(hm.DEPTHWISE_CONV_2D, INT32),
    ),
    "transpose_conv: bias of 32 bits": (
        UNSUPPORTED_TYPE,
        lambda: _layers(hm.TRANSPOSE_CONV, INT32),
    ),
    "conv: too few biases": (
        UNSUPPORTED_SHAPE,
        lambda: _layers(hm.CONV_2D, bias_shape=(1,), bias_data=[1]),
    ),
    "conv: bias in other steps": (BIAS_SCALE, lambda: _layers(hm.CONV_2D, bias_scale=2.0)),
    "dense: bias in other steps": (
        BIAS_SCALE,
        lambda: _layers(hm.FULLY_CONNECTED, bias_scale=2e-4),
    ),
    "conv: a bias that would overflow": (
        UNSUPPORTED_TYPE,
        lambda: _layers(hm.CONV_2D, bias_data=[2**46, 0]),
    ),
    "conv: an output too fine": (UNSUPPORTED_TYPE, lambda: _layers(hm.CONV_2D, out_scale=1e-8)),
    "conv: other channels": (
        UNSUPPORTED_SHAPE,
        lambda: _layers(hm.CONV_2D, out_shape=(1, 3, 3, 3)),
    ),
    "depthwise: another multiplier": (
        UNSUPPORTED_SHAPE,
        lambda: _layers(hm.DEPTHWISE_CONV_2D, out_shape=(1, 3, 3, 2)),
    ),
    "dense: inputs that do not fit": (
        UNSUPPORTED_SHAPE,
        lambda: _layers(hm.FULLY_CONNECTED, weights_shape=(2, 3), weights_data=np.ones(6)),
    ),
    "transpose_conv: another size": (
        UNSUPPORTED_SHAPE,
        lambda: _layers(hm.TRANSPOSE_CONV, out_shape=(1, 3, 4, 2)),
    ),
    **{
        f"{code}: weights of 16 bits": (
            UNSUPPORTED_TYPE,
            lambda code=code: _layers(code, weights_type=INT16),  # type: ignore[misc]
        )
        for code in _LAYERS
    },
    "add: a zero point": (UNSUPPORTED_TYPE, lambda: _two(hm.ADD, "Add", t0_zero_point=3)),
    "add: an output too fine": (UNSUPPORTED_TYPE, lambda: _two(hm.ADD, "Add", t2_scale=1e-9)),
    "add: two types": (
        UNSUPPORTED_TYPE,
        lambda: _two(hm.ADD, "Add", t1_type=hm.INT8),
    ),
    "mul: a zero point": (UNSUPPORTED_TYPE, lambda: _two(hm.MUL, "Mul", t2_zero_point=3)),
    "maximum: shapes": (
        UNSUPPORTED_SHAPE,
        lambda: _two(hm.MAXIMUM, "MaximumMinimum", t2_shape=(5,)),
    ),
    "logistic: another output": (
        UNSUPPORTED_TYPE,
        lambda: one(hm.LOGISTIC, Tensor((4,), **_W), Tensor((4,), INT16, 2.0**-14)),
    ),
    "tanh: an input too coarse": (
        UNSUPPORTED_TYPE,
        lambda: one(hm.TANH, Tensor((4,), INT16, 3.0), Tensor((4,), INT16, 2.0**-15)),
    ),
    "tanh: an input too fine": (
        UNSUPPORTED_TYPE,
        lambda: one(hm.TANH, Tensor((4,), INT16, 1e-12), Tensor((4,), INT16, 2.0**-15)),
    ),
    "relu: a zero point": (
        UNSUPPORTED_TYPE,
        lambda: one(hm.RELU, Tensor((4,), **_W, zero_point=1), Tensor((4,), **_W)),
    ),
    "quantize: 32 bits to 32": (
        UNSUPPORTED_TYPE,
        lambda: one(hm.QUANTIZE, Tensor((4,), INT32), Tensor((4,), INT32)),
    ),
    "quantize: another size": (
        UNSUPPORTED_SHAPE,
        lambda: one(hm.QUANTIZE, Tensor((4,)), Tensor((5,), INT16)),
    ),
    "softmax: another zero point": (
        UNSUPPORTED_TYPE,
        lambda: one(hm.SOFTMAX, Tensor((4,)), Tensor((4,), INT16, 1 / 65536), "Softmax"),
    ),
    "an operator that has int8 alone": (
        UNSUPPORTED_TYPE,
        lambda: one(hm.HARD_SWISH, Tensor((4,), **_W), Tensor((4,), **_W)),
    ),
    "an operator that is not there": (
        UNSUPPORTED_OP,
        lambda: one(108, Tensor((4,), **_W), Tensor((4,), **_W)),
    ),
    "svdf: a state that is none": (MALFORMED, lambda: _svdf(state_variable=False)),
    "svdf: another state": (UNSUPPORTED_SHAPE, lambda: _svdf(state_shape=(3, 5))),
    "svdf: a state of another type": (
        UNSUPPORTED_TYPE,
        lambda: _svdf(wide=False, state_type=INT16),
    ),
    "svdf: bias in other steps": (BIAS_SCALE, lambda: _svdf(bias_scale=3.0)),
    "svdf: too few biases": (UNSUPPORTED_SHAPE, lambda: _svdf(bias_shape=(1,), bias_data=[1])),
    "svdf: weights with a zero point": (UNSUPPORTED_TYPE, lambda: _svdf(features_zero_point=1)),
    "svdf: weights of time of other filters": (
        UNSUPPORTED_SHAPE,
        lambda: _svdf(wide=False, times_shape=(1, 1), times_data=[[1]]),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_reference_does_not_have_is_refused(name: str) -> None:
    expected, make = REFUSED[name]
    assert Interpreter(make()).status == expected


@pytest.mark.parametrize("code", _LAYERS)
def test_the_layers_that_are_changed_there_load(code: int) -> None:
    assert Interpreter(_layers(code)).status == OK


def test_constants_of_several_bytes_must_be_aligned() -> None:
    model = _two(hm.ADD, "Add")
    assert Interpreter(model).status == OK
    assert Interpreter(model, offset=2).status == OK
    assert Interpreter(model, offset=1).status == UNSUPPORTED_TYPE
