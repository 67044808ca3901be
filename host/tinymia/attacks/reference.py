"""Attacks against reference models: shadow devices that did not see the window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Attack, AttackInfo
from tinymia.attacks.knowing import adversary_of, phrase_of, suffix_of
from tinymia.attacks.signals import loss, remembered, shadow_logits, target_logits
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


@dataclass(frozen=True)
class AttackR:
    """The share of reference models whose loss on the window is higher than the device's.

    Ye et al. (section 3.3, attack R) call a window a member if its loss is below the alpha-quantile
    of its losses in reference models; the score is 1 - alpha of the strictest test that it passes,
    ties counted half. No distribution is assumed, so there are no more scores than models.

    Attributes:
        knowledge: what the reference models are trained on.
    """

    knowledge: Knowledge = Knowledge.SAME_PERSON

    @property
    def info(self) -> AttackInfo:
        """What it is and needs."""
        return AttackInfo(
            name=f"attack-r{suffix_of(self.knowledge)}",
            title=f"Attack R, quantiles of reference losses{phrase_of(self.knowledge)}",
            reference="Ye et al., CCS 2022",
            adversary=adversary_of(self.knowledge),
            needs=Reveals.TOP_PROBABILITY,
            knowledge=self.knowledge,
            limits="There are no more scores than shadow devices, so many windows tie for the "
            "highest.",
        )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``."""
        candidates = lab.candidates(run, person)
        shadows = lab.shadows(run, person, self.knowledge)
        # The loss falls as the logit rises, so logits are compared. A window in all shadows has no
        # reference model and is at 0.5.
        logits = shadow_logits(shadows, candidates, run.answer)[0]
        references = np.where(shadows.member, np.nan, logits)
        count = (~shadows.member).sum(axis=0)

        def score(target: Target) -> Scores:
            own = target_logits(target, run.answer)[0]
            lower = (references < own).sum(axis=0) + 0.5 * (references == own).sum(axis=0)
            return np.where(count > 0, lower / np.maximum(count, 1), 0.5)

        return score


@dataclass(frozen=True)
class DifficultyCalibration:
    """Mean loss of the window in reference models, minus its loss in the device.

    Watson et al. (section 3): what is left of the loss when the window's difficulty is taken off.

    Attributes:
        knowledge: what the reference models are trained on.
    """

    knowledge: Knowledge = Knowledge.SAME_PERSON

    @property
    def info(self) -> AttackInfo:
        """What it is and needs."""
        return AttackInfo(
            name=f"difficulty-calibration{suffix_of(self.knowledge)}",
            title=f"Difficulty calibration{phrase_of(self.knowledge)}",
            reference="Watson et al., ICLR 2022",
            adversary=adversary_of(self.knowledge),
            needs=Reveals.TOP_PROBABILITY,
            knowledge=self.knowledge,
        )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``."""
        candidates = lab.candidates(run, person)
        shadows = lab.shadows(run, person, self.knowledge)
        difficulty = _mean_loss(shadows, candidates, run.answer)
        return lambda target: difficulty - loss(target_logits(target, run.answer)[0])


def _mean_loss(
    shadows: Shadows, candidates: Candidates, answer: AnswerSettings
) -> NDArray[np.float64]:
    """(n,) over shadows that did not see the window; over all where all did."""

    def make() -> NDArray[np.float64]:
        losses = loss(shadow_logits(shadows, candidates, answer)[0])
        out = np.where(shadows.member.all(axis=0), True, ~shadows.member)
        return np.asarray(np.where(out, losses, 0.0).sum(axis=0) / out.sum(axis=0))

    return remembered(shadows, ("loss", answer, candidates.labels.tobytes()), make)


ATTACKS: tuple[Attack, ...] = (
    AttackR(),
    DifficultyCalibration(),
    AttackR(Knowledge.OTHER_PEOPLE),
    DifficultyCalibration(Knowledge.OTHER_PEOPLE),
)
