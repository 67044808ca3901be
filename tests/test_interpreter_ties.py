"""Scales at which the last bit of a multiplier decides: same bytes as the reference.

What a layer's scales make of a sum is a product with one multiplier. Where that product lies half
way between two steps of the output, it matters whether the multiplier was computed in single or in
double precision. Such scales do not come by chance: here they are looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import handmade as hm
from handmade import INT32, Op, Tensor
from interp import OK, Interpreter, reference

CASES = 12  # of each operator
GATE = 2.0**-12  # the step of what an LSTM's gates read
EVERY = np.arange(-128, 128, dtype=np.int8)

Scales = tuple[float, float, float]  # each exact in single precision


def _single(x: float) -> float:
    return float(np.float32(x))


def _multiplied(n: int, value: float) -> int:
    """MultiplyByFixed of fixedpoint.h, for n >= 0 and a multiplier below 1."""
    mantissa, exponent = np.frexp(value)
    fixed, right = int(np.floor(mantissa * 2**31 + 0.5)), -int(exponent)
    high = (n * fixed + (1 << 30)) >> 31
    return (high + (1 << right >> 1)) >> right


def _of_difference(n: int, value: float) -> int:
    """SUB of inputs of the same scale: they are halved, with 20 bits behind the point."""
    return _multiplied(n << 19, value / 2**19)


def _of_finer(n: int, value: float) -> int:
    """SUB of the finer input, with an output of the coarser one's scale."""
    return _multiplied(_multiplied(n << 20, value / 2), 2.0**-19)


@dataclass(frozen=True)
class Tie:
    """An operator of three scales.

    Attributes:
        most: the largest sum that its inputs reach.
        ratio: its multiplier in double precision, and in single precision.
        solve: the second scale at which the multiplier is about the first argument.
        model: with inputs that reach the sum.
        apply: the output's steps above its zero point, for a sum and a multiplier.
    """

    most: int
    ratio: Callable[[float, float, float], tuple[float, float]]
    solve: Callable[[float, float, float], float]
    model: Callable[[Scales, int], tuple[bytes, NDArray[np.int8]]]
    apply: Callable[[int, float], int] = _multiplied

    def boundary(self, n: int, k: int) -> float:
        """The multiplier from which on a sum of n gives more than k steps."""
        low, high = k / n, (k + 1) / n
        for _ in range(48):
            middle = (low + high) / 2
            low, high = (middle, high) if self.apply(n, middle) <= k else (low, middle)
        return high

    def crafted(self) -> Iterator[tuple[Scales, int]]:
        rng = np.random.default_rng(7)
        found = 0
        while found < CASES:
            a, c = (_single(np.exp(rng.uniform(np.log(0.01), np.log(0.5)))) for _ in range(2))
            n = int(rng.integers(self.most // 2, self.most + 1))
            k = int(rng.integers(1, min(n // 2, 120)))
            b = _single(self.solve(self.boundary(n, k), a, c))
            double, single = self.ratio(a, b, c)
            if self.apply(n, double) != self.apply(n, single):
                found += 1
                yield (a, b, c), n


def _quotient(a: float, b: float, _: float) -> tuple[float, float]:
    return a / b, _single(np.float32(a) / np.float32(b))


def _product(a: float, b: float, c: float) -> tuple[float, float]:
    return a * b / c, _single(np.float32(a) * np.float32(b)) / c


def _whole(scale: float, zero_point: int = -128, shape: tuple[int, ...] = (1, 256)) -> Tensor:
    return Tensor(shape, scale=scale, zero_point=zero_point)


def _relu(s: Scales, _: int) -> tuple[bytes, NDArray[np.int8]]:
    return hm.build([_whole(s[0]), _whole(s[1])], [Op(hm.RELU, [0], [1])]), EVERY[None, None]


def _leaky(scales: Callable[[Scales], tuple[float, float, float]], turned: bool) -> Any:
    def make(s: Scales, _: int) -> tuple[bytes, NDArray[np.int8]]:
        zero_point = 127 if turned else -128
        first, alpha, last = scales(s)
        op = Op(hm.LEAKY_RELU, [0], [1], "LeakyRelu", {"alpha": alpha})
        return hm.build([_whole(first, zero_point), _whole(last, zero_point)], [op]), EVERY[
            None, None
        ]

    return make


def _sub(first: bool) -> Any:
    """Of 0, or from 0: the multiplier of the sum, or that of the finer input."""

    def make(s: Scales, _: int) -> tuple[bytes, NDArray[np.int8]]:
        zero = Tensor((1,), scale=s[0], zero_point=3, data=[3])
        if first:
            tensors = [_whole(s[0]), zero, _whole(s[1])]
        else:
            tensors = [_whole(s[1]), zero, _whole(s[0], 127)]
        op = Op(hm.SUB, [0, 1] if first else [1, 0], [2], "Sub", {})
        return hm.build(tensors, [op]), EVERY[None, None]

    return make


def _window(n: int) -> NDArray[np.int8]:
    """Two values a and b with 127 a + b = n, where -128 stands for 0; (1, 1, 2)."""
    a = min(n // 127, 255)
    return np.array([[[a - 128, n - 127 * a - 128]]], np.int8)


def _matrix(code: int, options: str) -> Any:
    """A sum of two products, 127 a + b."""

    def make(s: Scales, n: int) -> tuple[bytes, NDArray[np.int8]]:
        shape = (1, 2) if code == hm.FULLY_CONNECTED else (2, 1)
        tensors = [
            Tensor((1, 2), scale=s[0], zero_point=-128),
            Tensor(shape, scale=s[1], data=np.reshape([127, 1], shape)),
            Tensor((1, 1), scale=s[2], zero_point=-128),
        ]
        return hm.build(tensors, [Op(code, [0, 1], [2], options, {})]), _window(n)

    return make


def _lstm(s: Scales, n: int) -> tuple[bytes, NDArray[np.int8]]:
    """One step of one unit, whose cell gate is a sum of two products; the other gates are open."""
    cell = 2
    tensors = [Tensor((1, 1, 2), scale=s[0], zero_point=-128)]
    for gate in range(4):
        scale, data = (s[1], [[127, 1]]) if gate == cell else (0.01, [[0, 0]])
        tensors.append(Tensor((1, 2), scale=scale, data=data))
    tensors += [Tensor((1, 1), scale=0.01, data=[[0]])] * 4
    for gate in range(4):
        scale = s[0] * float(tensors[1 + gate].scale)  # type: ignore[arg-type]
        data = [0 if gate == cell else round(7.9 / scale)]
        tensors.append(Tensor((1,), INT32, scale, data=data))
    tensors += [
        Tensor((1, 1), scale=GATE, variable=True),
        Tensor((1, 1), hm.INT16, 2.0**-15, variable=True),
        Tensor((1, 1, 1), scale=GATE),
    ]
    order = [0, *range(1, 9), -1, -1, -1, *range(9, 13), -1, -1, 13, 14, -1, -1, -1, -1]
    fields = {"fusedActivationFunction": 4}
    op = Op(hm.UNIDIRECTIONAL_SEQUENCE_LSTM, order, [15], "UnidirectionalSequenceLSTM", fields)
    return hm.build(tensors, [op]), _window(n)[None]


TIES = {
    "relu": Tie(255, _quotient, lambda r, a, c: a / r, _relu),
    "leaky_relu": Tie(
        255, _quotient, lambda r, a, c: a / r, _leaky(lambda s: (s[0], 0.3, s[1]), False)
    ),
    "leaky_relu_below": Tie(
        255,
        lambda a, b, c: (a * b / c, _single(np.float32(a) * np.float32(b) / np.float32(c))),
        lambda r, a, c: r * c / a,
        _leaky(lambda s: s, True),
    ),
    "sub": Tie(255, _quotient, lambda r, a, c: a / r, _sub(True), _of_difference),
    "sub_finer": Tie(
        255,
        lambda a, b, c: (b / a, _single(np.float32(b) / np.float32(a))),
        lambda r, a, c: a * r,
        _sub(False),
        _of_finer,
    ),
    "fully_connected": Tie(
        255 * 128,
        _product,
        lambda r, a, c: r * c / a,
        _matrix(hm.FULLY_CONNECTED, "FullyConnected"),
    ),
    "batch_matmul": Tie(
        255 * 128, _product, lambda r, a, c: r * c / a, _matrix(hm.BATCH_MATMUL, "BatchMatMul")
    ),
    "lstm": Tie(
        255 * 128, lambda a, b, _: _product(a, b, GATE), lambda r, a, _: r * GATE / a, _lstm
    ),
}


@pytest.mark.parametrize("name", TIES)
def test_ties_of_the_last_bit(name: str) -> None:
    tie = TIES[name]
    wrong = []
    for scales, n in tie.crafted():
        model, inputs = tie.model(scales, n)
        interpreter = Interpreter(model)
        assert interpreter.status == OK, interpreter.where
        if (interpreter.run(inputs) != reference(model, inputs)).any():
            wrong.append((scales, n))
    assert not wrong


def test_ties_of_hard_swish() -> None:
    """Its multipliers have 16 bits: what decides is how they are rounded."""
    rng = np.random.default_rng(7)
    tried = 0
    while tried < 4 * CASES:
        first, last = (_single(np.exp(rng.uniform(np.log(0.01), np.log(0.1)))) for _ in range(2))
        single = float(np.float32(first) / np.float32(last))
        fixed = [int(np.frexp(ratio)[0] * 2**31 + 0.5) for ratio in (first / last, single)]
        if first > 2 * last or (fixed[0] + 2**15) >> 16 == (fixed[1] + 2**15) >> 16:
            continue
        tried += 1
        model = hm.build([_whole(first), _whole(last)], [Op(hm.HARD_SWISH, [0], [1])])
        interpreter = Interpreter(model)
        assert interpreter.status == OK, interpreter.where
        answers = interpreter.run(EVERY[None, None])
        np.testing.assert_array_equal(answers, reference(model, EVERY[None, None]))
