"""Operators and settings that the converter does not emit: same bytes as the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import handmade as hm
from handmade import INT32, Op, Tensor
from interp import OK, Interpreter, probe_inputs, reference


def _relu() -> bytes:
    tensors = [Tensor((1, 6, 5), scale=0.07, zero_point=-9), Tensor((1, 6, 5), scale=0.031)]
    return hm.build(tensors, [Op(hm.RELU, [0], [1])])


def _relu_coarse() -> bytes:  # a multiplier above one
    tensors = [Tensor((40,), scale=0.9, zero_point=17), Tensor((40,), scale=0.21, zero_point=-100)]
    return hm.build(tensors, [Op(hm.RELU, [0], [1])])


def _relu6() -> bytes:
    tensor = Tensor((2, 30), scale=0.06, zero_point=-40)
    return hm.build([tensor, tensor], [Op(hm.RELU6, [0], [1])])


def _shapes() -> bytes:
    tensors = [
        Tensor((1, 4, 3)),
        Tensor((1,), INT32, None, data=[1]),
        Tensor((1, 1, 4, 3)),
        Tensor((4, 3)),
        Tensor((2,), INT32, None, data=[3, 4]),
        Tensor((3, 4)),
    ]
    ops = [
        Op(hm.EXPAND_DIMS, [0, 1], [2]),
        Op(hm.SQUEEZE, [2], [3], "Squeeze", {"squeezeDims": [0, 1]}),
        Op(hm.RESHAPE, [3, 4], [5], "Reshape", {"newShape": [3, 4]}),
    ]
    return hm.build(tensors, ops)


def _padv2() -> bytes:
    quantized: dict[str, Any] = {"scale": 0.2, "zero_point": 5}
    tensors = [
        Tensor((1, 3, 2, 2), **quantized),
        Tensor((4, 2), INT32, None, data=[[0, 0], [1, 2], [0, 1], [2, 0]]),
        Tensor((), data=[-77], **quantized),
        Tensor((1, 6, 3, 4), **quantized),
    ]
    return hm.build(tensors, [Op(hm.PADV2, [0, 1, 2], [3])])


def _softmax(beta: float, scale: float, shape: tuple[int, ...]) -> Callable[[], bytes]:
    def make() -> bytes:
        tensors = [
            Tensor(shape, scale=scale, zero_point=3),
            Tensor(shape, scale=1 / 256, zero_point=-128),
        ]
        return hm.build(tensors, [Op(hm.SOFTMAX, [0], [1], "Softmax", {"beta": beta})])

    return make


def _conv(activation: int, zero_point: int, scales: list[float]) -> Callable[[], bytes]:
    """Extreme weights and biases, and multipliers on both sides of a half."""

    def make() -> bytes:
        rng = np.random.default_rng(5)
        weights = rng.choice(np.array([-128, -127, -1, 0, 1, 127]), (4, 3, 2, 5))
        bias = [2_000_000_000, -2_000_000, 12345, -7]
        tensors = [
            Tensor((1, 5, 4, 5), scale=0.5, zero_point=zero_point),
            Tensor((4, 3, 2, 5), scale=scales, data=weights),
            Tensor((4,), INT32, [s * 0.5 for s in scales], data=bias),
            Tensor((1, 5, 2, 4), scale=0.25, zero_point=-3),
        ]
        fields = {
            "padding": 0,
            "strideH": 1,
            "strideW": 2,
            "dilationHFactor": 1,
            "dilationWFactor": 1,
            "fusedActivationFunction": activation,
        }
        return hm.build(tensors, [Op(hm.CONV_2D, [0, 1, 2], [3], "Conv2D", fields)])

    return make


def _ties(code: int) -> Callable[[], bytes]:
    """Multipliers that are powers of two, so that many results lie half way between two steps."""

    def make() -> bytes:
        scales = [0.5, 0.25, 0.125, 1 / 64]
        zero_point = -3 if code == hm.CONV_2D else 2
        shapes: tuple[tuple[int, ...], ...]
        if code == hm.DEPTHWISE_CONV_2D:
            shapes = ((1, 16, 16, 4), (1, 1, 1, 4), (1, 16, 16, 4))
            name, fields, axis = "DepthwiseConv2D", {"depthMultiplier": 1}, 3
            fields |= {"strideH": 1, "strideW": 1}
        elif code == hm.CONV_2D:
            shapes = ((1, 16, 16, 1), (4, 1, 1, 1), (1, 16, 16, 4))
            name, fields, axis = "Conv2D", {"strideH": 1, "strideW": 1}, 0
        else:
            shapes = ((256, 1), (4, 1), (256, 4))
            name, fields, axis = "FullyConnected", {}, 0
        tensors = [
            Tensor(shapes[0], scale=0.5),
            Tensor(shapes[1], scale=scales, data=[1, -1, 3, 5], axis=axis),
            Tensor(shapes[2], scale=1.0, zero_point=zero_point),
        ]
        return hm.build(tensors, [Op(code, [0, 1], [2], name, fields)])

    return make


def _add_constant_first() -> bytes:
    tensors = [
        Tensor((2, 3, 4), scale=0.3, zero_point=100),
        Tensor((3, 1), scale=0.004, zero_point=-128, data=[[-128], [0], [127]]),
        Tensor((2, 3, 4), scale=0.17, zero_point=-50),
        Tensor((2, 3, 4), scale=0.17, zero_point=-50),
    ]
    ops = [
        Op(hm.ADD, [1, 0], [2], "Add", {"fusedActivationFunction": 3}),
        Op(hm.ADD, [2, 2], [3], "Add", {"fusedActivationFunction": 2}),
    ]
    return hm.build(tensors, ops)


def _dense_unaligned() -> bytes:
    """One scale for all rows, and weights that lie where they may."""
    rng = np.random.default_rng(6)
    tensors = [
        Tensor((1, 9), scale=0.1, zero_point=-20),
        Tensor((5, 9), scale=0.7, data=rng.integers(-128, 128, (5, 9))),
        Tensor((5,), INT32, 0.07, data=rng.integers(-9000, 9000, 5)),
        Tensor((1, 5), scale=0.9, zero_point=11),
    ]
    return hm.build(tensors, [Op(hm.FULLY_CONNECTED, [0, 1, 2], [3], "FullyConnected", {})])


MODELS = {
    "relu": _relu,
    "relu_coarse": _relu_coarse,
    "relu6": _relu6,
    "shapes": _shapes,
    "padv2": _padv2,
    "softmax_sharp": _softmax(9.0, 1.5, (3, 11)),
    "softmax_flat": _softmax(0.25, 0.001, (1, 30)),
    "softmax_two": _softmax(1.0, 0.11, (1, 2)),
    "conv_slow": _conv(0, -128, [1.0, 0.6, 0.3, 0.001]),
    "conv_fast_bias_limit": _conv(1, 127, [0.2, 0.1, 1e-6, 1e-3]),
    "conv_dead_channels": _conv(1, -20, [1e-9, 3e-12, 1e-5, 0.1]),
    "conv_dead_channels_and_slow": _conv(0, 4, [4e-8, 2.0, 1e-7, 0.2]),
    "conv_n1_to_1": _conv(2, 7, [0.02, 0.03, 0.04, 0.05]),
    "ties_conv": _ties(hm.CONV_2D),
    "ties_depthwise": _ties(hm.DEPTHWISE_CONV_2D),
    "ties_dense": _ties(hm.FULLY_CONNECTED),
    "add_constant_first": _add_constant_first,
    "dense_per_tensor": _dense_unaligned,
}


@pytest.mark.parametrize("name", MODELS)
def test_same_bytes_as_the_reference(name: str) -> None:
    model = MODELS[name]()
    for dsp in (False, True):
        interpreter = Interpreter(model, dsp=dsp)
        assert interpreter.status == OK
        inputs = probe_inputs(interpreter.input.shape, seed=11, count=30)
        np.testing.assert_array_equal(interpreter.run(inputs), reference(model, inputs))


@pytest.mark.parametrize("seed", range(4))
def test_several_inputs_and_outputs(seed: int) -> None:
    from tflite_micro import runtime

    shapes = [(1, 3, 4), (1, 3, 1), (1, 3, 4), (1, 3, 5), (1, 3, 4)]
    rng = np.random.default_rng(seed)
    tensors = [Tensor(s, scale=0.1 + 0.05 * i, zero_point=i) for i, s in enumerate(shapes)]
    tensors[1] = Tensor(shapes[1], scale=tensors[2].scale, zero_point=2)
    tensors[3] = Tensor(shapes[3], scale=tensors[2].scale, zero_point=2)
    ops = [
        Op(hm.ADD, [0, 1], [2], "Add", {}),
        Op(hm.CONCATENATION, [2, 1], [3], "Concatenation", {"axis": 2}),
        Op(hm.TANH, [0], [4]),
    ]
    model = hm.build(tensors, ops, [1, 0], [4, 3, 2])
    interpreter = Interpreter(model)
    assert (interpreter.status, interpreter.ends) == (OK, (2, 3))
    known: Any = runtime.Interpreter.from_bytes(model)
    inputs = [rng.integers(-128, 128, shapes[i]).astype(np.int8) for i in (1, 0)]
    for i, values in enumerate(inputs):
        known.set_input(values, i)
    known.invoke()
    for i, answer in enumerate(interpreter.run_all(inputs)):
        np.testing.assert_array_equal(answer, known.get_output(i))


@pytest.mark.parametrize("shifted", [False, True])
def test_ends_of_other_types(shifted: bool) -> None:
    """Float ends are left out, uint8 ends too; in between the file's shapes are computed."""
    from tflite_micro import runtime

    ends: dict[str, Any] = {"type": hm.FLOAT32, "scale": None}
    first, last = ends, ends
    if shifted:
        first = {"type": hm.UINT8, "scale": 0.11, "zero_point": 133}
        last = {"type": hm.UINT8, "scale": 1 / 256}
    tensors = [
        Tensor((1, 2, 6), **first),
        Tensor((1, 2, 6), scale=0.11, zero_point=5),
        Tensor((3,), INT32, None),  # SHAPE
        Tensor((), INT32, None),  # its last number
        *(Tensor((1,), INT32, None, data=[n]) for n in (2, 3, 1)),
        Tensor((), INT32, None, data=2),
        Tensor((2,), INT32, None),  # PACK
        Tensor((2, 6), scale=0.11, zero_point=5),
        Tensor((2, 6), scale=1 / 256, zero_point=-128),
        Tensor((2, 6), **last),
    ]
    close = hm.QUANTIZE if shifted else hm.DEQUANTIZE
    ops = [
        Op(hm.QUANTIZE, [0], [1]),
        Op(hm.SHAPE, [1], [2], "Shape", {"outType": INT32}),
        Op(hm.STRIDED_SLICE, [2, 4, 5, 6], [3], "StridedSlice", {"shrinkAxisMask": 1}),
        Op(hm.PACK, [7, 3], [8], "Pack", {"valuesCount": 2, "axis": 0}),
        Op(hm.RESHAPE, [1, 8], [9], "Reshape", {}),
        Op(hm.LOGISTIC, [9], [10]),
        Op(close, [10], [11]),
    ]
    model = hm.build(tensors, ops)
    interpreter = Interpreter(model)
    assert interpreter.status == OK, interpreter.where
    inputs = probe_inputs((1, 2, 6), seed=3, count=20)
    answers = interpreter.run(inputs)
    known: Any = runtime.Interpreter.from_bytes(model)
    for window, answer in zip(inputs, answers, strict=True):
        floats = ((window.astype(np.float64) - 5) * np.float32(0.11)).astype(np.float32)
        known.set_input((window ^ -128).view(np.uint8) if shifted else floats, 0)
        known.invoke()
        said = known.get_output(0)
        if shifted:
            np.testing.assert_array_equal(said, (answer ^ -128).view(np.uint8))
        else:
            np.testing.assert_array_equal(said, (answer.astype(np.float32) + 128) / 256)
    # Places between operators of the file, its first being left out.
    for place, data in ((0, inputs), (1, inputs), (5, inputs), (6, answers), (7, None)):
        interpreter.cut(place)
        assert (interpreter.status == OK) == (data is not None), place
        interpreter.status = OK
        if data is not None:
            flat = data.reshape(len(data), -1)
            np.testing.assert_array_equal(interpreter.run_to(place, inputs), flat)


def test_a_refusal_says_where() -> None:
    odd = Tensor((1, 4), hm.FLOAT32, None)
    tensors = [Tensor((1, 4)), odd, Tensor((1, 4))]
    ops = [Op(hm.RELU, [0], [1]), Op(hm.RELU, [1], [2])]
    assert Interpreter(hm.build(tensors, ops)).where == (0, 1)
    tensors[1] = Tensor((1, 4))
    ops[1] = Op(31, [1], [2])
    assert Interpreter(hm.build(tensors, ops)).where == (1, 31)
    assert Interpreter(hm.build(tensors, ops[:1], [0], [])).where == (1, 0)


def _streaming(order: str = "read, assign", name: bytes = b"b", code: int = hm.VAR_HANDLE) -> bytes:
    """Adds two variables to the input: one that is set at the start, and one that is not."""
    handle = Tensor((), hm.RESOURCE, None)
    quantized: dict[str, Any] = {"scale": 0.1, "zero_point": -7}
    tensors = [
        Tensor((1, 5), **quantized),
        *(handle, handle),
        *(Tensor((1, 5), **quantized) for _ in range(4)),
    ]
    read = Op(hm.READ_VARIABLE, [2], [4], "ReadVariable", {})
    ops = [
        Op(hm.CALL_ONCE, [], [], "CallOnce", {"initSubgraphIndex": 1}),
        Op(hm.VAR_HANDLE, [], [1], "VarHandle", {"sharedName": b"a"}),
        Op(hm.VAR_HANDLE, [], [2], "VarHandle", {"sharedName": b"b"}),
        Op(hm.READ_VARIABLE, [1], [3], "ReadVariable", {}),
        *([read] if order == "read, assign" else []),
        Op(hm.ASSIGN_VARIABLE, [2, 0], [], "AssignVariable", {}),
        *([] if order == "read, assign" else [read]),
        Op(hm.ADD, [0, 3], [5], "Add", {}),
        Op(hm.ADD, [5, 4], [6], "Add", {}),
        Op(hm.ASSIGN_VARIABLE, [1, 6], [], "AssignVariable", {}),
    ]
    start = Tensor((1, 5), data=[100, -100, 3, 2, 1], **quantized)
    once = [
        Op(code, [], [0], "VarHandle", {"sharedName": name}),
        Op(hm.ASSIGN_VARIABLE, [0, 1], [], "AssignVariable", {}),
    ]
    return hm.build(tensors, ops, once=([handle, start], once))


def test_variables_start_anew_with_every_window() -> None:
    from tflite_micro import runtime

    model = _streaming()
    interpreter = Interpreter(model)
    assert interpreter.status == OK, interpreter.where
    inputs = probe_inputs((1, 5), seed=5, count=20)
    answers = interpreter.run(inputs)
    for window, answer in zip(inputs, answers, strict=True):
        known: Any = runtime.Interpreter.from_bytes(model)
        known.set_input(window, 0)
        known.invoke()
        np.testing.assert_array_equal(answer, known.get_output(0))
    other = Interpreter(_streaming(name=b"c")).run(inputs)  # both start at zero
    assert np.any(other != answers)


def test_variables_that_are_not_known_at_the_start() -> None:
    assert Interpreter(_streaming("assign, read")).where == (5, hm.READ_VARIABLE)
    assert Interpreter(_streaming(code=hm.RELU)).where == (3, hm.READ_VARIABLE)


def test_space_to_batch_pads_as_tensorflow_lite() -> None:
    import tensorflow as tf

    same: dict[str, Any] = {"scale": 0.1, "zero_point": 9}
    tensors = [
        Tensor((2, 5, 4, 3), **same),
        Tensor((2,), INT32, None, data=[2, 3]),
        Tensor((2, 2), INT32, None, data=[[1, 0], [1, 4]]),
        Tensor((12, 3, 3, 3), **same),
    ]
    ops = [Op(hm.SPACE_TO_BATCH_ND, [0, 1, 2], [3], "SpaceToBatchND", {})]
    model = hm.build(tensors, ops)
    inputs = probe_inputs((2, 5, 4, 3), seed=1, count=3)
    known = tf.lite.Interpreter(model_content=model)
    known.allocate_tensors()
    for window, answer in zip(inputs, Interpreter(model).run(inputs), strict=True):
        known.set_tensor(known.get_input_details()[0]["index"], window)
        known.invoke()
        said = known.get_tensor(known.get_output_details()[0]["index"])
        np.testing.assert_array_equal(answer, said)
