"""What shadow devices say of each window's logit: its mean and variance, seen and not seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.signals import remembered, rounding_variance, shadow_logits
from tinymia.evidence import AnswerSettings, Candidates, Shadows
from tinymia.evidence.types import Bools

_LEAST = 1e-4
"""Least variance of a window, as a part of all windows': shadows that never differ say nothing of
how much they could."""
_NOTHING = 1e-12


@dataclass(frozen=True)
class Moments:
    """Logits of the true class over the shadows of one side.

    Attributes:
        count: (n,) int64, shadows of that side.
        mean: (n,) float64; where there is none, made up, see :func:`moments`.
        squares: (n,) float64, sum of squared differences to the mean.
        least: (n,) float64, what rounding alone makes of a variance.
        pooled: variance within a window, of all windows together.
    """

    count: NDArray[np.int64]
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    least: NDArray[np.float64]
    pooled: float

    @property
    def variance(self) -> NDArray[np.float64]:
        """(n,) float64 per window, unbiased, or its least; the pooled one for fewer than two."""
        own = self.squares / np.maximum(self.count - 1, 1)
        chosen = np.where(self.count > 1, own, self.pooled)
        return np.asarray(
            np.maximum(chosen, np.maximum(self.least, _LEAST * self.pooled)), dtype=np.float64
        )


def moments(
    shadows: Shadows, candidates: Candidates, answer: AnswerSettings
) -> tuple[Moments, Moments]:
    """Of shadows that saw each window, and of those that did not; made once for all attacks.

    A window that no shadow saw is given the other side's mean and the mean difference between the
    sides, and likewise the other way round: its score is then finite, and says what all say.

    Args:
        shadows, candidates: of one run and person.
        answer: how the answers were given.
    """

    def make() -> tuple[Moments, Moments]:
        logits = shadow_logits(shadows, candidates, answer)[0]
        inside, outside = _side(logits, shadows.member), _side(logits, ~shadows.member)
        both = (inside.count > 0) & (outside.count > 0)
        shift = float((inside.mean - outside.mean)[both].mean()) if both.any() else 0.0
        seen, unseen = inside.count > 0, outside.count > 0
        means = (
            np.where(seen, inside.mean, outside.mean + shift),
            np.where(unseen, outside.mean, inside.mean - shift),
        )
        pooled = inside.pooled or outside.pooled, outside.pooled or inside.pooled
        first, second = (
            replace(
                side,
                mean=mean,
                least=rounding_variance(mean, answer),
                pooled=max(within, _NOTHING),
            )
            for side, mean, within in zip((inside, outside), means, pooled, strict=True)
        )
        return first, second

    return remembered(shadows, ("moments", answer, candidates.labels.tobytes()), make)


def _side(logits: NDArray[np.float64], chosen: Bools) -> Moments:
    count = chosen.sum(axis=0)
    mean = np.where(chosen, logits, 0.0).sum(axis=0) / np.maximum(count, 1)
    squares = (np.where(chosen, logits - mean, 0.0) ** 2).sum(axis=0)
    freedom = int(np.maximum(count - 1, 0).sum())
    pooled = float(squares.sum()) / freedom if freedom else 0.0
    return Moments(count, mean, squares, np.zeros_like(mean), pooled)
