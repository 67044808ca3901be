"""Guards of answers in release builds: from the bundle only, keyed by the chip, limited."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinymia import data
from tinymia.data.splits import person_pool
from tinymia.device.build import build
from tinymia.device.client import Board, BoardRefusedError
from tinymia.device.connect import connect
from tinymia.export.budget import Budget
from tinymia.export.bundle import AnswerRule, Bundle
from tinymia.wire.guard import GuardSettings, NoiseLaw
from tinymia.wire.protocol import Policy, Status
from tinymia.wire.settings import TrainSettings

Array = np.ndarray[Any, Any]
MODELS = Path(__file__).resolve().parents[1] / "models" / "har-watch"
BASE = Bundle.load(MODELS / "har-watch.bundle")
WHOLE = replace(BASE, budget=Budget(1.0, 0.25, 4000), answers=AnswerRule(Policy.FULL))
PRIVATE = TrainSettings(batch=20, seed=5, clip_norm=1.0, noise_multiplier=1.0, expected_members=80)
TEMPERATURE = GuardSettings(temperature=3.0)
NOISE = GuardSettings(noise_law=NoiseLaw.LAPLACE, noise=0.5, noise_bound=6.0, answers=9)

Open = Callable[[Bundle], Board]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens a release build with a bundle."""
    elf = build("release_native").elf
    with ExitStack() as stack:

        def opened(bundle: Bundle) -> Board:
            path = tmp_path / f"{bundle.bundle_id}.bundle"
            bundle.save(path)
            monkeypatch.setenv("TINYMIA_BUNDLE", str(path))
            return stack.enter_context(connect("native:", elf)).board

        yield opened


@pytest.fixture(scope="module")
def windows() -> Array:
    return BASE.quantize(person_pool(data.load("watch"), "p09").windows.x[:4])


def test_nobody_asks_around_the_guard(release: Open, windows: Array) -> None:
    board = release(replace(WHOLE, guard=TEMPERATURE))
    with connect("twin:", WHOLE.to_bytes()) as opened:
        plain = opened.board.ask(windows)[0]
        opened.board.guard(TEMPERATURE)
        soft = opened.board.ask(windows)[0]
    assert not np.array_equal(plain, soft)
    np.testing.assert_array_equal(board.ask(windows)[0], soft)
    with pytest.raises(BoardRefusedError, match="which would tell") as refusal:
        board.guard(replace(TEMPERATURE, temperature=2.0))
    assert refusal.value.status == Status.NOT_IN_RELEASE
    board.hello()
    np.testing.assert_array_equal(board.ask(windows)[0], soft)


def test_noise_is_the_chips_and_the_same_for_a_network(release: Open, windows: Array) -> None:
    board = release(replace(WHOLE, guard=replace(NOISE, answers=0)))
    first = board.ask(windows)[0]
    np.testing.assert_array_equal(board.ask(windows)[0], first)
    board.begin(PRIVATE)  # back to the bundle's network, which may be somebody's
    np.testing.assert_array_equal(board.ask(windows)[0], first)
    trained = []
    for _ in range(2):
        board.begin(PRIVATE)
        board.train(0, 1)
        trained.append(board.ask(windows)[0])
        np.testing.assert_array_equal(board.ask(windows)[0], trained[-1])
    other = trained[1]
    assert (trained[0] != other).any(axis=1).all()
    with connect("twin:", WHOLE.to_bytes()) as opened:
        opened.board.begin(PRIVATE)
        opened.board.guard(NOISE)
        assert (opened.board.ask(windows)[0] != other).any(axis=1).all()


def test_answers_end_where_their_epsilon_does(release: Open, windows: Array) -> None:
    board = release(replace(WHOLE, guard=NOISE))
    board.ask(windows)
    board.ask(windows)
    board.ask(windows[:1])
    for again in (lambda: None, lambda: board.begin(PRIVATE), lambda: board.train(0, 1)):
        again()  # whoever trains once more has no more answers
        with pytest.raises(BoardRefusedError, match="1 answers were asked for, 0 are left") as no:
            board.ask(windows[:1])
        assert no.value.status == Status.ANSWERS_SPENT


def test_an_audit_build_counts_answers_of_a_training(windows: Array) -> None:
    with connect("twin:", BASE.to_bytes()) as opened:
        board = opened.board
        board.store(windows, np.zeros(4, np.int64))
        board.guard(NOISE)
        board.query(np.arange(4))
        with pytest.raises(BoardRefusedError, match="6 answers were asked for, 5 are left"):
            board.query(np.array([0, 1, 2, 3, 0, 1]))
        board.query(np.array([0, 1, 2, 3, 0]))
        board.select(np.ones(4, np.bool_))  # back to the base network
        board.query(np.arange(4))


def test_a_session_begins_without_a_guard(windows: Array) -> None:
    with connect("twin:", BASE.to_bytes()) as opened:
        board = opened.board
        plain = board.ask(windows)[0]
        board.guard(TEMPERATURE)
        assert not np.array_equal(board.ask(windows)[0], plain)
        board.hello()
        np.testing.assert_array_equal(board.ask(windows)[0], plain)
