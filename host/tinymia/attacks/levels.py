"""A device's matrix from places where combinations of its logits are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.heads import Doubles
from tinymia.attacks.posterior import Locator
from tinymia.attacks.symmetric import solver
from tinymia.evidence.types import Integers

_SWEEPS = 12


@dataclass(frozen=True, eq=False)
class Levels:
    """Places where a class's logit is at a level above those of others, of which the logarithm of
    summed exponentials is taken.

    Attributes:
        rows: (m, q), what the head reads there, on the readout's axes.
        one: (m,), the class.
        others: (m, C) bool, those that it is held against.
        level: (m,).
        temperature: that logits are divided by before all that.
    """

    rows: Doubles
    one: Integers
    others: NDArray[np.bool_]
    level: Doubles
    temperature: float

    def gap(self, logits: Doubles) -> tuple[Doubles, Doubles]:
        """How far logits (m, C) are above their levels, times the temperature (m,), and how that
        changes with them (m, C)."""
        at = np.arange(len(logits))
        against = np.where(self.others, logits / self.temperature, -np.inf)
        top = against.max(axis=1, keepdims=True, initial=-1e300)
        powers = np.exp(against - top)
        total = powers.sum(axis=1, keepdims=True)
        slope = -powers / total
        slope[at, self.one] += 1.0
        behind = self.temperature * (top + np.log(total))[:, 0]
        return logits[at, self.one] - behind - self.temperature * self.level, slope


def on_levels(locator: Locator, levels: Levels, spread: Doubles) -> tuple[Doubles, Doubles]:
    """As :meth:`Locator.locate`, from places at which combinations of logits are known.

    Args:
        locator: of the device's matrix.
        levels: the places, and what is known there.
        spread: (m,), of what is known.
    """
    marginal = locator.law.marginal
    places = locator.whitened(levels.rows)
    offset = levels.rows @ (locator.law.readout.basis.T @ locator.law.centre).T
    place = np.zeros(len(marginal))
    linear = levels.others.sum(axis=1).max(initial=0) <= 1
    for _ in range(1 if linear else _SWEEPS):
        moved = places @ place.reshape(locator.shape).T @ locator.classes.T
        gap, slope = levels.gap(np.asarray(offset + moved, np.float64))
        classes = slope @ locator.classes
        equations = (classes[:, :, None] * places[:, None, :]).reshape(len(places), len(marginal))
        # Where every window is answered alike there is none.
        equations /= spread[:, None]
        curvature = equations.T @ equations
        wanted = equations @ place - gap / spread
        pull = np.asarray(equations.T @ wanted, np.float64)
        before, place = place, solver(curvature + marginal)(pull)
        if np.abs(place - before).max(initial=0.0) < 1e-3:
            break
    return place, curvature
