"""Numerically safe signals of an answer, which attacks share."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinymia.evidence import (
    AnswerSettings,
    Candidates,
    OutputPolicy,
    Population,
    Shadows,
    Target,
)

_TINY = float(np.finfo(np.float32).tiny)
_Owner = Candidates | Population | Shadows | Target
_T = TypeVar("_T")
_MADE: weakref.WeakKeyDictionary[_Owner, dict[Hashable, object]] = weakref.WeakKeyDictionary()


def remembered(owner: _Owner, key: Hashable, make: Callable[[], _T]) -> _T:
    """What ``make`` returns, made once for an owner and a key and kept as long as the owner lives.

    Many attacks read the same signal of the same shadow devices. Two threads may both make it; they
    make the same.

    Args:
        owner: what it is made from; compared by identity.
        key: what else it depends on.
        make: makes it.
    """
    kept = _MADE.setdefault(owner, {})
    if key not in kept:
        kept[key] = make()
    return kept[key]  # type: ignore[return-value]


def least_probability(answer: AnswerSettings) -> float:
    """What stands for a probability that is given as 0.

    Rounded to 1/levels, a 0 may be anything up to half a step: the middle of that is a quarter of
    one. A top probability of 1 alone hides up to half of float32's last step, likewise. A whole
    answer gives small probabilities themselves.
    """
    if answer.policy is OutputPolicy.ROUNDED:
        return 0.25 / answer.levels
    some = OutputPolicy.TOP1, OutputPolicy.TOPK
    return float(2.0**-26) if answer.policy in some else _TINY


def rounding_variance(logits: NDArray[np.float64], answer: AnswerSettings) -> NDArray[np.float64]:
    """Variance of a logit that its answer's rounding alone makes, 0 if it is not rounded.

    The error of p is uniform over a step, and d logit / dp = 1 / (p (1 - p)).

    Args:
        logits: any shape.
        answer: how answers are given.
    """
    if answer.policy is not OutputPolicy.ROUNDED:
        return np.zeros_like(logits)
    p = probability(logits)
    slope = 1.0 / np.maximum(p * (1.0 - p), least_probability(answer))
    return np.asarray(slope**2 / (12.0 * answer.levels**2), dtype=np.float64)


def completed(probs: ArrayLike) -> NDArray[Any]:
    """Answers without gaps: what a policy hides shares evenly in what is left of 1.

    That is the answer of greatest entropy among those that fit, and it leaves the order of the
    classes that are shown as it is.

    Args:
        probs: (..., classes), NaN where hidden; under TOP1 all classes but one.

    Returns:
        (..., classes), the argument itself where nothing is hidden, else float64.
    """
    given = np.asarray(probs)
    hidden = np.isnan(given)
    if not hidden.any():
        return given
    known = np.where(hidden, 0.0, given.astype(np.float64))
    left = np.maximum(1.0 - known.sum(axis=-1), 0.0) / np.maximum(hidden.sum(axis=-1), 1)
    return np.where(hidden, left[..., None], known)


def split_true_class(
    probs: ArrayLike, labels: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probability of the true class and of everything else, normalised to sum to 1.

    In float32 a probability near 1 is a coarse number, while the small ones that complete it are
    exact to 7 digits; the rest is therefore their sum and not 1 - p. Rounded answers need not sum
    to 1, and may all be 0 (then nothing is known: uniform).

    Args:
        probs: (..., n, classes), 0 to 1; NaN is completed.
        labels: (n,) integer.

    Returns:
        p and rest, each (..., n) float64 with p + rest = 1.
    """
    p = np.array(completed(probs), dtype=np.float64)
    index = (..., np.arange(p.shape[-2]), np.asarray(labels))
    true = p[index]
    p[index] = 0.0
    rest = p.sum(axis=-1)
    total = true + rest
    if (empty := total <= 0).any():
        true, rest = np.where(empty, 1.0, true), np.where(empty, p.shape[-1] - 1.0, rest)
        total = true + rest
    return true / total, rest / total


def cross_entropy(
    probs: ArrayLike, labels: NDArray[np.integer[Any]], least: float = _TINY
) -> NDArray[np.float64]:
    """Cross-entropy loss in nats of each answer, finite for probabilities 0 and 1.

    Args:
        probs: (..., n, classes), 0 to 1.
        labels: (n,) integer.
        least: what stands for a true class of probability 0.

    Returns:
        (..., n) float64, from 0 to 87.4 (a true class at or below the smallest normal float32).
    """
    true, rest = split_true_class(probs, labels)
    return np.asarray(np.log1p(rest / np.maximum(true, least)), dtype=np.float64)


def logit_confidence(
    probs: ArrayLike, labels: NDArray[np.integer[Any]], least: float = _TINY
) -> NDArray[np.float64]:
    """log(p / (1 - p)) of the true class, finite (Carlini et al., IEEE S&P 2022, section V.A).

    Args:
        probs: (..., n, classes), 0 to 1.
        labels: (n,) integer.
        least: what stands for a probability of 0.

    Returns:
        (..., n) float64, within +-87.4.
    """
    true, rest = split_true_class(probs, labels)
    return np.asarray(np.log(np.maximum(true, least)) - np.log(np.maximum(rest, least)))


def probability(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability of the true class from its logit."""
    # By tanh, which cannot overflow.
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logits), dtype=np.float64)


def loss(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross-entropy in nats from the true class's logit: log(1 + exp(-logit))."""
    return np.asarray(np.logaddexp(0.0, -logits), dtype=np.float64)


def target_logits(target: Target, answer: AnswerSettings) -> NDArray[np.float64]:
    """Logits of the true class in a device's answers.

    Returns:
        (views, n) float64; view 0 is the window itself.
    """
    return _logits(target, target.known(answer), target.candidates.labels, answer)


def base_logits(candidates: Candidates, answer: AnswerSettings) -> NDArray[np.float64]:
    """The same of the base model's answers: (views, n) float64."""
    return _logits(candidates, candidates.base, candidates.labels, answer)


def shadow_logits(
    shadows: Shadows, candidates: Candidates, answer: AnswerSettings, views: int = 1
) -> NDArray[np.float64]:
    """The same of shadow devices, made once for all attacks.

    Args:
        shadows, candidates: of one run and person.
        answer: how the answers were given.
        views: the first so many.

    Returns:
        (views, shadows, n) float64.
    """
    return _logits(shadows, shadows.answers, candidates.labels, answer, views)


def _logits(
    owner: Target | Candidates | Shadows,
    answers: NDArray[np.float32],
    labels: NDArray[np.int64],
    answer: AnswerSettings,
    views: int | None = None,
) -> NDArray[np.float64]:
    """(views, ..., n) from answers (..., n, views, classes)."""

    def make() -> NDArray[np.float64]:
        by_view = np.moveaxis(answers[..., :views, :], -2, 0)
        return logit_confidence(by_view, labels, least_probability(answer))

    return remembered(owner, ("logits", answer, views, labels.tobytes()), make)


def right_answers(answers: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the most likely class is the true one, known under every policy.

    Args:
        answers: (..., n, views, classes); NaN where hidden.
        labels: (n,).

    Returns:
        (..., n) bool, of view 0.
    """
    shown = answers[..., 0, :]
    return np.asarray(np.nan_to_num(shown, nan=-1.0).argmax(axis=-1) == labels)


def share_below(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the other values that are smaller, ties counted half.

    Args:
        values: (n,).

    Returns:
        (n,) float64 from 0 to 1; 0.5 for a single value.
    """
    if len(values) < 2:
        return np.full(len(values), 0.5)
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, "left")
    upto = np.searchsorted(ordered, values, "right")
    return np.asarray((below + upto - 1) / (2.0 * (len(values) - 1)), dtype=np.float64)
