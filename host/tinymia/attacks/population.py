"""Attacks whose thresholds come from a population: the device's other answers, or shadows'."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.rows import rows_of
from tinymia.attacks.signals import (
    least_probability,
    logit_confidence,
    share_below,
    target_logits,
)
from tinymia.attacks.thresholds import Threshold
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


def _rank(target: Target, answer: AnswerSettings) -> Scores:
    """Share of the device's other answers with a higher loss."""
    return share_below(target_logits(target, answer)[0])


ATTACK_P = Threshold(
    AttackInfo(
        name="attack-p",
        title="Attack P, quantiles of the population's losses",
        reference="Ye et al., CCS 2022",
        adversary=Adversary.NO_SHADOWS,
        needs=Reveals.TOP_PROBABILITY,
        limits="The population is the device's other candidates, members among them: its answers "
        "to other windows are not asked for.",
    ),
    _rank,
)
"""Ye et al. (section 3.2): a loss below the alpha-quantile of the *same device's* losses on other
windows is a member's. The score is 1 - alpha of the strictest test that a window passes."""


@dataclass(frozen=True)
class AttackS:
    """The loss with a threshold for each class, chosen on shadow devices.

    Ye et al. (section 3.1, attack S) and Song and Mittal (2021, section 4.1): quantiles of the
    losses of the class's windows that shadow devices did not see. The logit, of which the loss is
    a falling function, is standardised by their mean and standard deviation, so one threshold on
    the score has the same false positive rate in every class, if they are Gaussian.
    """

    @property
    def info(self) -> AttackInfo:
        """What it is and needs."""
        return AttackInfo(
            name="attack-s-others",
            title="Attack S, a loss threshold per class from shadows of other people",
            reference="Ye et al., CCS 2022; Song and Mittal, USENIX Security 2021",
            adversary=Adversary.OTHER_PEOPLE,
            needs=Reveals.TOP_PROBABILITY,
            knowledge=Knowledge.OTHER_PEOPLE,
        )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``."""
        candidates = lab.candidates(run, person)
        rows = rows_of(lab.shadows(run, person, Knowledge.OTHER_PEOPLE), candidates)
        labels = rows.labels[~rows.member]
        least = least_probability(run.answer)
        logits = logit_confidence(rows.answers[~rows.member], labels, least)
        mean, deviation = _by_class(logits, labels, candidates.classes)

        def score(target: Target) -> Scores:
            classes = target.candidates.labels
            own = target_logits(target, run.answer)[0]
            return np.asarray((own - mean[classes]) / deviation[classes])

        return score


def _by_class(
    values: NDArray[np.float64], labels: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each class; of all where a class has fewer than two."""
    count = np.bincount(labels, minlength=classes)
    mean = np.bincount(labels, values, classes) / np.maximum(count, 1)
    square = np.bincount(labels, (values - mean[labels]) ** 2, classes) / np.maximum(count - 1, 1)
    known = count > 1
    mean = np.where(known, mean, values.mean())
    deviation = np.sqrt(np.where(known, square, values.var()))
    return mean, np.maximum(deviation, 1e-6)


ATTACKS: tuple[Attack, ...] = (ATTACK_P, AttackS())
