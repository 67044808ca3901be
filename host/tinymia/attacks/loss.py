"""Attacks on the loss: alone, and against the base model's loss on the same window."""

from __future__ import annotations

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.signals import base_logits, loss, target_logits
from tinymia.attacks.thresholds import PerClass, Threshold
from tinymia.evidence import AnswerSettings, Reveals, Scores, Target


def _low(target: Target, answer: AnswerSettings) -> Scores:
    """Minus the cross-entropy."""
    return -loss(target_logits(target, answer)[0])


def _fallen(target: Target, answer: AnswerSettings) -> Scores:
    """Base loss minus loss."""
    return loss(base_logits(target.candidates, answer)[0]) + _low(target, answer)


LOSS = Threshold(
    AttackInfo(
        name="loss",
        title="Loss threshold",
        reference="Yeom et al., CSF 2018",
        adversary=Adversary.NO_SHADOWS,
        needs=Reveals.TOP_PROBABILITY,
    ),
    _low,
)
"""A window with a low loss is a member."""

CALIBRATED = Threshold(
    AttackInfo(
        name="calibrated-loss",
        title="Loss difference to the base model",
        reference="Watson et al., ICLR 2022",
        adversary=Adversary.NO_SHADOWS,
        needs=Reveals.TOP_PROBABILITY,
        calibrated=True,
        headline=True,
    ),
    _fallen,
)
"""A window whose loss fell most since the base model is a member.

The base model plays the part of the reference model in difficulty calibration: its loss says how
hard the window is for a model that has never seen it.
"""

ATTACKS: tuple[Attack, ...] = (CALIBRATED, LOSS, PerClass(CALIBRATED), PerClass(LOSS))
