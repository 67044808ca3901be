"""Decoders that follow training in the public shape: the law of its devices, and what it finds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from fakelab import make_run
from tinymia.attacks.heads import softmax
from tinymia.attacks.model_decoder import ModelDecoder, Units, UntrainedDecoder
from tinymia.attacks.steps import Steps, follows, rates_of
from tinymia.evidence import Candidates, Run, Shadows, Target
from tinymia.statistics.metrics import auc
from tinymia.wire.settings import Optimizer, Schedule, TrainSettings

Array = np.ndarray[Any, Any]
GROUPS, CLASSES, WIDTH, DEVICES = 30, 4, 9, 24
TRAINING = TrainSettings(
    learning_rate=0.5,
    batch=24,
    expected_members=24,
    clip_norm=1.5,
    noise_multiplier=1.0,
    shaped=1,
    schedule=Schedule.LINEAR,
    schedule_epochs=5,
)


class ShapedLab:
    """Windows in groups of three; devices trained on eight groups each, in public coordinates."""

    def __init__(self) -> None:
        rng = np.random.default_rng(4)
        centre = rng.normal(0, 1.0, (GROUPS, 1, WIDTH))
        x = (centre + rng.normal(0, 0.4, (GROUPS, 3, WIDTH))).reshape(-1, WIDTH)
        self.group = np.repeat(np.arange(GROUPS) * 5 + 2, 3)
        self.y = np.repeat(rng.integers(0, CLASSES, GROUPS), 3)
        self.head = rng.normal(0, 0.4, (CLASSES, WIDTH + 1))
        self.mean, self.rows = x.mean(axis=0), rng.normal(0, 0.5, (6, WIDTH))
        self.x = x.astype(np.float32)
        self.z = ((x - self.mean) @ self.rows.T).astype(np.float32)
        picks = np.stack([rng.permutation(GROUPS)[:8] for _ in range(DEVICES)])
        self.member = np.stack([np.isin(np.arange(GROUPS), pick) for pick in picks]).repeat(3, 1)
        self.heads = np.stack([self._train(row, rng) for row in self.member])

    def _train(self, member: Array, rng: np.random.Generator) -> Array:
        z = np.c_[self.z, np.ones(len(self.z))].astype(np.float64)
        base = np.c_[self.x, np.ones(len(self.x))] @ self.head.T
        moved = np.zeros((CLASSES, z.shape[1]))
        for rate in rates_of(TRAINING, 9):
            error = np.eye(CLASSES)[self.y] - softmax(base + z @ moved.T)
            size = np.linalg.norm(error, axis=1) * np.linalg.norm(z, axis=1)
            error *= (np.minimum(1, TRAINING.clip_norm / size) * member)[:, None]
            noise = 1.01 * TRAINING.noise_multiplier * TRAINING.clip_norm
            moved += rate / 24 * (error.T @ z + noise * rng.standard_normal(moved.shape))
        weights = moved[:, :-1] @ self.rows
        bias = moved[:, -1:] - weights @ self.mean[:, None]
        return np.asarray(self.head + np.hstack([weights, bias]), np.float32)

    def _answers(self, heads: Array) -> Array:
        logits = np.c_[self.x, np.ones(len(self.x))] @ np.swapaxes(heads, -1, -2)
        return softmax(logits).astype(np.float32)[..., None, :]

    def run(self) -> Run:
        return replace(make_run(), training=TRAINING, epochs=9)

    def candidates(self, run: Run, person: str) -> Candidates:
        head = self.head.astype(np.float32)
        return Candidates(self.y, self.group, self._answers(head), self.x, head, self.z)

    def shadows(self, run: Run, person: str, knowledge: Any = None, count: Any = None) -> Shadows:
        return Shadows(self.member, self._answers(self.heads))

    def target(self, number: int) -> Target:
        head = self.heads[number]
        theta = np.concatenate([head[:, :-1].ravel(), head[:, -1]])
        return Target("p", number, self.candidates(self.run(), "p"), self._answers(head), theta)


@pytest.fixture(scope="module")
def lab() -> ShapedLab:
    return ShapedLab()


def test_the_law_is_that_of_devices(lab: ShapedLab) -> None:
    candidates = lab.candidates(lab.run(), "p")
    units = Units.among(candidates)
    law = Steps(candidates, units.of, lab.run()).at(None)
    readout = law.readout
    matrices = readout.of_whole(lab._answers(lab.heads)[:, :, 0])
    np.testing.assert_allclose(matrices, readout.of_weights(lab.heads), atol=1e-3)
    member = lab.member[:, ::3] - law.prior.share
    left = np.stack([law.whiten(m) for m in matrices]) - member @ law.effects
    assert 0.85 < np.mean((left @ law.precision * left).sum(axis=1)) / left.shape[1] < 1.2
    unexplained = np.stack([law.whiten(m) for m in matrices])
    assert np.mean(unexplained**2) > 1.3 * np.mean(left**2)


def test_it_finds_members_and_nothing_where_there_is_nothing(lab: ShapedLab) -> None:
    run = lab.run()
    some = range(DEVICES // 2)
    for attack in (ModelDecoder(), UntrainedDecoder(), ModelDecoder(weights=True)):
        scorer = attack.fit(lab, run, "p")  # type: ignore[arg-type]
        with threadpool_limits(1):  # as in the workers of an audit
            scores = [scorer(lab.target(number)) for number in some]
        own = [auc(s[m], s[~m]) for s, m in zip(scores, lab.member, strict=False)]
        others = np.roll(lab.member, 1, axis=0)
        none = [auc(s[m], s[~m]) for s, m in zip(scores, others, strict=False)]
        assert np.mean(own) > 0.72, attack.info.name
        assert 0.4 < np.mean(none) < 0.6, attack.info.name


def test_what_is_not_followed_is_told(lab: ShapedLab) -> None:
    run, candidates = lab.run(), lab.candidates(lab.run(), "p")
    assert follows(run, candidates)
    assert not follows(run, replace(candidates, shaped=None))
    for change in (
        {"shaped": 0},
        {"batch": 8},
        {"optimizer": Optimizer.ADAM},
        {"schedule": Schedule.COSINE},
        {"l2": 0.01},
        {"heads": 2},
    ):
        training = replace(run.training, **change)  # type: ignore[arg-type]
        assert not follows(replace(run, training=training), candidates), change
