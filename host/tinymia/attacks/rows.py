"""Answers of shadow devices to windows that they saw or did not see, as rows to learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.signals import (
    completed,
    least_probability,
    logit_confidence,
    remembered,
)
from tinymia.errors import StudyError
from tinymia.evidence import AnswerSettings, Candidates, Shadows
from tinymia.evidence.types import Bools, Floats, Integers

MOST = 2000
"""Rows of each kind: enough for some tens of features, and few enough to fit in milliseconds."""
_SEED = 20170522
_KEPT = 3
"""Classes other than the true one whose probabilities are features, from the most likely on."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Some (shadow, window) pairs, those whose window was seen first.

    Attributes:
        labels: (r,) int64, true classes.
        member: (r,) bool.
        answers: (r, classes) float32, the shadow's to the window.
        base: (r, classes) float32, the base model's.
    """

    labels: Integers
    member: Bools
    answers: Floats
    base: Floats


def rows_of(shadows: Shadows, candidates: Candidates) -> Rows:
    """Up to MOST members and as many non-members, drawn with a fixed seed, made once.

    Shadow devices of other people give rows of the windows of those people; all others give rows of
    the candidates.

    Args:
        shadows, candidates: of one run and person.

    Raises:
        StudyError: no shadow has members, or none has non-members.
    """

    def make() -> Rows:
        others = shadows.others
        if others is not None:
            known = others.labels, others.base[:, 0], others.member, others.answers
        else:
            known = candidates.labels, candidates.base[:, 0], shadows.member, shadows.answers
        labels, base, member, answers = known
        rng = np.random.default_rng(_SEED)
        chosen = [_draw(rng, np.flatnonzero(side)) for side in (member, ~member)]
        if not all(map(len, chosen)):
            raise StudyError(
                "The shadow devices have no members, or no windows that are not members.",
                "An attack that learns from them needs both.",
            )
        size = min(map(len, chosen))  # as many of each: a score is then a log-likelihood ratio
        pairs = np.concatenate([side[:size] for side in chosen])
        shadow, window = np.divmod(pairs, member.shape[1])
        return Rows(
            labels=labels[window],
            member=np.arange(len(pairs)) < size,
            answers=answers[shadow, window, 0],
            base=base[window],
        )

    return remembered(shadows, ("rows", candidates.labels.tobytes()), make)


def _draw(rng: np.random.Generator, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(pairs) <= MOST:
        return rng.permutation(pairs)
    # With replacement, as drawing without would permute hundreds of thousands.
    return np.asarray(pairs[rng.integers(len(pairs), size=MOST)])


def answer_features(
    answers: Floats, labels: Integers, answer: AnswerSettings
) -> NDArray[np.float64]:
    """What a classifier reads of an answer: the true class's logit, and the largest others' logs.

    Args:
        answers: (r, classes).
        labels: (r,).
        answer: how they were given.

    Returns:
        (r, 1 + min(3, classes - 1)) float64.
    """
    least = least_probability(answer)
    logits = logit_confidence(answers, labels, least)
    others = np.array(completed(answers), dtype=np.float64)
    others[np.arange(len(labels)), labels] = -1.0
    kept = min(_KEPT, others.shape[1] - 1)
    largest = -np.sort(-others, axis=1)[:, :kept]
    return np.column_stack([logits, np.log(np.maximum(largest, least))])


def class_features(labels: Integers, classes: int) -> NDArray[np.float64]:
    """(r, classes) one-hot."""
    return np.asarray(np.eye(classes)[labels])
