"""Conversion, the split at the tail, writing back, and the shipped model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tinymia import data
from tinymia.data.dataset import PersonalDataset
from tinymia.data.splits import people_split, person_pool
from tinymia.errors import DataError, ModelError
from tinymia.export.bundle import Bundle, Tail
from tinymia.export.convert import Converted, convert, io_quantization, run_int8, to_int8
from tinymia.export.front import front_layers
from tinymia.export.tflite_file import open_graph, operators, shared_tensors_equal
from tinymia.export.writeback import complete_bundle, patch_tail, personalized_tflite
from tinymia.models import har_watch
from tinymia.models.card import render_card
from tinymia.models.har import (
    Architecture,
    Layer,
    Recipe,
    Trained,
    augment,
    build,
    count_macs,
    train,
)
from tinymia.study.stand_in import finetune, losses

SHIPPED = Path(__file__).parents[1] / "models" / "har-watch"
TOY = Recipe(epochs=2, batch=32, hop=50)
TOY_NET = Architecture("toy", (Layer("plain", 8, 5, 2), Layer("separable", 16, 3, 2)))


@dataclass(frozen=True)
class Made:
    trained: Trained
    converted: Converted
    bundle: Bundle
    windows: NDArray[np.float32]
    labels: NDArray[np.int64]


@pytest.fixture(scope="module")
def recordings() -> PersonalDataset:
    return data.load("watch")


@pytest.fixture(scope="module")
def made(recordings: PersonalDataset) -> Made:
    """A tiny network after two epochs on one person: the whole path in seconds."""
    people = people_split(recordings)
    w = recordings.windows(50, people[0][:1])
    trained = train(TOY_NET, w, 7, TOY, seed=3)
    ready = trained.normalize(w.x[::8], TOY.clip)
    converted = convert(trained.model, trained.backbone, trained.tail, ready)
    meta = har_watch.make_meta(recordings, trained, converted, people=people, seed=3, accuracy={})
    bundle = Bundle(converted.backbone, converted.tail, meta, front_layers(converted.backbone))
    return Made(trained, converted, bundle, w.x[::4], w.y[::4])


@pytest.fixture(scope="module")
def shipped() -> tuple[Bundle, bytes]:
    return Bundle.load(SHIPPED / "har-watch.bundle"), (SHIPPED / "har-watch.tflite").read_bytes()


def test_conversion_is_full_integer_and_split_at_the_tail(made: Made) -> None:
    c = made.converted
    source, output = io_quantization(c.complete)
    assert source == c.input == io_quantization(c.backbone)[0]
    assert (output.scale, output.zero_point) == (1 / 256, -128)
    assert c.embedding.zero_point == -128
    assert c.tail.weights.shape == (7, 16)
    assert shared_tensors_equal(c.backbone, c.complete)
    assert not shared_tensors_equal(c.complete, c.backbone)


def test_the_quantised_network_answers_like_the_float_one(made: Made) -> None:
    b, c = made.bundle, made.converted
    float_answers = made.trained.model(made.trained.normalize(made.windows, TOY.clip)).numpy()
    q = b.quantize(made.windows)
    complete = (run_int8(c.complete, q).astype(np.float32) + 128) / 256
    split = c.tail.probabilities(b.dequantize_embedding(run_int8(c.backbone, q)))
    assert np.abs(complete - float_answers).mean() < 0.02
    assert np.abs(split - complete).mean() < 0.01


def test_training_repeats(made: Made, recordings: PersonalDataset) -> None:
    w = recordings.windows(50, people_split(recordings)[0][:1])
    again = train(TOY_NET, w, 7, TOY, seed=3)
    np.testing.assert_array_equal(again.tail.weights, made.trained.tail.weights)
    assert again.loss == made.trained.loss
    backbone = to_int8(again.backbone, again.normalize(w.x[::8], TOY.clip))
    assert backbone == made.converted.backbone
    other = train(TOY_NET, w, 7, replace(TOY, epochs=1), seed=4)
    assert not np.array_equal(other.tail.weights, made.trained.tail.weights)


def test_macs_are_counted_by_hand() -> None:
    # 25*8*5*6 + depthwise 13*8*3 + pointwise 13*8*16 + tail 16*7
    network, _, complete = build(TOY_NET, 50, 6, 7, 0.0)
    assert count_macs(network) == count_macs(complete) == 6000 + 312 + 1664 + 112


def test_augmentation_turns_but_does_not_stretch() -> None:
    x = np.random.default_rng(0).normal(size=(5, 20, 6)).astype(np.float32)
    turned = augment(x, np.random.default_rng(1), rotation=0.5, gain=0.0)
    for sensor in (slice(0, 3), slice(3, 6)):
        before = np.linalg.norm(x[:, :, sensor], axis=2)
        np.testing.assert_allclose(np.linalg.norm(turned[:, :, sensor], axis=2), before, rtol=1e-4)
    assert np.abs(turned - x).max() > 0.1
    np.testing.assert_array_equal(augment(x, np.random.default_rng(1), 0.0, 0.0), x)


def trained_tail(shipped: tuple[Bundle, bytes], recordings: PersonalDataset) -> tuple[Tail, ...]:
    bundle, _ = shipped
    assert bundle.tail is not None
    pool = person_pool(recordings, "p08")
    x = bundle.dequantize_embedding(run_int8(bundle.model, bundle.quantize(pool.windows.x)))
    kept = finetune(
        bundle.tail, x[:80], pool.windows.y[:80], (5, 50), learning_rate=0.5, batch=8, seed=0
    )
    return bundle.tail, kept[5], kept[50]


def test_write_back(shipped: tuple[Bundle, bytes], recordings: PersonalDataset) -> None:
    bundle, base = shipped
    w = recordings.windows(50, ["p08"])
    for tail in trained_tail(shipped, recordings):
        written, report = personalized_tflite(bundle, base, tail, w.x, w.y)
        assert len(written) == len(base)
        assert shared_tensors_equal(bundle.model, written)
        # nothing but the last layer's weights, bias and scales
        assert sum(a != b for a, b in zip(written, base, strict=True)) <= 7 * 64 + 7 * 4 + 4 * 3 + 8
        assert report.saturated_logits == 0
        assert report.windows == len(w)
        assert report.largest_probability_change < 0.1
        assert report.changed_answers <= 0.03 * len(w)
        assert abs(report.accuracy_int8 - report.accuracy_float_tail) < 0.02
        assert report.runtime_difference is not None
        assert report.runtime_difference <= 2
        assert json.loads(json.dumps(report.to_json()))["windows"] == len(w)
        wrapped = complete_bundle(bundle, written)
        again = Bundle.from_bytes(wrapped.to_bytes())
        assert again.tail is None
        assert again.model == written
        assert again.meta["kind"] == "complete"
        np.testing.assert_array_equal(again.quantize(w.x[:9]), bundle.quantize(w.x[:9]))


def test_a_wide_tail_does_not_saturate(
    shipped: tuple[Bundle, bytes], recordings: PersonalDataset
) -> None:
    """The base model's logit range would clip this tail; the recomputed one must not."""
    bundle, base = shipped
    assert bundle.tail is not None
    wide = Tail(bundle.tail.weights * 6, bundle.tail.bias * 6)
    w = recordings.windows(50, ["p10"])
    _, report = personalized_tflite(bundle, base, wide, w.x, w.y, compare_reference=False)
    assert report.saturated_logits == 0
    assert report.runtime_difference is None
    assert abs(report.accuracy_int8 - report.accuracy_float_tail) < 0.03
    narrow = patch_tail(
        base,
        wide,
        (bundle.meta["embedding"]["scale"], bundle.meta["embedding"]["zero_point"]),
        low=-1.0,
        high=1.0,
    )
    q = bundle.quantize(w.x)
    clipped = run_int8(narrow, q, "runtime")
    right = (clipped.argmax(axis=1) == w.y).mean()
    assert right < report.accuracy_int8 - 0.03


def test_write_back_refuses_what_does_not_belong(
    made: Made, shipped: tuple[Bundle, bytes], recordings: PersonalDataset
) -> None:
    bundle, base = shipped
    assert bundle.tail is not None
    w = recordings.windows(50, ["p08"])
    with pytest.raises(ModelError, match="another backbone"):
        personalized_tflite(bundle, made.converted.complete, bundle.tail, w.x, w.y)
    with pytest.raises(ModelError, match="does not fit"):
        personalized_tflite(bundle, base, made.converted.tail, w.x, w.y)
    with pytest.raises(ModelError, match="dense layer and softmax"):
        patch_tail(bundle.model, bundle.tail, (1.0, 0), -1, 1)
    with pytest.raises(ModelError, match=r"not a \.tflite"):
        personalized_tflite(bundle, b"nothing at all", bundle.tail, w.x, w.y)
    with pytest.raises(ModelError, match="embedding"):
        patch_tail(base, bundle.tail, (1.0, 0), -1, 1)
    for labels in (w.y[:-1], w.y + 7, w.y * 1.0, w.y - 9):
        with pytest.raises(DataError, match="abel"):
            personalized_tflite(bundle, base, bundle.tail, w.x, labels)
    bad = w.x.copy()
    bad[3, 2, 1] = np.nan
    with pytest.raises(DataError, match="NaN"):
        personalized_tflite(bundle, base, bundle.tail, bad, w.y)
    with pytest.raises(ModelError, match="input differently"):
        complete_bundle(bundle, made.converted.complete)


def test_engines_refuse_bad_models(shipped: tuple[Bundle, bytes]) -> None:
    bundle, base = shipped
    q = np.zeros((1, 300), np.int8)
    for engine in ("reference", "runtime"):
        with pytest.raises(ModelError, match="damaged"):
            run_int8(base[:2000], q, engine)
    for length in range(0, len(base), 97):
        with pytest.raises(ModelError):
            open_graph(base[:length])
    with pytest.raises(ModelError, match="engine"):
        run_int8(base, q, "other")
    for wrong in (q[:, :-1], q.astype(np.int32)):
        with pytest.raises(ModelError, match="takes int8"):
            run_int8(bundle.model, wrong)


def test_shipped_model(shipped: tuple[Bundle, bytes], recordings: PersonalDataset) -> None:
    bundle, base = shipped
    recordings.check_model(bundle.meta)
    assert bundle.tail is not None
    assert bundle.tail.weights.shape == (7, 64)
    assert bundle.meta["embedding"]["zero_point"] == -128
    assert shared_tensors_equal(bundle.model, base)
    front = front_layers(bundle.model)
    assert front is not None
    assert bundle.front is not None
    assert bundle.front.to_bytes() == front.to_bytes()
    assert bundle.layers.boundaries() == [0, 1, 2, 3, 4]
    assert len(bundle.model) < 25_000
    assert len(base) < 25_000
    for tflite, block in ((bundle.model, "embedding"), (base, None)):
        source, output = io_quantization(tflite)
        assert source.scale == bundle.meta["input"]["scale"]
        assert source.zero_point == bundle.meta["input"]["zero_point"]
        if block:
            assert output.scale == bundle.meta[block]["scale"]
    # the card's figure, measured again
    card = json.loads((SHIPPED / "card.json").read_text())
    w = recordings.windows(50, ["p07"])
    answers = run_int8(base, bundle.quantize(w.x))
    accuracy = float((answers.argmax(axis=1) == w.y).mean())
    assert accuracy == pytest.approx(card["accuracy"]["int8"]["p07"], abs=1e-4)
    assert bundle.meta["accuracy"]["int8"] == card["accuracy"]["int8"]
    assert bundle.bundle_id == card["bundle_id"]
    assert card["bytes"] == {
        "backbone": len(bundle.model),
        "complete": len(base),
        "bundle": len(bundle.to_bytes()),
    }
    assert operators(base) == card["operators"]["complete"]
    # the architecture in the code is the one that was shipped
    chosen = har_watch.candidate(har_watch.CHOSEN)
    assert card["architecture"] == json.loads(json.dumps(asdict(chosen)))
    assert card["recipe"] == asdict(har_watch.RECIPE)


def test_the_card_shows_what_was_measured() -> None:
    card = json.loads((SHIPPED / "card.json").read_text())
    assert (SHIPPED / "README.md").read_text() == render_card(card)
    assert "Not compared" in render_card(card | {"comparison": None})


def test_runtime_stays_close_to_the_reference(
    shipped: tuple[Bundle, bytes], recordings: PersonalDataset
) -> None:
    bundle, base = shipped
    q = bundle.quantize(recordings.windows(50, ["p09"]).x)
    noise = np.random.default_rng(0).integers(-128, 128, (200, 50, 6)).astype(np.int8)
    for inputs in (q, noise):
        for tflite in (bundle.model, base):
            away = np.abs(
                run_int8(tflite, inputs).astype(int) - run_int8(tflite, inputs, "runtime")
            )
            assert away.max() <= 2


def test_fine_tuning_step_by_hand() -> None:
    tail = Tail(np.zeros((2, 2), np.float32), np.zeros(2, np.float32))
    x = np.array([[3.0, 4.0]], np.float32)
    y = np.array([1])
    got = finetune(tail, x, y, (0, 1), learning_rate=0.1, batch=1, seed=0)
    # probabilities are one half: delta = (0.5, -0.5)
    np.testing.assert_allclose(got[1].weights, [[-0.15, -0.2], [0.15, 0.2]], rtol=1e-6)
    np.testing.assert_allclose(got[1].bias, [-0.05, 0.05], rtol=1e-6)
    assert got[0] is tail
    np.testing.assert_allclose(losses(tail, x, y), np.log(2), rtol=1e-6)
    with pytest.raises(DataError, match="at least one"):
        finetune(tail, x[:0], y[:0], (1,), learning_rate=0.1, batch=1, seed=0)
