"""Damaged and hostile float layers: a bundle is refused, or it trains; memory is never misused."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import handmade as hm
from corelib import SANITIZE, build_program
from handmade import INT32, Op, Tensor
from tinymia.export.bundle import Tail
from tinymia.export.front import front_layers
from tinymia.export.layers import HEADER, RECORD, Layers, dense, join
from tinymia.export.sections import pack_sections
from tinymia.wire.protocol import Status

OK, MALFORMED = int(Status.OK), int(Status.BUNDLE_MALFORMED)
STARTS = 5  # of the network's six layers; one is inside a residual block
SETTINGS = 3
FIELDS = {
    name: i
    for i, name in enumerate(
        [
            *("kind", "activation", "input", "other"),
            *("in_h", "in_w", "in_c", "out_h", "out_w", "out_c"),
            *("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_top", "pad_left"),
            *("cut", "reserved", "weights", "weight_count", "bias_count", "reserved2"),
        ]
    )
}
CONV, DEPTHWISE, ADD, POOL, HEAD = 0, 1, 2, 3, 5


def _network() -> tuple[bytes, Layers]:
    """Convolution, depthwise convolution, their sum, pool, dense layer and a dense head."""
    rng = np.random.default_rng(3)
    quantized: dict[str, Any] = {"scale": 0.1, "zero_point": -5}
    tensors = [
        Tensor((1, 6, 5, 3), **quantized),
        Tensor((4, 3, 2, 3), data=rng.integers(-127, 128, 72)),
        Tensor((4,), INT32, 0.01, data=rng.integers(-999, 999, 4)),
        Tensor((1, 6, 5, 4), **quantized),
        Tensor((1, 2, 2, 4), data=rng.integers(-127, 128, 16)),
        Tensor((4,), INT32, 0.01, data=rng.integers(-999, 999, 4)),
        Tensor((1, 6, 5, 4), **quantized),
        Tensor((1, 6, 5, 4), **quantized),
        Tensor((1, 3, 2, 4), **quantized),
        Tensor((5, 24), data=rng.integers(-127, 128, 120)),
        Tensor((5,), INT32, 0.01, data=rng.integers(-999, 999, 5)),
        Tensor((1, 5), **quantized),
    ]
    conv = {
        "padding": 0,
        "strideH": 1,
        "strideW": 1,
        "dilationHFactor": 1,
        "dilationWFactor": 1,
        "fusedActivationFunction": 1,
    }
    pool = {"padding": 1, "strideH": 2, "strideW": 2, "filterHeight": 2, "filterWidth": 2}
    ops = [
        Op(hm.CONV_2D, [0, 1, 2], [3], "Conv2D", conv),
        Op(hm.DEPTHWISE_CONV_2D, [3, 4, 5], [6], "DepthwiseConv2D", {**conv, "depthMultiplier": 1}),
        Op(hm.ADD, [3, 6], [7], "Add", {}),
        Op(hm.MAX_POOL_2D, [7], [8], "Pool2D", pool),
        Op(hm.FULLY_CONNECTED, [8, 9, 10], [11], "FullyConnected", {}),
    ]
    model = hm.build(tensors, ops)
    tail = Tail(rng.normal(size=(3, 5)), rng.normal(size=3))
    return model, join(front_layers(model), dense(tail.weights, tail.bias))


@pytest.fixture(scope="module")
def network() -> tuple[bytes, Layers]:
    return _network()


def _bundle(model: bytes, layers: bytes, budget: bytes | None = None) -> bytes:
    bodies = [("MODL", model), ("LAYR", layers)]
    return pack_sections(bodies if budget is None else [*bodies, ("BUDG", budget)])


def _fuzz(corpus: Iterable[bytes], folder: Path) -> list[tuple[int, int]]:
    """(status, trainings) of each bundle; fails on any report of a sanitizer."""
    program = build_program("fuzz_layers", ["fuzz_layers.cc"], SANITIZE)
    path = folder / "corpus.bin"
    path.write_bytes(b"".join(struct.pack("<I", len(b)) + b for b in corpus))
    done = subprocess.run(
        [str(program), str(path)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    lines = [line.split() for line in done.stdout.splitlines()]
    return [(int(status), int(trained)) for status, trained in lines]


def _changed(layers: bytes, *changes: tuple[int, str, int]) -> bytes:
    """With fields of records set: (layer, field, value)."""
    data = bytearray(layers)
    for layer, field, value in changes:
        at = HEADER.size + RECORD.size * layer
        record = list(RECORD.unpack_from(data, at))
        record[FIELDS[field]] = value
        RECORD.pack_into(data, at, *record)
    return bytes(data)


def test_the_network_itself_trains(network: tuple[bytes, Layers], tmp_path: Path) -> None:
    model, layers = network
    assert len(layers) == 6
    assert layers.boundaries() == [CONV, DEPTHWISE, POOL, 4, HEAD]
    budget = struct.pack("<ffII", 1.0, 0.25, 7, 0)
    good = layers.to_bytes()
    corpus = [_bundle(model, good), _bundle(model, good, budget), pack_sections([("MODL", model)])]
    trained = (OK, STARTS * SETTINGS)
    assert _fuzz(corpus, tmp_path) == [trained, trained, (OK, 0)]


HOSTILE: dict[str, list[tuple[int, str, int]]] = {
    "no such kind": [(CONV, "kind", 7)],
    "kind 0": [(CONV, "kind", 0)],
    "no such activation": [(CONV, "activation", 3)],
    "reads itself": [(DEPTHWISE, "input", 2)],
    "adds itself": [(ADD, "other", 3)],
    "adds what comes later": [(ADD, "other", 6)],
    "another input without a sum": [(CONV, "other", 1)],
    "stride 0": [(CONV, "stride_h", 0)],
    "kernel 0": [(POOL, "kernel_w", 0)],
    "padding beyond the kernel": [(CONV, "pad_top", 3)],
    "padding beyond everything": [(POOL, "pad_left", 0xFFFF)],
    "windows behind the input": [(POOL, "stride_h", 4)],
    "huge kernel": [(CONV, "kernel_h", 0xFFFF)],
    "more outputs": [(POOL, "out_h", 4)],
    "no output": [(POOL, "out_c", 0)],
    "no input": [(CONV, "in_c", 0)],
    "channels that do not divide": [(DEPTHWISE, "in_c", 3)],
    "weights 2^32 by product": [(CONV, "kernel_h", 0x8000), (CONV, "kernel_w", 0x8000)],
    "weights behind the end": [(CONV, "weights", 1 << 30)],
    "weights that wrap": [(CONV, "weights", 0xFFFFFFF0)],
    "one weight too many": [(HEAD, "weights", 232)],
    "fewer weights": [(CONV, "weight_count", 71)],
    "no bias": [(CONV, "bias_count", 0)],
    "weights of a pool": [(POOL, "weight_count", 4)],
    "bias of a pool": [(POOL, "bias_count", 4)],
    "start in the residual block": [(ADD, "cut", 2)],
    "cuts that go back": [(POOL, "cut", 0)],
    "no start at the head": [(HEAD, "cut", 0xFFFF)],
    "head with an activation": [(HEAD, "activation", 1)],
    "reserved": [(CONV, "reserved", 1)],
    "reserved2": [(CONV, "reserved2", 1)],
}
# Sound by themselves, but not for this model: trained from fewer places, never read wrongly.
ODD: dict[str, list[tuple[int, str, int]]] = {
    "start at another tensor of that size": [(DEPTHWISE, "cut", 2)],
    "start at a tensor of another size": [(CONV, "cut", 1)],
    "start behind all operators": [(HEAD, "cut", 100)],
    "weights of another layer": [(DEPTHWISE, "weights", 0)],
    "kernel far larger than its input": [(POOL, "kernel_h", 0xFFFF), (POOL, "kernel_w", 0xFFFF)],
    "no overlap of windows": [(POOL, "kernel_h", 1), (POOL, "kernel_w", 1)],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_records_are_refused(
    network: tuple[bytes, Layers], tmp_path: Path, name: str
) -> None:
    model, layers = network
    hostile = _bundle(model, _changed(layers.to_bytes(), *HOSTILE[name]))
    assert _fuzz([hostile], tmp_path) == [(MALFORMED, 0)]


def test_odd_records_do_no_harm(network: tuple[bytes, Layers], tmp_path: Path) -> None:
    model, layers = network
    good = layers.to_bytes()
    found = _fuzz([_bundle(model, _changed(good, *odd)) for odd in ODD.values()], tmp_path)
    assert {status for status, _ in found} == {OK}
    assert all(trained > 0 for _, trained in found)


def test_layers_that_need_gigabytes(network: tuple[bytes, Layers], tmp_path: Path) -> None:
    """Poolings of one number to 2^24, and sums of those: more than 32 bits can count."""
    model, side = network[0], 4096
    image, none = (side, side, 1), [0] * 4
    grow = [side, side, 1, 1, side - 1, side - 1]  # kernel, stride, padding
    records = [
        (1, 0, 0, 0, 1, 1, 5, 1, 1, 1, *[0] * 6, 5, 0, 0, 5, 1, 0),
        (4, 0, 1, 0, 1, 1, 1, *image, *grow, 0xFFFF, 0, *none),
        *((6, 0, i, i, *image, *image, *[0] * 6, 0xFFFF, 0, *none) for i in range(2, 61)),
        (4, 0, 61, 0, *image, 1, 1, 1, side, side, 1, 1, 0, 0, 0xFFFF, 0, *none),
        (1, 0, 62, 0, 1, 1, 1, 1, 1, 3, *[0] * 6, 5, 0, 6, 3, 3, 0),
    ]
    body = HEADER.pack(len(records), 12, 0, 0) + b"".join(RECORD.pack(*r) for r in records)
    bundle = _bundle(model, body + bytes(4 * 12))
    assert _fuzz([bundle], tmp_path) == [(OK, 0)]


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ((1.0, 0.25, 7, 0), OK),
        ((float("nan"), 0.25, 7, 0), MALFORMED),
        ((1.0, float("nan"), 7, 0), MALFORMED),
        ((float("inf"), 0.25, 7, 0), MALFORMED),
        ((0.0, 0.25, 7, 0), MALFORMED),
        ((-1.0, 0.25, 7, 0), MALFORMED),
        ((65.0, 0.25, 7, 0), MALFORMED),
        ((1.0, 0.0, 7, 0), MALFORMED),
        ((1.0, 1.5, 7, 0), MALFORMED),
    ],
)
def test_budgets(
    network: tuple[bytes, Layers], tmp_path: Path, values: tuple[Any, ...], status: int
) -> None:
    model, layers = network
    whole = struct.pack("<ffII", *values)
    corpus = [_bundle(model, layers.to_bytes(), b) for b in (whole, whole[:-4], whole + bytes(4))]
    found = _fuzz(corpus, tmp_path)
    assert [s for s, _ in found] == [status, MALFORMED, MALFORMED]


def test_every_truncation_of_the_layers(network: tuple[bytes, Layers], tmp_path: Path) -> None:
    model, layers = network
    good = layers.to_bytes()
    found = _fuzz((_bundle(model, good[:n]) for n in range(len(good))), tmp_path)
    assert set(found) == {(MALFORMED, 0)}


def test_changed_fields_and_bytes(network: tuple[bytes, Layers], tmp_path: Path) -> None:
    model, layers = network
    good, rng = layers.to_bytes(), np.random.default_rng(5)
    edges = {"B": [0, 1, 2, 5, 6, 255], "H": [0, 1, 2, 3, 5, 6, 0x7FFF, 0xFFFE, 0xFFFF]}
    edges["I"] = [0, 1, 16, 72, 1 << 16, 0x7FFFFFFF, 0xFFFFFFFF]
    sizes = "B" * 4 + "H" * 14 + "I" * 4
    names = list(FIELDS)
    corpus = []
    for _ in range(3000):
        data = good
        for _ in range(rng.integers(1, 4)):
            field = int(rng.integers(0, len(names)))
            value = int(rng.choice(edges[sizes[field]]))
            data = _changed(data, (int(rng.integers(0, len(layers))), names[field], value))
        corpus.append(_bundle(model, data))
    for _ in range(3000):
        flipped = bytearray(good)
        for _ in range(rng.integers(1, 5)):
            end = HEADER.size + RECORD.size * len(layers) if rng.random() < 0.7 else len(good)
            flipped[rng.integers(0, end)] = rng.integers(0, 256)
        corpus.append(_bundle(model, bytes(flipped)))
    found = _fuzz(corpus, tmp_path)
    assert len(found) == len(corpus)
    assert {status for status, _ in found} == {OK, MALFORMED}
    # Both sides of the checks are reached.
    assert sum(trained > 0 for _, trained in found) > 300
    assert sum(status == MALFORMED for status, _ in found) > 3000
