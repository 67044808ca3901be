"""Attacks on the prediction's entropy, plain and modified to use the true class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Reveals, require, split_true_class
from tinymia.audit.types import CellAnswers

_TINY = float(np.finfo(np.float32).tiny)


def _others(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 - p of each entry as the sum of the other entries: exact where p is near 1."""
    # Prefix plus suffix sums, since total - p would cancel.
    zeros = np.zeros((len(p), 1))
    before = np.cumsum(np.hstack([zeros, p[:, :-1]]), axis=1)
    after = np.cumsum(np.hstack([zeros, p[:, :0:-1]]), axis=1)[:, ::-1]
    return np.asarray(before + after, dtype=np.float64)


def _normalised(answers: CellAnswers) -> NDArray[np.float64]:
    """The answers in float64, each row summing to 1 (all zeros: uniform)."""
    p = np.array(answers.probs, dtype=np.float64)
    p[p.sum(axis=1) <= 0] = 1.0
    return np.asarray(p / p.sum(axis=1, keepdims=True), dtype=np.float64)


@dataclass(frozen=True)
class PredictionEntropy:
    """A query whose answer has low entropy is a member; it needs no label."""

    name: str = "entropy"
    title: str = "Prediction entropy"
    reference: str = "Salem et al., NDSS 2019"
    needs: Reveals = Reveals.ALL_PROBABILITIES
    calibrated: bool = False

    def scores(self, answers: CellAnswers) -> NDArray[np.float64]:
        """Sum of p log p, with 0 log 0 = 0; see ``Attack.scores``."""
        require(self, answers)
        p = _normalised(answers)
        # log p through the complement, which is exact for p near 1 and for p near 0.
        log_p = -np.log1p(_others(p) / np.maximum(p, _TINY))
        return np.asarray((p * log_p).sum(axis=1), dtype=np.float64)


@dataclass(frozen=True)
class ModifiedEntropy:
    """A query whose answer is sure *and* right is a member.

    Mentr(p, y) = -(1 - p_y) log p_y - sum over i != y of p_i log(1 - p_i), equation 8 of the paper.
    """

    name: str = "modified-entropy"
    title: str = "Modified entropy"
    reference: str = "Song and Mittal, USENIX Security 2021"
    needs: Reveals = Reveals.ALL_PROBABILITIES
    calibrated: bool = False

    def scores(self, answers: CellAnswers) -> NDArray[np.float64]:
        """Minus the modified entropy; see ``Attack.scores``."""
        require(self, answers)
        p = _normalised(answers)
        true, rest = split_true_class(answers.probs, answers.labels)
        wrong = p * np.log(np.maximum(_others(p), _TINY))
        wrong[np.arange(len(p)), answers.labels] = 0.0
        right = -rest * np.log1p(rest / np.maximum(true, _TINY))
        return np.asarray(right + wrong.sum(axis=1), dtype=np.float64)
