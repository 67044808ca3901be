"""Screening before training: what is left out, and that the rest trains as if alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import test_teachers as teachers
from test_teachers import (
    BASE,
    BUNDLE,
    CODES,
    DMP,
    HEAD,
    HEADS,
    LABELS,
    MEMBER,
    PLAIN,
    RNG,
    SELENA,
    features,
    fine_tuned,
    logits,
    softmax,
)
from tinymia.defenses.registry import build
from tinymia.defenses.screening import Screening
from tinymia.device.connect import connect
from tinymia.twin import Twin
from tinymia.wire.settings import Optimizer, TrainSettings

Bools = NDArray[np.bool_]
THETA = np.concatenate([BASE.tail.weights.ravel(), BASE.tail.bias]).astype(np.float64)
SCREEN = replace(PLAIN, screen=20)
ALL = {
    "plain": PLAIN,
    "a fifth": SCREEN,
    "half": replace(SCREEN, screen=50),
    "none of so few": replace(SCREEN, screen=1, seed=6),
    "one by one": replace(SCREEN, batch=1),
    "early stopping": replace(SCREEN, holdout=20, patience=3),
    "mixup, clipping": replace(SCREEN, mixup=0.4, clip_norm=0.5),
    "heads": replace(HEADS, screen=20),
    "selena": replace(SELENA, screen=20),
    "dmp by Adam": replace(DMP, screen=20, optimizer=Optimizer.ADAM, learning_rate=0.005),
}


def left(
    share: int, member: Bools, labels: NDArray[np.int64], losses: NDArray[np.float64]
) -> Bools:
    """The members that are left, once more in NumPy."""
    found = member.copy()
    quota = np.bincount(labels[member], minlength=7) * 3 // 4
    out = int(member.sum()) * share // 100
    for slot in np.argsort(-losses, kind="stable"):
        if out and member[slot] and quota[labels[slot]]:
            found[slot] = False
            quota[labels[slot]] -= 1
            out -= 1
    return found


def doubts(
    codes: NDArray[np.int8], labels: NDArray[np.int64], theta: NDArray[np.float64] = THETA
) -> NDArray[np.float64]:
    """The loss of a head at each window."""
    return -np.log(softmax(logits(theta, features(codes)))[np.arange(len(labels)), labels])


def test_lanes_and_boards_agree() -> None:
    teachers.agree(BUNDLE, list(ALL.values()), (1, 2, 3))


@pytest.mark.parametrize("share", [3, 4, 20, 50])
def test_the_rest_trains_as_if_alone(share: int) -> None:
    rest = left(share, MEMBER, LABELS, doubts(CODES, LABELS))
    assert MEMBER.sum() - rest.sum() == int(MEMBER.sum()) * share // 100
    for how in (PLAIN, HEADS, replace(SELENA, clip_norm=0.3)):
        done = fine_tuned([replace(how, screen=share)], MEMBER[None])
        alone = fine_tuned([how], rest[None])
        np.testing.assert_array_equal(done.hashes, alone.hashes)
        np.testing.assert_array_equal(done.steps, alone.steps)
        np.testing.assert_array_equal(done.losses, alone.losses)


def test_a_class_keeps_a_quarter() -> None:
    # All windows of class 0 look like another class; those of the others like their own.
    weights = BASE.tail.weights
    codes = np.where(weights[np.arange(24) % 6 + 1] > 0, 100, -128).astype(np.int8)
    labels = np.arange(24) % 6 + 1
    labels[:8] = 0
    losses = doubts(codes, labels)
    assert losses[:8].min() > losses[8:].max()
    rest = left(50, np.ones(24, np.bool_), labels, losses)
    assert rest[:8].sum() == 2
    twin = Twin(BUNDLE, threads=1)
    every = np.ones((1, 24), np.bool_)
    done = twin.fine_tune(codes, labels, every, [replace(PLAIN, screen=50)], embedded=True)
    alone = twin.fine_tune(codes, labels, rest[None], [PLAIN], embedded=True)
    np.testing.assert_array_equal(done.hashes, alone.hashes)
    # The only window of a class stays; one class alone loses no more than it may.
    labels[:8] = [0, *[1] * 7]
    assert left(50, every[0], labels, doubts(codes, labels))[0]
    one = twin.fine_tune(codes, labels, every, [replace(PLAIN, screen=50)], embedded=True)
    assert one.steps[0, -1] == 12


def test_of_equal_doubts_the_first_go() -> None:
    """Copies of one window lie between others: their places in the order show which of them go."""
    worst = int(np.argmax(doubts(CODES, LABELS)))
    codes, labels = CODES[:24].copy(), LABELS[:24].copy()
    codes[::2], labels[::2] = CODES[worst], LABELS[worst]
    every = np.ones(24, np.bool_)
    first, last = every.copy(), every.copy()
    first[[0, 2]] = last[[20, 22]] = False
    assert (left(10, every, labels, doubts(codes, labels)) == first).all()
    twin = Twin(BUNDLE, threads=1)
    settings = [replace(PLAIN, screen=10), PLAIN, PLAIN]
    done = twin.fine_tune(codes, labels, np.stack([every, first, last]), settings, embedded=True)
    hashes = done.hashes[:, -1]
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_network_where_training_starts_doubts() -> None:
    """A shared tail takes the base network's place, in lanes and in each lane its own."""
    starts = THETA + np.stack([RNG.normal(0, 0.5, len(THETA)) for _ in range(3)])
    starts = starts.astype(np.float32)
    rest = [left(50, MEMBER, LABELS, doubts(CODES, LABELS, s.astype(np.float64))) for s in starts]
    assert len({r.tobytes() for r in rest}) == 3
    members = np.stack([MEMBER] * 3)
    for isa in ("scalar", "auto"):
        half = [replace(PLAIN, screen=50)] * 3
        done = fine_tuned(half, members, start=starts, isa=isa)
        alone = fine_tuned([PLAIN] * 3, np.stack(rest), start=starts, isa=isa)
        np.testing.assert_array_equal(done.hashes, alone.hashes)


@pytest.mark.parametrize(("first", "raw"), [(HEAD, True), (HEAD - 1, False), (0, False)])
def test_whole_windows_and_deeper_layers_are_screened(first: int, raw: bool) -> None:
    """The whole network doubts, wherever training starts: the same windows go."""
    count = 16
    settings = TrainSettings(seed=3, batch=4, learning_rate=0.02, shift=2 if raw else 0)
    screened = replace(settings, screen=50)
    windows = RNG.integers(-100, 100, (count, Twin(BASE, threads=1).input_bytes)).astype(np.int8)
    labels = RNG.integers(0, 7, count)
    losses = doubts(Twin(BASE, threads=1).embed(windows), labels)
    every = np.ones(count, np.bool_)
    rest = left(50, every, labels, losses)
    twin = Twin(BASE, threads=1, first_layer=first, raw=raw)
    done = twin.fine_tune(windows, labels, every[None], [screened], epochs=(1,))
    alone = twin.fine_tune(windows, labels, rest[None], [settings], epochs=(1,))
    # (Below the head activations are float, so near ties may fall otherwise; here none does.)
    np.testing.assert_array_equal(done.hashes, alone.hashes)
    with connect("twin:", BASE.to_bytes()) as opened:
        board = opened.board
        board.layout(first, raw)
        board.store(windows, labels)
        board.select(every)
        board.begin(screened)
        assert board.train(0, 1).tail_hash == done.tail_hash(0, 0)


def test_a_full_store_is_screened() -> None:
    """What screening keeps takes its room from the store, and nothing else's."""
    how = replace(SELENA, screen=50)
    with connect("twin:", BUNDLE.to_bytes()) as opened:
        board = opened.board
        board.layout(HEAD, False)
        plain = board.begin(SELENA).capacity
        room = board.begin(how).capacity
        assert room < plain
        windows = RNG.integers(-100, 100, (room, Twin(BASE, threads=1).input_bytes))
        labels = RNG.integers(0, 7, room)
        board.layout(HEAD, False)
        board.store(windows.astype(np.int8), labels)
        board.select(np.ones(room, np.bool_))
        board.begin(how)
        done = board.train(0, 3)
        kept = room - room // 2
        assert done.steps == (2 * (5 - 2) + 1) * kept  # two epochs of heads, one of a student
    twin = Twin(BUNDLE, threads=1)
    every = np.ones((1, room), np.bool_)
    lanes = twin.fine_tune(windows.astype(np.int8), labels, every, [how], epochs=(3,))
    assert lanes.tail_hash(0, 0) == done.tail_hash


@pytest.mark.parametrize("share", [51, 255])
def test_host_and_core_refuse_the_same_settings(share: int) -> None:
    teachers.impossible(replace(PLAIN, screen=share), BUNDLE)
    private = replace(SCREEN, noise_multiplier=1.0, clip_norm=1.0, expected_members=30)
    teachers.impossible(private, BUNDLE)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Screening(0),
        lambda: Screening(51),
        lambda: build("screen+dp", {}),
        lambda: build("screen+dp-public", {}),
    ],
)
def test_wrong_strengths_and_pairs_are_refused(make: Callable[[], object]) -> None:
    teachers.refused(make)


def test_it_goes_with_other_ways_of_training() -> None:
    for other in ("clip", "early-stop", "selena", "ensemble", "augment", "mmd", "prune", "label"):
        assert build(f"screen+{other}", {})
