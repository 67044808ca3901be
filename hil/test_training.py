"""Fine-tuning on the board: right, repeatable, resumable, and cheap."""

from __future__ import annotations

import numpy as np
import pytest

import reference
from tinymia.data.splits import Draw, Pool
from tinymia.device.client import BoardRefusedError, TrainSettings
from tinymia.device.connect import Connection
from tinymia.device.protocol import Status
from tinymia.export.bundle import Bundle

SETTINGS = {
    "plain": TrainSettings(seed=5),
    "single": TrainSettings(batch=1, learning_rate=0.02, seed=6),
    "clip": TrainSettings(clip_norm=0.7, seed=7),
    "smooth": TrainSettings(label_smoothing=0.2, seed=8),
    "both": TrainSettings(batch=7, clip_norm=1.0, label_smoothing=0.1, seed=2**40 + 9),
    "both-single": TrainSettings(batch=1, clip_norm=1.0, label_smoothing=0.1, seed=10),
}
EPOCHS = 20


def embeddings(board: Connection, bundle: Bundle, pool: Pool) -> np.ndarray:
    return bundle.dequantize_embedding(board.board.infer(bundle.quantize(pool.windows.x))[0])


@pytest.fixture(scope="module")
def features(stocked: Connection, bundle: Bundle, pool: Pool) -> np.ndarray:
    return embeddings(stocked, bundle, pool)


@pytest.mark.parametrize("name", SETTINGS)
def test_weights_equal_numpy(
    name: str, stocked: Connection, bundle: Bundle, pool: Pool, drawn: Draw, features: np.ndarray
) -> None:
    settings, board = SETTINGS[name], stocked.board
    board.begin(settings)
    board.train(0, EPOCHS)
    weights, bias = board.tail()
    assert bundle.tail is not None
    expected_w, expected_b = reference.train(
        bundle.tail.weights,
        bundle.tail.bias,
        features,
        pool.windows.y,
        drawn.member_slots,
        settings,
        EPOCHS,
    )
    got, expected = np.append(weights, bias), np.append(expected_w, expected_b)
    assert np.abs(expected - np.append(bundle.tail.weights, bundle.tail.bias)).max() > 0.01
    assert np.linalg.norm(got - expected) <= 1e-4 * np.linalg.norm(expected)
    assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", SETTINGS)
def test_two_runs_are_equal_in_every_bit(name: str, stocked: Connection) -> None:
    board = stocked.board
    base = board.begin(SETTINGS[name])
    whole = board.train(0, 6)
    first = board.tail()
    assert board.begin(SETTINGS[name]) == base
    # In other portions: an epoch does not depend on how it was asked for.
    for epoch in range(6):
        again = board.train(epoch, 1)
    assert again.tail_hash == whole.tail_hash
    assert board.state().tail_hash == int(whole.tail_hash, 16)
    for one, other in zip(first, board.tail(), strict=True):
        assert one.tobytes() == other.tobytes()
    board.begin(TrainSettings(seed=99))
    assert board.train(0, 6).tail_hash != whole.tail_hash


def test_a_step_costs_at_most_7300_instructions(stocked: Connection) -> None:
    if stocked.unit != "instructions":
        pytest.skip(
            f"this target counts {stocked.unit}, the bound is in instructions:"
            " give --target qemu:netduinoplus2"
        )
    for batch in (1, 8):
        stocked.board.begin(TrainSettings(batch=batch, clip_norm=1.0, label_smoothing=0.1))
        runs = []
        for _ in range(2):
            stocked.board.begin(TrainSettings(batch=batch, clip_norm=1.0, label_smoothing=0.1))
            runs.append(stocked.board.train(0, 1))
        assert runs[0].ticks == runs[1].ticks
        assert 2000 < runs[0].ticks / runs[0].steps <= 7300


def test_clipping_bounds_what_one_example_does(
    stocked: Connection, bundle: Bundle, drawn: Draw
) -> None:
    board = stocked.board
    only = np.zeros_like(drawn.member)
    only[drawn.member_slots[0]] = True
    board.select(only)
    moved = {}
    for clip in (0.0, 0.01):
        board.begin(TrainSettings(learning_rate=1.0, batch=1, clip_norm=clip))
        trained = board.train(0, 1)
        weights, bias = board.tail()
        assert bundle.tail is not None
        change = np.append(weights - bundle.tail.weights, bias - bundle.tail.bias)
        moved[clip] = float(np.linalg.norm(change))
        assert trained.steps == 1
        assert trained.clipped == (clip > 0)
    board.select(drawn.member)
    assert moved[0.0] > 0.02
    assert moved[0.01] == pytest.approx(0.01, rel=1e-3)


def test_training_must_go_on_where_the_board_stands(stocked: Connection) -> None:
    board = stocked.board
    board.begin(TrainSettings())
    board.train(0, 2)
    with pytest.raises(BoardRefusedError, match="stands at 2") as refused:
        board.train(1, 1)
    assert refused.value.status == Status.STEP_MISMATCH
    assert board.train(2, 1).epoch == 3


def test_bad_settings_are_refused(stocked: Connection) -> None:
    before = stocked.board.state()
    for number, settings in enumerate(
        (
            TrainSettings(learning_rate=float("nan")),
            TrainSettings(batch=0),
            TrainSettings(clip_norm=-1.0),
            TrainSettings(label_smoothing=1.0),
        ),
        start=1,
    ):
        with pytest.raises(BoardRefusedError, match=f"number {number}"):
            stocked.board.begin(settings)
    assert stocked.board.state() == before


def test_training_needs_members(connection: Connection) -> None:
    with pytest.raises(BoardRefusedError, match="no stored window is selected"):
        connection.board.train(0, 1)
