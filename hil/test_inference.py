"""The board's int8 answers are the bytes of TFLite Micro, its probabilities its tail's."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import MODELS
from tinymia import data
from tinymia.data.splits import Pool
from tinymia.device.connect import (
    DEFAULT_TARGET,
    Connection,
    connect,
    needs_image,
    supply,
    takes_bundle,
)
from tinymia.errors import DataError
from tinymia.export.bundle import Bundle
from tinymia.export.writeback import complete_bundle
from tinymia.wire.protocol import Policy


def golden(model: bytes, windows: np.ndarray) -> np.ndarray:
    """(n, outputs) int8 of TFLite Micro's own interpreter."""
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(model)
    outputs = []
    for window in windows:
        interpreter.set_input(window[None, :, None, :], 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0).reshape(-1).copy())
    return np.stack(outputs)


@pytest.fixture(scope="session")
def inputs(bundle: Bundle, target: str) -> np.ndarray:
    """Windows: real ones of all people, random bytes, extremes; fewer where the line is slow."""
    each = 600 if target in (DEFAULT_TARGET, "native:") else 150
    real = data.load("watch").windows().x
    rng = np.random.default_rng(11)
    chosen = bundle.quantize(real[rng.choice(len(real), each, replace=False)])
    random = rng.integers(-128, 128, (each - 4, *chosen.shape[1:]), dtype=np.int8)
    extremes = np.stack([np.full(chosen.shape[1:], v, np.int8) for v in (-128, -1, 0, 127)])
    return np.concatenate([chosen, random, extremes])


def test_backbone_equals_tflite_micro(
    connection: Connection, bundle: Bundle, inputs: np.ndarray
) -> None:
    got, _ = connection.board.infer(inputs)
    expected = golden(bundle.model, inputs)
    assert got.shape == expected.shape == (len(inputs), 64)
    assert len(np.unique(got, axis=0)) > 0.8 * len(inputs)  # the comparison is not one of constants
    np.testing.assert_array_equal(got, expected)


def test_complete_model_equals_tflite_micro(
    target: str, bundle: Bundle, inputs: np.ndarray
) -> None:
    if not (needs_image(target) or takes_bundle(target)):
        pytest.skip(
            "the board carries the personalizable bundle: give --target qemu:netduinoplus2, or"
            " flash an image with the complete model"
        )
    model = (MODELS / "har-watch.tflite").read_bytes()
    whole = complete_bundle(bundle, model)
    with connect(target, supply(target, whole.to_bytes(), whole.bundle_id)) as opened:
        got, _ = opened.board.infer(inputs)
    np.testing.assert_array_equal(got, golden(model, inputs))


def test_probabilities_are_the_tails(stocked: Connection, bundle: Bundle, pool: Pool) -> None:
    assert bundle.tail is not None
    stocked.board.clear()
    windows = bundle.quantize(pool.windows.x)
    stocked.board.store(windows, pool.windows.y)
    slots = np.arange(len(pool))
    got, _ = stocked.board.query(slots)
    embeddings = bundle.dequantize_embedding(stocked.board.infer(windows)[0])
    np.testing.assert_allclose(got, bundle.tail.probabilities(embeddings), atol=2e-6)
    np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-6)
    fresh, _ = stocked.board.ask(windows[:20])
    assert fresh.tobytes() == got[:20].tobytes()


def test_policies_reveal_what_they_say(stocked: Connection, bundle: Bundle, pool: Pool) -> None:
    windows = bundle.quantize(pool.windows.x)[:40]
    full, _ = stocked.board.ask(windows)
    label, _ = stocked.board.ask(windows, Policy.LABEL)
    top1, _ = stocked.board.ask(windows, Policy.TOP1)
    rounded, _ = stocked.board.ask(windows, Policy.ROUNDED, 10)
    rows, best = np.arange(40), full.argmax(axis=1)
    assert (label.argmax(axis=1) == best).all()
    assert set(np.unique(label)) == {0.0, 1.0}
    np.testing.assert_array_equal(top1[rows, best], full[rows, best])
    assert np.isnan(top1).sum() == 40 * 6
    np.testing.assert_allclose(rounded, np.floor(full * 10 + 0.5) / 10, atol=1e-6)


def test_windows_of_the_wrong_kind_are_refused(connection: Connection, bundle: Bundle) -> None:
    with pytest.raises(DataError, match="int8"):
        connection.board.infer(np.zeros((1, 50, 6), np.float32))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="takes 300"):
        connection.board.infer(np.zeros((1, 49, 6), np.int8))
    with pytest.raises(DataError, match="NaN"):
        bundle.quantize(np.full((1, 50, 6), np.nan))
