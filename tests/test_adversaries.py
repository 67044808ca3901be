"""An adversary in training, MMD and stacking: what they learn, reckoned once more in NumPy."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

import draws
import test_teachers as teachers
from test_teachers import (
    BASE,
    CLASSES,
    CODES,
    HEAD,
    LABELS,
    MEMBER,
    PLAIN,
    ROWS,
    WIDTH,
    features,
    logits,
    softmax,
)
from tinymia.defenses.adversarial import Adversarial
from tinymia.defenses.base import TrainingSize, with_defences
from tinymia.defenses.memguard import HIDDEN, Classifier
from tinymia.defenses.mmd import Mmd
from tinymia.defenses.registry import build
from tinymia.defenses.stacking import Stacking
from tinymia.device.client import BoardRefusedError
from tinymia.device.connect import connect
from tinymia.errors import BundleError, StudyError, TwinError
from tinymia.export.answers import classifiers_in, joined_classifiers
from tinymia.export.bundle import Bundle
from tinymia.export.references import pack_references
from tinymia.study.adversaries import adversary_for
from tinymia.study.lab import Public
from tinymia.study.lanes import Lanes
from tinymia.study.settings import StudySettings
from tinymia.study.showing import Classifiers, Showing
from tinymia.study.store import Store
from tinymia.twin import Twin
from tinymia.wire.settings import TrainSettings

F64 = NDArray[np.float64]
RNG = np.random.default_rng(12)
KNOWN = RNG.integers(0, CLASSES, len(ROWS))
WEIGHTS = RNG.normal(0, 1, HIDDEN * (CLASSES + 2) + 1).astype(np.float32)
SECTION = Classifier().pack([WEIGHTS], CLASSES)
BUNDLE = replace(BASE, references=pack_references(ROWS, HEAD, KNOWN), classifiers=SECTION)
ADVERSARY = replace(PLAIN, adversary=3.0)
RIVAL = replace(PLAIN, adversary=2.0, adversary_rate=0.05, references=30)
MMD = replace(PLAIN, mmd=4.0, references=37)
STACK = replace(PLAIN, heads=3, left_out=2, stacking=0.003)
ALL = {
    "adversary": ADVERSARY,
    "rival": RIVAL,
    "mmd": MMD,
    "mmd mixed": replace(MMD, mixup=0.4),
    "all of them": replace(RIVAL, mmd=1.0, clip_norm=0.5, dropout=0.3, label_smoothing=0.1),
    "beside others": replace(ADVERSARY, confidence_penalty=0.3),
    "with RelaxLoss": replace(MMD, relax_loss=1.0, references=20),
    "one by one": replace(RIVAL, batch=1),
    "stack": STACK,
    "another stack": replace(STACK, heads=5, left_out=4, stacking=0.01, batch=1),
    "plain": PLAIN,
}
EPOCHS = (1, 3, 8)


fine_tuned = partial(teachers.fine_tuned, bundle=BUNDLE, epochs=EPOCHS)


def test_lanes_and_boards_agree() -> None:
    teachers.agree(BUNDLE, list(ALL.values()), EPOCHS)


def test_deep_training_has_an_adversary() -> None:
    twins = [Twin(BUNDLE, threads=1, first_layer=HEAD - 1, isa=isa) for isa in ("scalar", "auto")]
    codes = RNG.integers(-128, 128, (len(CODES), twins[0].slot_bytes)).astype(np.int8)
    members = np.stack([MEMBER, MEMBER])
    some, other = (
        twin.fine_tune(codes, LABELS, members, [PLAIN, ADVERSARY], embedded=True) for twin in twins
    )
    np.testing.assert_array_equal(some.hashes, other.hashes)
    assert some.hashes[0, -1] != some.hashes[1, -1]


def gain(weights: F64, p: F64) -> float:
    """log h of sorted probabilities."""
    w1, b1, w2, b2 = np.split(weights, np.cumsum([HIDDEN * CLASSES, HIDDEN, HIDDEN]))
    hidden = np.maximum(w1.reshape(HIDDEN, CLASSES) @ -np.sort(-p) + b1, 0)
    return float(-np.logaddexp(0, -(hidden @ w2 + b2[0])))


def lost(weights: F64, p: F64) -> float:
    """log (1 - h)."""
    w1, b1, w2, b2 = np.split(weights, np.cumsum([HIDDEN * CLASSES, HIDDEN, HIDDEN]))
    hidden = np.maximum(w1.reshape(HIDDEN, CLASSES) @ -np.sort(-p) + b1, 0)
    return float(-np.logaddexp(0, hidden @ w2 + b2[0]))


def slope(function: Callable[[F64], float], at: F64) -> F64:
    """By central differences."""
    found = np.zeros_like(at)
    for i in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[i] = 1e-6
        found[i] = (function(at + step) - function(at - step)) / 2e-6
    return found


def trained(
    settings: TrainSettings, epochs: int, loss: Callable[[F64, F64, NDArray[np.int64], int], float]
) -> F64:
    """The head behind some epochs of descent down a mini-batch's summed loss.

    Args:
        settings: rate, batch and seed.
        epochs: of training.
        loss: of theta, logits (n, classes), the slots of the mini-batch, and how many came before.
    """
    x = features(CODES)
    theta = np.concatenate([BASE.tail.weights.ravel(), BASE.tail.bias]).astype(np.float64)
    draw = draws.settings(seed=settings.seed, batch=settings.batch)
    seen = 0
    for epoch in range(epochs):
        order = np.asarray(draws.epoch(draw, MEMBER, epoch).examples["slot"], np.int64)
        loss(theta, np.empty((0, CLASSES)), order[:0], epoch)
        for at in range(0, len(order), settings.batch):
            some = order[at : at + settings.batch]
            now, before = theta, seen
            error = slope(
                lambda z, now=now, some=some, before=before: loss(now, z, some, before),
                logits(theta, x[some]),
            )
            down = np.concatenate([(error.T @ x[some]).ravel(), error.sum(axis=0)])
            theta = theta - settings.learning_rate / len(some) * down
            seen += len(some)
    return theta


def crossed(z: F64, some: NDArray[np.int64]) -> float:
    return -float(np.log(softmax(z)[np.arange(len(some)), LABELS[some]]).sum())


def far(found: NDArray[np.float32], expected: F64, epochs: int = 2) -> tuple[float, float]:
    """How far what was trained lies from what was expected, and that from plain training."""
    plain = fine_tuned([PLAIN], MEMBER[None], epochs=(epochs,)).parameters[0]
    return float(np.abs(found - expected).max()), float(np.abs(plain - expected).max())


def test_an_adversary_adds_its_gain_to_the_loss() -> None:
    weights = WEIGHTS.astype(np.float64)

    def loss(theta: F64, z: F64, some: NDArray[np.int64], before: int) -> float:
        return crossed(z, some) + 3.0 * sum(gain(weights, p) for p in softmax(z))

    done = fine_tuned([ADVERSARY], MEMBER[None], epochs=(2,))
    error, moved = far(done.parameters[0], trained(ADVERSARY, 2, loss))
    assert error < 0.01 * moved, (error, moved)
    assert moved > 0.01


def test_an_adversary_learns_from_members_and_references_before_each_step() -> None:
    x, others = features(CODES), features(ROWS)
    state = {"weights": WEIGHTS.astype(np.float64), "stands": -1}

    def loss(theta: F64, z: F64, some: NDArray[np.int64], before: int) -> float:
        if len(some) and state["stands"] != before:
            state["stands"] = before
            for i, slot in enumerate(some):
                mine = softmax(logits(theta, x[slot]))
                their = softmax(logits(theta, others[(before + i) % 30]))
                for function, p in ((gain, mine), (lost, their)):
                    up = slope(lambda w, f=function, p=p: f(w, p), state["weights"])
                    state["weights"] = state["weights"] + 0.05 * up
        return crossed(z, some) + 2.0 * sum(gain(state["weights"], p) for p in softmax(z))

    done = fine_tuned([RIVAL], MEMBER[None], epochs=(1,))
    error, moved = far(done.parameters[0], trained(RIVAL, 1, loss), 1)
    assert error < 0.01 * moved, (error, moved)
    still = fine_tuned([replace(ADVERSARY, adversary=2.0)], MEMBER[None], epochs=(1,)).parameters[0]
    assert np.abs(done.parameters[0] - still).max() > 5e-3


def test_mmd_is_the_distance_of_class_means() -> None:
    others = features(ROWS)
    state = {"wanted": np.zeros((CLASSES, CLASSES))}

    def loss(theta: F64, z: F64, some: NDArray[np.int64], before: int) -> float:
        p = softmax(z)
        if not len(some):
            said = softmax(logits(theta, others))
            for c in np.unique(KNOWN):
                state["wanted"][c] = said[c == KNOWN].mean(axis=0)
            return 0.0
        distance = 0.0
        for c in np.unique(LABELS[some]):
            mine = LABELS[some] == c
            apart = p[mine].mean(axis=0) - state["wanted"][c]
            distance += mine.sum() * float(apart @ apart) * bool((c == KNOWN).any())
        return crossed(z, some) + 4.0 * distance

    done = fine_tuned([MMD], MEMBER[None], epochs=(2,))
    error, moved = far(done.parameters[0], trained(MMD, 2, loss))
    assert error < 0.01 * moved, (error, moved)
    assert moved > 0.01


def test_a_stack_combines_heads_by_a_further_part() -> None:
    slots = draws.shuffled(PLAIN.seed, 0, np.flatnonzero(MEMBER).tolist(), 16)
    parts = [np.isin(np.arange(len(CODES)), slots[part::4]) for part in range(4)]
    done = fine_tuned([STACK], MEMBER[None], epochs=(1, 2, 3))
    np.testing.assert_array_equal(done.steps[0], [sum(p.sum() for p in parts[:3])] * 3)
    x, y = features(CODES)[parts[3]], np.eye(CLASSES)[LABELS[parts[3]]]
    factors = np.concatenate([np.tile(np.eye(CLASSES) / 3, 3), np.zeros((CLASSES, 1))], axis=1)
    for epoch in (1, 2, 3):
        heads = fine_tuned([PLAIN] * 3, np.stack(parts[:3]), epochs=(epoch,)).parameters
        z = np.concatenate([logits(h.astype(np.float64), x) for h in heads], axis=1)
        z = np.concatenate([z, np.ones((len(z), 1))], axis=1)
        error = softmax(z @ factors.T) - y
        factors = factors - STACK.stacking / len(x) * error.T @ z
    split = CLASSES * WIDTH
    rows = np.concatenate([h[:split].reshape(CLASSES, WIDTH) for h in heads])
    biases = np.concatenate([h[split:] for h in heads])
    expected = [factors[:, :-1] @ rows, factors[:, :-1] @ biases + factors[:, -1]]
    flat = np.concatenate([e.ravel() for e in expected])
    np.testing.assert_allclose(done.parameters[0], flat, atol=2e-4)
    assert np.abs(heads.mean(axis=0) - flat).max() > 0.01


def test_what_is_missing_is_refused() -> None:
    bare = replace(BUNDLE, references=b"", classifiers=b"")
    unlabelled = replace(BUNDLE, references=pack_references(ROWS, HEAD))
    with connect("twin:", bare.to_bytes()) as opened:
        for how, what in ((ADVERSARY, "classifier 1, the bundle has 0"), (MMD, "37 references")):
            with pytest.raises(BoardRefusedError, match=what) as error:
                opened.board.begin(how)
            assert "tinymia audit" in str(error.value.hint)
    with connect("twin:", unlabelled.to_bytes()) as opened:
        opened.board.begin(RIVAL)
        with pytest.raises(BoardRefusedError, match=r"37 references .* has 0"):
            opened.board.begin(MMD)
    for how, bundle, what in (
        (ADVERSARY, bare, "classifier 1"),
        (RIVAL, replace(BUNDLE, references=b""), "30 references"),
        (MMD, unlabelled, "37 references"),
    ):
        with pytest.raises(TwinError, match=what):
            fine_tuned([how], MEMBER[None], bundle=bundle)


@pytest.mark.parametrize(
    "body",
    [
        pack_references(ROWS, HEAD, KNOWN)[:-1],
        struct.pack("<IIII", 2**31, 1, HEAD, 1) + bytes(8),
        struct.pack("<IIII", 1, WIDTH, HEAD, 2) + bytes(WIDTH + 2),
        struct.pack("<IIII", 1, WIDTH, HEAD, 1) + bytes(WIDTH) + bytes([CLASSES]),
    ],
)
def test_host_and_core_refuse_the_same_labels(body: bytes) -> None:
    assert Bundle.from_bytes(BUNDLE.to_bytes()).references == BUNDLE.references
    teachers.malformed(body)
    with pytest.raises(BundleError, match="cannot have 3 labels"):
        pack_references(ROWS, HEAD, KNOWN[:3])


@pytest.mark.parametrize(
    "how",
    [
        replace(RIVAL, references=0),
        replace(RIVAL, adversary=0.0),
        replace(ADVERSARY, references=5),
        replace(ADVERSARY, heads=3, left_out=2),
        replace(ADVERSARY, noise_multiplier=1.0, clip_norm=1.0, expected_members=30),
        replace(ADVERSARY, teacher_epochs=2, teacher_temperature=1.0),
        replace(MMD, references=0),
        replace(MMD, heads=3, left_out=2),
        replace(MMD, teacher_epochs=2, teacher_temperature=1.0),
        replace(STACK, heads=0, left_out=0),
        replace(STACK, trained=1),
        replace(STACK, teacher_epochs=2, teacher_temperature=1.0),
    ],
)
def test_host_and_core_refuse_the_same_settings(how: TrainSettings) -> None:
    teachers.impossible(how, BUNDLE)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Adversarial(0.0),
        lambda: Adversarial(101.0),
        lambda: Adversarial(rate=101.0),
        lambda: Adversarial(references=0),
        lambda: Mmd(0.0),
        lambda: Mmd(references=5000),
        lambda: Stacking(1),
        lambda: Stacking(rate=0.0),
        lambda: build("adversarial+dp", {}),
        lambda: build("mmd+dmp", {}),
        lambda: build("stacking+ensemble", {}),
    ],
)
def test_wrong_strengths_and_pairs_are_refused(make: Callable[[], object]) -> None:
    teachers.refused(make)


def test_references_are_needed_where_they_are_read_alone() -> None:
    size = TrainingSize(80, 8, 50)
    plans = [with_defences(PLAIN, (d,), size) for d in (Adversarial(rate=0.0), Adversarial())]
    assert [p.references for p in plans] == [0, 160]
    deep = StudySettings(
        training=replace(StudySettings().training, train="last:2"),
        epochs=(2,),
        defences=("mmd",),
        depths=(),
    )
    with pytest.raises(StudyError, match="is for the head"):
        deep.runs(BASE)


def test_a_study_trains_the_adversary_on_public_people(tmp_path: object) -> None:
    settings = StudySettings(
        epochs=(2,), defences=("adversarial", "adversarial+memguard"), depths=(), members=16
    )
    runs = settings.runs(BASE)
    windows = RNG.integers(-100, 100, (64, *BASE.input_shape)).astype(np.int8)
    public = Public(windows, np.arange(64) % CLASSES, np.arange(64) // 8)
    classifiers = Classifiers(settings, public, Store(tmp_path))  # type: ignore[arg-type]
    made = adversary_for(BASE, runs, classifiers)
    assert classifiers_in(made) == (1, CLASSES)
    assert adversary_for(BUNDLE, runs, classifiers) == SECTION
    assert adversary_for(BASE, runs[:2], classifiers) == b""
    lanes = Lanes(BASE, references=pack_references(np.tile(ROWS, (5, 1)), HEAD), adversary=made)
    section, numbers = Showing(lanes, classifiers).carried(runs)
    assert classifiers_in(section) == (2, CLASSES)
    assert section[16 : len(made)] == made[16:]
    assert list(numbers.values()) == [2]
    assert joined_classifiers(b"", made) == made
    with pytest.raises(BundleError, match="beside"):
        joined_classifiers(made, Classifier().pack([WEIGHTS[: HIDDEN * 7 + 1]], CLASSES - 2))
    alone = Public(windows[:8], np.zeros(8, np.int64), np.zeros(8, np.int64))
    with pytest.raises(StudyError, match="need public people"):
        adversary_for(BASE, runs, Classifiers(settings, alone, Store(tmp_path)))  # type: ignore[arg-type]
