"""Attacks that only put answers in order: what they share, and their variants by class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tinymia.attacks.base import AttackInfo
from tinymia.attacks.signals import share_below
from tinymia.evidence import AnswerSettings, Lab, Run, Scorer, Scores, Target


@dataclass(frozen=True)
class Threshold:
    """An attack that has nothing to fit: a signal of each answer, high for members.

    Attributes:
        info: what it is and needs.
        signal: gives (n,) float64 of a device's answers, which were given under these settings.
    """

    info: AttackInfo
    signal: Callable[[Target, AnswerSettings], Scores]

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``; nothing is asked of the lab."""
        return lambda target: self.signal(target, run.answer)


@dataclass(frozen=True)
class PerClass:
    """The same signal with a threshold for each class, as its rank among the class's windows.

    Song and Mittal (2021, section 4.1) choose each class's threshold on shadow models, where
    membership is known. Without any, equal shares of each class are taken for members: the score
    is the share of the class's other candidates whose signal is lower, ties counted half.

    Attributes:
        threshold: whose signal.
    """

    threshold: Threshold

    @property
    def info(self) -> AttackInfo:
        """What it is and needs."""
        plain = self.threshold.info
        return replace(
            plain,
            name=f"{plain.name}-per-class",
            title=f"{plain.title}, per class",
            reference="Song and Mittal, USENIX Security 2021",
            headline=False,
            limits="Classes are compared by ranks among the device's own answers, members among "
            "them: it is known of no class how many of its windows are members.",
        )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``; nothing is asked of the lab."""

        def score(target: Target) -> Scores:
            signal, labels = self.threshold.signal(target, run.answer), target.candidates.labels
            scores = np.empty(len(signal))
            for label in np.unique(labels):
                chosen = labels == label
                scores[chosen] = share_below(signal[chosen])
            return scores

        return score
