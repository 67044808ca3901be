"""LiRA with a prior on means and variances, for few shadows: BaVarIA (Braennvall, 2026)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Attack, AttackInfo
from tinymia.attacks.knowing import adversary_of, phrase_of, suffix_of
from tinymia.attacks.moments import Moments, moments
from tinymia.attacks.signals import target_logits
from tinymia.evidence import Knowledge, Lab, Reveals, Run, Scorer, Scores, Target

_MOST_FREEDOM = 1e4
"""Prior degrees of freedom where variances differ no more than by chance: all are one."""
_MOST_STRENGTH = 1e4
"""Prior examples of a mean, likewise."""


@dataclass(frozen=True)
class Bavaria:
    """Student-t predictives of the logit under conjugate normal-inverse-gamma priors.

    What could be read of the paper (arXiv 2603.11799, abstract and introduction) is that it
    replaces LiRA's switch between per-window and global variances by conjugate
    normal-inverse-gamma priors, and scores with the Student-t predictive (BaVarIA-t) or with a
    Gaussian of the stabilised variance (BaVarIA-n). How it sets the priors could not be read. Here
    they are estimated from all windows (empirical Bayes): the variances' prior by moments of their
    logarithms (Smyth 2004, section 6.2), the means' by the variance between windows. A window's
    mean among members is expected at its mean among non-members plus the mean difference.

    Online the score is the log-likelihood ratio; offline it is minus the log of the predictive's
    upper tail among shadows that did not see the window.

    Attributes:
        knowledge: what the shadow devices are trained on.
        online: whether shadows that saw the window are used.
        gaussian: BaVarIA-n rather than BaVarIA-t; online only.
    """

    knowledge: Knowledge = Knowledge.SAME_PERSON
    online: bool = True
    gaussian: bool = False

    @property
    def info(self) -> AttackInfo:
        """What it is and needs."""
        mode, kind = "online" if self.online else "offline", "n" if self.gaussian else "t"
        return AttackInfo(
            name=f"bavaria-{kind}-{mode}{suffix_of(self.knowledge)}",
            title=f"BaVarIA-{kind} {mode}{phrase_of(self.knowledge)}",
            reference="Brännvall, arXiv 2603.11799, 2026",
            adversary=adversary_of(self.knowledge),
            needs=Reveals.TOP_PROBABILITY,
            knowledge=self.knowledge,
            limits="The paper's own setting of its priors could not be read: they are estimated "
            "from all windows here.",
        )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``."""
        candidates = lab.candidates(run, person)
        shadows = lab.shadows(run, person, self.knowledge)
        inside, outside = moments(shadows, candidates, run.answer)
        known = outside.count > 0
        centre = float(outside.mean[known].mean()) if known.any() else 0.0
        without = _posterior(outside, np.full(len(outside.mean), centre), np.zeros(len(known)))
        if not self.online:
            return lambda target: without.surprise(target_logits(target, run.answer)[0])
        both = (inside.count > 0) & known
        shift = float((inside.mean - outside.mean)[both].mean()) if both.any() else 0.0
        noise = outside.variance / np.maximum(outside.count, 1)
        within = _posterior(inside, without.mean + shift, noise)

        def score(target: Target) -> Scores:
            logits = target_logits(target, run.answer)[0]
            if self.gaussian:
                return within.log_gaussian(logits) - without.log_gaussian(logits)
            return within.log_density(logits) - without.log_density(logits)

        return score


@dataclass(frozen=True)
class _Posterior:
    """Of each window's mean and variance, all (n,) float64.

    Attributes:
        mean: of the mean.
        variance: beta / alpha.
        spread: squared scale of the predictive: the variance and the mean's uncertainty.
        freedom: of the predictive, 2 alpha.
        constant: of the predictive's log density.
    """

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    spread: NDArray[np.float64]
    freedom: NDArray[np.float64]
    constant: NDArray[np.float64]

    def log_density(self, logits: NDArray[np.float64]) -> Scores:
        """Of the Student-t predictive."""
        square = (logits - self.mean) ** 2 / self.spread
        tail = 0.5 * (self.freedom + 1) * np.log1p(square / self.freedom)
        return np.asarray(self.constant - tail)

    def log_gaussian(self, logits: NDArray[np.float64]) -> Scores:
        """Of a Gaussian with the posterior's mean and variance."""
        square = (logits - self.mean) ** 2 / self.variance
        return np.asarray(-0.5 * (np.log(self.variance) + square))

    def surprise(self, logits: NDArray[np.float64]) -> Scores:
        """Minus the log of the predictive's upper tail."""
        from scipy.special import stdtr

        tail = stdtr(self.freedom, -(logits - self.mean) / np.sqrt(self.spread))
        return np.asarray(-np.log(np.maximum(tail, np.finfo(np.float64).tiny)))


def _posterior(
    side: Moments, expected: NDArray[np.float64], noise: NDArray[np.float64]
) -> _Posterior:
    """Update a prior that all windows give with each window's own shadows.

    Args:
        side: what the shadows showed.
        expected: (n,) prior means.
        noise: (n,) variance of those means that comes from their own estimation.
    """
    from scipy.special import gammaln

    prior_freedom, prior_variance = _variance_prior(side)
    known = side.count > 0
    between = (side.mean - expected)[known] ** 2
    chance = (side.variance / np.maximum(side.count, 1) + noise)[known]
    spread = float((between - chance).mean()) if known.any() else 0.0
    strength = _MOST_STRENGTH
    if spread > prior_variance / _MOST_STRENGTH:
        strength = prior_variance / spread
    count = side.count.astype(np.float64)
    off = np.where(known, side.mean - expected, 0.0)
    mean = expected + count / (strength + count) * off
    freedom = prior_freedom + count
    shrunk = count * strength / (count + strength) * off**2
    variance = (prior_freedom * prior_variance + side.squares + shrunk) / freedom
    predicted = variance * (1 + 1 / (strength + count))
    constant = gammaln(0.5 * (freedom + 1)) - gammaln(0.5 * freedom)
    constant = constant - 0.5 * np.log(np.pi * freedom * predicted)
    return _Posterior(mean, variance, predicted, freedom, np.asarray(constant))


def _variance_prior(side: Moments) -> tuple[float, float]:
    """Degrees of freedom and size of the variances' prior, by moments of log variances.

    Under it, log s^2 - digamma(d/2) + log(d/2) has variance trigamma(d/2) + trigamma(d0/2).
    """
    from scipy.special import digamma, polygamma

    enough = side.count > 1
    if enough.sum() < 2:
        return 1.0, side.pooled
    half = 0.5 * (side.count[enough] - 1)
    logs = np.log(side.variance[enough]) - digamma(half) + np.log(half)
    excess = float(logs.var(ddof=1) - polygamma(1, half).mean())
    freedom = 2 * _inverse_trigamma(excess) if excess > 0 else _MOST_FREEDOM
    freedom = min(freedom, _MOST_FREEDOM)
    return freedom, float(np.exp(logs.mean() + digamma(0.5 * freedom) - np.log(0.5 * freedom)))


def _inverse_trigamma(value: float) -> float:
    """x with trigamma(x) = value > 0, by Newton on 1 / trigamma, which is convex."""
    from scipy.special import polygamma

    x = 0.5 + 1 / value
    for _ in range(20):
        here = float(polygamma(1, x))
        x += here * (1 - here / value) / float(polygamma(2, x))
    return x


ATTACKS: tuple[Attack, ...] = (
    Bavaria(),
    Bavaria(gaussian=True),
    Bavaria(online=False),
    Bavaria(Knowledge.OTHER_PEOPLE, online=False),
)
