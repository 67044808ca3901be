"""Whole networks in lanes: every kind and shape of layer gives the bits of one device."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from test_twin import same
from tinymia.export.layers import Activation, Layer, LayerKind, Layers
from tinymia.export.sections import pack_sections, split_sections
from tinymia.twin import FineTuned, Twin, available_isas, settings_array
from tinymia.wire.settings import Optimizer, Parameters, TrainSettings

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = (ROOT / "models" / "har-watch" / "har-watch.bundle").read_bytes()
CLASSES, EXAMPLES, DEVICES = 5, 24, 19
NONE, RELU, RELU6 = Activation.NONE, Activation.RELU, Activation.RELU6
CONV, DEPTHWISE, ADD = LayerKind.CONV, LayerKind.DEPTHWISE, LayerKind.ADD
MEAN, MOST = LayerKind.AVERAGE_POOL, LayerKind.MAX_POOL


class Network:
    """Layers one behind the other on a window's 300 values; each is (h, w, c)."""

    def __init__(self, *shape: int) -> None:
        self.shapes: list[tuple[int, ...]] = [shape]
        self.records: list[Layer] = []
        self.size = 0

    def put(
        self,
        kind: LayerKind,
        shape: tuple[int, int, int],
        kernel: tuple[int, int] = (0, 0),
        stride: tuple[int, int] = (1, 1),
        pad: tuple[int, int] = (0, 0),
        act: Activation = NONE,
        other: int = 0,
    ) -> Network:
        """Another layer, which reads the one before (and, if it adds, number ``other``)."""
        before = self.shapes[-1]
        taps = kernel[0] * kernel[1]
        count = {CONV: taps * before[2] * shape[2], DEPTHWISE: taps * shape[2]}.get(kind, 0)
        if kind == LayerKind.DENSE:
            count = int(np.prod(before)) * shape[2]
        self.records.append(
            Layer(
                *(kind, act, len(self.records), other),
                *before,
                *shape,
                *kernel,
                *stride,
                *pad,
                cut=0 if not self.records else 65535,
                weights=self.size,
                weight_count=count,
                bias_count=shape[2] if count else 0,
            )
        )
        self.size += count + (shape[2] if count else 0)
        self.shapes.append(shape)
        return self

    def bundle(self) -> bytes:
        """With a dense layer behind it, and random parameters of a size that trains."""
        self.put(LayerKind.DENSE, (1, 1, CLASSES), stride=(0, 0))
        self.records[-1] = replace(self.records[-1], cut=65534)
        values = np.random.default_rng(1).normal(0, 0.2, self.size).astype(np.float32)
        sections = split_sections(BUNDLE)
        sections["LAYR"] = Layers(tuple(self.records), values).to_bytes()
        return pack_sections(list(sections.items()))


def residual() -> Network:
    """Odd channels, a sum of two layers, inputs that no window covers, pools with edges."""
    net = Network(10, 10, 3).put(CONV, (5, 5, 5), (3, 3), (2, 2), (1, 1), RELU)
    net.put(DEPTHWISE, (5, 5, 5), (3, 3), (1, 1), (1, 1), RELU6).put(ADD, (5, 5, 5), other=1)
    net.put(CONV, (3, 3, 9), (1, 1), (2, 2), act=RELU)
    return net.put(MOST, (2, 2, 9), (2, 2), (2, 2)).put(MEAN, (1, 1, 9), (3, 3), (1, 1), (1, 1))


def multiplied() -> Network:
    """One channel, kernels of four and two columns, several outputs an input."""
    net = Network(15, 20, 1).put(CONV, (8, 10, 6), (8, 4), (2, 2), (3, 1), RELU6)
    net.put(DEPTHWISE, (4, 5, 12), (3, 3), (2, 2), act=RELU)
    return net.put(DEPTHWISE, (2, 5, 12), (3, 2), (3, 1), (1, 0)).put(MEAN, (1, 1, 12), (2, 5))


def wide() -> Network:
    """More channels than are held at once, a row of positions, strides longer than kernels."""
    net = Network(5, 4, 15).put(CONV, (5, 4, 70), (1, 1), act=RELU)
    net.put(CONV, (5, 4, 11), (1, 1), act=RELU6).put(DEPTHWISE, (2, 2, 11), (1, 2), (3, 2))
    return net.put(CONV, (2, 1, 6), (2, 2), (1, 1), (0, 0), RELU)


def long() -> Network:
    """One axis, wide kernels, and planes that are too large to be laid side by side."""
    net = Network(300, 1, 1).put(CONV, (150, 1, 6), (7, 1), (2, 1), (3, 0), RELU)
    net.put(DEPTHWISE, (150, 1, 6), (5, 1), (1, 1), (2, 0), RELU)
    return net.put(CONV, (30, 1, 7), (9, 1), (5, 1), (2, 0)).put(MEAN, (1, 1, 7), (30, 1))


def square() -> Network:
    """Kernels of three by three over wide planes, rows and columns of which lack some taps."""
    net = Network(15, 20, 1).put(CONV, (15, 20, 3), (3, 3), (1, 1), (1, 1), RELU6)
    net.put(DEPTHWISE, (7, 9, 3), (3, 3), (2, 2), act=RELU)
    return net.put(DEPTHWISE, (6, 9, 3), (3, 3), (1, 1), (0, 1)).put(MEAN, (1, 1, 3), (6, 9))


NETWORKS = {net.__name__: net().bundle() for net in (residual, multiplied, wide, long, square)}
PLAIN = TrainSettings(learning_rate=0.05, batch=8)
WAYS = {
    "plain": PLAIN,
    "clip": replace(PLAIN, clip_norm=0.3),
    "private": replace(PLAIN, clip_norm=0.3, noise_multiplier=0.5, expected_members=16),
    "dropout": replace(PLAIN, clip_norm=0.3, dropout=0.4),
    "single": replace(PLAIN, batch=1),
    "biases": replace(PLAIN, clip_norm=0.3, trained=Parameters.BIASES),
    "adam": replace(PLAIN, learning_rate=0.01, optimizer=Optimizer.ADAM, mixup=0.4),
}


def trained(bundle: bytes, settings: TrainSettings, isa: str) -> FineTuned:
    """One has fewer members than the others, and so a smaller last batch."""
    twin = Twin(bundle, first_layer=0, isa=isa, threads=1)
    rng = np.random.default_rng(3)
    windows = rng.integers(-128, 128, (EXAMPLES, twin.slot_bytes)).astype(np.int8)
    members = np.ones((DEVICES, EXAMPLES), np.bool_)
    members[3, 13:] = False
    table = settings_array(settings, DEVICES)
    table["seed"] = np.arange(DEVICES)
    labels = rng.integers(0, CLASSES, EXAMPLES)
    return twin.fine_tune(windows, labels, members, table, epochs=(2,), queries=windows[:3])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("network", NETWORKS)
def test_lanes_give_the_bits_of_one_device_in_any_network(network: str, way: str) -> None:
    alone = trained(NETWORKS[network], WAYS[way], "scalar")
    assert np.isfinite(alone.parameters).all()
    assert len(np.unique(alone.hashes)) == DEVICES
    for isa in available_isas():
        if isa != "scalar":
            same(trained(NETWORKS[network], WAYS[way], isa), alone)
