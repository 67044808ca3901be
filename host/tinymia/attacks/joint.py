"""The joint decoder: all answers of a device, or its weights, to all membership bits at once.

A fine-tuned head is nearly a sum of what its members' gradients added, so that the set of members
can be decoded like a code, while attacks that judge a window by the answer to it take the other
members for noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.knowing import phrase_of, suffix_of
from tinymia.attacks.ridge import Floats, Ridge, calibrate, ridge
from tinymia.attacks.signals import completed, remembered
from tinymia.attacks.softmax import with_one
from tinymia.evidence import (
    AnswerSettings,
    Candidates,
    Knowledge,
    Lab,
    OutputPolicy,
    Reveals,
    Run,
    Scorer,
    Scores,
    Target,
)

_TINY = float(np.finfo(np.float32).tiny)
_SMALLEST_PROBABILITY = 2.0**-13
"""Where a policy shows the top class alone, what is least said of another one."""
REFERENCE = (
    "this project; ridge regression (Hoerl and Kennard, 1970) as a multi-output shadow classifier "
    "after Shokri et al., IEEE S&P 2017"
)


@dataclass(frozen=True)
class Joint:
    """One ridge regression from everything that a device shows to every membership bit.

    It is fitted to shadow devices, its strength by leaving each of them out (:func:`ridge`). What
    it decodes becomes a log-likelihood ratio by Gaussians of the left-out shadows, so that one
    threshold serves all windows and people.

    One bit a group is decoded and given to its windows. Which windows are members together is known
    through the shadow devices, that draw whole groups: regressing on each window's own bit gives
    the same scores. Who does not know it draws windows one by one, and needs many more shadows.

    Attributes:
        knowledge: what the shadow devices are trained on.
        weights: whether the trained weights are read instead of the answers.
        headline: see :class:`AttackInfo`.
    """

    knowledge: Knowledge = Knowledge.SAME_PERSON
    weights: bool = False
    headline: bool = False

    @property
    def info(self) -> AttackInfo:
        """What it is and needs."""
        return AttackInfo(
            name=f"joint{'-weights' * self.weights}{suffix_of(self.knowledge)}",
            title=f"Joint decoder{' of the weights' * self.weights}{phrase_of(self.knowledge)}",
            reference=REFERENCE,
            adversary=Adversary.FLASH if self.weights else Adversary.JOINT,
            needs=Reveals.LABEL,
            knowledge=self.knowledge,
            weights=self.weights,
            headline=self.headline,
            limits="It knows which windows were recorded together: its shadow devices draw whole "
            "groups of them, as the attacked ones do.",
        )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``.

        Raises:
            AssertionError: the weights are to be read and the lab or the target has none.
        """
        candidates = lab.candidates(run, person)
        shadows = lab.shadows(run, person, self.knowledge)
        bit = bits_of(candidates)
        size = np.bincount(bit)
        bits = np.stack([np.bincount(bit, row) for row in shadows.member.astype(np.float64)]) / size

        if self.weights:
            assert shadows.theta is not None, "the lab gives no weights"
            ways: list[Callable[[Floats | NDArray[np.float32]], Floats]] = [_as_they_are]
            shown = shadows.theta
        else:
            ways = readings(candidates, run.answer)
            shown = shadows.answers

        def regress() -> tuple[int, Ridge]:
            fitted = [ridge(way(shown), bits) for way in ways]
            chosen = min(range(len(ways)), key=lambda index: fitted[index].error)
            return chosen, fitted[chosen]

        key = ("ridge", self.weights, run.answer, candidates.group.tobytes())
        chosen, fitted = remembered(shadows, key, regress)
        calibration = calibrate(fitted.left_out, bits > 0.5)

        def score(target: Target) -> Scores:
            seen = target.theta if self.weights else target.known(run.answer)
            assert seen is not None, "the target's weights are not granted"
            decoded = fitted.decode(ways[chosen](seen[None])[0])
            return np.asarray(calibration.ratio(decoded)[bit], dtype=np.float64)

        return score


def bits_of(candidates: Candidates) -> NDArray[np.int64]:
    """(n,) int64: the place of each window's group among all groups."""
    return np.asarray(np.unique(candidates.group, return_inverse=True)[1], dtype=np.int64)


def readings(
    candidates: Candidates, answer: AnswerSettings
) -> list[Callable[[Floats | NDArray[np.float32]], Floats]]:
    """Ways to read answers as signals; the regression's left-out error chooses among them.

    The centred log-probabilities of all views; the labels of all views, where a defence makes up
    probabilities; and for a head under full answers also the weights
    that they determine, by least squares on what the head reads. These are the same figures in
    another metric: ridge regression shrinks what varies least in the one it is given.

    Returns:
        Functions of (k, n, views, classes) answers to (k, P) float64.
    """

    def all_views(answers: Floats | NDArray[np.float32]) -> Floats:
        return log_probabilities(answers, answer).reshape(len(answers), -1)

    def labels(answers: Floats | NDArray[np.float32]) -> Floats:
        best = np.nan_to_num(answers, nan=-1.0).argmax(axis=-1)
        return np.asarray(np.eye(answers.shape[-1])[best].reshape(len(answers), -1))

    if answer.policy is not OutputPolicy.FULL:
        return [all_views]
    # Probabilities that a defence makes up may tell less than the labels that it keeps.
    made_up = [] if answer.is_exact else [labels]
    if candidates.features is None:
        return [all_views, *made_up]
    read = with_one(candidates.features)
    inverse = np.linalg.pinv(read, rcond=1e-6)

    def weights(answers: Floats | NDArray[np.float32]) -> Floats:
        logs = log_probabilities(answers[:, :, 0], answer)
        return np.asarray(inverse @ logs, dtype=np.float64).reshape(len(answers), -1)

    return [weights, all_views, *made_up]


def log_probabilities(answers: Floats | NDArray[np.float32], answer: AnswerSettings) -> Floats:
    """Log-probabilities less their mean over the classes: the logits, where answers are full.

    Rounded answers are clipped at half a step. A top class alone leaves what remains of 1 to the
    others alike; a label alone is one-hot and no logarithm is taken.

    Args:
        answers: (..., classes) float, NaN where hidden.
        answer: how they were given.

    Returns:
        (..., classes) float64, finite.
    """
    if answer.policy is OutputPolicy.LABEL:
        return np.nan_to_num(answers.astype(np.float64), nan=0.0)
    least = {
        OutputPolicy.ROUNDED: 0.5 / answer.levels,
        OutputPolicy.TOP1: _SMALLEST_PROBABILITY,
        OutputPolicy.TOPK: _SMALLEST_PROBABILITY,
    }.get(answer.policy, _TINY)
    known = np.nan_to_num(completed(answers), nan=0.0)
    logs = np.log(np.maximum(known, least), dtype=np.float64)
    return np.asarray(logs - logs.mean(axis=-1, keepdims=True), dtype=np.float64)


def _as_they_are(theta: Floats | NDArray[np.float32]) -> Floats:
    return np.asarray(theta, dtype=np.float64)


ATTACKS: tuple[Attack, ...] = (
    Joint(),
    Joint(Knowledge.HALF),
    Joint(Knowledge.MISMATCHED),
    Joint(Knowledge.UNDEFENDED),
)
