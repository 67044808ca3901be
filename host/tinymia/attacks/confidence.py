"""Attack on the confidence: the probability of the most likely class."""

from __future__ import annotations

import numpy as np

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.signals import completed, cross_entropy, least_probability
from tinymia.attacks.thresholds import PerClass, Threshold
from tinymia.evidence import AnswerSettings, Reveals, Scores, Target


def _confidence(target: Target, answer: AnswerSettings) -> Scores:
    """Log of the largest probability."""
    shown = completed(target.known(answer)[:, 0])
    # As a loss, which keeps answers apart that float32 rounds to 1.
    return -cross_entropy(shown, np.asarray(shown.argmax(axis=1)), least_probability(answer))


CONFIDENCE = Threshold(
    AttackInfo(
        name="confidence",
        title="Confidence threshold",
        reference="Salem et al., NDSS 2019",
        adversary=Adversary.NO_SHADOWS,
        needs=Reveals.TOP_PROBABILITY,
    ),
    _confidence,
)
"""A window that is answered with high confidence is a member; it needs no label."""

ATTACKS: tuple[Attack, ...] = (CONFIDENCE, PerClass(CONFIDENCE))
