"""The robust membership-inference attack, RMIA (Zarifzadeh et al., ICML 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Attack, AttackInfo
from tinymia.attacks.knowing import adversary_of, phrase_of, suffix_of
from tinymia.attacks.signals import (
    least_probability,
    loss,
    probability,
    remembered,
    shadow_logits,
    target_logits,
)
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
class Rmia:
    """A window is a member if its likelihood ratio beats those of other windows.

    The ratio is p(x | device) / p(x), with p the true class's probability (section 3, equation 3).
    p(x) is a mean over shadow devices. Online: half the mean of those that saw the window and half
    of those that did not. Offline (appendix B.2.2): that of those that did not, p_out, mended by
    p(x) = ((1 + a) p_out + (1 - a)) / 2, as a member's probability is nearer to 1. The score is the
    share of other windows z for which the ratio of x is at least gamma times that of z
    (equation 2).

    Attributes:
        knowledge: what the shadow devices are trained on.
        online: whether shadows that saw the window are used.
        gamma: how much a ratio must exceed another, positive.
        a: of the offline form, 0 to 1.
        headline: see :class:`AttackInfo`.
    """

    knowledge: Knowledge = Knowledge.SAME_PERSON
    online: bool = True
    gamma: float = 1.0
    a: float = 0.3
    headline: bool = False

    @property
    def info(self) -> AttackInfo:
        """What it is and needs."""
        mode = "online" if self.online else "offline"
        settings = f"gamma {self.gamma:g}" + (f", a {self.a:g}" * (not self.online))
        return AttackInfo(
            name=f"rmia-{mode}{suffix_of(self.knowledge)}",
            title=f"RMIA {mode} ({settings}){phrase_of(self.knowledge)}",
            reference="Zarifzadeh et al., ICML 2024",
            adversary=adversary_of(self.knowledge),
            needs=Reveals.TOP_PROBABILITY,
            knowledge=self.knowledge,
            headline=self.headline,
            limits="The population that windows are compared with is the device's other "
            "candidates, members among them. With gamma 1 the score is a rank within one device: "
            "the highest windows of all devices have the same.",
        )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``."""
        candidates = lab.candidates(run, person)
        shadows = lab.shadows(run, person, self.knowledge)
        inside, outside = _means(shadows, candidates, run.answer)
        if self.online:
            evidence = 0.5 * (inside + outside)
        else:
            evidence = 0.5 * ((1 + self.a) * outside + (1 - self.a))
        log_evidence = np.log(np.maximum(evidence, least_probability(run.answer)))
        step = float(np.log(self.gamma))

        def score(target: Target) -> Scores:
            ratio = -loss(target_logits(target, run.answer)[0]) - log_evidence
            beaten = np.searchsorted(np.sort(ratio), ratio - step, "right")
            itself = step <= 0  # is among them then
            return np.asarray((beaten - itself) / max(len(ratio) - 1, 1), dtype=np.float64)

        return score


def _means(
    shadows: Shadows, candidates: Candidates, answer: AnswerSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean probability of each window's true class in shadows that saw it, and in the others.

    A window that no shadow of a side saw is given the other side's mean.
    """

    def make() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        shown = probability(shadow_logits(shadows, candidates, answer)[0])
        seen = shadows.member.sum(axis=0)
        unseen = len(shadows) - seen
        total = shown.sum(axis=0)
        within = np.where(shadows.member, shown, 0.0).sum(axis=0)
        inside, outside = within / np.maximum(seen, 1), (total - within) / np.maximum(unseen, 1)
        return np.where(seen > 0, inside, outside), np.where(unseen > 0, outside, inside)

    return remembered(shadows, ("means", answer, candidates.labels.tobytes()), make)


ATTACKS: tuple[Attack, ...] = (
    Rmia(),
    Rmia(online=False),
    Rmia(Knowledge.HALF, online=False),
    Rmia(Knowledge.MISMATCHED, online=False),
    Rmia(Knowledge.UNDEFENDED, online=False),
    Rmia(Knowledge.OTHER_PEOPLE, online=False, headline=True),
)
