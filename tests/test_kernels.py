"""The float layers: values and gradients against float64, finite differences and TensorFlow."""

from __future__ import annotations

import ctypes
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from corelib import NATIVE, ROOT, build_shared

Array = np.ndarray[Any, Any]

KINDS = {"dense": 1, "conv": 2, "depthwise": 3, "average": 4, "max": 5, "add": 6}
ACTIVATIONS = {"none": 0, "relu": 1, "relu6": 2}
LANES = 4


@dataclass(frozen=True)
class Layer:
    """A layer, and where TensorFlow pads it so that it can check it."""

    kind: str
    input: tuple[int, int, int]
    output: tuple[int, int, int]
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    activation: str = "none"
    bias: bool = True
    tensorflow: str = ""  # VALID or SAME

    @property
    def weights(self) -> tuple[int, ...]:
        if self.kind == "dense":
            return (self.output[2], int(np.prod(self.input)))
        if self.kind == "conv":
            return (self.output[2], *self.kernel, self.input[2])
        return (*self.kernel, self.output[2]) if self.kind == "depthwise" else (0,)

    @property
    def biases(self) -> int:
        return self.output[2] if self.bias and np.prod(self.weights) else 0

    def pack(self) -> bytes:
        head = struct.pack("<4B", KINDS[self.kind], ACTIVATIONS[self.activation], 0, 0)
        sizes = (*self.input, *self.output, *self.kernel, *self.stride, *self.pad, 0, 0)
        return head + struct.pack("<14H4I", *sizes, 0, int(np.prod(self.weights)), self.biases, 0)


def windowed(kind: str, size: tuple[int, int, int], channels: int, **options: Any) -> Layer:
    """A layer with windows, with output size and padding as TensorFlow computes them."""
    layer = Layer(kind, size, (1, 1, channels), **options)
    out, pad = [], []
    for n, k, s in zip(size[:2], layer.kernel, layer.stride, strict=True):
        same = layer.tensorflow == "SAME"
        o = -(-n // s) if same else (n - k) // s + 1
        out.append(o)
        pad.append(max((o - 1) * s + k - n, 0) // 2)
    return replace(layer, output=(*out, channels), pad=tuple(pad))


# Channel counts meet every block size: eight, four, two, one.
LAYERS = {
    "dense": Layer("dense", (1, 1, 23), (1, 1, 7)),
    "dense-flattens": Layer("dense", (3, 2, 5), (1, 1, 4), activation="relu"),
    "dense-no-bias": Layer("dense", (1, 1, 8), (1, 1, 3), bias=False, activation="relu6"),
    "conv-1d": windowed("conv", (1, 12, 6), 9, kernel=(1, 5), tensorflow="SAME"),
    "conv-stride": windowed(
        "conv", (1, 13, 3), 8, kernel=(1, 4), stride=(1, 2), activation="relu", tensorflow="SAME"
    ),
    "conv-2d": windowed(
        "conv", (5, 6, 3), 7, kernel=(3, 2), stride=(2, 1), activation="relu6", tensorflow="SAME"
    ),
    "conv-valid": windowed("conv", (6, 5, 2), 4, kernel=(3, 3), tensorflow="VALID"),
    "conv-point": windowed("conv", (2, 3, 11), 13, bias=False, tensorflow="VALID"),
    "conv-odd-padding": Layer("conv", (4, 3, 2), (4, 3, 3), (3, 5), (2, 3), (2, 4)),
    "depthwise": windowed("depthwise", (1, 9, 15), 15, kernel=(1, 3), tensorflow="SAME"),
    "depthwise-2d": windowed(
        "depthwise",
        (5, 4, 3),
        3,
        kernel=(3, 3),
        stride=(2, 2),
        activation="relu",
        tensorflow="SAME",
    ),
    "depthwise-multiplier": windowed(
        "depthwise", (4, 4, 2), 14, kernel=(2, 3), activation="relu6", tensorflow="VALID"
    ),
    "depthwise-odd-padding": Layer(
        "depthwise", (3, 7, 4), (3, 4, 8), (4, 3), (1, 2), (2, 1), bias=False
    ),
    "average": windowed("average", (5, 7, 15), 15, kernel=(3, 2), stride=(2, 3), tensorflow="SAME"),
    "average-all": windowed("average", (3, 4, 6), 6, kernel=(3, 4), tensorflow="VALID"),
    "average-relu": windowed(
        "average", (1, 9, 3), 3, kernel=(1, 3), stride=(1, 2), activation="relu", tensorflow="SAME"
    ),
    "max": windowed("max", (5, 7, 3), 3, kernel=(3, 2), stride=(2, 2), tensorflow="SAME"),
    "max-overlap": windowed(
        "max", (1, 9, 5), 5, kernel=(1, 3), activation="relu6", tensorflow="VALID"
    ),
    "add": Layer("add", (2, 3, 5), (2, 3, 5)),
    "add-relu": Layer("add", (1, 4, 9), (1, 4, 9), activation="relu"),
}
LEARNING = [name for name, layer in LAYERS.items() if np.prod(layer.weights)]


@pytest.fixture(scope="module")
def core() -> Any:
    header = ROOT / "host" / "native" / "vec.h"
    # The name holds the header, so that a change of it is compiled.
    name = f"kernels-{zlib.crc32(header.read_bytes()):08x}"
    return ctypes.CDLL(
        str(build_shared(name, [NATIVE / "kernels_shim.cc"], ["-I", str(header.parent)]))
    )


def values_of(layer: Layer, seed: int = 0) -> dict[str, Array]:
    """Random float32 tensors of a layer; inputs spread so that all parts of relu6 are met."""
    rng = np.random.default_rng(seed)
    draw = {
        "x": rng.normal(1, 3, layer.input),
        "other": rng.normal(1, 3, layer.input),
        "weights": rng.normal(0, 0.5, layer.weights),
        "bias": rng.normal(0, 1, layer.biases),
        "dy": rng.normal(0, 1, layer.output),
        # What is there already: gradients are added.
        "dx": rng.normal(0, 1, layer.input),
        "dother": rng.normal(0, 1, layer.input),
    }
    return {name: value.astype(np.float32) for name, value in draw.items()}


def run(
    core: Any, layer: Layer, values: dict[str, Array], biases_only: bool = False, lanes: int = 1
) -> dict[str, Array]:
    """All kernels of a layer; arrays with `lanes` lanes have a last axis for them."""
    t = {name: np.array(value, np.float32, order="C") for name, value in values.items()}
    lane = (lanes,) if lanes > 1 else ()
    trained = (0 if biases_only else int(np.prod(layer.weights))) + layer.biases
    t["y"] = np.full((*layer.output, *lane), np.nan, np.float32)
    t["gradient"] = np.zeros((trained, *lane), np.float32)
    t["norm2"] = np.full(lane, np.nan, np.float32)
    # The vectors want alignment.
    t = {name: aligned(value) for name, value in t.items()}

    def at(name: str) -> ctypes.c_void_p:
        return ctypes.c_void_p(t[name].ctypes.data if t[name].size else None)

    core.tinymia_layer(
        ctypes.c_uint32(lanes),
        layer.pack(),
        *map(at, ("x", "other", "weights", "bias")),
        ctypes.c_bool(biases_only),
        *map(at, ("y", "dy", "dx", "dother", "gradient", "norm2")),
    )
    return t


def aligned(value: Array) -> Array:
    buffer = np.zeros(value.nbytes + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    view = buffer[start : start + value.nbytes].view(np.float32).reshape(value.shape)
    view[...] = value
    return view


def forward(layer: Layer, t: dict[str, Array]) -> Array:
    """The layer in float64."""
    x = t["x"].astype(np.float64)
    w = t["weights"].astype(np.float64)
    if layer.kind == "dense":
        y = (w @ x.reshape(-1)).reshape(layer.output)
    elif layer.kind == "add":
        y = x + t["other"]
    else:
        taps = windows(layer, x, -np.inf if layer.kind == "max" else 0.0)
        if layer.kind == "conv":
            y = np.einsum("oklc,klhwc->hwo", w, taps)
        elif layer.kind == "depthwise":
            repeated = np.repeat(taps, layer.output[2] // layer.input[2], axis=-1)
            y = np.einsum("klo,klhwo->hwo", w, repeated)
        elif layer.kind == "average":
            y = taps.sum((0, 1)) / windows(layer, np.ones_like(x), 0.0).sum((0, 1))
        else:
            y = taps.max((0, 1))
    if layer.biases:
        y = y + t["bias"]
    if layer.activation != "none":
        y = np.clip(y, 0, 6 if layer.activation == "relu6" else np.inf)
    return y


def windows(layer: Layer, x: Array, fill: float) -> Array:
    """The input that each tap meets, [kernel_h, kernel_w, out_h, out_w, in_c]."""
    (kh, kw), (sh, sw), (top, left) = layer.kernel, layer.stride, layer.pad
    oh, ow = layer.output[:2]
    padded = np.full(
        (
            max((oh - 1) * sh + kh, top + x.shape[0]),
            max((ow - 1) * sw + kw, left + x.shape[1]),
            x.shape[2],
        ),
        fill,
    )
    padded[top : top + x.shape[0], left : left + x.shape[1]] = x
    rows = [
        [padded[i : i + (oh - 1) * sh + 1 : sh, j : j + (ow - 1) * sw + 1 : sw] for j in range(kw)]
        for i in range(kh)
    ]
    return np.array(rows)


def differences(layer: Layer, t: dict[str, Array], name: str) -> Array:
    """Central finite differences of sum(dy * y) in float64."""
    inner = {key: value.astype(np.float64) for key, value in t.items()}
    at = inner[name].reshape(-1)
    gradient = np.empty_like(at)
    step = 1e-5
    for i, value in enumerate(at.copy()):
        sides = []
        for moved in (value + step, value - step):
            at[i] = moved
            sides.append(np.sum(inner["dy"] * forward(layer, inner)))
        at[i] = value
        gradient[i] = (sides[0] - sides[1]) / (2 * step)
    return gradient.reshape(inner[name].shape)


def tensorflow_gradients(layer: Layer, t: dict[str, Array]) -> dict[str, Array]:
    """The layer and its gradients by TensorFlow, in float64."""
    import tensorflow as tf

    v = {name: tf.Variable(value.astype(np.float64)) for name, value in t.items()}
    strides, padding = layer.stride, layer.tensorflow

    def conv(x: Any) -> Any:
        kernel = tf.transpose(v["weights"], (1, 2, 3, 0))
        return tf.nn.conv2d(x, kernel, strides, padding)

    def depthwise(x: Any) -> Any:
        shape = (*layer.kernel, layer.input[2], layer.output[2] // layer.input[2])
        return tf.nn.depthwise_conv2d(x, tf.reshape(v["weights"], shape), (1, *strides, 1), padding)

    functions: dict[str, Callable[[Any], Any]] = {
        "dense": lambda x: tf.linalg.matvec(v["weights"], tf.reshape(x, (1, -1))),
        "conv": conv,
        "depthwise": depthwise,
        "average": lambda x: tf.nn.avg_pool2d(x, layer.kernel, strides, padding),
        "max": lambda x: tf.nn.max_pool2d(x, layer.kernel, strides, padding),
        "add": lambda x: x + v["other"],
    }
    activation = {"none": tf.identity, "relu": tf.nn.relu, "relu6": tf.nn.relu6}[layer.activation]
    with tf.GradientTape() as tape:
        y = tf.reshape(functions[layer.kind](v["x"][tf.newaxis]), layer.output)
        y = activation(y + v["bias"] if layer.biases else y)
        total = tf.reduce_sum(y * v["dy"])
    names = ["x", "other", "weights", "bias"]
    gradients = tape.gradient(
        total, [v[name] for name in names], unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return {"y": y.numpy()} | {n: g.numpy() for n, g in zip(names, gradients, strict=True)}


def assert_near(got: Array, expected: Array) -> None:
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-5 * (1 + np.abs(expected).max()))


def check(layer: Layer, t: dict[str, Array], got: dict[str, Array], g: dict[str, Array]) -> None:
    assert_near(got["dx"], t["dx"] + g["x"])
    assert_near(got["dother"], t["dother"] + g["other"])
    if np.prod(layer.weights):
        assert_near(got["gradient"], np.concatenate([g["weights"].reshape(-1), g["bias"]]))


@pytest.mark.parametrize("name", LAYERS)
def test_value_and_gradients(core: Any, name: str) -> None:
    layer = LAYERS[name]
    t = values_of(layer)
    got = run(core, layer, t)
    assert_near(got["y"], forward(layer, t))
    names = ("x", "other", "weights", "bias")
    check(layer, t, got, {n: differences(layer, t, n) if t[n].size else t[n] for n in names})


@pytest.mark.parametrize("name", [n for n, c in LAYERS.items() if "odd-padding" not in n])
def test_tensorflow_agrees(core: Any, name: str) -> None:
    layer = LAYERS[name]
    t = values_of(layer, seed=1)
    expected = tensorflow_gradients(layer, t)
    got = run(core, layer, t)
    assert_near(got["y"], expected["y"])
    check(layer, t, got, expected)


@pytest.mark.parametrize("name", LEARNING)
def test_biases_only(core: Any, name: str) -> None:
    layer = LAYERS[name]
    t = values_of(layer, seed=2)
    whole = run(core, layer, t)
    biases = run(core, layer, t, biases_only=True)
    weights = int(np.prod(layer.weights))
    np.testing.assert_array_equal(biases["gradient"], whole["gradient"][weights:])
    np.testing.assert_array_equal(biases["dx"], whole["dx"])
    for result in (whole, biases):
        norm2 = np.sum(result["gradient"].astype(np.float64) ** 2)
        np.testing.assert_allclose(result["norm2"], norm2, rtol=1e-5)


@pytest.mark.parametrize("biases_only", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_lanes_agree_bit_for_bit(core: Any, name: str, biases_only: bool) -> None:
    layer = LAYERS[name]
    each = [values_of(layer, seed) for seed in range(LANES)]
    stacked = {key: np.stack([t[key] for t in each], axis=-1) for key in each[0]}
    together = run(core, layer, stacked, biases_only, LANES)
    for lane, t in enumerate(each):
        alone = run(core, layer, t, biases_only)
        for key, value in alone.items():
            same = together[key][..., lane].tobytes() == value.tobytes()
            assert same, f"{key} of lane {lane}"


@pytest.mark.parametrize("lanes", [1, LANES])
def test_first_maximum_takes_the_gradient(core: Any, lanes: int) -> None:
    layer = Layer("max", (2, 3, 1), (1, 1, 1), (2, 3))
    rows = [[0, 1, 2, 2, 1, 2], [0, 0, 0, 0, 0, 0], [-1, -3, -1, -2, -2, -1], [5, 1, 2, 3, 4, 5]]
    first = [2, 0, 0, 0]
    for lane in range(LANES):
        shape = (*layer.input, lanes) if lanes > 1 else layer.input
        x = np.array(rows).T if lanes > 1 else np.array(rows[lane])
        t = values_of(layer)
        t["dx"] = t["dother"] = np.zeros(shape)
        t["dy"] = np.full((1, 1, 1, lanes) if lanes > 1 else (1, 1, 1), 3.0)
        t["x"] = t["other"] = x.reshape(shape)
        got = run(core, layer, t, lanes=lanes)["dx"].reshape(6, -1)
        expected = np.zeros(6)
        expected[first[lane]] = 3
        np.testing.assert_array_equal(got[:, lane if lanes > 1 else 0], expected)


def test_window_on_padding_alone_is_zero(core: Any) -> None:
    for kind in ("average", "max"):
        layer = Layer(kind, (1, 2, 3), (1, 3, 3), (1, 2), (1, 2), (0, 2))
        t = values_of(layer)
        got = run(core, layer, t)
        assert (got["y"][0, 0] == 0).all()
        # The second window covers both inputs, the third nothing.
        reduce = np.mean if kind == "average" else np.max
        assert_near(got["y"][0, 1], reduce(t["x"][0].astype(np.float64), axis=0))
        assert (got["y"][0, 2] == 0).all()


def test_sum_wants_one_gradient_or_the_same(core: Any) -> None:
    layer = LAYERS["add"]
    t = values_of(layer)
    both = run(core, layer, t)
    left = run(core, layer, t | {"dother": np.empty(0)})
    right = run(core, layer, t | {"dx": np.empty(0)})
    np.testing.assert_array_equal(left["dx"], both["dx"])
    np.testing.assert_array_equal(right["dother"], both["dother"])
