"""Which of some vectors are the windows: those from whose training the update comes.

Of a lattice many vectors could be windows, and other sets of them explain an update as well (their
differences are whole, too). But who knows the recipe can train on a set, as Dimitrov et al. (Data
leakage in federated averaging, TMLR 2022) simulate local steps: only the right one gives what was
seen. For a softmax layer that takes the windows' products alone, so thousands of sets are tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.softmax import with_one
from tinymia.experiments.gradients.lattice import Doubles, Whole

_SWEEPS = 8
_STARTS = 3
_RIGHT = 1e-3
"""A set whose training differs by less than this part of what was seen is the one."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """How a device trains, full batches.

    Attributes:
        head: (classes, d + 1), where it starts; weights of codes.
        scale: of a code.
        rate: learning rate over windows.
        steps: local steps.
        clip: norm of an example's gradient; 0: none.
    """

    head: Doubles
    scale: float
    rate: float
    steps: int
    clip: float = 0.0

    def residuals(self, logits: Doubles, products: Doubles, labels: NDArray[np.int64]) -> Doubles:
        """What each window adds, over all steps, times its input.

        Args:
            logits: (sets, k, classes) at the start.
            products: (sets, k, k) of inputs with their 1, in float32's units.
            labels: (sets, k).

        Returns:
            (sets, k, classes) float64.
        """
        told = np.eye(logits.shape[-1])[labels]
        norms = np.sqrt(np.diagonal(products, axis1=1, axis2=2))[..., None]
        sums, value = np.zeros_like(logits), logits
        for _ in range(self.steps):
            probs = np.exp(value - value.max(axis=-1, keepdims=True))
            pull = told - probs / probs.sum(axis=-1, keepdims=True)
            if self.clip:
                length = norms * np.linalg.norm(pull, axis=-1, keepdims=True)
                pull *= np.minimum(1.0, self.clip / np.maximum(length, 1e-300))
            sums += self.rate * pull
            value = value + self.rate * products @ pull
        return sums


@dataclass(frozen=True, eq=False)
class Sought:
    """Vectors, and what a set of them must give.

    Attributes:
        rows: (m, d), the likeliest first.
        coordinates: (m, k) of each, in a basis of k vectors.
        factors: (k, classes) of the basis: basis times these is the update.
        recipe: of the update.
    """

    rows: Whole
    coordinates: Doubles
    factors: Doubles
    recipe: Recipe

    @cached_property
    def _products(self) -> Doubles:
        read = self.rows * self.recipe.scale
        return np.asarray(read @ read.T + 1.0)

    @cached_property
    def _logits(self) -> Doubles:
        return np.asarray(with_one(self.rows) @ self.recipe.head.T)

    def costs(self, sets: NDArray[np.intp]) -> Doubles:
        """(sets,) of rows (sets, k): how far their training is from what was seen, as a part."""
        of = self.coordinates[sets].transpose(0, 2, 1)
        good = np.abs(np.linalg.det(of)) > 0.5
        found = np.full(len(sets), np.inf)
        if not good.any():
            return found
        some = sets[good]
        pulled = np.linalg.solve(of[good], np.repeat(self.factors[None], len(some), axis=0))
        products = self._products[some[:, :, None], some[:, None, :]]
        made = self.recipe.residuals(self._logits[some], products, pulled.argmax(axis=2))
        off = np.linalg.norm(made - pulled, axis=(1, 2))
        found[good] = off / np.maximum(np.linalg.norm(made, axis=(1, 2)), 1e-300)
        return found


def chosen(sought: Sought, count: int) -> NDArray[np.intp] | None:
    """Places of the set (count,) that fits best; None where there are not as many independent ones.

    One after the other is exchanged for the better, from the likeliest set on, and from others.
    """
    rng = np.random.default_rng(0)
    best: tuple[float, NDArray[np.intp]] | None = None
    for start in range(_STARTS):
        # Others: the likely ones first, more or less.
        order = np.arange(len(sought.rows)) + start * count * rng.exponential(0.5, len(sought.rows))
        at = _independent(sought.coordinates, np.argsort(order, kind="stable"), count)
        if at is None:
            return None
        cost = float(sought.costs(at[None])[0])
        for _ in range(_SWEEPS):
            before = cost
            for place in range(count):
                sets = np.repeat(at[None], len(sought.rows), axis=0)
                sets[:, place] = np.arange(len(sets))
                tried = sought.costs(sets)
                if tried.min() < cost:
                    cost, at = float(tried.min()), sets[int(tried.argmin())]
            if cost == before or cost < _RIGHT:
                break
        if best is None or cost < best[0]:
            best = cost, at
        if cost < _RIGHT:
            break
    return best and np.sort(best[1])


def _independent(
    coordinates: Doubles, order: NDArray[np.intp], count: int
) -> NDArray[np.intp] | None:
    """The first so many of an order that are independent."""
    left, found = coordinates.astype(np.float64).copy(), []
    for i in order:
        size = float(left[i] @ left[i])
        if size > 1e-6:
            found.append(i)
            along = left[i] / np.sqrt(size)
            left = left - np.outer(left @ along, along)
        if len(found) == count:
            return np.array(found, np.intp)
    return None
