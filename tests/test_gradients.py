"""Gradient leakage: exact where the source says so, and nothing where there is nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from quiet import Quiet
from tinymia.attacks.softmax import probabilities, residuals
from tinymia.evidence import Run
from tinymia.experiments.gradients import EXPERIMENT, settings
from tinymia.experiments.gradients.checking import certain, orders, residuals_of
from tinymia.experiments.gradients.choice import Recipe
from tinymia.experiments.gradients.hidden import Likely, choose, near_rows
from tinymia.experiments.gradients.lattice import reduced, whole_rows
from tinymia.experiments.gradients.peeling import peeled
from tinymia.experiments.gradients.prior import Prior
from tinymia.experiments.gradients.settings import Setting
from tinymia.study import audit
from tinymia.study.audit import Audit
from tinymia.study.executors import Here
from tinymia.study.settings import StudySettings
from tinymia.wire.settings import TrainSettings

BUNDLE = Path(__file__).parents[1] / "models" / "har-watch" / "har-watch.bundle"
RATE = 0.2


def update(inputs: NDArray[Any], labels: NDArray[Any], head: NDArray[Any]) -> NDArray[Any]:
    """A step on some examples, in float64."""
    read = np.column_stack([inputs, np.ones(len(inputs))])
    pulled = residuals(probabilities(head, read), labels)
    return np.asarray(-RATE / len(inputs) * pulled.T @ read)


def draw(rng: np.random.Generator, count: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    inputs = rng.integers(0, 200, (count, 40))
    return inputs, rng.integers(0, 5, count), rng.normal(0, 0.003, (5, 41))


def exact(found: NDArray[Any], true: NDArray[Any]) -> int:
    return len({tuple(row) for row in found} & {tuple(row) for row in true})


@pytest.mark.parametrize("count", [1, 2, 4])
def test_an_update_of_fewer_windows_than_classes_gives_their_codes(count: int) -> None:
    rng = np.random.default_rng(count)
    for _ in range(5):
        inputs, labels, head = draw(rng, count)
        seen = update(inputs, labels, head)
        found = whole_rows(seen + rng.normal(0, 1e-8, seen.shape), 1e-8, 0, 255, count)
        assert exact(found, inputs) == count
        # Clipping scales an example's part, and local steps add up to the same form.
        clipped = sum(
            scale * update(inputs[[i]], labels[[i]], head)
            for i, scale in enumerate(rng.uniform(0.1, 1, count))
        )
        assert exact(whole_rows(clipped, 1e-9, 0, 255, count), inputs) == count


def federated(
    count: int, steps: int, clip: float = 0.0, seed: int = 0
) -> tuple[NDArray[Any], NDArray[Any], Likely, Recipe]:
    """A device's update of several steps of full batches, as float32 numbers; its windows."""
    rng = np.random.default_rng(seed)
    inputs, labels, head = draw(rng, count)
    inputs = np.maximum(inputs // 2 - 20, 0)  # zeros, as a ReLU leaves them
    head[:, :-1] *= 4
    recipe = Recipe(head.copy(), 1.0, 1e-4, steps, clip)
    read, now = np.column_stack([inputs, np.ones(count)]), head.copy()
    for _ in range(steps):
        pulled = -residuals(probabilities(now, read), labels)
        if clip:
            sizes = np.linalg.norm(pulled, axis=1) * np.linalg.norm(read, axis=1)
            pulled *= np.minimum(1.0, clip / sizes)[:, None]
        now += 1e-4 * pulled.T @ read
    public = np.maximum(rng.integers(0, 200, (400, 40)) // 2 - 20, 0).astype(float)
    return now - head, inputs, Likely.of(public), recipe


def hidden_rows(
    seen: NDArray[Any],
    noise: float,
    box: tuple[int, int],
    count: int,
    likely: Likely,
    recipe: Recipe,
) -> NDArray[Any]:
    near = near_rows(seen, noise, box, count, likely)
    if near is None:
        return np.empty((0, seen.shape[1] - 1), np.int64)
    return choose(seen, noise, count, *near, recipe)


@pytest.mark.parametrize(("count", "steps", "clip"), [(6, 1, 0.0), (8, 5, 0.0), (7, 2, 20.0)])
def test_more_windows_than_directions_follow_from_an_updates_digits(
    count: int, steps: int, clip: float
) -> None:
    seen, inputs, likely, recipe = federated(count, steps, clip)
    noise = 2e-8 * float(np.abs(seen).max())
    seen = seen + np.random.default_rng(1).normal(0, noise, seen.shape)
    found = hidden_rows(seen, noise, (0, 255), count, likely, recipe)
    assert exact(found, inputs) == count
    # Of other windows, or behind noise, nothing.
    assert exact(found, federated(count, steps, clip, seed=1)[1]) == 0
    noise = 1e-2 * float(np.abs(seen).max())
    rough = seen + np.random.default_rng(2).normal(0, noise, seen.shape)
    assert len(hidden_rows(rough, noise, (0, 255), count, likely, recipe)) == 0


def test_an_update_holds_no_more_than_its_digits() -> None:
    seen, _, likely, recipe = federated(20, 1)
    noise = 2e-8 * float(np.abs(seen).max())
    assert len(hidden_rows(seen, noise, (0, 255), 20, likely, recipe)) == 0


def learner(head: NDArray[Any], rate: float) -> Any:
    """A bench whose devices take one step on all that they hold."""

    def train(training: Any) -> Any:
        made = []
        for members in training.members:
            read = np.column_stack([training.windows[members], np.ones(members.sum())])
            pulled = -residuals(probabilities(head, read), training.labels[members])
            made.append((head + rate / len(read) * pulled.T @ read).reshape(-1))
        return SimpleNamespace(theta=np.array(made))

    return SimpleNamespace(train=train, quantisation=lambda run: (1.0, 0))


def test_a_mixture_that_is_whole_is_not_claimed() -> None:
    rng = np.random.default_rng(3)
    inputs, labels = rng.integers(30, 60, (3, 40)), np.array([0, 1, 2])
    head = rng.normal(0, 0.003, (5, 41))
    seen = update(inputs, labels, head)
    run = Run("plain", "", "head", (), 1, TrainSettings(learning_rate=RATE, batch=3))
    setting, bench = Setting(run, 3), learner(head, RATE)
    mixed = inputs.copy()
    mixed[2] = inputs[0] + inputs[1] - inputs[2]
    assert (
        np.abs(seen - residuals_of(mixed, seen).T @ np.column_stack([mixed, np.ones(3)])).max()
        < 1e-9
    )
    for rows, sure in ((inputs, True), (mixed, False), (inputs + np.eye(3, 40, dtype=int), False)):
        of = residuals_of(rows, seen)
        start = head.reshape(-1)
        flat = seen.reshape(-1)
        assert (certain(bench, rows, of, flat, 1e-9, setting, start) == sure).all()
        # Behind noise, or where nobody knows the order, nothing can be told.
        assert not certain(bench, rows, of, flat, 10.0, setting, start).any()
        split = replace(run, epochs=20, training=replace(run.training, batch=1))
        assert not certain(bench, rows, of, flat, 1e-9, replace(setting, run=split), start).any()
    assert orders(setting) == 1
    assert orders(Setting(replace(run, training=replace(run.training, batch=2)), 4)) == 6


def test_a_faint_window_is_what_the_others_leave() -> None:
    rng = np.random.default_rng(4)
    inputs, labels, head = (
        rng.integers(0, 200, (4, 40)),
        np.arange(4),
        rng.normal(0, 0.003, (6, 41)),
    )
    head[3, :40] += 0.008 * inputs[3] / np.linalg.norm(inputs[3])  # sure of it before
    recipe = Recipe(head, 1.0, RATE / 4, 1)
    seen = update(inputs, labels, head)
    noise = 1e-5
    seen = seen + rng.normal(0, noise, seen.shape)
    others = np.concatenate([inputs[:3], inputs[:3] + rng.integers(-9, 9, (3, 40))])
    found = peeled(seen, noise, (0, 255), 4, others, recipe)
    assert exact(found, inputs) == 4
    assert exact(whole_rows(seen, noise, 0, 255, 4), inputs) < 4
    assert exact(peeled(seen, noise, (0, 255), 4, others[3:], recipe), inputs) == 0
    assert len(peeled(seen, noise, (0, 255), 6, others, recipe)) == 0


def test_noise_and_crowds_give_nothing() -> None:
    rng = np.random.default_rng(0)
    inputs, labels, head = draw(rng, 4)
    seen = update(inputs, labels, head)
    assert exact(whole_rows(seen + rng.normal(0, 1, seen.shape), 1.0, 0, 255, 4), inputs) == 0
    inputs, labels, head = draw(rng, 40)
    assert exact(whole_rows(update(inputs, labels, head), 1e-9, 0, 255, 40), inputs) == 0


def test_a_reduced_basis_spans_the_same_lattice_with_shorter_rows() -> None:
    rng = np.random.default_rng(1)
    basis = rng.integers(-1000, 1000, (6, 6)).astype(float)
    short = reduced(basis)
    assert abs(np.linalg.det(short)) == pytest.approx(abs(np.linalg.det(basis)))
    times = short @ np.linalg.inv(basis)
    assert times == pytest.approx(np.rint(times), abs=1e-6)
    assert np.linalg.norm(short, axis=1).max() < np.linalg.norm(basis, axis=1).max()


def test_the_most_likely_inputs_beat_the_guess() -> None:
    rng = np.random.default_rng(2)
    head, means = rng.normal(0, 0.003, (5, 41)), rng.uniform(20, 100, (5, 40))
    labels = np.repeat(np.arange(5), 60)
    around = means[labels] + rng.normal(0, 15, (300, 40))
    prior = Prior.of(around, labels, head)
    mine = np.array([0, 1, 2, 3, 4, 0, 1])
    true = means[mine] + rng.normal(0, 15, (7, 40))
    gradient = -update(true, mine, head) * len(true) / RATE
    assert prior.counts(gradient, 7).tolist() == [2, 2, 1, 1, 1]
    found = prior.most_likely(gradient, np.sort(mine), 1e-3)
    order = np.argsort(mine, kind="stable")
    assert np.linalg.norm(found - true[order]) < 0.8 * np.linalg.norm(means[mine] - true)


def test_the_firmware_gives_its_windows_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "BATCHES", (1, 4, 8))
    monkeypatch.setattr("tinymia.experiments.gradients.page.BATCHES", (1, 4, 8))
    monkeypatch.setattr("tinymia.experiments.gradients.prior._STEPS", 3)  # exact ones need none
    monkeypatch.setattr("tinymia.experiments.gradients.deep._GROUPS", 32)
    monkeypatch.setattr("tinymia.experiments.gradients.deep.DEPTHS", {"all": "every layer"})
    wanted = StudySettings(
        people=("p07", "p08"), repetitions=1, experiments=("gradients",), against=("clip", "dp")
    )
    job = Audit(wanted, BUNDLE, ("twin:",), tmp_path, executor=Here())
    (chapter,) = audit.run(job, Quiet()).findings.chapters
    assert chapter.name == EXPERIMENT.info.name
    assert all(control.holds for control in chapter.controls)
    assert len(chapter.controls) == 7
    rows = {
        (r.condition, r.at["windows"], r.at["where"]): r.figure.value
        for r in chapter.rows
        if r.measure == "exact"
    }
    assert rows["plain", "1", "every layer"] == rows["clip", "1", "every layer"] == 1.0
    assert rows["dp", "1", "every layer"] == 0.0
    assert rows["plain", "1", "one step"] == 1.0
    assert rows["plain", "4", "20 local epochs, one step each"] == 1.0
    assert rows["clip", "4", "one step"] == rows["clip", "8", "one step"] == 1.0
    assert rows["plain", "8", "one step"] == rows["plain", "8", "20 local epochs, one step each"]
    assert rows["plain", "8", "one step"] == 1.0
    assert rows["dp", "8", "one step"] == rows["units-256", "8", "one step"] == 0.0
    assert rows["dp", "4", "one step"] == 0.0
