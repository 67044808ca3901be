"""Anybody's .tflite as a bundle: taken apart at the right place, the same bytes, clear refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import handmade as hm
from handmade import FLOAT32, INT32, Op, Tensor
from importable import (
    DEQUANTIZE,
    NETWORKS,
    PACK,
    QUANTIZE,
    SHAPE,
    SHIPPED,
    STRIDED_SLICE,
    chain,
    dense,
    imported,
    model,
    slow_settings,
    wanted,
)
from interp import Interpreter, reference
from tinymia.errors import ModelError
from tinymia.export.bundle import Bundle
from tinymia.export.cut import cut, output_at, prefix
from tinymia.export.graph import read_graph
from tinymia.export.importing import Imported, Wanted, import_tflite, with_fewer_layers
from tinymia.export.personal import personalized_bundle
from tinymia.export.tflite_file import builtin_code, open_graph
from tinymia.study.imported import check_import, check_loads, probes
from tinymia.twin import Twin
from tinymia.wire.settings import Parameters


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
    assert (checked.differing, checked.steps) == (0, 0)


def test_kernels_that_round_in_another_way_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinymia.export.convert import run
    from tinymia.study import imported as module

    def other(tflite: bytes, inputs: NDArray[Any], engine: str) -> NDArray[Any]:
        out = run(tflite, inputs, engine)
        if out.shape[1] == 16:
            out[3, 5:7] ^= 2
        return out

    monkeypatch.setattr(module, "run", other)
    checked = check_import(imported("image"))
    assert (checked.differing, checked.steps) == (2, 2)
    assert checked.same_top is not None


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
    settings = slow_settings()
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


def test_what_cannot_be_trained_is_named() -> None:
    tensors, ops = chain()
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


def test_files_with_old_operator_codes() -> None:
    """There every operator but ADD was read as ADD."""
    tensors, ops = chain()
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
    tensors, ops = chain()
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
    tensors, ops = chain()
    tensors[5:7] = dense(6, 4, 5, scales=4)
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
        *dense(6, 4, 5),
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
