"""A lab of small heads whose windows are members by groups, for decoders of whole sets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fakelab import FakeOracle, answer, mask, train_heads
from tinymia.evidence import AnswerSettings, Candidates, Knowledge, Run, Shadows, Target, reveal

Array = np.ndarray[Any, Any]


@dataclass
class GroupLab:
    """Windows in groups of three; targets and shadows trained on some groups each.

    Attributes:
        groups: how many.
        chosen: groups that are members of a device.
        classes, width: of the head and of what it reads.
        shadow_count, target_count: devices.
        rate, epochs, batch: of the training.
        seed: of everything.
        null: answers of targets come from heads that saw other groups.
        about: devices that are trained on chosen members.
    """

    groups: int = 30
    chosen: int = 8
    classes: int = 4
    width: int = 24
    shadow_count: int = 48
    target_count: int = 6
    rate: float = 0.3
    epochs: int = 20
    batch: int = 6
    seed: int = 0
    null: bool = False
    about: int = 64
    asked: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        centre = rng.normal(0, 1.0, (self.groups, 1, self.width))
        x = centre + rng.normal(0, 0.5, (self.groups, 3, self.width))
        self.x = x.reshape(-1, self.width).astype(np.float32)
        self.group = np.repeat(np.arange(self.groups) * 7 + 3, 3)
        self.y = np.repeat(rng.integers(0, self.classes, self.groups), 3).astype(np.int64)
        self.start = rng.normal(0, 0.3, (self.classes, self.width + 1)).astype(np.float32)
        count = self.shadow_count + self.target_count
        picks = np.stack([rng.permutation(self.groups)[: self.chosen] for _ in range(count)])
        indices = (picks[:, :, None] * 3 + np.arange(3)).reshape(count, -1)
        self.heads = self._train(indices, self.rate)
        member = mask(indices, len(self.x))
        self.member = member[: self.shadow_count]
        self.target_members = member[self.shadow_count :]
        self.indices = indices
        if self.null:
            self.target_members = np.roll(self.target_members, 1, axis=0)
        self._made: dict[Any, Any] = {}

    def _train(self, indices: Array, rate: float) -> Array:
        how = {"epochs": self.epochs, "batch": self.batch, "rate": rate, "seed": self.seed + 1}
        return train_heads(self.x, self.y, indices, self.start, **how)

    def run(self, settings: AnswerSettings | None = None) -> Run:
        from fakelab import make_run

        made = make_run()
        training = replace(made.training, learning_rate=self.rate, batch=self.batch)
        run = replace(made, training=training, epochs=self.epochs)
        return run.answering(settings or AnswerSettings())

    def _answers(self, heads: Array, run: Run) -> Array:
        return reveal(answer(heads, self.x), run.answer)[..., None, :]

    def candidates(self, run: Run, person: str) -> Candidates:
        base = self._answers(self.start, run)
        return Candidates(self.y, self.group, base, self.x, self.start)

    def shadows(
        self,
        run: Run,
        person: str,
        knowledge: Knowledge = Knowledge.SAME_PERSON,
        count: int | None = None,
    ) -> Shadows:
        key = run.answer, knowledge
        if key not in self._made:
            heads = self.heads[: self.shadow_count]
            if knowledge is Knowledge.MISMATCHED:
                heads = self._train(self.indices[: self.shadow_count], self.rate / 3)
            self._made[key] = Shadows(self.member, self._answers(heads, run), flat(heads))
        return self._made[key]

    def trained_on(self, run: Run, person: str, member: Array, purpose: str) -> Shadows:
        assert (member == member[:, ::3].repeat(3, axis=1)).all()  # whole groups
        size = int(member[0].sum())
        assert (member.sum(axis=1) == size).all()
        indices = np.stack([np.flatnonzero(row) for row in member])
        heads = self._train(indices, self.rate)
        return Shadows(member, self._answers(heads, run), flat(heads))

    def target(self, run: Run, number: int) -> Target:
        head = self.heads[self.shadow_count + number]
        candidates = self.candidates(run, "p")
        return Target("p", number, candidates, self._answers(head, run), flat(head[None])[0])

    def oracle(self, run: Run, target: Target) -> FakeOracle:
        self.last = FakeOracle(self.heads[self.shadow_count + target.repetition], run.answer)
        return self.last

    def knows(self, run: Run, person: str, knowledge: Knowledge | None) -> bool:
        return True

    def known(self, person: str) -> Array:
        return self.group % 2 == 0


def flat(heads: Array) -> Array:
    """(..., P) as devices store heads (..., C, d + 1)."""
    return np.concatenate([heads[..., :-1].reshape(len(heads), -1), heads[..., -1]], axis=-1)
