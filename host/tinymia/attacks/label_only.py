"""Attacks that ask more than once and need labels alone (Choquette-Choo et al., ICML 2021)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.signals import base_logits, loss
from tinymia.attacks.softmax import Floats, probabilities, with_one
from tinymia.evidence import Candidates, Lab, Reveals, Run, Scorer, Scores, Target
from tinymia.evidence.types import Bools

REFERENCE = "Choquette-Choo et al., ICML 2021"
VIEWS = 3
"""Least number of answers to a window, its own among them."""
DIRECTIONS = 6
"""Random directions of :class:`Boundary`; one more leads to the nearest other class."""
HALVINGS = 8
"""Questions of a bisection along one direction, after the one at its far end."""
QUESTIONS = 1 + (DIRECTIONS + 1) * (1 + HALVINGS)
"""Questions for each window: itself, and a bisection along every direction."""


def right_views(answers: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of a window's answers have the true class on top.

    Args:
        answers: (n, views, classes), NaN where hidden.
        labels: (n,).

    Returns:
        (n,) int64.
    """
    named = np.nan_to_num(answers, nan=-1.0).argmax(axis=-1)
    return np.asarray((named == labels[:, None]).sum(axis=1), dtype=np.int64)


@dataclass(frozen=True)
class RightViews:
    """A window most of whose views are classified rightly is a member (section 3.2, augmentation).

    Of windows with as many right views, those that the base model finds harder come first: being
    right is more telling there. Its own views decide, then its loss.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        name="label-only-views",
        title="Views classified rightly",
        reference=REFERENCE,
        adversary=Adversary.NO_SHADOWS,
        needs=Reveals.LABEL,
        views=VIEWS,
        calibrated=True,
        limits="As many scores as views, but for ties that the base model breaks.",
    )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``; nothing is asked of the lab but the candidates."""
        candidates = lab.candidates(run, person)
        before = right_views(candidates.base, candidates.labels)
        hard = loss(base_logits(candidates, run.answer)[0])
        # Below 1 in all: at most views / (views + 1), and a loss of at most 88 after that.
        tie = (candidates.views - before + hard / 100.0) / (candidates.views + 1.0)

        def score(target: Target) -> Scores:
            return np.asarray(right_views(target.known(run.answer), candidates.labels) + tie)

        return score


@dataclass(frozen=True)
class Boundary:
    """A window that is far inside its class is a member (section 3.3, decision boundary).

    The distance is taken in the features that the head reads, along fixed random directions and
    along the one to the mean of the nearest other class, by bisection: the smallest of them. It is
    calibrated by the distance of the public head along the same directions. A window that is
    misclassified has distance 0. Directions are
    as long as the candidates' greatest distance from their mean; without a boundary on the way, the
    distance is that length.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        name="label-only-boundary",
        title="Distance to the decision boundary",
        reference=REFERENCE,
        adversary=Adversary.NO_SHADOWS,
        needs=Reveals.LABEL,
        head_only=True,
        oracle=True,
        calibrated=True,
        limits=f"{QUESTIONS} questions a window, asked in features that windows stand in for: not "
        "each of them need be reachable by a window.",
    )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``; the oracle is asked when a target is scored."""
        candidates = lab.candidates(run, person)
        features, ways = directions(candidates)
        assert candidates.head is not None, "more than the head is trained"
        head = candidates.head.astype(np.float64)

        def base(asked: NDArray[np.float32]) -> NDArray[np.float32]:
            read = with_one(asked)
            return probabilities(head, read).astype(np.float32)

        before = distances(base, features, ways, candidates.labels)

        def score(target: Target) -> Scores:
            oracle = lab.oracle(run, target)

            def asked(where: NDArray[np.float32]) -> NDArray[np.float32]:
                shown = oracle.ask(where)
                refused = np.isnan(shown).all(axis=1)
                # What is refused tells nothing beyond the public head.
                shown[refused] = base(where[refused])
                return shown

            return distances(asked, features, ways, candidates.labels) - before

        return score


def directions(candidates: Candidates) -> tuple[Floats, Floats]:
    """Where to start and how far to go; the same for every device.

    Args:
        candidates: with features.

    Returns:
        Features (n, d), and steps (DIRECTIONS + 1, n, d) to the far ends, each as long as the
        candidates' greatest distance from their mean. The last one leads towards the nearest mean
        of another class, or is random where there is none.
    """
    assert candidates.features is not None, "more than the head is trained"
    x = candidates.features.astype(np.float64)
    reach = max(float(np.sqrt(((x - x.mean(axis=0)) ** 2).sum(axis=1)).max()), 1e-6)
    steps = np.random.default_rng(0).normal(size=(DIRECTIONS + 1, x.shape[1]))
    ways = np.repeat(steps[:, None], len(x), axis=1)
    found = np.unique(candidates.labels)
    if len(found) > 1:
        means = np.stack([x[candidates.labels == label].mean(axis=0) for label in found])
        apart = means[None] - x[:, None]
        away = (apart**2).sum(axis=2)
        away[candidates.labels[:, None] == found] = np.inf
        nearest = apart[np.arange(len(x)), away.argmin(axis=1)]
        ways[-1] = np.where((nearest != 0).any(axis=1)[:, None], nearest, ways[-1])
    length = np.sqrt((ways**2).sum(axis=2, keepdims=True))
    return x, ways * (reach / np.maximum(length, 1e-12))


def distances(
    ask: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    features: Floats,
    ways: Floats,
    labels: NDArray[np.int64],
) -> Scores:
    """The smallest distance at which a step changes the true class to another one.

    All windows and directions are asked about at once, HALVINGS + 2 times, and no window that is
    misclassified is asked about again.

    Args:
        ask: (m, d) features to (m, classes) answers.
        features: (n, d).
        ways: (k, n, d), from :func:`directions`.
        labels: (n,).

    Returns:
        (n,) float64; 0 where the window itself is misclassified.
    """

    def right(where: NDArray[np.intp], part: Floats) -> Bools:
        """Whether steps of (k, m) parts of the ways leave the windows ``where`` in their class."""
        asked = features[where] + part[:, :, None] * ways[: len(part), where]
        named = np.nan_to_num(
            ask(asked.reshape(-1, asked.shape[-1]).astype(np.float32)), nan=-1.0
        ).argmax(axis=1)
        return np.asarray(named.reshape(part.shape) == labels[where])

    every = np.arange(len(features))
    inside = np.flatnonzero(right(every, np.zeros((1, len(every))))[0])
    found = np.zeros(len(features))
    if not len(inside):
        return found
    near, far = np.zeros((len(ways), len(inside))), np.ones((len(ways), len(inside)))
    open_ended = right(inside, far)
    for _ in range(HALVINGS):
        middle = (near + far) / 2
        stays = right(inside, middle)
        near, far = np.where(stays, middle, near), np.where(stays, far, middle)
    length = np.sqrt((ways[:, inside] ** 2).sum(axis=2))
    part = np.where(open_ended, 1.0, (near + far) / 2)
    found[inside] = (part * length).min(axis=0)
    return found


ATTACKS: tuple[Attack, ...] = (RightViews(), Boundary())
