"""Attacks on the answer's entropy, plain and modified to use the true class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.signals import completed, split_true_class
from tinymia.attacks.thresholds import PerClass, Threshold
from tinymia.evidence import AnswerSettings, Reveals, Scores, Target

_TINY = float(np.finfo(np.float32).tiny)


def _others(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 - p of each entry as the sum of the other entries: exact where p is near 1."""
    # Prefix plus suffix sums, since total - p would cancel.
    zeros = np.zeros((len(p), 1))
    before = np.cumsum(np.hstack([zeros, p[:, :-1]]), axis=1)
    after = np.cumsum(np.hstack([zeros, p[:, :0:-1]]), axis=1)[:, ::-1]
    return np.asarray(before + after, dtype=np.float64)


def _normalised(target: Target, answer: AnswerSettings) -> NDArray[np.float64]:
    """The answers in float64, each row summing to 1 (all zeros: uniform)."""
    p = np.array(completed(target.known(answer)[:, 0]), dtype=np.float64)
    p[p.sum(axis=1) <= 0] = 1.0
    return np.asarray(p / p.sum(axis=1, keepdims=True), dtype=np.float64)


def _entropy(target: Target, answer: AnswerSettings) -> Scores:
    """Sum of p log p, with 0 log 0 = 0."""
    p = _normalised(target, answer)
    # log p through the complement, which is exact for p near 1 and for p near 0.
    log_p = -np.log1p(_others(p) / np.maximum(p, _TINY))
    return np.asarray((p * log_p).sum(axis=1), dtype=np.float64)


def _modified(target: Target, answer: AnswerSettings) -> Scores:
    """(1 - p_y) log p_y + sum over i != y of p_i log(1 - p_i): minus equation 8 of the paper."""
    p, labels = _normalised(target, answer), target.candidates.labels
    true, rest = split_true_class(p, labels)
    wrong = p * np.log(np.maximum(_others(p), _TINY))
    wrong[np.arange(len(p)), labels] = 0.0
    right = -rest * np.log1p(rest / np.maximum(true, _TINY))
    return np.asarray(right + wrong.sum(axis=1), dtype=np.float64)


ENTROPY = Threshold(
    AttackInfo(
        name="entropy",
        title="Prediction entropy",
        reference="Salem et al., NDSS 2019",
        adversary=Adversary.NO_SHADOWS,
        needs=Reveals.ALL_PROBABILITIES,
    ),
    _entropy,
)
"""A window whose answer has low entropy is a member; it needs no label."""

MODIFIED = Threshold(
    AttackInfo(
        name="modified-entropy",
        title="Modified entropy",
        reference="Song and Mittal, USENIX Security 2021",
        adversary=Adversary.NO_SHADOWS,
        needs=Reveals.TOP_PROBABILITY,
    ),
    _modified,
)
"""A window whose answer is sure *and* right is a member."""

ATTACKS: tuple[Attack, ...] = (ENTROPY, MODIFIED, PerClass(ENTROPY), PerClass(MODIFIED))
