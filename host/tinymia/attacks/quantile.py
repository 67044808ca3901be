"""Quantile regression on windows that were not trained on (Bertran et al., NeurIPS 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.rows import answer_features, class_features, rows_of
from tinymia.attacks.signals import least_probability, logit_confidence, target_logits
from tinymia.evidence import (
    AnswerSettings,
    Knowledge,
    Lab,
    Reveals,
    Run,
    Scorer,
    Scores,
    Target,
)
from tinymia.evidence.types import Floats, Integers

_RIDGE = 1.0
"""Strength of the regressions' penalty, in standardised features and rows."""
_LOG_CHI_SQUARED = -1.2703628454614782
"""Mean of the log of a squared standard Gaussian: digamma(1/2) + log 2."""


@dataclass(frozen=True)
class QuantileRegression:
    """Quantiles of a non-member's logit, predicted from the window itself.

    Section 3 with the Gaussian head: the logit of a non-member is normal with a mean and a variance
    that depend on the window, so the (1 - alpha)-quantile is mean + deviation * Phi^-1(1 - alpha).
    The score is (logit - mean) / deviation, and a window is called a member at level alpha when it
    is above Phi^-1(1 - alpha). The head is fitted in two ridge regressions (Harvey 1976): of the
    logit, then of the log of the squared residual. What is known of a window is the base model's
    answer to it and its class.
    """

    @property
    def info(self) -> AttackInfo:
        """What it is and needs."""
        return AttackInfo(
            name="quantile-regression-others",
            title="Quantile regression on shadows of other people",
            reference="Bertran et al., NeurIPS 2023",
            adversary=Adversary.OTHER_PEOPLE,
            needs=Reveals.TOP_PROBABILITY,
            knowledge=Knowledge.OTHER_PEOPLE,
            calibrated=True,
            limits="The paper regresses the attacked model's own answers to public data; shadow "
            "devices of other people stand in for it here.",
        )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``."""
        candidates = lab.candidates(run, person)
        rows = rows_of(lab.shadows(run, person, Knowledge.OTHER_PEOPLE), candidates)
        out = ~rows.member
        labels = rows.labels[out]
        logits = logit_confidence(rows.answers[out], labels, least_probability(run.answer))
        known = _features(rows.base[out], labels, run.answer)
        predict = _Ridge(known, logits)
        residual = logits - predict(known)
        floor = 1e-4 * float(residual.var()) + 1e-12
        log_variance = _Ridge(known, np.log(residual**2 + floor) - _LOG_CHI_SQUARED)
        own = _features(candidates.base[:, 0], candidates.labels, run.answer)
        mean = predict(own)
        # A prediction far outside what was seen would make any logit a surprise, or none.
        seen = log_variance(known)
        deviation = np.exp(0.5 * np.clip(log_variance(own), seen.min(), seen.max()))

        def score(target: Target) -> Scores:
            return np.asarray((target_logits(target, run.answer)[0] - mean) / deviation)

        return score


def _features(base: Floats, labels: Integers, answer: AnswerSettings) -> NDArray[np.float64]:
    """(r, features): the base answer's logs, the bends of its logit, and the class."""
    answers = answer_features(base, labels, answer)
    logit = answers[:, :1]
    bends = np.maximum(logit - np.array([-4.0, -2.0, 0.0, 2.0, 4.0]), 0.0)
    return np.hstack([answers, bends, class_features(labels, base.shape[-1])])


class _Ridge:
    """Ridge regression on standardised features; the intercept is not drawn to zero."""

    def __init__(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        self.centre, self.scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-9)
        self.level = float(y.mean())
        z = (x - self.centre) / self.scale
        gram = z.T @ z + _RIDGE * np.eye(z.shape[1])
        self.slope = np.linalg.solve(gram, z.T @ (y - self.level))

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.level + (x - self.centre) / self.scale @ self.slope)


ATTACKS: tuple[Attack, ...] = (QuantileRegression(),)
