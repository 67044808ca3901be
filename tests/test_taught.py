"""What defences tell a decoder of where members pull a head."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fakelab import auc
from grouplab import GroupLab
from tinymia.attacks.heads import Readout, softmax
from tinymia.attacks.model_decoder import ModelDecoder
from tinymia.attacks.softmax import with_one
from tinymia.attacks.taught import TaughtTemplates, hessian_on
from tinymia.attacks.templates import Habits, HeadTemplates, pull_of
from tinymia.defenses import adversarial, mmd
from tinymia.defenses.base import Defense, Seen
from tinymia.defenses.distillation import Distillation
from tinymia.evidence import Candidates, Run

Array = np.ndarray[Any, Any]
CLASSES, COUNT = 4, 12


@pytest.fixture
def seen() -> Seen:
    rng = np.random.default_rng(0)

    def answers(count: int) -> Array:
        return softmax(rng.normal(0, 1.5, (count, CLASSES)))

    # (Of the last class there is no reference.)
    labels, theirs = np.arange(COUNT) % CLASSES, np.arange(9) % (CLASSES - 1)
    return Seen(answers(COUNT), labels, answers(9), theirs)


def slopes_of(loss: Any, logits: Array) -> Array:
    """Numerical gradient by logits (n, classes)."""
    found = np.zeros_like(logits)
    for index in np.ndindex(*logits.shape):
        moved = np.zeros_like(logits)
        moved[index] = 1e-5
        found[index] = (loss(logits + moved) - loss(logits - moved)) / 2e-5
    return found


def test_mmd_pulls_down_the_distance_of_means(seen: Seen) -> None:
    def distance(logits: Array) -> float:
        answers, total = softmax(logits), 0.0
        for label in range(CLASSES - 1):
            own = answers[seen.labels == label].mean(axis=0)
            total += float(
                ((own - seen.references[seen.reference_labels == label].mean(0)) ** 2).sum()
            )
        return total

    each = COUNT / CLASSES
    known = seen.labels < CLASSES - 1
    wanted = -slopes_of(distance, np.log(seen.answers)) * each / 2
    np.testing.assert_allclose(mmd.pulls(seen)[0][known], wanted[known], atol=1e-7)


def test_an_adversary_pulls_along_ranks(seen: Seen) -> None:
    weights = np.random.default_rng(1).normal(size=CLASSES)

    def gain(logits: Array) -> float:
        return float((-np.sort(-softmax(logits), axis=1) @ weights).sum())

    pulls = np.stack(adversarial.pulls(seen))
    wanted = slopes_of(gain, np.log(seen.answers))
    np.testing.assert_allclose(np.tensordot(weights, pulls, 1), wanted, atol=1e-7)


def test_further_pulls_are_templates_of_their_own(seen: Seen) -> None:
    rng = np.random.default_rng(2)
    features = with_one(rng.normal(size=(COUNT, 5)))
    readout = Readout.of_head(features, CLASSES)
    start, end = rng.normal(0, 0.3, (2, *readout.shape))
    units = np.arange(COUNT)
    given = readout, features, seen.labels, units, start, end, Habits()
    plain, more = HeadTemplates(*given), HeadTemplates(*given, mmd.pulls(seen))
    assert more.count == plain.count * 5 // 2
    chosen = rng.normal(size=(3, COUNT))
    np.testing.assert_allclose(more.moved(chosen, None)[: plain.count], plain.moved(chosen, None))
    # The shortest training is the pull itself.
    first = more.effects(np.eye(more.count)[plain.count], 1e-6) / 1e-6
    np.testing.assert_allclose(first, pull_of(readout, mmd.pulls(seen)[0]), rtol=1e-4)


def test_a_student_is_moved_through_its_lesson() -> None:
    """A member's true effect on a student lies among a student's templates, not a head's."""
    rng = np.random.default_rng(3)
    width, count, public = 8, 30, 14
    features = with_one(rng.normal(size=(count, width)))
    lesson = with_one(rng.normal(size=(public, width)))
    labels = rng.integers(0, CLASSES, count)
    readout = Readout.of_head(features, CLASSES)
    assert readout.axes is not None
    rows = lesson @ readout.axes
    start = np.zeros(readout.shape)
    wanted = np.eye(CLASSES)[labels]

    def descend(at: Array, to: Array, on: Array, weights: Array) -> Array:
        for _ in range(120):
            error = (to - softmax(on @ at.T @ readout.basis)) * weights[:, None]
            at = at + 0.2 * readout.basis @ error.T @ on / len(on)
        return at

    def student(weights: Array) -> Array:
        teacher = descend(start, wanted, readout.rows, weights)
        return descend(start, softmax(rows @ teacher.T @ readout.basis), rows, np.ones(public))

    even = np.full(count, 0.5)
    end = student(even)
    truth = np.stack([(student(even + 0.05 * one) - end).ravel() for one in np.eye(count)])
    head = HeadTemplates(readout, features, labels, np.arange(count), start, end, Habits())
    taught = TaughtTemplates(readout, head, rows, start, end)

    def left(templates: Any) -> float:
        each = np.stack([templates.effects(w, 1.0).ravel() for w in np.eye(templates.count)])
        fitted = np.linalg.lstsq(each.T, truth.ravel(), rcond=1e-6)[0]
        return float(((truth.ravel() - fitted @ each) ** 2).sum() / (truth**2).sum())

    assert left(taught) < 0.2
    assert left(head) > 1.5 * left(taught)
    flat = hessian_on(readout, rows, start)
    np.testing.assert_allclose(flat, flat.T, atol=1e-12)


class Provisioned(GroupLab):
    """A lab whose bundle has references."""

    def candidates(self, run: Run, person: str) -> Candidates:
        given = super().candidates(run, person)
        public = np.random.default_rng(9).normal(size=(20, self.width)).astype(np.float32)
        return replace(given, references=public, reference_labels=np.arange(20) % self.classes)


@pytest.mark.parametrize("defence", [mmd.Mmd(), adversarial.Adversarial(), Distillation()])
def test_who_knows_a_defence_finds_no_members_where_nobody_could(defence: Defense) -> None:
    def found(lab: GroupLab) -> float:
        run = replace(lab.run(), defences=(defence,))
        scorer = ModelDecoder().fit(lab, run, "p")
        scores = [scorer(lab.target(run, i)) for i in range(lab.target_count)]
        return auc(np.stack(scores), lab.target_members)

    labs = [Provisioned(null=True, seed=seed, target_count=10, groups=24) for seed in (0, 1, 2)]
    assert abs(np.mean([found(lab) for lab in labs]) - 0.5) < 0.08
    # (These heads are trained without it; templates too many do little harm.)
    assert found(Provisioned(groups=24)) > 0.9
