"""The likelihood-ratio attack, LiRA (Carlini et al., IEEE S&P 2022), in its variants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Attack, AttackInfo
from tinymia.attacks.knowing import adversary_of, phrase_of, suffix_of
from tinymia.attacks.moments import Moments, moments
from tinymia.attacks.signals import remembered, shadow_logits, target_logits
from tinymia.compat import StrEnum
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
from tinymia.evidence.types import Bools

PER_WINDOW_SHADOWS = 64
"""Shadows from which on a variance for each window is better than one for all (section VI.C)."""
REFERENCE = "Carlini et al., IEEE S&P 2022"
_OFFLINE = (
    "Offline, a window is only compared with devices that did not see it: what members look like "
    "is not known, so windows that react strongly are not told from those that hardly do."
)


class Variance(StrEnum):
    """Whose variance of the logit enters.

    ``RULE``: each window's own with 64 shadows or more, else all windows' together, as the paper
    does. ``GLOBAL``: always all windows'.
    """

    RULE = "rule"
    GLOBAL = "global"


@dataclass(frozen=True)
class Lira:
    """Gaussians of the true class's logit, in shadow devices that saw the window and that did not.

    Online (algorithm 1), the score is log N(logit; in) - log N(logit; out). Offline (section V.C),
    it is the standardised logit z among shadows that did not see the window: its tail probability,
    1 - Phi(z), is what the paper thresholds, and z orders windows as that does, but does not
    saturate. A density would call a window with an unusually *low* logit a member.

    Attributes:
        knowledge: what the shadow devices are trained on.
        online: whether shadows that saw the window are used.
        variance: whose.
        headline: see :class:`AttackInfo`.
    """

    knowledge: Knowledge = Knowledge.SAME_PERSON
    online: bool = True
    variance: Variance = Variance.RULE
    headline: bool = False

    @property
    def info(self) -> AttackInfo:
        """What it is and needs."""
        mode = "online" if self.online else "offline"
        fixed = self.variance is Variance.GLOBAL
        return AttackInfo(
            name=f"lira-{mode}{'-global' * fixed}{suffix_of(self.knowledge)}",
            title=f"LiRA {mode}{', global variance' * fixed}{phrase_of(self.knowledge)}",
            reference=REFERENCE,
            adversary=adversary_of(self.knowledge),
            needs=Reveals.TOP_PROBABILITY,
            knowledge=self.knowledge,
            headline=self.headline,
            limits="" if self.online else _OFFLINE,
        )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``."""
        candidates = lab.candidates(run, person)
        shadows = lab.shadows(run, person, self.knowledge)
        inside, outside = moments(shadows, candidates, run.answer)
        own = self.variance is Variance.RULE and len(shadows) >= PER_WINDOW_SHADOWS
        var_in, var_out = (_variance(side, own) for side in (inside, outside))
        offset = -0.5 * (np.log(var_in) - np.log(var_out))

        def online(target: Target) -> Scores:
            logits = target_logits(target, run.answer)[0]
            gain = (logits - outside.mean) ** 2 / var_out - (logits - inside.mean) ** 2 / var_in
            return np.asarray(offset + 0.5 * gain)

        def offline(target: Target) -> Scores:
            logits = target_logits(target, run.answer)[0]
            return np.asarray((logits - outside.mean) / np.sqrt(var_out))

        return online if self.online else offline


def _variance(side: Moments, own: bool) -> NDArray[np.float64]:
    return side.variance if own else np.full(len(side.mean), side.pooled)


@dataclass(frozen=True)
class LiraViews:
    """LiRA from the answers to several views of each window (section VI.C, "multiple queries").

    The logits of a window's views have one joint Gaussian. Its covariance is drawn towards that of
    all windows together as if views + 1 shadows more had shown it (the posterior mean under an
    inverse-Wishart prior): there are views x (views + 1) / 2 numbers to estimate, and members are
    few. Offline, the tail is that of the mean of the views' standardised logits.

    Attributes:
        knowledge, online: as of :class:`Lira`.
    """

    knowledge: Knowledge = Knowledge.SAME_PERSON
    online: bool = True

    @property
    def info(self) -> AttackInfo:
        """What it is and needs."""
        mode = "online" if self.online else "offline"
        return AttackInfo(
            name=f"lira-{mode}-views{suffix_of(self.knowledge)}",
            title=f"LiRA {mode}, several views{phrase_of(self.knowledge)}",
            reference=REFERENCE,
            adversary=adversary_of(self.knowledge),
            needs=Reveals.TOP_PROBABILITY,
            knowledge=self.knowledge,
            views=2,
            limits="" if self.online else _OFFLINE,
        )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``."""
        candidates = lab.candidates(run, person)
        shadows = lab.shadows(run, person, self.knowledge)
        outside = _joint(shadows, candidates, run.answer, seen=False)
        if not self.online:
            return lambda target: outside.mean_quantile(target_logits(target, run.answer))
        inside = _joint(shadows, candidates, run.answer, seen=True)

        def score(target: Target) -> Scores:
            logits = target_logits(target, run.answer)
            return inside.log_density(logits) - outside.log_density(logits)

        return score


@dataclass(frozen=True)
class _Joint:
    """Gaussians of each window's views: mean (views, n), covariance (n, views, views)."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    inverse: NDArray[np.float64]
    log_determinant: NDArray[np.float64]

    def log_density(self, logits: NDArray[np.float64]) -> Scores:
        """(n,) without the constant."""
        off = logits - self.mean
        distance = np.einsum("vn,nvw,wn->n", off, self.inverse, off, optimize=True)
        return np.asarray(-0.5 * (self.log_determinant + distance))

    def mean_quantile(self, logits: NDArray[np.float64]) -> Scores:
        """(n,) the mean of the standardised views, standardised."""
        deviation = np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))
        correlation = self.covariance / (deviation[:, :, None] * deviation[:, None])
        mean = ((logits - self.mean) / deviation.T).mean(axis=0)
        return np.asarray(mean / np.sqrt(correlation.mean(axis=(1, 2))))


def _joint(
    shadows: Shadows, candidates: Candidates, answer: AnswerSettings, *, seen: bool
) -> _Joint:
    def make() -> _Joint:
        logits = shadow_logits(shadows, candidates, answer, candidates.views)
        mean, products, count = _products(logits, shadows.member, seen=seen)
        views = len(logits)
        freedom = max(int(np.maximum(count - 1, 0).sum()), 1)
        prior = products.sum(axis=0) / freedom + 1e-9 * np.eye(views)
        own = np.maximum(count - 1, 0)[:, None, None]
        covariance = (products + (views + 1) * prior) / (own + views + 1)
        inverse, determinant = np.linalg.inv(covariance), np.linalg.slogdet(covariance)[1]
        return _Joint(mean, covariance, inverse, determinant)

    return remembered(shadows, ("joint", answer, seen, candidates.labels.tobytes()), make)


def _products(
    logits: NDArray[np.float64], member: Bools, *, seen: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Means (views, n), sums of products (n, views, views) and counts (n,) of one side.

    Windows without shadows on that side get the other's mean and the mean difference.
    """
    sides = []
    for chosen in (member, ~member):
        count = chosen.sum(axis=0)
        sides.append((count, np.where(chosen, logits, 0.0).sum(axis=1) / np.maximum(count, 1)))
    (count, mean), (other_count, other) = sides if seen else sides[::-1]
    both = (count > 0) & (other_count > 0)
    shift = (mean - other)[:, both].mean(axis=1) if both.any() else np.zeros(len(logits))
    mean = np.where(count > 0, mean, other + shift[:, None])
    chosen = member if seen else ~member
    off = np.where(chosen, logits - mean[:, None], 0.0).transpose(2, 0, 1)
    return mean, off @ off.transpose(0, 2, 1), count


ATTACKS: tuple[Attack, ...] = (
    Lira(headline=True),
    Lira(variance=Variance.GLOBAL),
    LiraViews(),
    Lira(online=False),
    Lira(online=False, variance=Variance.GLOBAL),
    LiraViews(online=False),
    Lira(Knowledge.HALF),
    Lira(Knowledge.MISMATCHED),
    Lira(Knowledge.UNDEFENDED),
    Lira(Knowledge.OTHER_PEOPLE, online=False),
    Lira(Knowledge.OTHER_PEOPLE, online=False, variance=Variance.GLOBAL),
    LiraViews(Knowledge.OTHER_PEOPLE, online=False),
)
