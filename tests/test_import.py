"""Anybody's .tflite as a bundle: taken apart at the right place, the same bytes, clear refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

import handmade as hm
from handmade import FLOAT32, INT32, Op, Tensor
from interp import Interpreter, reference
from opmodels import Case, build
from tinymia.cli.main import cli
from tinymia.errors import BundleError, ModelError, TinymiaError
from tinymia.export.bundle import Bundle
from tinymia.export.cut import cut, output_at, prefix
from tinymia.export.ends import ends
from tinymia.export.graph import read_graph
from tinymia.export.importing import Imported, Wanted, import_tflite, with_fewer_layers
from tinymia.export.personal import personalized_bundle
from tinymia.export.tflite_file import builtin_code, open_graph
from tinymia.study.imported import check_import, check_loads, probes
from tinymia.twin import Twin
from tinymia.wire.settings import Parameters

SHIPPED = Path(__file__).parents[1] / "models" / "har-watch"
COS, QUANTIZE, DEQUANTIZE, LOGISTIC, SHAPE, STRIDED_SLICE, PACK = 108, 114, 6, 14, 77, 45, 83


def _image(k: Any, x: Any) -> Any:
    x = k.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = k.layers.MaxPooling2D(2)(x)
    x = k.layers.Conv2D(12, 3, activation="relu")(x)
    x = k.layers.Dense(16, activation="relu", bias_initializer="normal")(k.layers.Flatten()(x))
    return k.layers.Dense(10, activation="softmax", bias_initializer="normal")(x)


def _spectrogram(k: Any, x: Any) -> Any:
    x = k.layers.Conv2D(8, (10, 4), strides=2, padding="same", activation="relu")(x)
    x = k.layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = k.layers.Conv2D(8, 1, activation="relu")(x)
    x = k.layers.AveragePooling2D((25, 5))(x)
    return k.layers.Dense(12)(k.layers.Flatten()(x))


def _sensor(k: Any, x: Any) -> Any:
    x = k.layers.Conv1D(8, 5, strides=2, padding="same", activation="relu")(x)
    x = k.layers.GlobalAveragePooling1D()(x)
    return k.layers.Dense(4, activation="softmax", bias_initializer="normal")(x)


def _sigmoid(k: Any, x: Any) -> Any:
    x = k.layers.Dense(8, activation="relu", bias_initializer="normal")(x)
    return k.layers.Dense(1, activation="sigmoid")(x)


def _bare(k: Any, x: Any) -> Any:
    return k.layers.Dense(4, activation="softmax")(k.layers.Flatten()(x))


NETWORKS: dict[str, tuple[tuple[int, ...], Callable[[Any, Any], Any], int]] = {
    "image": ((8, 8, 1), _image, 10),
    "spectrogram": ((49, 10, 1), _spectrogram, 12),
    "sensor": ((40, 3), _sensor, 4),
    "sigmoid": ((20,), _sigmoid, 2),
    "bare": ((30,), _bare, 4),
}


@cache
def model(name: str, per_tensor: bool = True) -> bytes:
    shape, function, _ = NETWORKS[name]
    return build(Case(name, shape, function, per_tensor))


def wanted(classes: int, **more: Any) -> Wanted:
    return Wanted(tuple(f"c{i}" for i in range(classes)), **more)


@cache
def imported(name: str) -> Imported:
    return import_tflite(model(name), wanted(NETWORKS[name][2]))


@pytest.mark.parametrize("name", NETWORKS)
def test_embeddings_are_the_files_bytes(name: str) -> None:
    """By TensorFlow Lite Micro on the whole file, which gives that tensor instead."""
    made = imported(name)
    bundle = Bundle.from_bytes(made.bundle.to_bytes())
    source = made.graph.tensors[made.graph.inputs[0]]
    codes = probes(12, source.elements).reshape(12, *source.shape)
    whole = output_at(made.tflite, made.found.embedding.number)
    there = reference(whole, codes).reshape(12, -1)
    np.testing.assert_array_equal(Twin(bundle).embed(codes.reshape(12, -1)), there)
    checked = check_import(made)
    assert checked.same_top == 1
    assert (checked.inputs, checked.real) == (64, False)


@pytest.mark.parametrize("per_tensor", [True, False])
@pytest.mark.parametrize("name", ["image", "sensor", "sigmoid"])
def test_the_tail_answers_as_the_file_does(name: str, per_tensor: bool) -> None:
    """Within a step of the file's logits and one of its probabilities, where neither is cut off."""
    made = import_tflite(model(name, per_tensor), wanted(NETWORKS[name][2]))
    source = made.graph.tensors[made.graph.inputs[0]]
    rng = np.random.default_rng(4)
    scale, zero = made.bundle.meta["input"]["scale"], made.bundle.meta["input"]["zero_point"]
    real = rng.normal(0.3, 0.5, (32, source.elements)) / scale + zero
    codes = np.clip(np.rint(real), -128, 127).astype(np.int8)
    checked = check_import(made, codes)
    assert checked.real
    assert checked.largest is not None
    assert checked.largest < 0.03
    assert (checked.same_top or 0) > 0.9


def test_a_bundle_whose_tail_was_taken_wrongly_is_found() -> None:
    made = imported("image")
    bundle = Bundle.from_bytes(made.bundle.to_bytes())
    assert bundle.tail is not None
    bundle.tail.weights[:] = -bundle.tail.weights
    broken = Imported(
        bundle, made.tflite, made.graph, made.found, made.trainable, made.kept, made.blocked
    )
    same = check_import(broken).same_top
    assert same is not None
    assert same < 0.5


def test_other_embeddings_are_refused() -> None:
    made = imported("image")
    data = bytearray(made.bundle.model)
    _, graph = open_graph(data)
    file, _ = open_graph(data)
    weights = graph.Tensors(graph.Operators(0).Inputs(1))
    file.Buffers(weights.Buffer()).DataAsNumpy()[:] ^= 1
    bundle = Bundle(bytes(data), made.bundle.tail, made.bundle.meta, made.bundle.front)
    broken = Imported(
        bundle, made.tflite, made.graph, made.found, made.trainable, made.kept, made.blocked
    )
    with pytest.raises(ModelError, match=r"other embeddings than the file: \d+ of 1024 bytes"):
        check_import(broken)


def test_a_file_that_tensorflow_lite_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """The firmware's own interpreter then runs the whole of it."""
    from tinymia.study import imported as module

    def refuse(*_: Any) -> Any:
        raise ModelError("Not this one.")

    monkeypatch.setattr(module, "run", refuse)
    checked = check_import(imported("image"))
    assert (checked.engine, checked.same_top, checked.values) == ("twin", None, 64 * 16)


def test_the_shipped_model_comes_back() -> None:
    shipped = Bundle.load(SHIPPED / "har-watch.bundle")
    names = ("ax", "ay", "az", "wx", "wy", "wz")
    made = import_tflite(
        (SHIPPED / "har-watch.tflite").read_bytes(),
        Wanted(tuple(shipped.labels), rate_hz=50.0, channels=names, name="again"),
    )
    bundle = made.bundle
    assert bundle.meta["window"] == shipped.meta["window"]
    assert bundle.meta["input"]["shape"] == [50, 6]
    for block in ("input", "embedding"):
        assert bundle.meta[block]["scale"] == shipped.meta[block]["scale"]
    assert bundle.front is not None
    assert shipped.front is not None
    np.testing.assert_array_equal(bundle.front.parameters, shipped.front.parameters)
    assert bundle.tail is not None
    assert shipped.tail is not None
    step = float(np.abs(shipped.tail.weights).max()) / 127
    assert np.abs(bundle.tail.weights - shipped.tail.weights).max() < 0.51 * step
    assert len(bundle.model) < len(shipped.model)
    assert bundle.meta["provenance"]["imported"]["tail"] == "operator 4, FULLY_CONNECTED"


@pytest.mark.parametrize(
    ("train", "kept", "layers"),
    [("head", 1, 1), ("last:2", 2, 3), ("biases:3", 3, 4), ("all", 4, 5)],
)
def test_how_much_is_trained(train: str, kept: int, layers: int) -> None:
    made = import_tflite(model("spectrogram"), wanted(12, train=train))
    bundle = Bundle.from_bytes(made.bundle.to_bytes())
    assert (made.kept, made.trainable, len(bundle.layers)) == (kept, 4, layers)
    whole = imported("spectrogram").bundle
    assert with_fewer_layers(whole, train).layers.to_bytes() == bundle.layers.to_bytes()
    # A bundle of the last layers trains as the same layers of the whole one do, in every bit.
    first = len(whole.layers) - layers
    rng = np.random.default_rng(2)
    windows = rng.integers(-128, 128, (20, 490)).astype(np.int8)
    labels = rng.integers(0, 12, 20)
    members = rng.random((2, 20)) < 0.5
    settings = _settings()
    few, all_ = (
        Twin(b, first_layer=f).fine_tune(windows, labels, members, settings, epochs=(2,))
        for b, f in ((bundle, 0), (whole, first))
    )
    np.testing.assert_array_equal(few.parameters, all_.parameters)
    # ... and is written back into the model.
    theta = few.parameters[0]
    a = personalized_bundle(bundle, 0, Parameters.WEIGHTS, theta, {})
    b = personalized_bundle(whole, first, Parameters.WEIGHTS, theta, {})
    assert a.model == b.model
    assert (a.model == bundle.model) == (train == "head")


def _settings() -> Any:
    from tinymia.wire.settings import TrainSettings

    return TrainSettings(learning_rate=0.05, seed=1)


def test_what_cannot_be_trained_is_named() -> None:
    tensors, ops = _chain()
    tensors[2] = Tensor((6, 3), data=np.ones((6, 3)), scale=0.1)
    ops[0] = Op(hm.FULLY_CONNECTED, [0, 2, -1], [1], "FullyConnected")  # without bias
    made = import_tflite(hm.build(tensors, ops, outputs=[4]), wanted(4))
    assert str(made.blocked) == "operator 0, FULLY_CONNECTED"
    assert (made.kept, made.trainable) == (1, 1)


def test_constants_lie_at_multiples_of_sixteen() -> None:
    data = imported("image").bundle.model
    file, _ = open_graph(data)
    starts = []
    for b in range(file.BuffersLength()):
        values = file.Buffers(b).DataAsNumpy()
        if isinstance(values, np.ndarray):
            base = np.frombuffer(data, np.uint8).ctypes.data
            starts.append(values.ctypes.data - base)
    assert len(starts) == 7  # three layers' weights and biases, and a shape
    assert all(start % 16 == 0 for start in starts)


def test_beginnings_and_parts_are_the_same_bytes() -> None:
    whole = model("spectrogram")
    graph = read_graph(whole)
    codes = probes(4, 490).reshape(4, 1, 49, 10, 1)
    source = graph.inputs[0]
    for op in graph.operators:
        part = cut(whole, source, op.outputs[0])
        ours, theirs = Interpreter(part).run(codes), Interpreter(whole).run_to(op.number + 1, codes)
        np.testing.assert_array_equal(ours.reshape(4, -1), theirs)
        assert len(read_graph(part).operators) == op.number + 1
        beginning = prefix(whole, op.number + 1)
        np.testing.assert_array_equal(Interpreter(beginning).run(codes), codes)
        assert len(read_graph(beginning).operators) == op.number + 1
    # ... and one that starts in the middle
    second = graph.operators[1].outputs[0]
    part = cut(whole, second, graph.outputs[0])
    middle = Interpreter(whole).run_to(2, codes).reshape(4, *graph.tensors[second].shape)
    np.testing.assert_array_equal(Interpreter(part).run(middle), Interpreter(whole).run(codes))


def _dense(inputs: int, classes: int, seed: int = 3, scales: int = 1) -> list[Tensor]:
    """Weights and bias of a dense layer behind a tensor with scale 0.05."""
    rng = np.random.default_rng(seed)
    each = [0.01 * (1 + i) for i in range(scales)]
    scale: Any = each if scales > 1 else each[0]
    bias_scale: Any = [0.05 * s for s in each] if scales > 1 else 0.05 * each[0]
    return [
        Tensor((classes, inputs), data=rng.integers(-127, 128, (classes, inputs)), scale=scale),
        Tensor((classes,), INT32, bias_scale, data=rng.integers(-500, 500, classes)),
    ]


def _chain() -> tuple[list[Tensor], list[Op]]:
    """3 numbers, dense, 6 numbers, dense, 4 logits."""
    tensors = [
        Tensor((1, 3), scale=0.05),
        Tensor((1, 6), scale=0.05, zero_point=-7),
        *_dense(3, 6),
        Tensor((1, 4), scale=0.4, zero_point=5),
        *_dense(6, 4, 5),
    ]
    ops = [
        Op(hm.FULLY_CONNECTED, [0, 2, 3], [1], "FullyConnected"),
        Op(hm.FULLY_CONNECTED, [1, 5, 6], [4], "FullyConnected"),
    ]
    return tensors, ops


def test_files_with_old_operator_codes() -> None:
    """There every operator but ADD was read as ADD."""
    tensors, ops = _chain()
    old, new = (hm.build(tensors, ops, outputs=[4], old=old) for old in (True, False))
    file, graph = open_graph(old)
    assert [builtin_code(file, graph, o) for o in range(2)] == [hm.FULLY_CONNECTED] * 2
    a, b = (import_tflite(data, wanted(4)) for data in (old, new))
    assert a.bundle.model == b.bundle.model
    assert a.bundle.layers.to_bytes() == b.bundle.layers.to_bytes()
    assert len(a.bundle.layers) == 2
    check_loads(a)
    assert check_import(a).same_top == 1


@pytest.mark.parametrize("kind", [FLOAT32, 3])
def test_ends_are_cut_and_their_scales_kept(kind: int) -> None:
    """Float ones and, as TensorFlow writes for inference_input_type=uint8, those of uint8."""
    tensors, ops = _chain()
    given: dict[str, Any] = {"scale": None} if kind == FLOAT32 else {"scale": 0.05}
    if kind != FLOAT32:
        given["zero_point"] = 128
    tensors += [Tensor((1, 3), kind, **given), Tensor((1, 4), kind, **given | {"scale": 0.4})]
    if kind == FLOAT32:
        tensors[-1].scale = None
    else:
        tensors[-1].zero_point = 133
    back = DEQUANTIZE if kind == FLOAT32 else QUANTIZE
    ends_ = [Op(QUANTIZE, [7], [0]), *ops, Op(back, [4], [8])]
    data = hm.build(tensors, ends_, inputs=[7], outputs=[8])
    made = import_tflite(data, wanted(4))
    assert [op.number for op in made.found.ends] == [0, 3]
    assert made.bundle.meta["input"] == {
        "scale": float(np.float32(0.05)),
        "zero_point": 0,
        "shape": [3],
    }
    assert (
        made.bundle.model
        == import_tflite(hm.build(tensors[:7], ops, outputs=[4]), wanted(4)).bundle.model
    )
    check_loads(made)
    assert check_import(made).same_top == 1
    with pytest.raises(ModelError, match=r"operator 0, QUANTIZE makes int8.*--keep-ends"):
        import_tflite(data, wanted(4, cut_ends=False))


def test_a_scale_for_each_class() -> None:
    tensors, ops = _chain()
    tensors[5:7] = _dense(6, 4, 5, scales=4)
    made = import_tflite(hm.build(tensors, ops, outputs=[4]), wanted(4))
    assert made.bundle.tail is not None
    codes = np.asarray(tensors[5].data)
    expect = codes * np.array([[0.01], [0.02], [0.03], [0.04]])
    np.testing.assert_allclose(made.bundle.tail.weights, expect, rtol=1e-6)
    expect = np.asarray(tensors[6].data) * 0.05 * np.array([0.01, 0.02, 0.03, 0.04])
    np.testing.assert_allclose(made.bundle.tail.bias, expect, rtol=1e-6)


def test_a_convolution_over_one_place_is_a_dense_layer() -> None:
    rng = np.random.default_rng(8)
    tensors = [
        Tensor((1, 4, 4, 6), scale=0.05),
        Tensor((1, 1, 1, 6), scale=0.05),
        Tensor((4, 1, 1, 6), scale=0.01, data=rng.integers(-127, 128, (4, 1, 1, 6))),
        Tensor((4,), INT32, 0.0005, data=[100, -200, 300, 0]),
        Tensor((1, 1, 1, 4), scale=0.1),
        Tensor((1, 4), scale=0.1),
        Tensor((2,), INT32, None, data=[1, 4]),
    ]
    pool = {"filterWidth": 4, "filterHeight": 4, "strideW": 4, "strideH": 4, "padding": 1}
    stride = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    ops = [
        Op(hm.AVERAGE_POOL_2D, [0], [1], "Pool2D", pool),
        Op(hm.CONV_2D, [1, 2, 3], [4], "Conv2D", stride),
        Op(hm.RESHAPE, [4, 6], [5], "Reshape", {"newShape": [1, 4]}),
    ]
    made = import_tflite(hm.build(tensors, ops, outputs=[5]), wanted(4))
    assert str(made.found.operator) == "operator 1, CONV_2D"
    check_loads(made)
    assert check_import(made).same_top == 1


def test_shapes_that_an_open_batch_left_behind_go() -> None:
    """RESHAPE by SHAPE, STRIDED_SLICE and PACK, as converters write it for Flatten."""
    tensors = [
        Tensor((1, 2, 3), scale=0.05),
        Tensor((3,), INT32, None),
        Tensor((1,), INT32, None, data=[0]),
        Tensor((1,), INT32, None, data=[1]),
        Tensor((), INT32, None),
        Tensor((), INT32, None, data=6),
        Tensor((2,), INT32, None),
        Tensor((1, 6), scale=0.05),
        *_dense(6, 4, 5),
        Tensor((1, 4), scale=0.4),
    ]
    ops = [
        Op(SHAPE, [0], [1], "Shape", {"outType": INT32}),
        Op(STRIDED_SLICE, [1, 2, 3, 3], [4], "StridedSlice", {"shrinkAxisMask": 1}),
        Op(PACK, [4, 5], [6], "Pack", {"valuesCount": 2}),
        Op(hm.RESHAPE, [0, 6], [7], "Reshape"),
        Op(hm.FULLY_CONNECTED, [7, 8, 9], [10], "FullyConnected"),
    ]
    made = import_tflite(hm.build(tensors, ops), wanted(4))
    assert [op.name for op in read_graph(made.bundle.model).operators] == ["RESHAPE"]
    check_loads(made)
    assert check_import(made).same_top == 1


def _two_inputs() -> bytes:
    tensors, ops = _chain()
    return hm.build([*tensors, Tensor((1, 3))], ops, inputs=[0, 7], outputs=[4])


def _two_outputs() -> bytes:
    tensors, ops = _chain()
    return hm.build(tensors, ops, outputs=[1, 4])


def _batch() -> bytes:
    tensors, ops = _chain()
    for t in (0, 1, 4):
        tensors[t].shape = (2, tensors[t].shape[1])
    return hm.build(tensors, ops, outputs=[4])


def _no_dense_end() -> bytes:
    tensors, ops = _chain()
    tensors.append(Tensor((1, 4), scale=0.4))
    return hm.build(tensors, [*ops, Op(hm.ADD, [4, 4], [7], "Add")])


def _relu_end() -> bytes:
    tensors, ops = _chain()
    ops[1].fields = {"fusedActivationFunction": 1}
    return hm.build(tensors, ops, outputs=[4])


def _unsupported() -> bytes:
    tensors, ops = _chain()
    tensors.append(Tensor((1, 3), scale=0.05))
    ops[0].inputs = [7, 2, 3]
    return hm.build(tensors, [Op(COS, [0], [7]), *ops], outputs=[4])


def _float_inside() -> bytes:
    tensors, ops = _chain()
    tensors += [Tensor((1, 6), FLOAT32, None), Tensor((1, 6), FLOAT32, None), Tensor((1, 6))]
    tensors[9].scale = 0.05
    ops[1].inputs = [9, 5, 6]
    inside = [Op(DEQUANTIZE, [1], [7]), Op(COS, [7], [8]), Op(QUANTIZE, [8], [9])]
    return hm.build(tensors, [ops[0], *inside, ops[1]], outputs=[4])


def _float_model() -> bytes:
    tensors, ops = _chain()
    for t in (0, 1, 2, 3, 4, 5, 6):
        tensors[t].type, tensors[t].scale = FLOAT32, None
    return hm.build(tensors, ops, outputs=[4])


def _float_weights() -> bytes:
    tensors, ops = _chain()
    tensors[5].type, tensors[5].scale = FLOAT32, None
    return hm.build(tensors, ops, outputs=[4])


def _one_number() -> bytes:
    tensors, ops = _chain()
    tensors[4].shape, tensors[5:7] = (1, 1), _dense(6, 1)
    return hm.build(tensors, ops, outputs=[4])


def _each_by_itself() -> bytes:
    tensors, ops = _chain()
    tensors.append(Tensor((1, 4), scale=1 / 256, zero_point=-128))
    return hm.build(tensors, [*ops, Op(LOGISTIC, [4], [7])])


def _rows() -> bytes:
    tensors, ops = _chain()
    tensors[1].shape, tensors[4].shape = (5, 6), (5, 4)
    tensors[2:4] = _dense(3, 30)
    return hm.build(tensors, ops, outputs=[4])


def _many_classes() -> bytes:
    tensors, ops = _chain()
    tensors[4].shape, tensors[5:7] = (1, 257), _dense(6, 257)
    return hm.build(tensors, ops, outputs=[4])


def _no_layer() -> bytes:
    tensors = [Tensor((1, 4), scale=0.05), Tensor((1, 4), scale=1 / 256, zero_point=-128)]
    return hm.build(tensors, [Op(hm.SOFTMAX, [0], [1], "Softmax", {"beta": 1.0})])


@pytest.mark.parametrize(
    ("make", "says", "hint"),
    [
        (_two_inputs, r"2 inputs: tensor 0 \(int8, 1x3\); tensor 7", "one input"),
        (_two_outputs, r"2 outputs: tensor 1 \(int8, 1x6\); tensor 4", "one output"),
        (_batch, r"2 examples at once: its input is tensor 0 \(int8, 2x3\)", "batch of 1"),
        (_no_dense_end, r"operator 2, ADD, which gives tensor 7 \(int8, 1x4\)", "dense"),
        (_relu_end, r"Operator 1, FULLY_CONNECTED, .* has RELU fused", "without activation"),
        (
            _unsupported,
            r"Operator 0, COS, which gives tensor 7 \(int8, 1x3\): .*not have",
            "README",
        ),
        (
            _float_inside,
            r"Operator [12], (DEQUANTIZE|COS), which gives tensor [78] ",
            "onvert",
        ),
        (_float_model, r"input is tensor 0 \(float32, 1x3\), not int8", "full-integer"),
        (
            _float_weights,
            r"Operator 1, FULLY_CONNECTED, .*tensor 5 \(float32, 4x6\)",
            "full-integer",
        ),
        (_one_number, r"Operator 1, FULLY_CONNECTED, .*single number", "sigmoid"),
        (_each_by_itself, r"Operator 2, LOGISTIC, .*each of 4 classes by itself", "softmax"),
        (_rows, r"Operator 1, FULLY_CONNECTED, .*5 (times|rows)", "batch of 1"),
        (_many_classes, r"Operator 1, FULLY_CONNECTED, .*257 numbers of 6", "256 classes"),
        (_no_layer, r"no layer with weights before tensor 1", "dense layer"),
        (lambda: b"\x1c\0\0\0TFL3" + bytes(40), "truncated or damaged|subgraphs", ""),
        (lambda: b"PK\x03\x04" + bytes(40), r"not a \.tflite file", "bundle"),
    ],
)
def test_what_cannot_be_imported(make: Callable[[], bytes], says: str, hint: str) -> None:
    with pytest.raises(TinymiaError) as caught:
        check_loads(import_tflite(make(), wanted(4)))
    assert re.search(says, caught.value.message), caught.value.message
    assert re.search(hint, caught.value.hint), caught.value.hint


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"labels": ("a", "b")}, "knows 4 classes, but 2 labels"),
        ({"labels": ("a", "b", "c", "a")}, "labels are the same"),
        ({"labels": ("a", "b", "c", "")}, "one is empty"),
        ({"channels": ("x", "y")}, "no window of 2 channels, the channels last"),
        ({"shape": (5, 5)}, "5 x 5 does not fit the model's input of 40 x 3"),
        ({"mean": (0.0, 1.0)}, "2 numbers were given as --mean"),
        ({"std": (0.0,)}, "--std must be positive"),
        ({"channels": ("x", "y", "x")}, "Two channels have one name"),
        ({"rate_hz": -1.0}, "rate of -1 Hz cannot be"),
        ({"rate_hz": float("nan")}, "rate of nan Hz cannot be"),
        ({"labels": ("a", "b", "c", "\udcff")}, "no text in UTF-8"),
        ({"channels": ("x", "y", "\udcff")}, "no text in UTF-8"),
        ({"train": "last:3"}, "cannot be trained from its last 3"),
        ({"train": "everything"}, "does not say what to train"),
    ],
)
def test_what_does_not_fit_the_file(more: dict[str, Any], says: str) -> None:
    with pytest.raises(BundleError, match=says):
        import_tflite(model("sensor"), Wanted(**{"labels": ("a", "b", "c", "d")} | more))


@pytest.mark.parametrize(
    ("shape", "more", "found"),
    [
        ((1, 40, 1, 3), {"channels": ("x", "y", "z")}, (40, 3)),
        ((1, 40, 3), {"rate_hz": 50.0}, (40, 3)),
        ((1, 120), {"channels": ("x", "y", "z")}, (40, 3)),
        ((1, 120), {"channels": ("x",)}, (120, 1)),
        ((1, 40, 1, 3), {}, (40, 1, 3)),
        ((1, 40, 1, 3), {"shape": (40, 3)}, (40, 3)),
        ((1, 120), {"shape": (60, 2), "rate_hz": 9.0}, (60, 2)),
    ],
)
def test_shapes_of_examples(
    shape: tuple[int, ...], more: dict[str, Any], found: tuple[int, ...]
) -> None:
    tensors = [
        Tensor(shape, scale=0.05),
        Tensor((1, 120), scale=0.05),
        Tensor((2,), INT32, None, data=[1, 120]),
        Tensor((1, 2), scale=0.1),
        *_dense(120, 2),
    ]
    ops = [
        Op(hm.RESHAPE, [0, 2], [1], "Reshape", {"newShape": [1, 120]}),
        Op(hm.FULLY_CONNECTED, [1, 4, 5], [3], "FullyConnected"),
    ]
    meta = import_tflite(hm.build(tensors, ops, outputs=[3]), wanted(2, **more)).bundle.meta
    assert tuple(meta["input"]["shape"]) == found
    if "rate_hz" in more or "channels" in more:
        assert (meta["window"]["length"], meta["window"]["channels"]) == found
    else:
        assert "window" not in meta


def _said(bundle: Bundle, **changed: Any) -> dict[str, Any]:
    meta = {k: dict(v) if isinstance(v, dict) else v for k, v in bundle.meta.items()}
    for path, value in changed.items():
        block, _, key = path.partition("__")
        if key:
            meta[block][key] = value
        else:
            meta[block] = value
    return meta


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"input__zero_point": -61}, r"input\.zero_point -61, but its model has -?\d+"),
        ({"input__scale": 0.25}, r"input\.scale 0\.25, but its model has 0\.\d+"),
        ({"embedding__zero_point": 3}, r"embedding\.zero_point 3, but its model has -128"),
        ({"embedding__scale": 2.0}, r"embedding\.scale 2\.0, but its model has"),
        ({"input__shape": [8, 9, 1]}, r"input\.shape \[8, 9, 1\], 72 values, .* takes 64"),
        (
            {"window": {"length": 9, "channels": 1}, "input__shape": [9, 1]},
            r"window \[9, 1\], 9 values, .* takes 64",
        ),
    ],
)
def test_metadata_that_contradicts_the_model(changed: dict[str, Any], says: str) -> None:
    """Neither saved nor read: with the wrong zero point every answer would be silently wrong."""
    bundle = imported("image").bundle
    with pytest.raises(BundleError, match=says):
        Bundle(bundle.model, bundle.tail, _said(bundle, **changed), bundle.front).to_bytes()
    from tinymia.export import bundle as module

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "check_model", lambda *_: None)
        meta = _said(bundle, **changed)
        data = Bundle(bundle.model, bundle.tail, meta, bundle.front).to_bytes()
    with pytest.raises(BundleError, match=says):
        Bundle.from_bytes(data)


def test_a_tail_or_labels_of_another_model() -> None:
    bundle, other = imported("image").bundle, imported("spectrogram").bundle
    meta = _said(bundle, embedding=dict(other.meta["embedding"]), labels=list("abcdefghijkl"))
    meta |= {"classes": 12}
    meta["embedding"] |= {k: bundle.meta["embedding"][k] for k in ("scale", "zero_point")}
    with pytest.raises(BundleError, match="tail reads 8 values, but its model gives 16"):
        Bundle(bundle.model, other.tail, meta).to_bytes()
    meta = _said(bundle, kind="complete", labels=["a", "b"], classes=2)
    with pytest.raises(BundleError, match="names 2 classes, but its model gives 10"):
        Bundle(model("image"), None, meta).to_bytes()


def test_the_ends_of_a_damaged_file_are_not_there() -> None:
    data = model("image")
    assert ends(data) is not None
    for length in range(0, len(data) - 1, 37):
        ends(data[:length])  # whatever it is, no error of Python's
    rng = np.random.default_rng(1)
    for _ in range(300):
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), 6):
            damaged[at] = rng.integers(256)
        ends(bytes(damaged))
    assert ends(b"") is None


# --- the command ---


def call(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(cli, [*map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        assert isinstance(done.exception, TinymiaError), repr(done.exception)
        return 1, str(done.exception)
    return done.exit_code, done.output


def _train_digits(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A small convolutional network on scikit-learn's digits; returns what it has not seen."""
    import keras
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, 8, 8, 1).astype(np.float32)
    keras.utils.set_random_seed(1)
    given = keras.Input((8, 8, 1))
    h = keras.layers.Conv2D(8, 3, activation="relu", padding="same")(given)
    h = keras.layers.MaxPooling2D(2)(h)
    h = keras.layers.Conv2D(16, 3, activation="relu")(h)
    h = keras.layers.Dense(32, activation="relu")(keras.layers.Flatten()(h))
    network = keras.Model(given, keras.layers.Dense(10, activation="softmax")(h))
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(x[:600] / 16, y[:600], epochs=12, batch_size=32, verbose=0)
    network.save(path)
    np.savez(path.with_suffix(".npz"), x=x[:600])
    return x[600:], y[600:]


def test_an_image_model_from_keras_to_training(tmp_path: Path) -> None:
    """Digits: trained, imported, then taught on the board of this process and on the lanes."""
    from tinymia.device.connect import connect

    x, y = _train_digits(tmp_path / "digits.keras")
    out = tmp_path / "digits.bundle"
    code, said = call(
        *("import", tmp_path / "digits.keras", "--representative", tmp_path / "digits.npz"),
        *("--labels", "0,1,2,3,4,5,6,7,8,9", "--std", "16", "--out", out),
        *("--tflite", tmp_path / "digits.tflite"),
    )
    assert code == 0, said
    assert "4 of 4 layers with weights" in said
    assert "all 2,048 bytes of the embeddings" in said
    assert "stm32f405" in said
    bundle = Bundle.load(out)
    assert bundle.meta["input"]["shape"] == [8, 8, 1]
    assert bundle.meta["normalization"] == {"mean": [0.0], "std": [16.0]}
    # The complete file that was kept gives the same bundle again.
    code, said = call(
        *("import", tmp_path / "digits.tflite", "--labels", "0,1,2,3,4,5,6,7,8,9", "--std", "16"),
        *("--out", tmp_path / "again.bundle", "--name", "digits"),
    )
    assert code == 0, said
    again = Bundle.load(tmp_path / "again.bundle")
    assert again.model == bundle.model
    assert again.layers.to_bytes() == bundle.layers.to_bytes()

    block = bundle.meta["input"]
    codes = np.clip(np.rint(x / 16 / np.float32(block["scale"])) + block["zero_point"], -128, 127)
    rows = codes.astype(np.int8).reshape(len(codes), -1)
    members = np.arange(120) < 60
    with connect("twin:", bundle.to_bytes()) as opened:
        board = opened.board
        first = bundle.layers.boundaries()[-2]
        board.layout(first)
        board.store(rows[:120], y[:120])
        before = board.query(np.arange(120))[0]
        assert (before.argmax(axis=1) == y[:120]).mean() > 0.85
        board.select(members)
        board.begin(_settings())
        trained = board.train(0, 5)
        after = board.query(np.arange(120))[0]
    tuned = Twin(bundle, first_layer=first).fine_tune(
        rows[:120], y[:120], members[None], _settings(), epochs=(5,), queries=rows[:120]
    )
    assert tuned.tail_hash(0) == trained.tail_hash
    np.testing.assert_array_equal(tuned.probabilities[0, 0], after)
    right = np.arange(60), y[:60]
    assert np.log(after[right]).mean() > np.log(before[right]).mean() + 0.01


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "sensor.tflite"
    path.write_bytes(model("sensor"))
    wrong = tmp_path / "text.npz"
    np.savez(wrong, x=np.array(["a"]))
    for arguments, says in (
        (("missing.tflite", "--labels", "a"), "Cannot read missing.tflite"),
        ((path,), "knows 4 classes, but 0 labels"),
        ((path, "--labels-file", tmp_path / "none"), "Cannot read"),
        ((path, "--labels", "a,b,c,d", "--mean", "x"), "no list of numbers"),
        ((path, "--labels", "a,b,c,d", "--std", "nan"), "must be finite"),
        ((path, "--labels", "a,b,c,d", "--shape", "4by3"), "no shape"),
        ((path, "--labels", "a,b,c,d", "--representative", wrong), "no array of examples"),
        ((path, "--labels", "a,b,c,d", "--representative", "watch"), "240 values, .* takes 120"),
        ((tmp_path / "none.keras", "--labels", "a,b"), "--representative"),
        ((SHIPPED / "har-watch.bundle", "--train", "head"), "give --out"),
    ):
        code, said = call("import", *arguments)
        assert code != 0, arguments
        assert re.search(says, said), (arguments, said)
    (tmp_path / "none.keras").write_bytes(b"no archive")
    np.save(tmp_path / "x.npy", np.zeros((3, 4), np.float32))
    code, said = call(
        "import", tmp_path / "none.keras", "--labels", "a", "--representative", tmp_path / "x.npy"
    )
    assert code == 1
    assert "cannot be loaded" in said


def test_fewer_layers_of_a_bundle(tmp_path: Path) -> None:
    out = tmp_path / "head.bundle"
    code, said = call("import", SHIPPED / "har-watch.bundle", "--train", "head", "--out", out)
    assert code == 0, said
    small, shipped = Bundle.load(out), Bundle.load(SHIPPED / "har-watch.bundle")
    assert small.front is None
    assert small.model == shipped.model
    assert "fewer than before" in said
