"""The public shape: in the bundle, on the device, and in the account of its defence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinymia.defenses.base import Plan, TrainingSize
from tinymia.defenses.dp_public import DpPublic
from tinymia.device.client import BoardRefusedError
from tinymia.device.connect import connect
from tinymia.errors import BundleError, TwinError
from tinymia.export.bundle import Bundle
from tinymia.export.shape import Shape, shape_of
from tinymia.twin import Twin
from tinymia.wire.protocol import Status
from tinymia.wire.settings import Parameters, Schedule, TrainSettings

Array = np.ndarray[Any, Any]
BASE = Bundle.load(Path(__file__).parents[1] / "models" / "har-watch" / "har-watch.bundle")
RNG = np.random.default_rng(3)
ROWS = RNG.integers(-128, 128, (24, 64)).astype(np.int8)
LABELS = RNG.integers(0, 7, 24)
SHAPE = shape_of(BASE.dequantize_embedding(ROWS), rows=19)
SHAPED = replace(BASE, shape=SHAPE)
SETTINGS = TrainSettings(
    batch=24,
    expected_members=24,
    clip_norm=3.0,
    noise_multiplier=1.1,
    shaped=1,
    schedule=Schedule.LINEAR,
    schedule_epochs=6,
    learning_rate=0.4,
    seed=5,
)


def test_a_shape_is_centred_and_as_wide_as_asked() -> None:
    x = BASE.dequantize_embedding(ROWS)
    for power in (0.5, 1.0):
        made = shape_of(x, rows=10, power=power, size=2.0)
        z = (x - made.mean) @ made.rows.T
        assert np.abs(z.mean(axis=0)).max() < 1e-3
        assert np.sqrt((z**2).sum(axis=1).mean()) == pytest.approx(2, rel=1e-3)
        width = z.std(axis=0)
        assert (width.max() / width.min() < 1.05) == (power == 1.0)
    with pytest.raises(BundleError, match="no public people's windows"):
        shape_of(x[:1])


def test_a_bundle_carries_it() -> None:
    again = Bundle.from_bytes(SHAPED.to_bytes())
    assert again.to_bytes() == SHAPED.to_bytes()
    assert again.shape is not None
    np.testing.assert_array_equal(again.shape.rows, SHAPE.rows)
    assert Bundle.from_bytes(BASE.to_bytes()).shape is None
    with pytest.raises(BundleError, match="not one of its tail"):
        replace(BASE, shape=Shape(np.zeros(3), np.ones((2, 3)))).to_bytes()
    for damaged in (SHAPE.to_bytes()[:-4], b"", bytes(16), SHAPE.to_bytes() + bytes(4)):
        with pytest.raises(BundleError):
            Shape.from_bytes(damaged)


def by_hand(settings: TrainSettings, epochs: int) -> Array:
    """Gradient descent in the shape's coordinates, without noise."""
    assert BASE.tail is not None
    x = BASE.dequantize_embedding(ROWS).astype(np.float64)
    z = np.c_[(x - SHAPE.mean) @ SHAPE.rows.T, np.ones(len(x))]
    moved = np.zeros((7, z.shape[1]))
    base = x @ BASE.tail.weights.T + BASE.tail.bias
    for epoch in range(min(epochs, settings.schedule_epochs)):
        e = np.exp(base + z @ moved.T)
        delta = e / e.sum(axis=1, keepdims=True) - np.eye(7)[LABELS]
        norms = np.linalg.norm(delta, axis=1) * np.linalg.norm(z, axis=1)
        delta *= np.minimum(1, settings.clip_norm / norms)[:, None]
        rate = settings.learning_rate * (1 - epoch / settings.schedule_epochs)
        moved -= rate * delta.T @ z / settings.batch
    weights = BASE.tail.weights + moved[:, :-1] @ SHAPE.rows
    bias = BASE.tail.bias + moved[:, -1] - moved[:, :-1] @ SHAPE.rows @ SHAPE.mean
    return np.append(weights, bias)


def tuned(settings: list[TrainSettings], epochs: int = 9, isa: str = "auto") -> Any:
    members = np.ones((len(settings), len(ROWS)), np.bool_)
    return Twin(SHAPED, isa=isa).fine_tune(ROWS, LABELS, members, settings, epochs=(0, 6, epochs))


def test_steps_are_those_of_the_shape() -> None:
    """With hardly any noise; lanes beside it train in other ways."""
    quiet = replace(SETTINGS, noise_multiplier=0.01)
    others = [TrainSettings(), TrainSettings(dropout=0.3), replace(quiet, shaped=0), quiet]
    done = tuned([quiet, *others])
    expected = by_hand(quiet, 9)
    start = np.append(BASE.tail.weights, BASE.tail.bias) if BASE.tail is not None else expected
    moved = np.linalg.norm(expected - start)
    assert np.linalg.norm(done.parameters[0] - expected) < 0.1 * moved
    assert np.linalg.norm(done.parameters[3] - expected) > 0.5 * moved
    np.testing.assert_array_equal(done.parameters[0], done.parameters[4])
    # Behind the schedule nothing moves.
    assert done.hashes[0, 1] == done.hashes[0, 2]
    assert done.hashes[1, 1] != done.hashes[1, 2]


def test_the_board_does_the_same() -> None:
    """Its firmware on this machine, and every width of lanes."""
    hashes = {isa: int(tuned([SETTINGS], isa=isa).hashes[0, -1]) for isa in ("auto", "scalar")}
    with connect("twin:", SHAPED.to_bytes()) as opened:
        board = opened.board
        board.layout(len(SHAPED.layers) - 1)
        windows = RNG.integers(-128, 128, (24, 50, 6)).astype(np.int8)
        board.store(windows, LABELS)
        board.select(np.ones(24, np.bool_))
        board.begin(SETTINGS)
        there = board.train(0, 9)
    here = Twin(SHAPED).fine_tune(
        windows, LABELS, np.ones((1, 24), np.bool_), SETTINGS, epochs=(9,)
    )
    assert int(there.tail_hash, 16) == int(here.hashes[0, -1])
    assert there.steps == 6 * 24
    assert len(set(hashes.values())) == 1


@pytest.mark.parametrize(
    ("bundle", "changes"), [(BASE, {}), (SHAPED, {"trained": Parameters.BIASES})]
)
def test_what_cannot_be_shaped_is_refused(bundle: Bundle, changes: dict[str, Any]) -> None:
    settings = replace(SETTINGS, **changes)
    with connect("twin:", bundle.to_bytes()) as opened:
        with pytest.raises(BoardRefusedError, match="public shape") as refusal:
            opened.board.begin(settings)
        assert refusal.value.status == Status.NO_SHAPE
    with pytest.raises(TwinError, match="public shape"):
        Twin(bundle).fine_tune(
            ROWS, LABELS, np.ones((1, 24), np.bool_), settings, epochs=(1,), embedded=True
        )


def test_the_account_is_of_the_steps_that_move() -> None:
    defence, size = DpPublic(noise=2.018), TrainingSize(80, 8, 50, 455)
    account = defence.account(size)
    assert (account.rate, account.steps) == (1.0, 6)
    assert 3.9 < account.added.best < 4.0
    assert defence.account(replace(size, epochs=4)).added.best < account.added.best
    settings = defence.apply(Plan(TrainSettings(), size)).settings
    assert (settings.batch, settings.expected_members, settings.shaped) == (80, 80, 1)
    assert settings.schedule_epochs == account.steps
