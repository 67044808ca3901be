"""A lab of attacks for unit tests: softmax heads that NumPy trains, many at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinymia.evidence import (
    AnswerSettings,
    Candidates,
    Knowledge,
    OutputPolicy,
    Population,
    Run,
    Shadows,
    Target,
    reveal,
)
from tinymia.experiments.peers.base import Evidence
from tinymia.wire.settings import TrainSettings

Array = np.ndarray[Any, Any]


def make_run(policy: OutputPolicy = OutputPolicy.FULL, levels: int = 100) -> Run:
    return Run(
        name="plain",
        title="no defence",
        depth="last",
        defences=(),
        epochs=1,
        training=TrainSettings(),
        answer=AnswerSettings(policy, levels),
    )


def auc(scores: Array, member: Array) -> float:
    """Mann-Whitney, ties half; of all entries of both arrays together."""
    from scipy.stats import rankdata

    flat, inside = np.ravel(scores), np.ravel(member)
    ranks = rankdata(flat)
    m = int(inside.sum())
    return float((ranks[inside].sum() - m * (m + 1) / 2) / (m * (len(flat) - m)))


def auc_of(attack: Any, lab: FakeLab, run: Run, targets: int) -> list[float]:
    score = attack.fit(lab, run, "p")
    found = (lab.target(run, number) for number in range(targets))
    return [auc(score(target), lab.target_members[number]) for number, target in enumerate(found)]


def train_heads(
    x: Array,
    labels: Array,
    members: Array,
    start: Array,
    *,
    epochs: int,
    batch: int,
    rate: float,
    seed: int,
) -> Array:
    """(heads, classes, d + 1): weights and bias of each, by SGD on its own members.

    Args:
        members: (heads, m) indices.
        start: (classes, d + 1), the head before.
    """
    heads, count = members.shape
    one = np.column_stack([x, np.ones(len(x), np.float32)]).astype(np.float32)
    weights = np.repeat(start.T[None].astype(np.float32), heads, axis=0)
    one_hot = np.eye(len(start), dtype=np.float32)[labels]
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permuted(members, axis=1)
        for at in range(0, count, batch):
            index = order[:, at : at + batch]
            rows = one[index]
            error = softmax(rows @ weights) - one_hot[index]
            weights -= rows.transpose(0, 2, 1) @ (error * np.float32(rate / index.shape[1]))
    return weights.transpose(0, 2, 1)


def softmax(logits: Array) -> Array:
    grown = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=-1, keepdims=True))


def answer(heads: Array, x: Array) -> Array:
    """(..., n, classes) float32."""
    return softmax(x @ heads[..., :-1].swapaxes(-1, -2) + heads[..., None, :, -1])


def choose(rng: np.random.Generator, heads: int, windows: int, members: int) -> Array:
    """(heads, members) indices."""
    return np.stack([rng.permutation(windows)[:members] for _ in range(heads)])


def mask(indices: Array, windows: int) -> Array:
    chosen = np.zeros((len(indices), windows), bool)
    np.put_along_axis(chosen, indices, True, axis=1)
    return chosen


@dataclass
class FakeLab:
    """One person's windows, and targets and shadows on them; everything is made by one seed.

    Attributes:
        x: (n, d) features. y: (n,) labels.
        public_x, public_y: other people's.
        views: answers to each window; those behind the first are to features with noise.
        null: the targets' true members have nothing to do with what they were trained on.
    """

    x: Array
    y: Array
    public_x: Array | None = None
    public_y: Array | None = None
    classes: int = 10
    members: int = 40
    shadow_count: int = 64
    target_count: int = 8
    epochs: int = 30
    batch: int = 8
    rate: float = 0.2
    views: int = 1
    seed: int = 0
    null: bool = False
    target_members: Array = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.start = rng.normal(0, 0.05, (self.classes, self.x.shape[1] + 1)).astype(np.float32)
        noise = rng.normal(0, 0.2, (self.views, *self.x.shape))
        noise[0] = 0
        self.asked = (self.x + noise).transpose(1, 0, 2).astype(np.float32)
        n, heads = len(self.x), self.shadow_count + self.target_count
        chosen = choose(rng, heads, n, self.members)
        tuned = self._tune(self.x, self.y, chosen)
        member = mask(chosen, n)
        self._target_heads = tuned[self.shadow_count :]
        self.target_members = member[self.shadow_count :]
        if self.null:
            self.target_members = mask(choose(rng, self.target_count, n, self.members), n)
        self._trained = {Knowledge.SAME_PERSON: (member[: self.shadow_count], tuned)}
        self._made: dict[Any, Any] = {}

    def _tune(self, x: Array, y: Array, chosen: Array) -> Array:
        settings = {"epochs": self.epochs, "batch": self.batch, "rate": self.rate}
        return train_heads(x, y, chosen, self.start, seed=self.seed + 1, **settings)

    def _answers(self, heads: Array, run: Run) -> Array:
        """(..., n, views, classes) under the run's policy."""
        n, views, width = self.asked.shape
        flat = answer(heads, self.asked.reshape(n * views, width))
        return reveal(flat.reshape(*heads.shape[:-2], n, views, -1), run.answer)

    def candidates(self, run: Run, person: str) -> Candidates:
        if run.answer not in self._made:
            self._made[run.answer] = Candidates(
                labels=self.y,
                group=np.arange(len(self.y)),
                base=self._answers(self.start, run),
                features=self.x.astype(np.float32),
                head=self.start,
            )
        return self._made[run.answer]

    def shadows(
        self,
        run: Run,
        person: str,
        knowledge: Knowledge = Knowledge.SAME_PERSON,
        count: int | None = None,
    ) -> Shadows:
        key = run.answer, knowledge, count
        if key not in self._made:
            self._made[key] = self._shadows(run, knowledge, slice(count))
        return self._made[key]

    def _shadows(self, run: Run, knowledge: Knowledge, part: slice) -> Shadows:
        if knowledge is Knowledge.OTHER_PEOPLE:
            return self._strangers(run, part)
        member, tuned = self._trained[Knowledge.SAME_PERSON]
        heads = tuned[: self.shadow_count][part]
        member = member[part]
        if knowledge is Knowledge.HALF:
            member = member & (np.arange(len(self.y)) % 2 == 0)
        theta = np.concatenate([heads[..., :-1].reshape(len(heads), -1), heads[..., -1]], axis=1)
        return Shadows(member, self._answers(heads, run), theta)

    def _strangers(self, run: Run, part: slice) -> Shadows:
        assert self.public_x is not None
        assert self.public_y is not None
        m = len(self.public_x)
        if Knowledge.OTHER_PEOPLE not in self._trained:
            rng = np.random.default_rng(self.seed + 2)
            chosen = choose(rng, self.shadow_count, m, self.members)
            tuned = self._tune(self.public_x, self.public_y, chosen)
            self._trained[Knowledge.OTHER_PEOPLE] = mask(chosen, m), tuned
        member, heads = (both[part] for both in self._trained[Knowledge.OTHER_PEOPLE])
        flat = self.public_x.astype(np.float32)
        others = Population(
            labels=self.public_y,
            member=member,
            base=reveal(answer(self.start, flat)[:, None], run.answer),
            answers=reveal(answer(heads, flat)[:, :, None], run.answer),
        )
        none = np.zeros((len(heads), len(self.y)), bool)
        return Shadows(none, self._answers(heads, run), others=others)

    def target(self, run: Run, number: int) -> Target:
        heads = self._target_heads[number]
        theta = np.concatenate([heads[:, :-1].ravel(), heads[:, -1]])
        return Target("p", number, self.candidates(run, "p"), self._answers(heads, run), theta)

    def oracle(self, run: Run, target: Target) -> FakeOracle:
        return FakeOracle(self._target_heads[target.repetition], run.answer)


@dataclass
class FakeOracle:
    head: Array
    settings: AnswerSettings
    asked: int = 0

    def ask(self, features: Array) -> Array:
        self.asked += len(features)
        return reveal(answer(self.head, features.astype(np.float32)), self.settings)


def digits(flipped: float = 0.0, seed: int = 0) -> tuple[Array, Array]:
    """scikit-learn's digits in a random order: standardised pixels (1797, 64), and labels.

    Args:
        flipped: part of the labels that are drawn anew, all ten classes alike.
        seed: of the order and the labels.
    """
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))
    x = ((x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-6))[order].astype(np.float32)
    noisy = np.where(rng.random(len(y)) < flipped, rng.integers(0, 10, len(y)), y[order])
    return x, noisy.astype(np.int64)


def small_lab(flipped: float = 0.2, **changes: Any) -> FakeLab:
    """200 windows of the digits, and 300 of others; see :func:`digits`."""
    x, y = digits(flipped)
    settings: dict[str, Any] = {"public_x": x[200:500], "public_y": y[200:500], "rate": 0.05}
    return FakeLab(x[:200], y[:200], **settings | changes)


def evidence_of(lab: FakeLab, devices: int) -> Evidence:
    run = make_run()
    answers = np.stack([lab.target(run, i).answers[:, 0] for i in range(devices)])
    member = lab.target_members[:devices]
    shadows = lab.shadows(run, "p")
    counted = np.ones_like(member)
    return Evidence(lab.candidates(run, "p"), answers, member, counted, shadows, run.answer)
