"""Damaged and hostile files: Load refuses them, or Invoke runs; memory is never misused."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import handmade as hm
import numpy as np
import pytest
from corelib import SANITIZE, build_program
from handmade import FLOAT32, INT8, INT32, Op, Tensor
from interp import (
    ARENA_TOO_SMALL,
    EMULATE_DSP,
    MALFORMED,
    OK,
    TRUNCATED,
    UNSUPPORTED_OP,
    UNSUPPORTED_SHAPE,
    UNSUPPORTED_TYPE,
    Interpreter,
    reference,
)

STATUSES = {
    OK,
    TRUNCATED,
    MALFORMED,
    UNSUPPORTED_OP,
    UNSUPPORTED_TYPE,
    UNSUPPORTED_SHAPE,
    ARENA_TOO_SMALL,
}


def _conv_fields(**changes: int) -> dict[str, int]:
    fields = {
        "padding": 0,
        "strideH": 1,
        "strideW": 1,
        "dilationHFactor": 1,
        "dilationWFactor": 1,
        "fusedActivationFunction": 1,
    }
    return {**fields, **changes}


def _network(
    *,
    conv: dict[str, int] | None = None,
    tensors: dict[int, Tensor] | None = None,
    ops: dict[int, Op] | None = None,
    inputs: Iterable[int] = (0,),
    outputs: Iterable[int] = (14,),
) -> bytes:
    """A small network with every kind of kernel; the arguments replace parts of it."""
    rng = np.random.default_rng(3)
    quantized = {"scale": 0.1, "zero_point": -5}
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
        0: Op(hm.CONV_2D, [0, 1, 2], [3], "Conv2D", conv or _conv_fields()),
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


@pytest.fixture(scope="module")
def network() -> bytes:
    return _network()


def test_the_network_itself_is_fine(network: bytes) -> None:
    interpreter = Interpreter(network)
    assert interpreter.status == OK
    inputs = np.random.default_rng(1).integers(-128, 128, (5, 1, 6, 5, 3)).astype(np.int8)
    np.testing.assert_array_equal(interpreter.run(inputs), reference(network, inputs))


BIG = 2**31 - 1
A = Tensor((1, 6, 5, 3), scale=0.1, zero_point=-5)
B = Tensor((1, 6, 5, 5), scale=0.1, zero_point=-5)

NONSENSE: dict[str, tuple[set[int], Callable[[], bytes]]] = {
    "negative_dim": ({UNSUPPORTED_SHAPE}, lambda: _network(tensors={0: Tensor((1, -6, 5, 3))})),
    "zero_dim": ({UNSUPPORTED_SHAPE}, lambda: _network(tensors={3: Tensor((1, 0, 5, 5))})),
    "huge_dim": ({UNSUPPORTED_SHAPE}, lambda: _network(tensors={0: Tensor((1, BIG, 5, 3))})),
    "huge_product": (
        {UNSUPPORTED_SHAPE},
        lambda: _network(tensors={0: Tensor((65536, 65536, 65536, 65536))}),
    ),
    "rank_5": ({UNSUPPORTED_SHAPE}, lambda: _network(tensors={0: Tensor((1, 1, 6, 5, 3))})),
    "huge_arena": (
        {ARENA_TOO_SMALL},
        lambda: hm.build([Tensor((1 << 22,)), Tensor((1 << 22,))], [Op(hm.RELU, [0], [1])]),
    ),
    "zero_scale": ({MALFORMED}, lambda: _network(tensors={3: Tensor(B.shape, scale=0.0)})),
    "nan_scale": ({MALFORMED}, lambda: _network(tensors={3: Tensor(B.shape, scale=np.nan)})),
    "infinite_scale": ({MALFORMED}, lambda: _network(tensors={0: Tensor(A.shape, scale=np.inf)})),
    "negative_scale": ({MALFORMED}, lambda: _network(tensors={0: Tensor(A.shape, scale=-0.1)})),
    "no_scale": ({MALFORMED}, lambda: _network(tensors={0: Tensor(A.shape, scale=None)})),
    "tiny_output_scale": (
        {MALFORMED},
        lambda: _network(tensors={3: Tensor(B.shape, scale=1e-38)}),
    ),
    "zero_point_out_of_range": (
        {MALFORMED},
        lambda: _network(tensors={3: Tensor(B.shape, scale=0.1, zero_point=128)}),
    ),
    "asymmetric_weights": (
        {UNSUPPORTED_TYPE},
        lambda: _network(tensors={4: Tensor((1, 2, 2, 5), zero_point=1, data=[1] * 20)}),
    ),
    "wrong_scale_count": (
        {MALFORMED},
        lambda: _network(tensors={4: Tensor((1, 2, 2, 5), scale=[0.1] * 4, data=[1] * 20)}),
    ),
    "wrong_scale_axis": (
        {MALFORMED},
        lambda: _network(tensors={4: Tensor((1, 2, 2, 5), scale=[0.1] * 5, axis=0, data=[1] * 20)}),
    ),
    "short_buffer": (
        {MALFORMED},
        lambda: _network(tensors={1: Tensor((5, 3, 2, 3), data=[1] * 89)}),
    ),
    "missing_weights": ({UNSUPPORTED_SHAPE}, lambda: _network(tensors={1: Tensor((5, 3, 2, 3))})),
    "missing_bias_data": (
        {UNSUPPORTED_SHAPE},
        lambda: _network(tensors={2: Tensor((5,), INT32)}),
    ),
    "long_bias": (
        {UNSUPPORTED_SHAPE},
        lambda: _network(tensors={2: Tensor((6,), INT32, data=[1] * 6)}),
    ),
    "float_input": ({UNSUPPORTED_TYPE}, lambda: _network(tensors={0: Tensor(A.shape, FLOAT32)})),
    "float_weights": (
        {UNSUPPORTED_TYPE},
        lambda: _network(tensors={1: Tensor((5, 3, 2, 3), FLOAT32, data=[1.0] * 90)}),
    ),
    "constant_input": (
        {MALFORMED},
        lambda: _network(tensors={0: Tensor(A.shape, INT8, data=[1] * 90)}),
    ),
    "cycle": (
        {MALFORMED},
        lambda: _network(ops={2: Op(hm.ADD, [3, 7], [7], "Add", {})}),
    ),
    "read_before_computed": (
        {MALFORMED},
        lambda: _network(ops={1: Op(hm.RELU, [7], [6])}),
    ),
    "computed_twice": (
        {MALFORMED},
        lambda: _network(ops={2: Op(hm.ADD, [3, 6], [3], "Add", {})}),
    ),
    "writes_a_constant": (
        {UNSUPPORTED_SHAPE, MALFORMED},
        lambda: _network(ops={3: Op(hm.RELU, [11], [11])}),
    ),
    "writes_the_input": (
        {MALFORMED},
        lambda: hm.build([A, A], [Op(hm.RELU, [0], [0]), Op(hm.RELU, [0], [1])]),
    ),
    "output_never_computed": ({MALFORMED}, lambda: hm.build([A, A, A], [Op(hm.RELU, [0], [1])])),
    "tensor_index_too_large": (
        {MALFORMED},
        lambda: _network(ops={2: Op(hm.ADD, [3, 99], [7], "Add", {})}),
    ),
    "tensor_index_negative": (
        {MALFORMED},
        lambda: _network(ops={2: Op(hm.ADD, [3, -2], [7], "Add", {})}),
    ),
    "output_index_too_large": ({MALFORMED}, lambda: _network(outputs=[BIG])),
    "input_index_negative": ({MALFORMED}, lambda: _network(inputs=[-1])),
    "two_inputs": ({UNSUPPORTED_SHAPE}, lambda: _network(inputs=[0, 9])),
    "no_output": ({UNSUPPORTED_SHAPE}, lambda: _network(outputs=[])),
    "no_operands": ({MALFORMED}, lambda: _network(ops={2: Op(hm.ADD, [], [7], "Add", {})})),
    "no_results": (
        {UNSUPPORTED_SHAPE},
        lambda: _network(ops={2: Op(hm.ADD, [3, 6], [], "Add", {})}),
    ),
    "unknown_operator": ({UNSUPPORTED_OP}, lambda: _network(ops={2: Op(32, [3, 6], [7])})),
    "absurd_operator": ({UNSUPPORTED_OP}, lambda: _network(ops={2: Op(BIG, [3, 6], [7])})),
    "missing_options": ({MALFORMED}, lambda: _network(ops={0: Op(hm.CONV_2D, [0, 1, 2], [3])})),
    "foreign_options": (
        {MALFORMED},
        lambda: _network(ops={0: Op(hm.CONV_2D, [0, 1, 2], [3], "Softmax", {"beta": 1.0})}),
    ),
    "stride_zero": ({UNSUPPORTED_SHAPE}, lambda: _network(conv=_conv_fields(strideH=0))),
    "stride_negative": ({UNSUPPORTED_SHAPE}, lambda: _network(conv=_conv_fields(strideW=-1))),
    "stride_huge": ({UNSUPPORTED_SHAPE}, lambda: _network(conv=_conv_fields(strideW=BIG))),
    "dilation_zero": ({UNSUPPORTED_SHAPE}, lambda: _network(conv=_conv_fields(dilationHFactor=0))),
    "dilation_huge": (
        {UNSUPPORTED_SHAPE},
        lambda: _network(conv=_conv_fields(dilationHFactor=BIG)),
    ),
    "padding_unknown": ({UNSUPPORTED_SHAPE}, lambda: _network(conv=_conv_fields(padding=7))),
    "activation_tanh": (
        {UNSUPPORTED_OP},
        lambda: _network(conv=_conv_fields(fusedActivationFunction=4)),
    ),
    "axis_out_of_range": (
        {MALFORMED},
        lambda: _network(tensors={9: Tensor((2,), INT32, None, data=[1, 4])}),
    ),
    "axis_negative": (
        {MALFORMED},
        lambda: _network(tensors={9: Tensor((2,), INT32, None, data=[1, -5])}),
    ),
    "softmax_beta_nan": (
        {MALFORMED},
        lambda: _network(ops={6: Op(hm.SOFTMAX, [13], [14], "Softmax", {"beta": np.nan})}),
    ),
    "softmax_beta_zero": (
        {UNSUPPORTED_TYPE},
        lambda: _network(ops={6: Op(hm.SOFTMAX, [13], [14], "Softmax", {"beta": 0.0})}),
    ),
    "sum_of_unlike_shapes": (
        {UNSUPPORTED_SHAPE},
        lambda: _network(ops={2: Op(hm.ADD, [3, 0], [7], "Add", {})}),
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


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused(name: str) -> None:
    expected, make = NONSENSE[name]
    assert Interpreter(make(), arena_size=1 << 16).status in expected


def test_not_a_model() -> None:
    assert Interpreter(b"").status == TRUNCATED
    assert Interpreter(b"TFL3").status == TRUNCATED
    assert Interpreter(bytes(64)).status == MALFORMED
    assert Interpreter(b"\x10\0\0\0TFL3" + bytes(64)).status == MALFORMED
    assert Interpreter(b"\xff\xff\xff\xffTFL3" + bytes(64)).status == TRUNCATED


def test_a_small_arena_is_told_what_it_lacks(network: bytes) -> None:
    need = Interpreter(network).arena_used
    assert Interpreter(network, arena_size=need).status == OK
    size = 0
    for _ in range(4):
        small = Interpreter(network, arena_size=size)
        if small.status == OK:
            break
        assert small.status == ARENA_TOO_SMALL
        assert size < small.arena_used <= need
        size = small.arena_used
    assert size == need


# --- Under the address and undefined-behaviour sanitizers ---


def _fuzz(corpus: Iterable[bytes], folder: Path, *, dsp: bool) -> list[int]:
    """The status of Load for each model; fails on any report of a sanitizer."""
    flags = [*SANITIZE, *([EMULATE_DSP] if dsp else [])]
    program = build_program("fuzz_interp", ["fuzz_interp.cc"], flags)
    path = folder / "corpus.bin"
    path.write_bytes(b"".join(struct.pack("<I", len(m)) + m for m in corpus))
    done = subprocess.run(
        [str(program), str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [int(line.split()[0]) for line in done.stdout.splitlines()]


def _flips(model: bytes, count: int, seed: int) -> Iterable[bytes]:
    """Copies with one to four bytes changed: random, small, or at the edge of a range."""
    rng = np.random.default_rng(seed)
    edges = np.array([0, 1, 2, 3, 4, 127, 128, 255], np.uint8)
    for _ in range(count):
        data = np.frombuffer(model, np.uint8).copy()
        for _ in range(rng.integers(1, 5)):
            at = rng.integers(0, len(data))
            kind = rng.integers(0, 4)
            if kind == 0:
                data[at] = rng.integers(0, 256)
            elif kind == 1:
                data[at] = rng.choice(edges)
            elif kind == 2:
                data[at] ^= 1 << rng.integers(0, 8)
            else:
                word = rng.choice([0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, len(data)])
                start = at // 4 * 4
                data[start : start + 4] = np.frombuffer(struct.pack("<I", int(word)), np.uint8)[
                    : len(data) - start
                ]
        yield data.tobytes()


@pytest.mark.parametrize("dsp", [False, True])
def test_every_truncation(network: bytes, tmp_path: Path, dsp: bool) -> None:
    lengths = range(len(network))
    statuses = _fuzz((network[:n] for n in lengths), tmp_path, dsp=dsp)
    assert len(statuses) == len(lengths)
    assert set(statuses) <= STATUSES
    assert statuses[: len(network) // 2] == [TRUNCATED] * (len(network) // 2)


@pytest.mark.parametrize("dsp", [False, True])
def test_changed_bytes(network: bytes, tmp_path: Path, dsp: bool) -> None:
    statuses = _fuzz(_flips(network, 6000, seed=int(dsp)), tmp_path, dsp=dsp)
    assert len(statuses) == 6000
    assert set(statuses) <= STATUSES
    # Both sides of the checks are reached.
    assert statuses.count(OK) > 300
    assert statuses.count(MALFORMED) > 300


@pytest.mark.parametrize("dsp", [False, True])
def test_sound_and_senseless_models(network: bytes, tmp_path: Path, dsp: bool) -> None:
    corpus = [network, *(make() for _, make in NONSENSE.values())]
    statuses = _fuzz(corpus, tmp_path, dsp=dsp)
    assert statuses[0] == OK
    assert OK not in statuses[1:]
