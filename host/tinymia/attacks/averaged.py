"""Noise that is keyed by the question averages out over questions that differ a little."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.heads import Doubles, softmax
from tinymia.attacks.joint import log_probabilities
from tinymia.attacks.model_decoder import Judge, respond
from tinymia.attacks.posterior import noise_of
from tinymia.evidence import (
    AnswerSettings,
    Knowledge,
    Lab,
    Oracle,
    Reveals,
    Run,
    Scorer,
    Scores,
    Target,
    Told,
    told,
)
from tinymia.evidence.types import Floats, Integers

LEAST, MOST = 32, 512
"""Questions for each window."""
_LEFT = 0.05**2
"""Variance of a logit's noise that would be left by as many as are wanted."""
_MOVED = 2
"""Features in which a copy differs: enough for so many different ones."""
_SEED = 1


@dataclass(frozen=True)
class Averaged:
    """The joint decoder of answers that were averaged over near copies of each window.

    Who asks the same again gets the same noise; but a window that is moved by a step of one or two
    features is another question, with other noise and nearly the same logits. Where answers have no
    noise, one question a window tells all, and none is averaged.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        name="joint-averaged",
        title="Joint decoder of answers averaged over near copies",
        reference="this project; cf. Choquette-Choo et al., ICML 2021, on repeated questions",
        adversary=Adversary.JOINT,
        needs=Reveals.ALL_PROBABILITIES,
        knowledge=Knowledge.SAME_PERSON,
        head_only=True,
        oracle=True,
        limits=f"{LEAST} to {MOST} questions a window, by the noise, asked in features that windows"
        " stand in for: not each of them need be reachable by a window.",
    )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See :class:`Attack`; the oracle is asked when a target is scored."""
        response, units = respond(lab, run, person, Knowledge.SAME_PERSON)
        if response is None:
            return lambda target: np.zeros(len(target.candidates))
        features = lab.candidates(run.whole, person).features
        assert features is not None, "more than the head is trained"
        guard = run.answer.guard
        wanted = copies_for(run.answer)
        quieter = replace(guard, noise=guard.noise / float(np.sqrt(wanted)))
        judge = Judge(replace(run.answer, guard=quieter), response, units)

        def score(target: Target) -> Scores:
            if not guard.noise_law:
                return judge(target)
            shown, copies = averaged(lab.oracle(run, target), features, run.answer)
            # Behind an alarm some windows have fewer copies, and so more noise.
            more = noise_of(run.answer) * (1 / np.maximum(copies, 1) - 1 / wanted)
            noisier = replace(judge, spread=more) if more.any() else judge
            return noisier(replace(target, answers=shown[:, None]))

        return score


def copies_for(answer: AnswerSettings) -> int:
    """Questions for each window: the more, the more noise there is."""
    return min(MOST, max(LEAST, math.ceil(noise_of(answer) / _LEFT)))


def averaged(oracle: Oracle, features: Floats, answer: AnswerSettings) -> tuple[Floats, Integers]:
    """The mean over near copies of each window, of the logits of those that are answered wholly.

    Args:
        oracle: whom to ask, as often for each window as :func:`copies_for` says.
        features: (n, d), what the head reads.
        answer: how it answers.

    Returns:
        (n, classes), probabilities: one-hot where labels alone were told, NaN where nothing was;
        and (n,), how many copies count.
    """
    values = np.unique(features)
    step = float(np.diff(values).min()) if len(values) > 1 else 1.0
    rng, rows = np.random.default_rng(_SEED), np.arange(len(features))
    total: Doubles | None = None
    for _ in range(copies_for(answer)):
        moved = features.copy()
        for _ in range(_MOVED):
            place = rng.integers(features.shape[1], size=len(features))
            moved[rows, place] = features[rows, place] + step * rng.choice([-1, 1], len(features))
        shown = oracle.ask(moved)
        if total is None:
            total, labels = np.zeros(shown.shape), np.zeros(shown.shape)
            copies = np.zeros(len(shown), np.int64)
        given = told(shown, answer)
        whole = given == Told.AS_AGREED
        total[whole] += log_probabilities(shown[whole], AnswerSettings())
        labels[given == Told.LABEL] += shown[given == Told.LABEL]
        copies += whole
    assert total is not None
    mean = softmax(total / np.maximum(copies, 1)[:, None])
    named = np.eye(mean.shape[1])[labels.argmax(axis=1)]
    named[labels.sum(axis=1) == 0] = np.nan
    return np.where((copies > 0)[:, None], mean, named).astype(np.float32), copies


ATTACKS: tuple[Attack, ...] = (Averaged(),)
