"""Attacks that need the most likely class alone: it is right, or became so, or is as in shadows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.knowing import adversary_of, phrase_of, suffix_of
from tinymia.attacks.signals import remembered, right_answers
from tinymia.attacks.thresholds import Threshold
from tinymia.evidence import (
    AnswerSettings,
    Candidates,
    Knowledge,
    Lab,
    Reveals,
    Run,
    Scorer,
    Scores,
    Shadows,
    Target,
)


def _right(target: Target, answer: AnswerSettings) -> Scores:
    return right_answers(target.known(answer), target.candidates.labels).astype(np.float64)


def _became_right(target: Target, answer: AnswerSettings) -> Scores:
    """Became right (1.5), stayed right (0.5), stayed wrong (0), became wrong (-1)."""
    before = right_answers(target.candidates.base, target.candidates.labels)
    now = _right(target, answer)
    return now - before + 0.5 * now


GAP = Threshold(
    AttackInfo(
        name="gap",
        title="Right or wrong",
        reference="Yeom et al., CSF 2018; the gap attack of Choquette-Choo et al., ICML 2021",
        adversary=Adversary.NO_SHADOWS,
        needs=Reveals.LABEL,
        limits="Two scores only: its ROC curve is one point between straight lines.",
    ),
    _right,
)
"""A window that is classified rightly is a member."""

CHANGE = Threshold(
    AttackInfo(
        name="label-change",
        title="Label that became right since the base model",
        reference="Watson et al., ICLR 2022, with the label's 0-1 loss",
        adversary=Adversary.NO_SHADOWS,
        needs=Reveals.LABEL,
        calibrated=True,
        headline=True,
        limits="Four scores only: its ROC curve is three points between straight lines.",
    ),
    _became_right,
)
"""A window that fine-tuning made right is a member; among unchanged ones, one that is right."""


@dataclass(frozen=True)
class LabelRatio:
    """LiRA where only labels are answered: how often shadow devices are right, in and out.

    The signal is whether the label is right, a Bernoulli variable under either hypothesis. Online
    the score is log P(signal | in) - log P(signal | out). Offline it is the probability, were the
    window not a member, of a signal at most as high, the observed one counted half (mid-p). Rates
    are smoothed with two examples that are right as often as Laplace's rule of succession says
    ((k + 1) / (n + 2)) of all shadows; see :func:`_rates`.

    Attributes:
        knowledge: what the shadow devices are trained on.
        online: whether shadows that saw the window are used.
        headline: see :class:`AttackInfo`.
    """

    knowledge: Knowledge = Knowledge.SAME_PERSON
    online: bool = True
    headline: bool = False

    @property
    def info(self) -> AttackInfo:
        """What it is and needs."""
        mode = "online" if self.online else "offline"
        return AttackInfo(
            name=f"lira-{mode}-labels{suffix_of(self.knowledge)}",
            title=f"LiRA {mode} on labels{phrase_of(self.knowledge)}",
            reference="Carlini et al., IEEE S&P 2022, with a Bernoulli for the Gaussian",
            adversary=adversary_of(self.knowledge),
            needs=Reveals.LABEL,
            knowledge=self.knowledge,
            headline=self.headline,
            limits="Each window has two scores only.",
        )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``."""
        candidates = lab.candidates(run, person)
        shadows = lab.shadows(run, person, self.knowledge)
        inside, outside = _rates(shadows, candidates)
        if self.online:
            if_right, if_wrong = np.log(inside / outside), np.log((1 - inside) / (1 - outside))
        else:
            if_right, if_wrong = 1 - outside / 2, (1 - outside) / 2

        def score(target: Target) -> Scores:
            right = right_answers(target.known(run.answer), target.candidates.labels)
            return np.where(right, if_right, if_wrong)

        return score


def _rates(shadows: Shadows, candidates: Candidates) -> tuple[Scores, Scores]:
    """How often each window is classified rightly by shadows that saw it, and by the others.

    Both are drawn towards their common rate by the same part. Two pseudo-examples each would move
    the rarer kind further, and a window that all shadows have right would look like a member when
    it is wrong.
    """

    def make() -> tuple[Scores, Scores]:
        right = right_answers(shadows.answers, candidates.labels)
        seen, right_seen = shadows.member.sum(axis=0), (right & shadows.member).sum(axis=0)
        unseen, right_unseen = len(shadows) - seen, right.sum(axis=0) - right_seen
        common = (right_seen + right_unseen + 1) / (len(shadows) + 2)
        own = np.minimum(seen, unseen) / (np.minimum(seen, unseen) + 2)
        if not shadows.member.any():
            own = unseen / (unseen + 2)
        inside = own * right_seen / np.maximum(seen, 1) + (1 - own) * common
        outside = own * right_unseen / np.maximum(unseen, 1) + (1 - own) * common
        return inside, outside

    return remembered(shadows, ("rates", candidates.labels.tobytes()), make)


ATTACKS: tuple[Attack, ...] = (
    CHANGE,
    GAP,
    LabelRatio(headline=True),
    LabelRatio(online=False),
    LabelRatio(Knowledge.OTHER_PEOPLE, online=False, headline=True),
)
