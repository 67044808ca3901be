"""A claim's own trade-off curve, as deltas at many epsilons, and the test of it.

What an accountant says of a mechanism is more than one pair (epsilon, delta): it is a delta at
every epsilon. A test against all of them sees leaks that one pair would still allow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tinymia.statistics.epsilon.coins import loss_masses, whole_counts
from tinymia.statistics.epsilon.numeric import Floats, at_most


@dataclass(frozen=True, eq=False)
class Profile:
    """A claim at many epsilons: (epsilon[j], delta[j])-DP for all j, in either direction.

    Attributes:
        epsilon: (k,) float64, rising from 0.
        delta: (k,) float64 in [0, 1], not rising.
    """

    epsilon: Floats
    delta: Floats

    def __post_init__(self) -> None:
        e, d = self.epsilon, self.delta
        if e.shape != d.shape or e.ndim != 1 or len(e) < 2 or e[0] != 0 or (np.diff(e) <= 0).any():
            raise ValueError("epsilons must rise from 0, with a delta each")
        if not ((d >= 0) & (d <= 1)).all():
            raise ValueError("deltas must be in [0, 1]")

    def errors(self) -> tuple[Floats, Floats]:
        """How often the best guess is wrong among the losses that are largest.

        Between two epsilons delta falls linearly in exp(epsilon) at most, by the chance of a loss
        above them with the canary out. The chance of one with it in follows from delta.

        Returns:
            Rising chances that an absolute loss is above some level, the last one 1, and how often
            the guess on such a loss is wrong, not falling; (corners + 1,) each.
        """
        # Only what is above its own lower convex hull claims less than the rest.
        x, d = _lower_hull(np.exp(self.epsilon), self.delta)
        out = np.append(-np.diff(d) / np.diff(x), 0.0)
        inside = d + x * out
        mass = np.append((out + inside)[::-1], 1.0)
        # Losses of 0 tell nothing.
        wrong = np.append(out[::-1], out[0] + max(0.0, 1 - mass[-2]) / 2)
        share = np.divide(wrong, mass, out=np.zeros(len(mass)), where=mass > 0)
        return np.minimum(np.maximum.accumulate(mass), 1.0), np.maximum.accumulate(share)

    def power(self, fpr: ArrayLike) -> Floats:
        """The greatest true-positive rate of any attack on one example: 1 - f of f-DP.

        Every pair (epsilon, delta) bounds it (Dong, Roth and Su, JRSS B 2022, proposition 2.12);
        the least of all holds.

        Args:
            fpr: (...) false-positive rates in [0, 1].

        Returns:
            (...) float64, from ``fpr`` to 1.
        """
        rate = np.asarray(fpr, np.float64)[..., None]
        missed = np.maximum(
            1 - self.delta - np.exp(self.epsilon) * rate,
            np.exp(-self.epsilon) * (1 - self.delta - rate),
        )
        # A guess at random misses the rest.
        return np.asarray(1 - np.clip(missed.max(axis=-1), 0.0, 1 - rate[..., 0]), np.float64)

    @property
    def advantage(self) -> float:
        """The most by which a true-positive rate is above its false-positive rate."""
        tail = np.exp(-self.epsilon)
        return float(np.min((1 - tail + 2 * self.delta * tail) / (1 + tail)))


def claim_chance(
    profile: Profile, canaries: ArrayLike, guesses: ArrayLike, correct: ArrayLike
) -> Floats:
    """At most the chance of so many correct guesses if the claim holds: a p-value.

    By order statistics, see :func:`~tinymia.statistics.epsilon.coins.order_statistics`.

    Args:
        profile: the claim.
        canaries, guesses, correct: (...) whole numbers, as there.
    """
    m, k, c = whole_counts(canaries, guesses, correct)
    edges, weight, rest = loss_masses(m, k)
    mass, share = profile.errors()
    at = np.searchsorted(mass, edges, "right") - 1
    wrong = np.where(at >= 0, share[np.maximum(at, 0)], 0.0)
    few = at_most((k - c)[..., None], k[..., None], wrong)
    return np.asarray(np.minimum((weight * few).sum(axis=-1) + rest, 1.0), np.float64)


def _lower_hull(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Corners of the lower convex hull of points with rising x."""
    keep: list[int] = []
    for i in range(len(x)):
        while len(keep) > 1:
            a, b = keep[-2], keep[-1]
            if (y[b] - y[a]) * (x[i] - x[a]) < (y[i] - y[a]) * (x[b] - x[a]):
                break
            keep.pop()
        keep.append(i)
    return x[keep], y[keep]
