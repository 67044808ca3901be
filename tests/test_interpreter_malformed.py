"""Damaged and hostile files: Load refuses them, or Invoke runs; memory is never misused."""

from __future__ import annotations

import struct
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

import handmade as hm
from corelib import SANITIZE, build_program
from handmade import Op, Tensor
from interp import (
    ARENA_TOO_SMALL,
    BIAS_SCALE,
    EMULATE_DSP,
    ENDS,
    MALFORMED,
    OK,
    TRUNCATED,
    UNSUPPORTED_OP,
    UNSUPPORTED_SHAPE,
    UNSUPPORTED_TYPE,
    Interpreter,
    reference,
)
from nonsense import BIG, NONSENSE, B, odd_convolution
from nonsense import network as make_network
from test_interpreter_grid import MODELS as OPERATORS
from test_interpreter_wide import MODELS as WIDE
from test_interpreter_wide import Model

STATUSES = {
    OK,
    TRUNCATED,
    MALFORMED,
    UNSUPPORTED_OP,
    UNSUPPORTED_TYPE,
    UNSUPPORTED_SHAPE,
    ARENA_TOO_SMALL,
    ENDS,
    BIAS_SCALE,
}


@pytest.fixture(scope="module")
def network() -> bytes:
    return make_network()


def test_the_network_itself_is_fine(network: bytes) -> None:
    interpreter = Interpreter(network)
    assert interpreter.status == OK
    inputs = np.random.default_rng(1).integers(-128, 128, (5, 1, 6, 5, 3)).astype(np.int8)
    np.testing.assert_array_equal(interpreter.run(inputs), reference(network, inputs))


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
        [str(program), str(path)], capture_output=True, text=True, timeout=600, check=False
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


@pytest.mark.parametrize("dsp", [False, True])
def test_odd_convolutions(tmp_path: Path, dsp: bool) -> None:
    corpus = [
        odd_convolution(code, kernel, dilation)
        for code in (hm.CONV_2D, hm.DEPTHWISE_CONV_2D)
        for kernel, dilation in (((1, 1), BIG), ((2, 2), 7), ((3, 2), 1 << 20))
    ]
    assert set(_fuzz(corpus, tmp_path, dsp=dsp)) == {OK}
    for model in (corpus[1], corpus[4]):
        inputs = np.random.default_rng(2).integers(-128, 128, (4, *B.shape)).astype(np.int8)
        answers = Interpreter(model, dsp=dsp).run(inputs)
        np.testing.assert_array_equal(answers, reference(model, inputs))


def _at_the_end(model: bytes, data: bytes) -> bytes:
    """The same model with the buffer that holds `data` as the last bytes of the file."""
    vector = model.index(struct.pack("<I", len(data)) + data)
    words = np.frombuffer(model[: len(model) // 4 * 4], np.uint32).astype(np.int64)
    (field,) = np.flatnonzero(words + 4 * np.arange(len(words)) == vector)
    moved = bytearray(model + bytes(-len(model) % 4))
    moved[4 * field : 4 * field + 4] = struct.pack("<I", len(moved) - 4 * int(field))
    return bytes(moved) + struct.pack("<I", len(data)) + data


@pytest.mark.parametrize("dsp", [False, True])
def test_weights_at_the_end_of_the_file(tmp_path: Path, dsp: bool) -> None:
    corpus = []
    for code, shape in ((hm.CONV_2D, (5, 3, 3, 5)), (hm.DEPTHWISE_CONV_2D, (1, 3, 3, 5))):
        weights = (np.arange(np.prod(shape)) % 100).astype(np.int8)
        model = odd_convolution(code, (3, 3), 1)
        corpus.append(_at_the_end(model, weights.tobytes()))
        inputs = np.random.default_rng(4).integers(-128, 128, (3, *B.shape)).astype(np.int8)
        answers = [Interpreter(m, dsp=dsp).run(inputs) for m in (model, corpus[-1])]
        np.testing.assert_array_equal(answers[0], answers[1])
    assert _fuzz(corpus, tmp_path, dsp=dsp) == [OK, OK]


@pytest.mark.parametrize(
    ("operators", "dsp"),
    [(OPERATORS, False), (OPERATORS, True), (WIDE, False)],
    ids=["int8", "int8-dsp", "int16"],
)
def test_changed_bytes_of_every_operator(
    tmp_path: Path, operators: dict[str, Model], dsp: bool
) -> None:
    corpus = []
    for number, (name, make) in enumerate(operators.items()):
        for draw in range(3):
            model = make(np.random.default_rng((draw, *name.encode())))
            corpus += [model, *_flips(model, 100, seed=1000 * draw + 10 * number + int(dsp))]
    statuses = _fuzz(corpus, tmp_path, dsp=dsp)
    assert len(statuses) == len(corpus)
    assert set(statuses) <= STATUSES
    assert set(statuses[::101]) == {OK}
    assert len(corpus) // 20 < statuses.count(OK) < len(corpus) * 9 // 10


def _seconds(model: bytes, status: int) -> float:
    """Of the processor, to load it: the quickest of three times."""
    times = []
    for _ in range(3):
        start = time.process_time()
        assert Interpreter(model, arena_size=1 << 24).status == status
        times.append(time.process_time() - start)
    return min(times)


def test_loading_takes_no_longer_for_many_scales() -> None:
    def chain(scales: int) -> bytes:
        """One tensor with so many scales, read and described by 500 operators."""
        tensors = [Tensor((1, 4)), Tensor((1, 4), scale=[0.1] * scales, data=[1] * 4)]
        ops = []
        for i in range(500):
            tensors.append(Tensor((1, 4)))
            ops.append(Op(hm.ADD, [len(tensors) - 2 if i else 0, 1], [len(tensors) - 1], "Add", {}))
        return hm.build(tensors, ops)

    few, many = (_seconds(chain(count), OK) for count in (1, 100_000))
    assert many < 3 * few + 0.01


def test_placing_many_tensors_takes_no_longer_than_their_square() -> None:
    """All are needed to the end; the first are the smallest."""
    count = 250
    tensors = [Tensor((1, 1))]
    tensors += [Tensor((1, i + 1)) for i in range(count)]
    ops = [Op(hm.MUL, [0, 0], [1], "Mul", {})]
    for i in range(1, count):
        tensors.append(Tensor((1, i + 1), data=np.zeros(i + 1)))
        ops.append(Op(hm.MUL, [0, len(tensors) - 1], [i + 1], "Mul", {}))
    parts = [list(range(1 + k, 1 + min(k + 60, count))) for k in range(0, count, 60)]
    joined = []
    for part in parts:
        tensors.append(Tensor((1, sum(part))))
        joined.append(len(tensors) - 1)
        ops.append(Op(hm.CONCATENATION, part, joined[-1:], "Concatenation", {"axis": 1}))
    tensors.append(Tensor((1, sum(range(1, count + 1)))))
    ops.append(Op(hm.CONCATENATION, joined, [len(tensors) - 1], "Concatenation", {"axis": 1}))
    assert _seconds(hm.build(tensors, ops), OK) < 0.2
