"""Noise that is keyed by the question averages out over questions that differ a little."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.heads import Doubles, softmax
from tinymia.attacks.joint import log_probabilities
from tinymia.attacks.model_decoder import Judge, respond
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
)
from tinymia.evidence.types import Floats

COPIES = 32
"""Questions for each window."""
_SEED = 1


@dataclass(frozen=True)
class Averaged:
    """The joint decoder of answers that were averaged over near copies of each window.

    Who asks the same again gets the same noise; but a window that is moved by one step of one
    feature is another question, with other noise and nearly the same logits. Where answers have no
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
        limits=f"{COPIES} questions a window, asked in features that windows stand in for: not "
        "each of them need be reachable by a window.",
    )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See :class:`Attack`; the oracle is asked when a target is scored."""
        response, units = respond(lab, run, person, Knowledge.SAME_PERSON)
        if response is None:
            return lambda target: np.zeros(len(target.candidates))
        features = lab.candidates(run.whole, person).features
        assert features is not None, "more than the head is trained"
        guard = run.answer.guard
        quieter = replace(guard, noise=guard.noise / float(np.sqrt(COPIES)))
        judge = Judge(replace(run.answer, guard=quieter), response, units)

        def score(target: Target) -> Scores:
            if not guard.noise_law:
                return judge(target)
            logs = averaged(lab.oracle(run, target), features)
            shown = softmax(logs).astype(np.float32)[:, None]
            return judge(replace(target, answers=shown))

        return score


def averaged(oracle: Oracle, features: Floats) -> Doubles:
    """Centred logits, the mean over near copies of each window.

    Args:
        oracle: whom to ask, COPIES times a window.
        features: (n, d), what the head reads.

    Returns:
        (n, classes).
    """
    values = np.unique(features)
    step = float(np.diff(values).min()) if len(values) > 1 else 1.0
    rng = np.random.default_rng(_SEED)
    total: Doubles | None = None
    for _ in range(COPIES):
        moved = features.copy()
        place = rng.integers(features.shape[1], size=len(features))
        moved[np.arange(len(features)), place] += step * rng.choice([-1, 1], len(features))
        logs = log_probabilities(oracle.ask(moved), AnswerSettings())
        total = logs if total is None else total + logs
    assert total is not None
    return total / COPIES


ATTACKS: tuple[Attack, ...] = (Averaged(),)
