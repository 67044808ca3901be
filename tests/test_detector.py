"""The detector of odd questions: what it must see, what not, and the same bits as a board."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinymia.defenses.detector import Detector
from tinymia.device.client import Board, BoardRefusedError
from tinymia.device.connect import connect
from tinymia.errors import DataError, StudyError
from tinymia.export.bundle import Bundle
from tinymia.twin import Twin
from tinymia.twin.answers import guarded, watched
from tinymia.wire import protocol
from tinymia.wire.guard import GuardSettings
from tinymia.wire.protocol import Policy, Status
from tinymia.wire.settings import TrainSettings

WATCH = GuardSettings(watch=4, watch_near=0.5, watch_spread=0.25)
SEEDS = range(8)
WIDE = 64
BUNDLE = Bundle.load(Path(__file__).parents[1] / "models" / "har-watch" / "har-watch.bundle")


def codes(x: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(x), -128, 127).astype(np.int8)


def ordinary(n: int = 600) -> np.ndarray:
    """Windows of a signal: a few kinds of them, each along few directions, and a little noise."""
    rng = np.random.default_rng(1)
    centre, along = rng.uniform(-60, 60, (6, WIDE)), rng.normal(0, 7, (6, 3, WIDE))
    kind = rng.integers(6, size=n)
    within = np.einsum("nk,nkd->nd", rng.normal(size=(n, 3)), along[kind])
    return codes(centre[kind] + within + rng.normal(0, 1, (n, WIDE)))


def halvings(searches: int = 20, steps: int = 10) -> np.ndarray:
    """Places between two windows, each half as far from the last as that from the one before."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(searches):
        ends = ordinary()[rng.integers(600, size=2)].astype(float)
        at, step = 0.5, 0.25
        for _ in range(steps):
            found.append(ends[0] + at * (ends[1] - ends[0]))
            at, step = at + step * rng.choice([-1, 1]), step / 2
    return codes(np.array(found))


def noise(n: int = 200) -> np.ndarray:
    return np.random.default_rng(3).integers(-128, 128, (n, WIDE)).astype(np.int8)


def test_ordinary_questions_raise_no_alarm_and_again_neither() -> None:
    found = watched(WATCH, SEEDS, np.concatenate([ordinary(), ordinary()]))
    assert not found.alarm.any()
    assert max(found.copies.max(), found.strange.max()) < 2


@pytest.mark.parametrize(("stream", "why", "by"), [(halvings, 1, 80), (noise, 2, 60)])
def test_odd_ones_do_on_every_device(stream, why: int, by: int) -> None:
    found = watched(WATCH, SEEDS, stream())
    assert (found.first < by).all()
    assert (found.alarm[:, -1] == why).all()  # and it stays


def test_an_alarm_is_where_evidence_reaches_the_level() -> None:
    found = watched(replace(WATCH, watch=7), SEEDS, halvings())
    reached = np.maximum(found.copies, found.strange) >= 7
    np.testing.assert_array_equal(found.first, reached.argmax(axis=1))


def test_a_question_asked_again_does_not_count() -> None:
    one = halvings()[:12]
    again = watched(WATCH, SEEDS, np.concatenate([one, np.repeat(one[-1:], 500, axis=0)]))
    np.testing.assert_array_equal(again.copies[:, 11], again.copies[:, -1])
    np.testing.assert_array_equal(again.strange[:, 11], again.strange[:, -1])


def test_copies_are_remembered_over_hundreds_of_questions() -> None:
    """Searches side by side, so that a search's own last question lies far back."""
    many = halvings(searches=60).reshape(60, 10, WIDE).swapaxes(0, 1).reshape(-1, WIDE)
    assert (watched(WATCH, SEEDS, many).first < 600).all()


def test_cells_are_secret() -> None:
    """Another device sees other copies: nobody can make some that none sees."""
    found = watched(WATCH, SEEDS, halvings()).copies
    assert len(np.unique(found, axis=0)) == len(SEEDS)


def test_wide_inputs_are_seen_whole() -> None:
    """Copies that differ only where kept questions are not looked at."""
    rng = np.random.default_rng(4)
    wide = np.repeat(rng.integers(-128, 128, (1, 1000)), 120, axis=0)
    wide[:, 7::16] += rng.integers(-2, 3, wide[:, 7::16].shape)
    assert (watched(WATCH, SEEDS, codes(wide)).alarm[:, -1] == 1).all()


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    """A window and its changed copies, which all the model's layers keep apart."""
    rng = np.random.default_rng(5)
    one = rng.integers(-40, 40, BUNDLE.input_shape)
    return codes(one + rng.integers(-2, 3, (40, *one.shape)))


@pytest.fixture
def board() -> Iterator[Board]:
    with connect("twin:", BUNDLE.to_bytes()) as opened:
        yield opened.board


def test_a_board_rings_at_the_same_question_and_tells_labels_then(board, windows) -> None:
    whole = board.ask(windows)[0]
    board.guard(replace(WATCH, temperature=2.0))
    shown = board.ask(windows)[0]
    features = Twin(BUNDLE).embed(windows)
    expected = guarded(
        whole[None], replace(WATCH, temperature=2.0), seeds=[0], epoch=0, features=features
    )[0]
    np.testing.assert_array_equal(shown, expected)
    first = int(watched(WATCH, [0], features).first[0])
    assert 4 < first < 36
    assert (shown[first:].max(axis=1) == 1).all()
    assert (shown[:first].max(axis=1) < 1).all()
    np.testing.assert_array_equal(shown.argmax(axis=1), whole.argmax(axis=1))
    # No policy undoes it, and the same GUARD again does not, either.
    board.guard(replace(WATCH, temperature=2.0))
    top = board.ask(windows[:1], Policy.TOP1)[0]
    assert np.nanmax(top) == 1


def test_a_board_refuses_if_asked_to_until_it_trains_again(board, windows) -> None:
    refusing = replace(WATCH, watch_refuse=1)
    features = Twin(BUNDLE).embed(windows)
    first = int(watched(refusing, [0], features).first[0])
    board.layout(len(BUNDLE.layers) - 1, False)
    board.store(windows[:8], np.zeros(8, np.int64))
    board.select(np.ones(8, np.bool_))
    board.begin(TrainSettings())
    board.guard(refusing)
    assert len(board.ask(windows[:first])[0]) == first
    for ask in (lambda: board.ask(windows[first : first + 1]), lambda: board.query(np.arange(8))):
        with pytest.raises(BoardRefusedError, match="none that ordinary use asks") as refusal:
            ask()
        assert refusal.value.status == Status.ODD_QUESTIONS
    # Training nothing changes nothing.
    board._call(protocol.TrainRequest(0, 0), protocol.TrainResponse)
    with pytest.raises(BoardRefusedError):
        board.query(np.arange(8))
    board.train(0, 1)
    assert len(board.query(np.arange(8))[0]) == 8


def test_no_answer_of_a_refused_request_is_told(board, windows) -> None:
    """Slots of one request, of which the last one rings."""
    first = int(watched(WATCH, [0], Twin(BUNDLE).embed(windows)).first[0])
    board.layout(len(BUNDLE.layers) - 1, False)
    board.store(windows, np.zeros(len(windows), np.int64))
    board.guard(replace(WATCH, watch_refuse=1))
    with pytest.raises(BoardRefusedError, match="ordinary use"):
        board.query(np.arange(first + 1))


@pytest.mark.parametrize(
    ("guard", "name"),
    [
        (GuardSettings(watch=4), "watch_near"),
        (replace(WATCH, watch_spread=0.0), "watch_spread"),
        (replace(WATCH, watch_near=33.0), "watch_near"),
        (GuardSettings(watch_refuse=1), "watch_refuse"),
    ],
)
def test_settings_are_named(guard: GuardSettings, name: str) -> None:
    with pytest.raises(DataError, match=f"answer setting {name} is out of range"):
        watched(guard, [0], noise())


def test_the_defence_says_what_it_takes() -> None:
    for wrong, message in (
        ({"level": 0}, "alarm level of 0"),
        ({"near": 40.0}, "distance of copies of 40"),
        ({"spread": 1.5}, "spread of questions of 1.5"),
        ({"refuse": 2}, "refusal of 2 is not possible. Give 0 to 1"),
    ):
        with pytest.raises(StudyError, match=message):
            Detector(**wrong)
    assert "level 6" in Detector().title
