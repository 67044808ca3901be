"""What cannot be imported, and what contradicts itself: one clear refusal each."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import handmade as hm
from handmade import FLOAT32, INT32, Op, Tensor
from importable import (
    COS,
    DEQUANTIZE,
    LOGISTIC,
    QUANTIZE,
    chain,
    dense,
    imported,
    model,
    wanted,
)
from tinymia.errors import BundleError, TinymiaError
from tinymia.export.bundle import Bundle
from tinymia.export.ends import ends
from tinymia.export.importing import Wanted, import_tflite
from tinymia.study.imported import check_loads


def _two_inputs() -> bytes:
    tensors, ops = chain()
    return hm.build([*tensors, Tensor((1, 3))], ops, inputs=[0, 7], outputs=[4])


def _two_outputs() -> bytes:
    tensors, ops = chain()
    return hm.build(tensors, ops, outputs=[1, 4])


def _batch() -> bytes:
    tensors, ops = chain()
    for t in (0, 1, 4):
        tensors[t].shape = (2, tensors[t].shape[1])
    return hm.build(tensors, ops, outputs=[4])


def _no_dense_end() -> bytes:
    tensors, ops = chain()
    tensors.append(Tensor((1, 4), scale=0.4))
    return hm.build(tensors, [*ops, Op(hm.ADD, [4, 4], [7], "Add")])


def _relu_end() -> bytes:
    tensors, ops = chain()
    ops[1].fields = {"fusedActivationFunction": 1}
    return hm.build(tensors, ops, outputs=[4])


def _unsupported() -> bytes:
    tensors, ops = chain()
    tensors.append(Tensor((1, 3), scale=0.05))
    ops[0].inputs = [7, 2, 3]
    return hm.build(tensors, [Op(COS, [0], [7]), *ops], outputs=[4])


def _float_inside() -> bytes:
    tensors, ops = chain()
    tensors += [Tensor((1, 6), FLOAT32, None), Tensor((1, 6), FLOAT32, None), Tensor((1, 6))]
    tensors[9].scale = 0.05
    ops[1].inputs = [9, 5, 6]
    inside = [Op(DEQUANTIZE, [1], [7]), Op(COS, [7], [8]), Op(QUANTIZE, [8], [9])]
    return hm.build(tensors, [ops[0], *inside, ops[1]], outputs=[4])


def _float_model() -> bytes:
    tensors, ops = chain()
    for t in (0, 1, 2, 3, 4, 5, 6):
        tensors[t].type, tensors[t].scale = FLOAT32, None
    return hm.build(tensors, ops, outputs=[4])


def _float_weights() -> bytes:
    tensors, ops = chain()
    tensors[5].type, tensors[5].scale = FLOAT32, None
    return hm.build(tensors, ops, outputs=[4])


def _one_number() -> bytes:
    tensors, ops = chain()
    tensors[4].shape, tensors[5:7] = (1, 1), dense(6, 1)
    return hm.build(tensors, ops, outputs=[4])


def _each_by_itself() -> bytes:
    tensors, ops = chain()
    tensors.append(Tensor((1, 4), scale=1 / 256, zero_point=-128))
    return hm.build(tensors, [*ops, Op(LOGISTIC, [4], [7])])


def _rows() -> bytes:
    tensors, ops = chain()
    tensors[1].shape, tensors[4].shape = (5, 6), (5, 4)
    tensors[2:4] = dense(3, 30)
    return hm.build(tensors, ops, outputs=[4])


def _many_classes() -> bytes:
    tensors, ops = chain()
    tensors[4].shape, tensors[5:7] = (1, 257), dense(6, 257)
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
        *dense(120, 2),
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
