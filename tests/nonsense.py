"""A small sound network, and what a hostile or broken writer could make of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import handmade as hm
from handmade import FLOAT32, INT8, INT32, Op, Tensor
from interp import (
    ARENA_TOO_SMALL,
    BIAS_SCALE,
    ENDS,
    MALFORMED,
    UNSUPPORTED_OP,
    UNSUPPORTED_SHAPE,
    UNSUPPORTED_TYPE,
)


def conv_fields(**changes: int) -> dict[str, int]:
    fields = {
        "padding": 0,
        "strideH": 1,
        "strideW": 1,
        "dilationHFactor": 1,
        "dilationWFactor": 1,
        "fusedActivationFunction": 1,
    }
    return {**fields, **changes}


def network(
    *,
    conv: dict[str, int] | None = None,
    tensors: dict[int, Tensor] | None = None,
    ops: dict[int, Op] | None = None,
    inputs: Iterable[int] = (0,),
    outputs: Iterable[int] = (14,),
) -> bytes:
    """A small network with every kind of kernel; the arguments replace parts of it."""
    rng = np.random.default_rng(3)
    quantized: dict[str, Any] = {"scale": 0.1, "zero_point": -5}
    all_tensors = {
        0: Tensor((1, 6, 5, 3), **quantized),
        1: Tensor((5, 3, 2, 3), data=rng.integers(-127, 128, 90)),
        2: Tensor((5,), INT32, 0.01, data=rng.integers(-999, 999, 5)),
        3: Tensor((1, 6, 5, 5), **quantized),
        4: Tensor((1, 2, 2, 5), data=rng.integers(-127, 128, 20)),
        5: Tensor((5,), INT32, 0.01, data=rng.integers(-999, 999, 5)),
        6: Tensor((1, 6, 5, 5), **quantized),
        7: Tensor((1, 6, 5, 5), **quantized),
        8: Tensor((1, 3, 2, 5), **quantized),
        9: Tensor((2,), INT32, None, data=[1, 2]),
        10: Tensor((1, 5), **quantized),
        11: Tensor((4, 5), data=rng.integers(-127, 128, 20)),
        12: Tensor((4,), INT32, 0.01, data=rng.integers(-999, 999, 4)),
        13: Tensor((1, 4), **quantized),
        14: Tensor((1, 4), scale=1 / 256, zero_point=-128),
    }
    all_tensors.update(tensors or {})
    pool = {"padding": 1, "strideH": 2, "strideW": 2, "filterHeight": 2, "filterWidth": 2}
    all_ops = {
        0: Op(hm.CONV_2D, [0, 1, 2], [3], "Conv2D", conv or conv_fields()),
        1: Op(
            hm.DEPTHWISE_CONV_2D,
            [3, 4, 5],
            [6],
            "DepthwiseConv2D",
            {"strideH": 1, "strideW": 1, "depthMultiplier": 1},
        ),
        2: Op(hm.ADD, [3, 6], [7], "Add", {}),
        3: Op(hm.MAX_POOL_2D, [7], [8], "Pool2D", pool),
        4: Op(hm.MEAN, [8, 9], [10], "Reducer", {}),
        5: Op(hm.FULLY_CONNECTED, [10, 11, 12], [13], "FullyConnected", {}),
        6: Op(hm.SOFTMAX, [13], [14], "Softmax", {"beta": 1.0}),
    }
    all_ops.update(ops or {})
    tensor_list = [all_tensors[i] for i in sorted(all_tensors)]
    op_list = [all_ops[i] for i in sorted(all_ops)]
    return hm.build(tensor_list, op_list, list(inputs), list(outputs))


BIG = 2**31 - 1
A = Tensor((1, 6, 5, 3), scale=0.1, zero_point=-5)
B = Tensor((1, 6, 5, 5), scale=0.1, zero_point=-5)

NONSENSE: dict[str, tuple[set[int], Callable[[], bytes]]] = {
    "negative_dim": ({UNSUPPORTED_SHAPE}, lambda: network(tensors={0: Tensor((1, -6, 5, 3))})),
    "zero_dim": ({UNSUPPORTED_SHAPE}, lambda: network(tensors={3: Tensor((1, 0, 5, 5))})),
    "huge_dim": ({UNSUPPORTED_SHAPE}, lambda: network(tensors={0: Tensor((1, BIG, 5, 3))})),
    "huge_product": (
        {UNSUPPORTED_SHAPE},
        lambda: network(tensors={0: Tensor((65536, 65536, 65536, 65536))}),
    ),
    "rank_5": ({UNSUPPORTED_SHAPE}, lambda: network(tensors={0: Tensor((1, 1, 6, 5, 3))})),
    "huge_arena": (
        {ARENA_TOO_SMALL},
        lambda: hm.build([Tensor((1 << 22,)), Tensor((1 << 22,))], [Op(hm.RELU, [0], [1])]),
    ),
    "zero_scale": ({MALFORMED}, lambda: network(tensors={3: Tensor(B.shape, scale=0.0)})),
    "nan_scale": ({MALFORMED}, lambda: network(tensors={3: Tensor(B.shape, scale=np.nan)})),
    "infinite_scale": ({MALFORMED}, lambda: network(tensors={0: Tensor(A.shape, scale=np.inf)})),
    "negative_scale": ({MALFORMED}, lambda: network(tensors={0: Tensor(A.shape, scale=-0.1)})),
    "no_scale": ({MALFORMED}, lambda: network(tensors={0: Tensor(A.shape, scale=None)})),
    "tiny_output_scale": (
        {MALFORMED},
        lambda: network(tensors={3: Tensor(B.shape, scale=1e-38)}),
    ),
    "zero_point_out_of_range": (
        {MALFORMED},
        lambda: network(tensors={3: Tensor(B.shape, scale=0.1, zero_point=128)}),
    ),
    "asymmetric_weights": (
        {UNSUPPORTED_TYPE},
        lambda: network(tensors={4: Tensor((1, 2, 2, 5), zero_point=1, data=[1] * 20)}),
    ),
    "wrong_scale_count": (
        {MALFORMED},
        lambda: network(tensors={4: Tensor((1, 2, 2, 5), scale=[0.1] * 4, data=[1] * 20)}),
    ),
    "wrong_scale_axis": (
        {MALFORMED},
        lambda: network(tensors={4: Tensor((1, 2, 2, 5), scale=[0.1] * 5, axis=0, data=[1] * 20)}),
    ),
    "short_buffer": (
        {MALFORMED},
        lambda: network(tensors={1: Tensor((5, 3, 2, 3), data=[1] * 89)}),
    ),
    "missing_weights": ({UNSUPPORTED_SHAPE}, lambda: network(tensors={1: Tensor((5, 3, 2, 3))})),
    "missing_bias_data": (
        {UNSUPPORTED_SHAPE},
        lambda: network(tensors={2: Tensor((5,), INT32)}),
    ),
    "long_bias": (
        {UNSUPPORTED_SHAPE},
        lambda: network(tensors={2: Tensor((6,), INT32, data=[1] * 6)}),
    ),
    "float_input": ({UNSUPPORTED_TYPE}, lambda: network(tensors={0: Tensor(A.shape, FLOAT32)})),
    "float_weights": (
        {UNSUPPORTED_TYPE},
        lambda: network(tensors={1: Tensor((5, 3, 2, 3), FLOAT32, data=[1.0] * 90)}),
    ),
    "constant_input": (
        {MALFORMED},
        lambda: network(tensors={0: Tensor(A.shape, INT8, data=[1] * 90)}),
    ),
    "output_is_a_reshaped_constant": (
        {MALFORMED},
        lambda: hm.build(
            [Tensor((1,)), Tensor((1500,), data=[1] * 1500), Tensor((1500,))],
            [Op(hm.RESHAPE, [1], [2])],
        ),
    ),
    "bias_of_another_scale": (
        {BIAS_SCALE},
        lambda: network(tensors={2: Tensor((5,), INT32, 0.02, data=[900] * 5)}),
    ),
    "bias_without_a_scale": (
        {BIAS_SCALE},
        lambda: network(tensors={12: Tensor((4,), INT32, None, data=[1] * 4)}),
    ),
    "bias_of_two_scales": (
        {MALFORMED},
        lambda: network(tensors={2: Tensor((5,), INT32, [0.01] * 2, data=[1] * 5)}),
    ),
    "cycle": (
        {MALFORMED},
        lambda: network(ops={2: Op(hm.ADD, [3, 7], [7], "Add", {})}),
    ),
    "read_before_computed": (
        {MALFORMED},
        lambda: network(ops={1: Op(hm.RELU, [7], [6])}),
    ),
    "never_computed": (
        {MALFORMED},
        lambda: network(tensors={15: B}, ops={2: Op(hm.ADD, [3, 15], [7], "Add", {})}),
    ),
    "computed_twice": (
        {MALFORMED},
        lambda: network(ops={2: Op(hm.ADD, [3, 6], [3], "Add", {})}),
    ),
    "writes_a_constant": (
        {UNSUPPORTED_SHAPE, MALFORMED},
        lambda: network(ops={3: Op(hm.RELU, [11], [11])}),
    ),
    "writes_the_input": (
        {MALFORMED},
        lambda: hm.build([A, A], [Op(hm.RELU, [0], [0]), Op(hm.RELU, [0], [1])]),
    ),
    "output_never_computed": ({MALFORMED}, lambda: hm.build([A, A, A], [Op(hm.RELU, [0], [1])])),
    "tensor_index_too_large": (
        {MALFORMED},
        lambda: network(ops={2: Op(hm.ADD, [3, 99], [7], "Add", {})}),
    ),
    "tensor_index_negative": (
        {MALFORMED},
        lambda: network(ops={2: Op(hm.ADD, [3, -2], [7], "Add", {})}),
    ),
    "output_index_too_large": ({MALFORMED}, lambda: network(outputs=[BIG])),
    "input_index_negative": ({MALFORMED}, lambda: network(inputs=[-1])),
    "input_of_integers": ({UNSUPPORTED_TYPE}, lambda: network(inputs=[0, 9])),
    "nine_inputs": ({ENDS}, lambda: network(inputs=[0] * 9)),
    "the_same_input_twice": ({MALFORMED}, lambda: network(inputs=[0, 0])),
    "no_output": ({ENDS}, lambda: network(outputs=[])),
    "no_operands": ({MALFORMED}, lambda: network(ops={2: Op(hm.ADD, [], [7], "Add", {})})),
    "no_results": (
        {UNSUPPORTED_SHAPE},
        lambda: network(ops={2: Op(hm.ADD, [3, 6], [], "Add", {})}),
    ),
    "unknown_operator": ({UNSUPPORTED_OP}, lambda: network(ops={2: Op(32, [3, 6], [7])})),
    "absurd_operator": ({UNSUPPORTED_OP}, lambda: network(ops={2: Op(BIG, [3, 6], [7])})),
    "missing_options": ({MALFORMED}, lambda: network(ops={0: Op(hm.CONV_2D, [0, 1, 2], [3])})),
    "foreign_options": (
        {MALFORMED},
        lambda: network(ops={0: Op(hm.CONV_2D, [0, 1, 2], [3], "Softmax", {"beta": 1.0})}),
    ),
    "stride_zero": ({UNSUPPORTED_SHAPE}, lambda: network(conv=conv_fields(strideH=0))),
    "stride_negative": ({UNSUPPORTED_SHAPE}, lambda: network(conv=conv_fields(strideW=-1))),
    "stride_huge": ({UNSUPPORTED_SHAPE}, lambda: network(conv=conv_fields(strideW=BIG))),
    "dilation_zero": ({UNSUPPORTED_SHAPE}, lambda: network(conv=conv_fields(dilationHFactor=0))),
    "dilation_huge": (
        {UNSUPPORTED_SHAPE},
        lambda: network(conv=conv_fields(dilationHFactor=BIG)),
    ),
    "padding_unknown": ({UNSUPPORTED_SHAPE}, lambda: network(conv=conv_fields(padding=7))),
    "activation_tanh": (
        {UNSUPPORTED_OP},
        lambda: network(conv=conv_fields(fusedActivationFunction=4)),
    ),
    "axis_out_of_range": (
        {MALFORMED},
        lambda: network(tensors={9: Tensor((2,), INT32, None, data=[1, 4])}),
    ),
    "axis_negative": (
        {MALFORMED},
        lambda: network(tensors={9: Tensor((2,), INT32, None, data=[1, -5])}),
    ),
    "softmax_beta_nan": (
        {MALFORMED},
        lambda: network(ops={6: Op(hm.SOFTMAX, [13], [14], "Softmax", {"beta": np.nan})}),
    ),
    "softmax_beta_zero": (
        {UNSUPPORTED_TYPE},
        lambda: network(ops={6: Op(hm.SOFTMAX, [13], [14], "Softmax", {"beta": 0.0})}),
    ),
    "sum_of_unlike_shapes": (
        {UNSUPPORTED_SHAPE},
        lambda: network(ops={2: Op(hm.ADD, [3, 0], [7], "Add", {})}),
    ),
    "pad_negative": (
        {UNSUPPORTED_SHAPE},
        lambda: hm.build(
            [Tensor((4,)), Tensor((1, 2), INT32, None, data=[-1, 1]), Tensor((4,))],
            [Op(hm.PAD, [0, 1], [2])],
        ),
    ),
    "pad_overflow": (
        {UNSUPPORTED_SHAPE},
        lambda: hm.build(
            [Tensor((4,)), Tensor((1, 2), INT32, None, data=[BIG, BIG]), Tensor((2,))],
            [Op(hm.PAD, [0, 1], [2])],
        ),
    ),
}


def odd_convolution(code: int, kernel: tuple[int, int], dilation: int) -> bytes:
    """Taps that all but one lie far outside of the image, or that have no distance."""
    depthwise = code == hm.DEPTHWISE_CONV_2D
    weights = (1, *kernel, 5) if depthwise else (5, *kernel, 5)
    tensors = [B, Tensor(weights, data=np.arange(np.prod(weights)) % 100), B]
    fields = conv_fields(dilationHFactor=dilation, dilationWFactor=dilation)
    name = "Conv2D"
    if depthwise:
        fields["depthMultiplier"] = 1
        name = "DepthwiseConv2D"
    return hm.build(tensors, [Op(code, [0, 1], [2], name, fields)])
