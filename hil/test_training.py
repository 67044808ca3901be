"""Fine-tuning on the board: right, repeatable, resumable, and cheap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import reference
from tinymia.data.splits import Draw, Pool
from tinymia.device.boards import BoardFile
from tinymia.device.client import Board, BoardRefusedError
from tinymia.device.connect import Connection, connect
from tinymia.errors import DataError
from tinymia.export.bundle import Bundle
from tinymia.wire.protocol import Status
from tinymia.wire.settings import Optimizer, Parameters, Schedule, TrainSettings

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
    got = board.parameters()
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
    expected = np.append(expected_w, expected_b)
    assert np.abs(expected - np.append(bundle.tail.weights, bundle.tail.bias)).max() > 0.01
    assert np.linalg.norm(got - expected) <= 1e-4 * np.linalg.norm(expected)
    assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", SETTINGS)
def test_two_runs_are_equal_in_every_bit(name: str, stocked: Connection) -> None:
    board = stocked.board
    base = board.begin(SETTINGS[name])
    whole = board.train(0, 6)
    first = board.parameters()
    assert board.begin(SETTINGS[name]) == base
    # In other portions: an epoch does not depend on how it was asked for.
    for epoch in range(6):
        again = board.train(epoch, 1)
    assert again.tail_hash == whole.tail_hash
    assert board.state().tail_hash == int(whole.tail_hash, 16)
    assert first.tobytes() == board.parameters().tobytes()
    board.begin(TrainSettings(seed=99))
    assert board.train(0, 6).tail_hash != whole.tail_hash


def test_a_step_costs_at_most_4500_instructions(
    stocked: Connection, board_file: BoardFile | None
) -> None:
    if stocked.unit != "instructions":
        pytest.skip(
            f"this target counts {stocked.unit}, the bound is in instructions:"
            " give --target qemu:netduinoplus2"
        )
    if board_file is not None and not board_file.fpu:
        pytest.skip("the bound holds for cores with an FPU")
    for batch in (1, 8):
        stocked.board.begin(TrainSettings(batch=batch, clip_norm=1.0, label_smoothing=0.1))
        runs = []
        for _ in range(2):
            stocked.board.begin(TrainSettings(batch=batch, clip_norm=1.0, label_smoothing=0.1))
            runs.append(stocked.board.train(0, 1))
        assert runs[0].ticks == runs[1].ticks
        assert 2000 < runs[0].ticks / runs[0].steps <= 4500


def test_noise_costs_at_most_300_instructions_whatever_is_drawn(
    stocked: Connection, board_file: BoardFile | None, drawn: Draw
) -> None:
    """In epochs in which no example was drawn, so that nothing but noise moves the weights."""
    if stocked.unit != "instructions":
        pytest.skip(
            f"this target counts {stocked.unit}, the bound is in instructions:"
            " give --target qemu:netduinoplus2"
        )
    if board_file is not None and not board_file.fpu:
        pytest.skip("the bound holds for cores with an FPU")
    board, steps = stocked.board, 40
    only = np.zeros_like(drawn.member)
    only[drawn.member_slots[0]] = True
    board.select(only)
    counts: dict[float, list[int]] = {}
    hashes = set()
    for noise in (0.3, 1.3, 20.0):
        for seed in range(40):
            settings = TrainSettings(
                batch=1, clip_norm=1.0, noise_multiplier=noise, expected_members=steps, seed=seed
            )
            board.begin(settings)
            done = board.train(0, 1)
            if done.steps == 0:
                counts.setdefault(noise, []).append(done.ticks)
                hashes.add(done.tail_hash)
        if noise == 1.3:  # the update and the rest, of as many steps without noise's own
            biases = replace(settings, trained=Parameters.BIASES)
            board.begin(biases)
            few = board.parameters().size
            rest = board.train(0, 1).ticks
    board.select(drawn.member)
    board.begin(TrainSettings())
    parameters = board.parameters().size
    assert all(len(ticks) >= 8 for ticks in counts.values())
    assert len(hashes) == sum(len(ticks) for ticks in counts.values())
    assert {len(set(ticks)) for ticks in counts.values()} == {1}
    each = (counts[1.3][0] - rest) / steps / (parameters - few)
    assert 150 < each <= 300


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
        assert bundle.tail is not None
        base = np.append(bundle.tail.weights, bundle.tail.bias)
        moved[clip] = float(np.linalg.norm(board.parameters() - base))
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


def test_bad_settings_are_refused(stocked: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stocked.board.state()
    wrong = {
        "learning_rate": TrainSettings(learning_rate=float("nan")),
        "batch": TrainSettings(batch=0),
        "clip_norm": TrainSettings(clip_norm=-1.0),
        "noise_multiplier": TrainSettings(noise_multiplier=1.0, expected_members=80),
    }
    for name, settings in wrong.items():
        with pytest.raises(DataError, match=name):
            stocked.board.begin(settings)
    monkeypatch.setattr("tinymia.device.client.check_settings", lambda _: None)
    for name, settings in wrong.items():
        with pytest.raises(BoardRefusedError, match=name):
            stocked.board.begin(settings)
    assert stocked.board.state() == before


# Where training starts, whether whole windows are kept, and how; one epoch on a few examples.
OPTIONS = {
    "momentum": (4, False, TrainSettings(optimizer=Optimizer.MOMENTUM, l2=0.01)),
    "adam": (
        4,
        False,
        TrainSettings(
            optimizer=Optimizer.ADAM,
            learning_rate=0.01,
            schedule=Schedule.COSINE,
            schedule_epochs=9,
        ),
    ),
    "dropout": (4, False, TrainSettings(dropout=0.3, mixup=0.4)),
    "early": (4, False, TrainSettings(holdout=25, patience=1, learning_rate=2.0)),
    "private": (4, False, TrainSettings(clip_norm=1.0, noise_multiplier=1.2, expected_members=9)),
    "augmented": (4, True, TrainSettings(jitter=0.1, scaling=0.1, rotation=0.2, shift=2)),
    "biases": (0, False, TrainSettings(trained=Parameters.BIASES, learning_rate=0.05)),
    "two": (2, False, TrainSettings(clip_norm=1.0, learning_rate=0.05)),
    "all": (0, False, TrainSettings(clip_norm=1.0, learning_rate=0.02, batch=3)),
    "relaxed": (2, False, TrainSettings(relax_loss=2.0, base_pull=0.1, learning_rate=0.05)),
    "smaller": (
        0,
        False,
        TrainSettings(confidence_penalty=0.3, weight_bits=5, prune=0.3, learning_rate=0.02),
    ),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_gives_the_twin_s_bits(
    name: str, connection: Connection, bundle: Bundle, pool: Pool, drawn: Draw
) -> None:
    first, raw, settings = OPTIONS[name]
    chosen = drawn.member_slots[:10]
    windows, labels = bundle.quantize(pool.windows.x)[chosen], pool.windows.y[chosen]

    def run(board: Board) -> tuple[object, ...]:
        board.layout(first, raw)
        board.store(windows, labels)
        board.select(np.ones(len(labels), np.bool_))
        board.begin(replace(settings, seed=77))
        trained = board.train(0, 2)
        told = (trained.tail_hash, trained.loss, trained.held_out, trained.clipped, trained.stopped)
        return (*told, board.query(np.arange(len(labels)))[0].tobytes())

    with connect("twin:", bundle.to_bytes()) as twin:
        expected = run(twin.board)
    assert run(connection.board) == expected
    assert run(connection.board) == expected
    connection.board.layout(len(bundle.layers) - 1)


def test_training_needs_members(connection: Connection) -> None:
    with pytest.raises(BoardRefusedError, match="no stored window is selected"):
        connection.board.train(0, 1)
