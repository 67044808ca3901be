"""Float layers from int8 models: exact but for rounding, from every place training can start.

Networks: the shipped one, a keyword spotter (49x10, depthwise separable, as MLPerf Tiny's), one
with a residual block, one with an operator in the middle that cannot be trained, and one of Conv1D.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import handmade as hm
from corelib import ROOT, build_shared
from interp import MALFORMED, OK, UNSUPPORTED_SHAPE, Interpreter
from opmodels import CASES, Case, build
from tinymia.device.build import build as build_firmware
from tinymia.device.client import BoardRefusedError
from tinymia.device.connect import connect
from tinymia.errors import BundleError
from tinymia.export.bundle import Bundle, Tail
from tinymia.export.convert import io_quantization
from tinymia.export.front import front_layers
from tinymia.export.layers import HEADER, NO_CUT, RECORD, LayerKind, Layers
from tinymia.export.sections import pack_sections, split_sections
from tinymia.export.tflite_file import open_graph
from tinymia.wire import protocol
from tinymia.wire.settings import Optimizer, TrainSettings
from training_reference import Graph

SHIPPED = ROOT / "models" / "har-watch" / "har-watch.bundle"
CLASSES = 3


def _keywords(k: Any, x: Any) -> Any:
    x = k.layers.Conv2D(64, (10, 4), strides=2, padding="same", activation="relu")(x)
    for _ in range(4):
        x = k.layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
        x = k.layers.Conv2D(64, 1, activation="relu")(x)
    x = k.layers.AveragePooling2D((25, 5))(x)
    return k.layers.Dense(12, bias_initializer="normal")(k.layers.Flatten()(x))


def _residual(k: Any, x: Any) -> Any:
    x = k.layers.Conv2D(8, 3, padding="same", activation="relu", bias_initializer="normal")(x)
    y = k.layers.Conv2D(8, 3, padding="same", activation="relu6", bias_initializer="normal")(x)
    y = k.layers.Conv2D(8, (3, 1), padding="same", bias_initializer="normal")(y)
    x = k.layers.ReLU()(k.layers.Add()([x, y]))
    x = k.layers.Conv2D(12, 3, strides=2, padding="same", activation="relu")(x)
    x = k.layers.MaxPooling2D(2, 1, padding="same")(x)
    x = k.layers.AveragePooling2D(3, 2, padding="same")(x)
    x = k.layers.GlobalAveragePooling2D()(x)
    return k.layers.Dense(5, bias_initializer="normal")(x)


def _padded(k: Any, x: Any) -> Any:
    import tensorflow as tf

    class Pad(k.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return tf.pad(x, [[0, 0], [1, 0], [0, 2], [0, 1]])

    x = k.layers.Conv2D(6, 3, activation="relu")(x)
    x = k.layers.Conv2D(7, (3, 2), strides=(2, 1), activation="relu")(Pad()(x))
    x = k.layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(x)
    x = k.layers.GlobalAveragePooling2D()(x)
    x = k.layers.Dense(9, activation="relu", bias_initializer="normal")(x)
    return k.layers.Dense(4, bias_initializer="normal")(x)


def _signal(k: Any, x: Any) -> Any:
    x = k.layers.Conv1D(8, 5, strides=2, padding="same", activation="relu")(x)
    x = k.layers.MaxPooling1D(2)(x)
    x = k.layers.Conv1D(12, 3, activation="relu")(x)
    x = k.layers.GlobalAveragePooling1D()(x)
    return k.layers.Dense(4, bias_initializer="normal")(x)


@dataclass(frozen=True)
class Network:
    """A model, how many of its operators lie before its float layers, and where they can start."""

    make: Callable[[], bytes]
    before: int
    starts: tuple[int, ...]
    layers: int


def _made(name: str, shape: tuple[int, ...], function: Any) -> Callable[[], bytes]:
    return lambda: build(Case(name, shape, function))


NETWORKS = {
    "shipped": Network(lambda: Bundle.load(SHIPPED).model, 0, (0, 1, 2, 3), 4),
    "keywords": Network(_made("keywords", (49, 10, 1), _keywords), 0, tuple(range(11)), 11),
    # not between the block's convolutions, nor before its sum
    "residual": Network(_made("residual", (9, 8, 3), _residual), 0, (0, 1, 4, 5, 6, 7, 8), 9),
    "padded": Network(_made("padded", (9, 8, 3), _padded), 2, (0, 1, 2, 3, 4), 5),
    "signal": Network(_made("signal", (40, 3), _signal), 1, (0, 1, 2, 3, 4), 5),
}


@cache
def model(name: str) -> bytes:
    return NETWORKS[name].make()


@cache
def front(name: str) -> Layers:
    layers = front_layers(model(name))
    assert layers is not None
    return layers


@cache
def inputs(name: str) -> NDArray[np.int8]:
    """Of the range for which the model's tensors are made: beyond it int8 values are cut off."""
    block = Interpreter(model(name)).input
    rng = np.random.default_rng(7)
    x = rng.normal(0.0, 1.0, (10, *block.shape)) / block.scale + block.zero_point
    return np.clip(np.rint(x), -128, 127).astype(np.int8)


def bundle(name: str, layers: Layers | None = None) -> Bundle:
    """The model as a backbone, with a random tail on its output."""
    source, output = io_quantization(model(name))
    shape = Interpreter(model(name)).input.shape
    dim = Interpreter(model(name)).output.bytes
    rng = np.random.default_rng(3)
    meta = {
        "format_version": 1,
        "name": name,
        "kind": "personalizable",
        "labels": ["a", "b", "c"],
        "classes": CLASSES,
        "input": {
            "scale": source.scale,
            "zero_point": source.zero_point,
            "shape": list(shape[1:]),
        },
        "normalization": {"mean": [0.0] * shape[-1], "std": [1.0] * shape[-1]},
        "embedding": {"dim": dim, "scale": output.scale, "zero_point": output.zero_point},
    }
    tail = Tail(rng.normal(size=(CLASSES, dim)), rng.normal(size=CLASSES))
    return Bundle(model(name), tail, meta, layers or front(name))


@cache
def tensors(name: str) -> list[tuple[NDArray[np.int8], float, int]]:
    """What lies behind the first 0, 1, ... operators by TensorFlow's reference kernels.

    Codes (n, values), scale and zero point.
    """
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(
        model_content=model(name),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    _, graph = open_graph(model(name))
    numbers = [graph.Inputs(0)]
    numbers += [graph.Operators(o).Outputs(0) for o in range(graph.OperatorsLength())]
    details = {d["index"]: d for d in interpreter.get_tensor_details()}
    found: list[list[NDArray[np.int8]]] = [[] for _ in numbers]
    for row in inputs(name):
        interpreter.set_tensor(numbers[0], row)
        interpreter.invoke()
        for values, number in zip(found, numbers, strict=True):
            values.append(interpreter.get_tensor(number).ravel().copy())
    quantization = [details[n]["quantization"] for n in numbers]
    return [(np.stack(f), float(s), int(z)) for f, (s, z) in zip(found, quantization, strict=True)]


def forward(layers: Layers, first: int, end: int, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Layers ``first`` to ``end`` in float64: (n, inputs) to (n, outputs)."""
    graph = Graph(layers.records[:end], first, False, layers.parameters.astype(np.float64))
    return np.stack([graph.forward(row).numpy() for row in x])


def real(tensor: tuple[NDArray[np.int8], float, int]) -> NDArray[np.float64]:
    codes, scale, zero = tensor
    return (codes.astype(np.float64) - zero) * scale


def steps_away(y: NDArray[np.float64], tensor: tuple[NDArray[np.int8], float, int]) -> Any:
    """How far y is from what the int8 model has there, in int8 steps."""
    codes, scale, zero = tensor
    return np.abs(np.clip(y / scale + zero, -128, 127) - codes)


@pytest.mark.parametrize("name", NETWORKS)
def test_which_layers_there_are(name: str) -> None:
    network, layers = NETWORKS[name], front(name)
    assert len(layers) == network.layers
    assert tuple(layers.boundaries()) == network.starts
    assert layers.records[0].cut == network.before
    whole = bundle(name)
    assert whole.layers.boundaries() == [*network.starts, network.layers]
    again = Bundle.from_bytes(whole.to_bytes())
    assert again.layers.to_bytes() == whole.layers.to_bytes()


@pytest.mark.parametrize("dsp", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_cut_gives_the_reference_bytes(name: str, dsp: bool) -> None:
    interpreter = Interpreter(model(name), dsp=dsp)
    for count, (codes, scale, zero) in enumerate(tensors(name)):
        np.testing.assert_array_equal(interpreter.run_to(count, inputs(name)), codes)
        info = interpreter.cut(count)
        assert (info.scale, info.zero_point) == (np.float32(scale), zero)
    np.testing.assert_array_equal(interpreter.run_to(0xFFFE, inputs(name)), tensors(name)[-1][0])
    interpreter.cut(len(tensors(name)))
    assert interpreter.status == MALFORMED


@pytest.mark.parametrize("name", NETWORKS)
def test_each_layer_rounds_once(name: str) -> None:
    """From one boundary to the next the float layers give the int8 codes but for rounding."""
    layers, found = front(name), tensors(name)
    starts = [*layers.boundaries(), len(layers)]
    for first, end in pairwise(starts):
        x = real(found[layers.records[first].cut])
        behind = found[layers.records[end].cut] if end < len(layers) else found[-1]
        # in the residual block three layers round, and TFLite's MEAN rounds its sum, too
        pool = layers.records[first].kind == LayerKind.AVERAGE_POOL
        most = 2.0 if end > first + 1 else 0.76 if pool else 0.51
        assert steps_away(forward(layers, first, end, x), behind).max() < most


@pytest.mark.parametrize("name", NETWORKS)
def test_the_float_network_answers_like_the_int_one(name: str) -> None:
    layers, found = front(name), tensors(name)
    for first in layers.boundaries():
        x = real(found[layers.records[first].cut])
        away = steps_away(forward(layers, first, len(layers), x), found[-1])
        assert away.mean() < 0.7
        assert away.max() < 4


@pytest.mark.parametrize("name", NETWORKS)
def test_the_device_answers_from_every_start(name: str, tmp_path: Path) -> None:
    """Cut, store and float forward of the whole firmware, under sanitizers."""
    whole = bundle(name)
    whole.save(tmp_path / "a.bundle")
    labels = np.zeros(len(inputs(name)), np.int64)
    ran = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYMIA_BUNDLE", str(tmp_path / "a.bundle"))
        with connect("native:", build_firmware("asan_native").elf) as opened:
            board = opened.board
            board.require_bundle()
            for first, record in enumerate(whole.layers.records):
                # the spotter's convolutions are too much for this board
                refused = "bytes of arena" if name == "keywords" and first < 10 else ""
                refused = "cannot start" if record.cut == NO_CUT else refused
                if refused:
                    with pytest.raises(BoardRefusedError, match=refused):
                        board.layout(first)
                    continue
                board.layout(first)
                ran.append(first)
                board.store(inputs(name), labels)
                answers = board.query(np.arange(len(labels)))[0]
                cut = record.cut if record.cut < 0xFFFE else -1
                x = real(tensors(name)[cut])
                logits = forward(whole.layers, first, len(whole.layers), x)
                e = np.exp(logits - logits.max(axis=1, keepdims=True))
                expected = e / e.sum(axis=1, keepdims=True)
                np.testing.assert_allclose(answers, expected, rtol=2e-3, atol=2e-5)
                np.testing.assert_allclose(board.ask(inputs(name))[0], answers, atol=0)
    assert ran == (whole.layers.boundaries() if name != "keywords" else [10, 11])


@pytest.mark.parametrize(
    "name",
    ["conv_groups", "conv_batch", "dense_rows", "dense_small_no_bias", "mean_axes", "softmax_7"],
)
def test_nothing_to_train(name: str) -> None:
    """Operators that the float layers have no counterpart of end a model: there is no front."""
    case = next(case for case in CASES if case.name == name)
    assert front_layers(build(case)) is None


def test_a_dilated_convolution_is_left_out() -> None:
    x, y = hm.Tensor((1, 9, 9, 2)), hm.Tensor((1, 5, 5, 4))
    weights = hm.Tensor((4, 3, 3, 2), data=np.ones(72))
    bias = hm.Tensor((4,), hm.INT32, 0.01, data=[1, 2, 3, 4])
    pooled = hm.Tensor((1, 3, 3, 4))
    fields = {"strideH": 1, "strideW": 1, "padding": 1}
    for dilation, kinds in ((2, [LayerKind.MAX_POOL]), (1, [LayerKind.CONV, LayerKind.MAX_POOL])):
        dilated = fields | {"dilationHFactor": dilation, "dilationWFactor": dilation}
        pool = fields | {"filterHeight": 3, "filterWidth": 3}
        side = 9 - 2 * dilation
        tensors = [x, weights, bias, replace(y, shape=(1, side, side, 4))]
        tensors.append(replace(pooled, shape=(1, side - 2, side - 2, 4)))
        ops = [hm.Op(hm.CONV_2D, [0, 1, 2], [3], "Conv2D", dilated)]
        ops.append(hm.Op(hm.MAX_POOL_2D, [3], [4], "Pool2D", pool))
        layers = front_layers(hm.build(tensors, ops))
        assert layers is not None
        assert [record.kind for record in layers.records] == kinds
        assert layers.records[0].cut == dilation - 1


# --- The core's own checks ---


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(build_shared("layers", ["layers_shim.cc"])))
    library.shim_workspace.restype = ctypes.c_uint32
    return library


def _bytes(data: bytes) -> NDArray[np.uint8]:
    room = np.zeros(len(data) + 16, np.uint8)
    aligned = room[-room.ctypes.data % 16 :][: len(data)]
    aligned[:] = np.frombuffer(data, np.uint8)
    return aligned


def parse(data: bytes) -> int:
    held, layers = _bytes(data), ctypes.c_uint32()
    return int(
        _library().shim_parse(ctypes.c_void_p(held.ctypes.data), len(data), ctypes.byref(layers))
    )


def with_layers(whole: Bundle, body: bytes) -> bytes:
    """The bundle's bytes with another LAYR section, unchecked."""
    parts = split_sections(whole.to_bytes()) | {"LAYR": body}
    return pack_sections(list(parts.items()))


def test_a_start_inside_a_residual_block_is_refused() -> None:
    layers, whole = front("residual"), bundle("residual")
    assert parse(whole.to_bytes()) == OK
    for inside in (2, 3):
        records = list(whole.layers.records)
        records[inside] = replace(records[inside], cut=inside)
        hostile = Layers(tuple(records), whole.layers.parameters)
        data = with_layers(whole, hostile.to_bytes())
        assert parse(data) == protocol.Status.BUNDLE_MALFORMED
        with pytest.raises(BundleError, match=f"Layer {inside} .*cannot start"):
            bundle("residual", Layers(tuple(records[:-1]), layers.parameters)).to_bytes()


def test_the_host_refuses_what_a_device_refuses() -> None:
    """And takes only what it would write again with the same bytes."""
    whole, rng = bundle("residual"), np.random.default_rng(11)
    good, last = whole.layers.to_bytes(), len(whole.layers) - 1
    edges = [[0, 1, 2, 5, 6, 8, 9, 255]] * 4
    edges += [[0, 1, 2, 3, 5, 6, 8, 0x7FFF, 0xFFFE, 0xFFFF]] * 14
    edges += [[0, 1, 16, 72, 216, 1 << 16, 0x7FFFFFFF, 0xFFFFFFFF]] * 4
    taken = refused = 0
    for _ in range(1500):
        body = bytearray(good)
        layer, field = int(rng.integers(0, last + 1)), int(rng.integers(0, len(edges)))
        at = HEADER.size + RECORD.size * layer
        record = list(RECORD.unpack_from(body, at))
        record[field] = int(rng.choice(edges[field]))
        RECORD.pack_into(body, at, *record)
        data = with_layers(whole, bytes(body))
        status = parse(data)
        try:
            again = Bundle.from_bytes(data)
        except BundleError:
            # The last layer is written in one way: what its kind does not use is zero.
            assert status == protocol.Status.BUNDLE_MALFORMED or layer == last
            refused += 1
        else:
            assert status == OK
            assert again.to_bytes() == data
            taken += 1
    assert min(taken, refused) > 100


def workspace(whole: Bundle, first: int, settings: TrainSettings) -> int:
    """Bytes that training takes beside the store, on a machine of 64 bits."""
    held = _bytes(whole.to_bytes())
    return int(
        _library().shim_workspace(
            *(ctypes.c_void_p(held.ctypes.data), len(held), first, 0),
            *(settings.batch, int(settings.optimizer), ctypes.c_float(settings.clip_norm), 0),
        )
    )


def test_memory_is_what_the_layers_say() -> None:
    """Two numbers an activation, and one to four a parameter, but for a few structures."""
    whole = bundle("keywords")
    layers = whole.layers
    activations = 2 * sum(r.outputs for r in layers.records) + layers.records[0].inputs
    for copies, settings in (
        (1, TrainSettings(batch=1)),
        (2, TrainSettings(batch=8)),
        (3, TrainSettings(optimizer=Optimizer.MOMENTUM)),
        (4, TrainSettings(optimizer=Optimizer.ADAM, clip_norm=1.0)),
    ):
        numbers = activations + copies * len(layers.parameters)
        assert 0 <= workspace(whole, 0, settings) - 4 * numbers < 2048


def test_a_cut_at_a_constant_is_refused() -> None:
    """A reshaped constant is nowhere in the arena."""
    tensors = [
        hm.Tensor((1, 4)),
        hm.Tensor((1, 2, 50), data=np.arange(100)),
        hm.Tensor((1, 100)),
        hm.Tensor((1, 4)),
    ]
    ops = [hm.Op(hm.RESHAPE, [1], [2]), hm.Op(hm.RELU, [0], [3])]
    interpreter = Interpreter(hm.build(tensors, ops))
    assert interpreter.status == OK
    interpreter.cut(1)
    assert interpreter.status == UNSUPPORTED_SHAPE
