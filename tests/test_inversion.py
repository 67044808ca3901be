"""Inversion: searches find what is told, a head is taken apart, and the owner is held to it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tinymia.attacks.softmax import probabilities
from tinymia.errors import StudyError
from tinymia.evidence import Owner, Workbench
from tinymia.experiments.inversion import EXPERIMENT
from tinymia.experiments.inversion.attack import Asking, Mixture, odds
from tinymia.experiments.inversion.judging import Judge
from tinymia.experiments.inversion.prior import Prior, as_codes, prior_of, search
from tinymia.experiments.inversion.telling import apart, closer, distances, nearer, nearest

RNG = np.random.default_rng(11)
CLASSES, WIDE = 3, 20


def test_a_search_goes_where_it_is_told_and_no_farther_than_the_prior() -> None:
    goal = RNG.normal(size=(2, CLASSES, 1, 6))
    goal /= np.linalg.norm(goal, axis=-1, keepdims=True)

    def lots() -> np.ndarray:
        return RNG.normal(size=(2, CLASSES, 64, 6))

    found = search(lambda z: 1000 * (z * goal).sum(axis=-1), lots, 12)
    along = (found * goal[:, :, 0]).sum(axis=-1)
    assert (along > 0.6).all()
    assert (np.linalg.norm(found, axis=-1) < 2.0).all()
    nothing = search(lambda z: np.ones(z.shape[:3]), lots, 12)
    assert np.linalg.norm(nothing, axis=-1).max() < 0.6


def test_a_prior_has_the_classes_means_and_what_windows_differ_by() -> None:
    labels = np.arange(300) % CLASSES
    windows = np.clip(RNG.normal(0, 3, (300, 5, 2)), -128, 127).astype(np.int8)
    windows[..., 1] += (40 * labels[:, None] - 40).astype(np.int8)
    prior = prior_of(windows, labels, CLASSES + 1, 4)
    flat = windows.reshape(300, -1).astype(float)
    assert np.allclose(prior.centres[1], flat[labels == 1].mean(axis=0))
    assert np.allclose(prior.centres[3], flat.mean(axis=0))  # a class that nobody has
    norms = np.linalg.norm(prior.basis, axis=1)
    assert (np.diff(norms) <= 1e-9).all()
    assert norms[0] < 6  # within classes, which differ by 40
    codes = prior.codes(np.full((2, CLASSES + 1, 4), 1e4))
    assert codes.shape == (2 * (CLASSES + 1), 5, 2)
    assert as_codes(np.array([-500.0, 2.6, 500.0]), (3,)).tolist() == [[-128, 3, 127]]


def trained(base: np.ndarray, read: np.ndarray, labels: np.ndarray) -> np.ndarray:
    head, x = base.copy(), np.column_stack([read, np.ones(len(read))])
    for _ in range(40):
        pull = np.eye(len(base))[labels] - probabilities(head, x)
        head += 0.3 * pull.T @ x / len(x)
    return head


def test_a_head_that_is_taken_apart_shows_who_trained_it() -> None:
    """Of ten people, those of whom the adversary has no window among them."""
    classes = RNG.normal(0, 1.0, (CLASSES, WIDE))
    people = RNG.normal(0, 0.8, (10, CLASSES, WIDE))
    labels = np.arange(90) % CLASSES
    read = [(classes + p)[labels] + RNG.normal(0, 1, (90, WIDE)) for p in people]
    public, of = np.concatenate(read[4:]), np.tile(labels, 6)
    base = trained(np.zeros((CLASSES, WIDE + 1)), public, of)
    mixture = Mixture(base, public, of, public.std(axis=0))
    before = mixture.means(mixture.weights(base), public)
    assert np.allclose(before[1], public[of == 1].mean(axis=0))

    member = np.arange(90) < 45
    heads = [trained(base, r[member], labels[member]) for r in read[:4]]
    found = np.stack([mixture.means(mixture.weights(h), public) for h in heads])
    owners = [Owner(str(i), np.zeros((90, 1), np.int8), labels, labels) for i in range(10)]
    both = {"windows": np.ones(WIDE), "read": np.ones(WIDE)}
    judge = Judge(both, {"windows": read, "read": read}, owners, CLASSES)
    shown = np.concatenate([found, before[None]])
    told = judge("a", {"windows": shown, "read": shown}, np.arange(4), [member] * 4)
    _, nearer_, _, moved = told["a/read"].T
    assert moved.min() >= 0.85
    assert nearer_.mean() > told["base/a/read"][:, 1].mean()

    # Of people whose windows the adversary has, the owner is the nearest.
    heads_of = [trained(base, r[member], labels[member]) for r in read[4:]]
    shown = np.stack([mixture.means(mixture.weights(h), public) for h in [*heads_of, base]])
    of_public = judge("k", {"windows": shown, "read": shown}, np.arange(4, 10), [member] * 6)
    assert of_public["k/read"][:, 0].mean() == 1.0

    # What each input's weights learnt is another's: nothing is left of whom it was.
    lots = []
    for _ in range(12):
        mixed = [
            np.column_stack([(h - base)[:, RNG.permutation(WIDE)], (h - base)[:, -1]])
            for h in heads
        ]
        nothing = np.stack([mixture.means(mixture.weights(base + m), public) for m in mixed])
        shown = np.concatenate([nothing, before[None]])
        lots.append(
            judge.among(4)("n", {"windows": shown, "read": shown}, np.arange(4), [member] * 4)
        )
    assert 0.25 < np.mean([one["n/read"][:, 3] for one in lots]) < 0.75


def test_weights_that_cancel_say_nothing() -> None:
    labels = np.arange(60) % CLASSES
    read = RNG.normal(size=(60, WIDE))
    base = np.zeros((CLASSES, WIDE + 1))
    mixture = Mixture(base, read, labels, np.ones(WIDE))
    for head in (base, *(base + RNG.normal(0, 1e3, base.shape) for _ in range(40))):
        weights = mixture.weights(head)
        assert np.allclose(np.bincount(labels, weights), 1.0)
        assert np.bincount(labels, np.abs(weights)).max() <= 20 + 1e-9
    assert np.allclose(mixture.weights(base), CLASSES / 60)


def test_each_device_is_asked_its_own_windows() -> None:
    heads = RNG.normal(size=(4, 2, 5))

    class Bench:
        signal = SimpleNamespace(classes=("a", "b"))

        def generator(self, *_: object) -> np.random.Generator:
            return np.random.default_rng(1)

        def answers(self, run: object, theta: Any, windows: Any, seeds: Any) -> np.ndarray:
            assert len(seeds) == len(theta)
            x = windows.reshape(len(windows), -1) / 20.0
            made = [probabilities(t.reshape(2, 5), x) for t in theta]
            return np.stack(made).astype(np.float32)

        def base(self, run: object) -> np.ndarray:
            return heads[3].ravel()

    bench = cast("Workbench", Bench())
    prior = Prior((5,), np.zeros((2, 5)), 20.0 * np.eye(5))
    run = cast("Any", SimpleNamespace(whole=None))
    asking = Asking(bench, prior, run, heads.reshape(4, -1), (1, 2, 3, 4))
    for z, before in ((asking.confidence(), None), (asking.difference(), heads[3])):
        for device in range(3):
            head = heads[device] - (0 if before is None else before)
            way = head - head[::-1]
            along = (z[device] * way).sum(axis=1) / np.linalg.norm(way, axis=1)
            assert (along > (0.15 if before is None else 0.4)).all(), device
    # The base model is not surer than itself.
    assert np.linalg.norm(asking.difference()[3], axis=-1).max() < 1.2
    assert np.allclose(odds(np.full((1, 4), 0.25, np.float32)), 0)


def test_places() -> None:
    means = np.stack([np.full((2, 3), float(i)) for i in range(4)])
    means[3, 1] = np.nan  # has no windows of a class
    found = np.stack([np.full((2, 3), 1.1), np.full((2, 3), 2.0)])
    far = distances(found, means)
    assert far.argmin(axis=1).tolist() == [1, 2]
    owner = np.array([1, 1])
    assert nearest(far, owner).tolist() == [1.0, 0.0]
    assert nearer(far, owner)[0] == 1.0
    assert closer(far, owner)[0] > 3
    tied = np.array([[1.0, 1.0, 2.0]])
    assert nearest(tied, np.array([0])).tolist() == [0.5]
    assert nearer(tied, np.array([0])).tolist() == [0.75]
    still = apart(found[:1], found[0], means)
    assert nearer(still, np.array([2])).tolist() == [0.5]  # nothing moved: no more than guessing


def test_what_cannot_be_asked_is_refused() -> None:
    run = SimpleNamespace(depth="all", name="plain@1")
    one = SimpleNamespace(public=(1,), runs=lambda *_: (run,))
    with pytest.raises(StudyError, match="at least two, to know what windows look like, and 1"):
        EXPERIMENT.cells(cast("Workbench", one))
    deep = SimpleNamespace(public=(1, 2), runs=lambda *_: (run,))
    with pytest.raises(StudyError, match="takes a head apart"):
        EXPERIMENT.cells(cast("Workbench", deep))
