"""From a device's answers to its members: weights by their likelihood, then membership bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.heads import Doubles, Pairs, softmax
from tinymia.attacks.response import Law, Prior
from tinymia.attacks.symmetric import inverse, solver
from tinymia.evidence import AnswerSettings, NoiseLaw, OutputPolicy, Told, told
from tinymia.evidence.types import Integers

Likelihood = Callable[[Doubles], tuple[float, Doubles, Doubles]]
"""Of logits (n, C): minus the log-likelihood, its gradient (n, C), its curvature (n, C, C), which
is positive semidefinite (Gauss and Newton's)."""

SHARPNESS = 8.0
"""Slope of a label's log-odds in its logit: a smooth stand-in for "this one is largest"."""
_ROUNDING = 6e-8
_FLOOR = 3e-3
_LEAST = 1e-30
_SPIKE, _SLAB = 0.1, 0.3
"""Spread of what a non-member and a member weigh: a member that was held out, or came last, weighs
less than another."""
_SWEEPS = 8


def likelihood_of(
    answers: NDArray[Any],
    answer: AnswerSettings,
    missed: Doubles | None,
    spread: Doubles | None = None,
) -> Likelihood:
    """What answers say of the logits behind them: each as the device gave it, which an alarm of
    its detector may have made a label, or nothing.

    Args:
        answers: (n, C), as the device gave them, NaN where it hid.
        answer: its policy.
        missed: (n,), variance of each window's logits that the model leaves out; None: none.
        spread: (n,), variance by which a defence that makes up probabilities moves each window's
            logits, as the adversary's own devices show it; None: it does not.
    """
    given = told(answers, answer)
    if (given == Told.AS_AGREED).all():
        return _agreed(answers, answer, missed, spread)
    found: list[Likelihood] = []
    if len(whole := np.flatnonzero(given == Told.AS_AGREED)):
        some = [None if v is None else v[whole] for v in (missed, spread)]
        found.append(_of_some(whole, _agreed(answers[whole], answer, *some)))
    if len(named := np.flatnonzero(given == Told.LABEL)):
        left_out = np.zeros(len(named)) if missed is None else missed[named]
        noise = noise_of(answer) * (answer.guard.temperature or 1.0) ** 2
        found.append(_of_some(named, _of_label(answers[named].argmax(axis=1), left_out + noise)))
    together: Likelihood = _of_nothing
    for one in found:
        together = _both(together, one)
    return together


def _agreed(
    answers: NDArray[Any],
    answer: AnswerSettings,
    missed: Doubles | None,
    spread: Doubles | None,
) -> Likelihood:
    """Of answers that are all as the policy and the defences of answers have them."""
    if not answer.is_exact:
        return _as_hidden(answers, answer, missed, spread)
    shown = np.asarray(answers, np.float64)  # freed of a temperature
    left_out = np.zeros(len(shown)) if missed is None else missed
    return _of_noisy(shown, 1.0, np.inf, left_out)


def _as_hidden(
    answers: NDArray[Any],
    answer: AnswerSettings,
    missed: Doubles | None,
    spread: Doubles | None,
) -> Likelihood:
    """The same where something is hidden, or made up."""
    shown = np.nan_to_num(np.asarray(answers, np.float64), nan=-1.0)
    best: Integers = shown.argmax(axis=1)
    left_out = np.zeros(len(shown)) if missed is None else missed
    guard, temperature = answer.guard, answer.guard.temperature or 1.0
    if answer.policy is OutputPolicy.LABEL or guard.swap:
        # Of an answer whose probabilities are another window's the label is left.
        return _of_label(best, left_out + noise_of(answer) * temperature**2)
    if guard.noise_law or guard.classifier:
        if answer.policy is OutputPolicy.FULL:
            if guard.classifier and spread is None:  # whoever has no device of their own
                return _of_label(best, left_out)
            bound = guard.noise_bound or np.inf
            known = noise_of(answer) + (0.0 if spread is None else spread)
            noisy = _of_noisy(shown, temperature, bound, known + left_out / temperature**2)
            # MemGuard keeps the label whatever it does to the rest.
            return noisy if guard.noise_law else _both(noisy, _of_label(best, left_out))
        left_out = left_out + noise_of(answer) + (0.0 if spread is None else spread)
    if answer.policy in (OutputPolicy.TOP1, OutputPolicy.TOPK):
        top = _of_top(best, shown[np.arange(len(best)), best], left_out)
        if answer.policy is OutputPolicy.TOP1:
            return _tempered(top, temperature)
        return _tempered(_both(top, _of_others(best, shown, left_out)), temperature)
    rounded = _of_rounded(np.maximum(shown, 0.0), answer.levels, left_out)
    return _tempered(rounded, temperature)


def noise_of(answer: AnswerSettings) -> float:
    """Variance of the noise that a device adds to a logit."""
    scale = answer.guard.noise**2
    return 2 * scale if answer.guard.noise_law is NoiseLaw.LAPLACE else scale


def _of_nothing(logits: Doubles) -> tuple[float, Doubles, Doubles]:
    count, classes = logits.shape
    return 0.0, np.zeros((count, classes)), np.zeros((count, classes, classes))


def _of_some(rows: Integers, of: Likelihood) -> Likelihood:
    """Of some windows; the others say nothing."""

    def value(logits: Doubles) -> tuple[float, Doubles, Doubles]:
        _, gradient, curvature = _of_nothing(logits)
        loss, gradient[rows], curvature[rows] = of(logits[rows])
        return loss, gradient, curvature

    return value


def _both(one: Likelihood, other: Likelihood) -> Likelihood:
    def value(logits: Doubles) -> tuple[float, Doubles, Doubles]:
        a, b = one(logits), other(logits)
        return a[0] + b[0], a[1] + b[1], a[2] + b[2]

    return value


def _tempered(of: Likelihood, temperature: float) -> Likelihood:
    """The same of logits that were divided before."""
    if temperature == 1.0:
        return of

    def value(logits: Doubles) -> tuple[float, Doubles, Doubles]:
        loss, gradient, curvature = of(logits / temperature)
        return loss, gradient / temperature, curvature / temperature**2

    return value


def _of_noisy(shown: Doubles, temperature: float, bound: float, variance: Doubles) -> Likelihood:
    """Logits behind the largest, at most ``bound``, with Gaussian noise, up to a common number.

    (Laplace noise is taken for Gaussian of its variance.)
    """
    logs = np.log(np.maximum(shown, _LEAST))
    weight = 1 / np.maximum(variance, _FLOOR**2)
    classes = shown.shape[1]
    centring = np.eye(classes) - 1 / classes

    def value(logits: Doubles) -> tuple[float, Doubles, Doubles]:
        soft = logits / temperature
        top = soft.argmax(axis=1)
        behind = soft - soft.max(axis=1, keepdims=True)
        open_ = behind > -bound
        error = (logs - np.where(open_, behind, -bound)) @ centring
        slope = np.eye(classes)[None] * open_[:, :, None] / temperature
        slope[np.arange(len(top)), :, top] -= open_ / temperature
        slope = centring @ slope
        pulled = np.einsum("nkc,nk->nc", slope, error)
        return (
            float(weight @ (error**2).sum(axis=1)) / 2,
            -weight[:, None] * pulled,
            weight[:, None, None] * np.matmul(slope.transpose(0, 2, 1), slope),
        )

    return value


def _of_others(best: Integers, shown: Doubles, missed: Doubles) -> Likelihood:
    """Log-probabilities of classes that are shown beside the most likely one; -1 is hidden."""
    seen = shown >= 0
    seen[np.arange(len(best)), best] = False
    logs = np.log(np.maximum(shown, _LEAST))
    weight = seen / (_FLOOR**2 + 2 * missed)[:, None]

    def value(logits: Doubles) -> tuple[float, Doubles, Doubles]:
        found = softmax(logits)
        error = np.where(seen, np.log(np.maximum(found, _LEAST)) - logs, 0.0)
        slope = np.eye(shown.shape[1])[None] - found[:, None, :]
        pulled = weight * error
        return (
            float((weight * error**2).sum()) / 2,
            np.einsum("nk,nkc->nc", pulled, slope),
            np.einsum("nk,nkc,nkd->ncd", weight, slope, slope),
        )

    return value


def _of_rounded(shown: Doubles, levels: int, missed: Doubles) -> Likelihood:
    # Rounding to 1/levels is noise of variance 1/(12 levels^2), alike for all probabilities; a
    # logit's noise changes probabilities as much as their covariance says.
    noise = np.full(len(shown), 1 / (12.0 * levels**2))
    noise += missed * (_covariances(shown) ** 2).sum(axis=(1, 2)) / shown.shape[1]
    precision = 1 / noise

    def value(logits: Doubles) -> tuple[float, Doubles, Doubles]:
        found = softmax(logits)
        error = shown - found
        spread = _covariances(found)
        pulled = np.einsum("ncd,nd->nc", spread, error)
        return (
            float(precision @ (error**2).sum(axis=1)) / 2,
            -precision[:, None] * pulled,
            precision[:, None, None] * np.matmul(spread, spread),
        )

    return value


def _of_top(best: Integers, shown: Doubles, missed: Doubles) -> Likelihood:
    at = np.arange(len(best))
    shown = np.clip(shown, 1e-6, 1.0)
    rest = np.maximum(1 - shown, _ROUNDING)
    wanted = np.log(shown / rest)
    # Near 1 a float32 probability is coarse; elsewhere a floor keeps the equations well-behaved.
    weight = 1 / ((_ROUNDING / (shown * rest)) ** 2 + _FLOOR**2 + 2 * missed)

    def value(logits: Doubles) -> tuple[float, Doubles, Doubles]:
        others = logits.copy()
        others[at, best] = -np.inf
        top = others.max(axis=1, keepdims=True)
        powers = np.exp(others - top)
        total = powers.sum(axis=1, keepdims=True)
        error = logits[at, best] - top[:, 0] - np.log(total[:, 0]) - wanted
        slope = -powers / total
        slope[at, best] = 1.0
        return (
            float((weight * error**2).sum()) / 2,
            (weight * error)[:, None] * slope,
            weight[:, None, None] * slope[:, :, None] * slope[:, None, :],
        )

    return value


def _of_label(best: Integers, missed: Doubles) -> Likelihood:
    at = np.arange(len(best))
    sharpness = 1 / np.sqrt(1 / SHARPNESS**2 + 2 * missed)[:, None]

    def value(logits: Doubles) -> tuple[float, Doubles, Doubles]:
        found = softmax(sharpness * logits)
        gradient = found.copy()
        gradient[at, best] -= 1.0
        loss = -float(np.log(np.maximum(found[at, best], 1e-300)).sum())
        return loss, sharpness * gradient, sharpness[:, :, None] ** 2 * _covariances(found)

    return value


def _covariances(probabilities: Doubles) -> Doubles:
    spread = -probabilities[:, :, None] * probabilities[:, None, :]
    classes = np.arange(probabilities.shape[1])
    spread[:, classes, classes] += probabilities
    return np.asarray(spread)


class Locator:
    """Finds a device's matrix from what it said, under a law; reused for all devices of one.

    Args:
        law: of the devices.

    Attributes:
        shape: of a matrix (k, q).
        classes: (C, k), what logits read of a whitened one.
    """

    def __init__(self, law: Law) -> None:
        readout = law.readout
        self.law = law
        self._back = np.linalg.inv(law.left), np.linalg.inv(law.right)
        self._offset = readout.logits(law.centre)
        self.classes = readout.basis.T @ self._back[0]
        self._rows = readout.rows @ self._back[1].T
        self._pairs = Pairs(self._rows)
        self.shape = readout.shape

    def locate(self, likelihood: Likelihood, sweeps: int = 15) -> tuple[Doubles, Doubles]:
        """The likeliest whitened matrix (p,), by damped Gauss-Newton steps, and the curvature of
        the answers' log-likelihood there (p, p)."""
        marginal = self.law.marginal
        place = np.zeros(len(marginal))
        value, slope, curve = likelihood(self._logits(place))
        for _ in range(sweeps):
            curvature = self._curvature(curve)
            gradient = (self.classes.T @ slope.T @ self._rows).ravel() + marginal @ place
            step = solver(curvature + marginal)(gradient)
            before = value + place @ marginal @ place / 2
            length = 1.0
            while True:
                there = place - length * step
                value, slope, curve = likelihood(self._logits(there))
                gain = before - (value + there @ marginal @ there / 2)
                if gain >= 0 or length < 1e-3:
                    break
                length *= 0.4
            place = there
            if gain < 0.1:
                break
        return place, self._curvature(curve)

    def whitened(self, rows: Doubles) -> Doubles:
        """What the head reads (m, q), as it meets a whitened matrix."""
        return np.asarray(rows @ self._back[1].T)

    def matrix(self, place: Doubles) -> Doubles:
        """(k, q) of a whitened place (p,)."""
        left, right = self._back
        return np.asarray(left @ place.reshape(self.shape) @ right + self.law.centre)

    def evidence(self, place: Doubles, curvature: Doubles) -> tuple[Doubles, Doubles]:
        """What the answers tell of the members: precision (G, G), and its product with the best
        guess (G,), both of m - share; the matrix is integrated out."""
        law = self.law
        lost = solver(curvature + law.precision)(law.weighted.T)
        information = law.information - law.weighted @ lost
        return (
            (information + information.T) / 2,
            lost.T @ (curvature @ place + law.marginal @ place),
        )

    def _logits(self, place: Doubles) -> Doubles:
        moved = self._rows @ place.reshape(self.shape).T
        return np.asarray(self._offset + moved @ self.classes.T)

    def _curvature(self, curve: Doubles) -> Doubles:
        return self._pairs.sum(np.matmul(np.matmul(self.classes.T, curve), self.classes))


def log_odds(information: Doubles, pull: Doubles, prior: Prior) -> Doubles:
    """Log posterior odds of each unit's membership, given Gaussian evidence on all.

    Expectation propagation (Minka, UAI 2001) with a site for each unit: it weighs about 0 or about
    1, see ``_SPIKE`` and ``_SLAB``.

    Args:
        information: (G, G), precision of the evidence on m - share.
        pull: (G,), its product with the best guess.
        prior: of the members.

    Returns:
        (G,).
    """
    units = len(pull)
    precision = information + prior.ties
    shift = pull + precision @ np.full(units, prior.share)
    site = np.full(units, 1 / prior.variance)
    push = site * prior.share
    odds = np.zeros(units)
    start = np.log(prior.share / (1 - prior.share))
    for _ in range(_SWEEPS):
        total = precision.copy()
        total[np.diag_indices(units)] += site
        covariance = inverse(total)
        spread = np.diag(covariance)
        away = 1 / np.maximum(1 / spread - site, 1e-6)  # variance without the unit's own site
        place = away * (covariance @ (shift + push) / spread - push)
        zero, one = away + _SPIKE**2, away + _SLAB**2
        new = start + (np.log(zero / one) + place**2 / zero - (place - 1) ** 2 / one) / 2
        chance = 1 / (1 + np.exp(-np.clip(new, -30, 30)))
        at_zero, at_one = place * _SPIKE**2 / zero, (place * _SLAB**2 + away) / one
        mean = (1 - chance) * at_zero + chance * at_one
        second = (1 - chance) * (away * _SPIKE**2 / zero + at_zero**2)
        second += chance * (away * _SLAB**2 / one + at_one**2)
        variance = np.maximum(second - mean**2, 1e-9)
        change = float(np.abs(new - odds).max())
        odds = new
        if change < 1e-2:
            break
        site = 0.4 * site + 0.6 * np.maximum(1 / variance - 1 / away, 1e-8)
        push = 0.4 * push + 0.6 * (mean / variance - place / away)
    return np.asarray(odds)
