"""How a fine-tuned network answers to who its members are: a linear model, learnt from shadows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinymia.attacks.heads import Doubles, Readout
from tinymia.attacks.matrix_normal import applied, shrinkage, whiteners
from tinymia.attacks.symmetric import inverse, is_definite
from tinymia.attacks.templates import Templates
from tinymia.evidence.types import Bools, Integers

_STRETCHES = (1.0, 1.4)
"""Powers of a device's distance from the base that may stand for the length of its training."""
_UNEQUAL = 0.2
"""Spread of log distances above which devices have trained for unequal times."""
_RIDGES = np.logspace(-3, 4, 22)
_CLEAREST = 1e5
"""A member moves a device by so many deviations of what else does, at most: weights are float32,
whose rounding is more, and beyond it sums of both are rounding themselves."""
_FITTED = 256
"""Shadow devices that the few weights of the templates are fitted on."""


@dataclass(frozen=True, eq=False)
class Prior:
    """What an adversary believes of G units before seeing a device.

    Attributes:
        share: chance of each to be a member.
        ties: (G, G): what is known beyond it, as precision: members of a class are about equally
            many on every device.
    """

    share: float
    ties: Doubles

    @property
    def variance(self) -> float:
        """Of one unit's membership."""
        return self.share * (1 - self.share)

    @property
    def log_odds(self) -> float:
        """Of one unit's membership."""
        return float(np.log(self.share) - np.log1p(-self.share))

    @property
    def precision(self) -> Doubles:
        """(G, G), of all units' memberships as if they were normally distributed."""
        return np.asarray(self.ties + np.eye(len(self.ties)) / self.variance)

    @classmethod
    def learnt(cls, member: Bools, labels: Integers) -> Prior:
        """From shadow devices' members.

        Args:
            member: (s, G).
            labels: (G,), the class of each unit.
        """
        centred = member - member.mean(axis=0)
        variance = float((centred**2).mean())
        covariance = centred.T @ centred / len(member)
        itself = np.eye(len(labels), dtype=bool)
        same = (labels[:, None] == labels) & ~itself
        other = ~same & ~itself
        pooled = np.where(itself, variance, 0.0)
        for pairs in (same, other):
            if pairs.any():
                pooled[pairs] = covariance[pairs].mean()
        size, turn = np.linalg.eigh(pooled)
        # An eigenvalue of 0 would be a certainty that a finite number of shadows cannot give.
        tighter = np.maximum(1 / np.maximum(size, 0.02 * variance) - 1 / variance, 0.0)
        return cls(float(np.clip(member.mean(), 1e-3, 1 - 1e-3)), (turn * tighter) @ turn.T)

    @classmethod
    def independent(cls, units: int, share: float) -> Prior:
        """Of units that are members independently."""
        return cls(float(np.clip(share, 1e-3, 1 - 1e-3)), np.zeros((units, units)))


@dataclass(frozen=True, eq=False)
class Law:
    """A device's matrix, given its members: ``whiten(matrix) = (m - share) @ effects + noise``.

    Attributes:
        readout: how answers follow from the matrix.
        centre: (k, q), the mean matrix.
        left, right: (k, k) and (q, q): ``whiten`` is left @ (matrix - centre) @ right, flat.
        effects: (G, p), p = k q.
        precision: (p, p), of the noise.
        prior: of the members.
    """

    readout: Readout
    centre: Doubles
    left: Doubles
    right: Doubles
    effects: Doubles
    precision: Doubles
    prior: Prior

    def whiten(self, matrix: Doubles) -> Doubles:
        """(p,) of a matrix (k, q)."""
        return np.asarray((self.left @ (matrix - self.centre) @ self.right).ravel())

    @cached_property
    def weighted(self) -> Doubles:
        """(G, p): effects by precision."""
        return np.asarray(self.effects @ self.precision)

    @cached_property
    def information(self) -> Doubles:
        """(G, G): what a whole matrix tells of the members, as precision."""
        found = self.weighted @ self.effects.T
        return np.asarray((found + found.T) / 2)

    @cached_property
    def marginal(self) -> Doubles:
        """(p, p): precision of the whitened matrix where the members are not known."""
        inner = inverse(self.information + self.prior.precision)
        found = np.asarray(self.precision - self.weighted.T @ inner @ self.weighted)
        if is_definite(found):
            return found
        # Members explain so much that the difference is rounding: a sum of covariances is not.
        members = inverse(self.prior.precision)
        return inverse(inverse(self.precision) + self.effects.T @ members @ self.effects)


class Response:
    """The law of a run's devices, from shadow devices.

    A device's matrix is modelled as a mean, plus a direction for each member unit, plus noise. The
    directions are a few weights, fitted by least squares, of templates of how gradient descent
    moves (:mod:`tinymia.attacks.templates`), plus a ridge regression of what those leave. The
    noise is matrix-variate normal, shrunk towards that from the remainders' own covariance.
    Where devices train for unequal times (early stopping), the distance from the base tells how
    long, and stretches templates, mean and noise.

    Args:
        readout: of the matrices.
        templates: of the units.
        matrices: (s, k, q), s >= 2.
        member: (s, G) bool.
        start: (k, q), the base model.
        prior: of the members.

    Attributes:
        readout, prior: as given.
    """

    def __init__(
        self,
        readout: Readout,
        templates: Templates,
        matrices: Doubles,
        member: Bools,
        start: Doubles,
        prior: Prior,
    ) -> None:
        self.readout = readout
        self._templates = templates
        self._start, self.prior = start, prior
        count = len(matrices)
        chosen = np.asarray(member - prior.share, np.float64)
        self._mean = matrices.mean(axis=0)
        distance = _log_distance(matrices, start)
        self._typical = float(distance.mean())
        distance -= self._typical
        self._range = float(distance.min()), float(distance.max())
        flat = (matrices - self._mean).reshape(count, -1)
        left, right = whiteners(matrices - self._mean)
        self._choose_weights(flat, chosen, distance, left, right)
        moved = templates.moved(chosen, self._time(distance))
        flat = flat - np.tensordot(self._weights, moved, 1)
        self._drift = np.linalg.lstsq(self._trend(distance), flat, rcond=None)[0]
        flat -= self._trend(distance) @ self._drift
        self._finish(flat, chosen, distance)

    @property
    def timed(self) -> bool:
        """Whether devices have trained for unequal times."""
        return self._stretch > 0

    def at(self, matrix: Doubles | None) -> Law:
        """The law of devices that trained for as long as this one (None: as long as most)."""
        if not self.timed or matrix is None:
            return self._usual
        distance = float(_log_distance(matrix[None], self._start)[0]) - self._typical
        return self._law(float(np.clip(distance, *self._range)))

    def effects(self, time: float) -> Doubles:
        """(G, p), whitened: those of the templates alone, for another length of training."""
        k, q = self._mean.shape
        found = self._templates.effects(self._weights, time)
        return applied(self._left, self._right, found.reshape(-1, k, q))

    def directions(self, classes: Doubles) -> Doubles:
        """(r, p), orthonormal and whitened: where sets of units pull together, and the base.

        A quarter of all directions at most, those that most of these have in common.

        Args:
            classes: (c, G), 1 for the units of each set.
        """
        k, q = self._mean.shape
        moved = self._templates.moved(classes, None).reshape(-1, k, q)
        alike = np.concatenate([moved, (self._mean - self._start)[None], self._start[None]])
        found = applied(self._left, self._right, alike)
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-300)
        _, size, axes = np.linalg.svd(found, full_matrices=False)
        return np.asarray(axes[size > 1e-3 * size[0]][: max(1, axes.shape[1] // 4)])

    def _choose_weights(
        self,
        flat: Doubles,
        chosen: Doubles,
        distance: Doubles,
        left: Doubles,
        right: Doubles,
    ) -> None:
        """Weights of the templates by least squares, and the stretch that leaves least."""
        some = slice(_FITTED)
        shape = (-1, *self._mean.shape)
        chosen, distance, target = chosen[some], distance[some], flat[some]
        options = (0.0, *_STRETCHES) if distance.std() > _UNEQUAL else (0.0,)
        best = np.inf
        for stretch in options:
            self._stretch = stretch
            trend, _ = np.linalg.qr(self._trend(distance))
            moved = self._templates.moved(chosen, self._time(distance))
            moved = moved - trend @ (trend.T @ moved)
            centred = target - trend @ (trend.T @ target)
            metric = left, right
            # The second time in the metric of what the first one left.
            for _ in range(2):
                seen = applied(*metric, moved.reshape(-1, *shape[1:])).reshape(len(moved), -1)
                wanted = applied(*metric, centred.reshape(shape)).ravel()
                weights = _least_squares(seen, wanted)
                rest = (centred - np.tensordot(weights, moved, 1)).reshape(shape)
                metric = _sharper(*metric, rest)
            left_over = float((applied(left, right, rest) ** 2).sum())
            if left_over < best:
                best, chosen_stretch, self._weights = left_over, stretch, weights
                self._left, self._right = metric
        self._stretch = chosen_stretch

    def _finish(self, flat: Doubles, chosen: Doubles, distance: Doubles) -> None:
        """Effects beyond the templates, and the noise."""
        k, q = self._mean.shape
        rest = applied(self._left, self._right, flat.reshape(-1, k, q))
        self._more: Doubles = np.zeros((chosen.shape[1], rest.shape[1]))
        self._growth = np.zeros(3)
        if self.timed:
            self._growth = np.polyfit(distance, np.log((rest**2).mean(axis=1) + 1e-300), 2)
        else:
            self._more, rest = forward_ridge(chosen - chosen.mean(axis=0), rest)
        rest = rest / self._scale(distance)[:, None]
        rest -= rest.mean(axis=0)
        left, right = whiteners(rest.reshape(-1, k, q))
        rest = applied(left, right, rest.reshape(-1, k, q))
        self._more = applied(left, right, self._more.reshape(-1, k, q))
        self._left, self._right = left @ self._left, self._right @ right
        # The regression is about the shadow devices' own mean, which need not be the prior's.
        self._aside = -(chosen.mean(axis=0) @ self._more).reshape(k, q)
        even = shrinkage(rest)
        noise = rest.T @ rest * ((1 - even) / len(rest))
        noise[np.diag_indices_from(noise)] += even * float((rest**2).mean()) + 1e-12
        clearest = float(np.linalg.norm(self.effects(1.0) + self._more, axis=1).max())
        noise[np.diag_indices_from(noise)] += max(0.0, (clearest / _CLEAREST) ** 2 - 1)
        self._precision = inverse(noise)
        self._usual = self._law(0.0)

    def _law(self, distance: float) -> Law:
        at = np.array([distance])
        time = float(np.exp(self._stretch * distance))
        scale = float(self._scale(at)[0])
        centre = self._mean + (self._trend(at) @ self._drift).reshape(self._mean.shape)
        centre += np.linalg.solve(self._left, self._aside) @ np.linalg.inv(self._right)
        effects = self._templates.effects(self._weights, time)
        effects = applied(self._left, self._right, effects.reshape(-1, *self._mean.shape))
        return Law(
            self.readout,
            centre,
            self._left / scale,
            self._right,
            (effects + self._more) / scale,
            self._precision,
            self.prior,
        )

    def _time(self, distance: Doubles) -> Doubles | None:
        return np.exp(self._stretch * distance) if self.timed else None

    def _trend(self, distance: Doubles) -> Doubles:
        """(s, 1 or 4): what the mean depends on."""
        return np.asarray(np.vander(distance, 4 if self.timed else 1, increasing=True))

    def _scale(self, distance: Doubles) -> Doubles:
        return np.asarray(np.exp(np.polyval(self._growth, distance) / 2))


def forward_ridge(chosen: Doubles, rest: Doubles) -> tuple[Doubles, Doubles]:
    """Ridge regression of what is left on the members.

    The strength minimises the error of leave-one-out predictions, in closed form; the remainders
    are those of these predictions, so that no row knows itself.

    Args:
        chosen: (s, G), mean 0.
        rest: (s, p), mean 0.

    Returns:
        Coefficients (G, p), remainders (s, p).
    """
    axes, size, turn = np.linalg.svd(chosen, full_matrices=False)
    held = size > max(1e-9 * size[0], 1e-12)
    if not held.any():  # all devices have the same members
        return np.zeros((chosen.shape[1], rest.shape[1])), rest
    axes, size, turn = axes[:, held], size[held], turn[held]
    seen = axes.T @ rest
    # Each row's squared error for any strength, from inner products alone.
    own = (rest**2).sum(axis=1)
    cross, inner = axes * (rest @ seen.T), seen @ seen.T
    best, kept, leverage = np.inf, size, own
    for strength in size[0] ** 2 * _RIDGES:
        share = size**2 / (size**2 + strength)
        part = axes * share
        error = own - 2 * (cross @ share) + np.einsum("si,si->s", part @ inner, part)
        left = np.minimum((axes**2) @ share + 1 / len(rest), 1 - 1e-6)
        score = float((error / (1 - left) ** 2).sum())
        if score < best:
            best, kept, leverage = score, share, left
    remainders = (rest - axes @ (kept[:, None] * seen)) / (1 - leverage)[:, None]
    return turn.T @ ((kept / size)[:, None] * seen), remainders


def _sharper(left: Doubles, right: Doubles, rest: Doubles) -> tuple[Doubles, Doubles]:
    """Whiteners of what is left, from where others have brought it: they converge sooner so."""
    seen = applied(left, right, rest).reshape(rest.shape)
    more, finer = whiteners(seen)
    return more @ left, right @ finer


def _log_distance(matrices: Doubles, start: Doubles) -> Doubles:
    moved = (matrices - start).reshape(len(matrices), -1)
    return np.asarray(np.log(np.linalg.norm(moved, axis=1) + 1e-30))


def _least_squares(seen: Doubles, wanted: Doubles) -> Doubles:
    """Weights (K,) of rows seen (K, N); templates may be nearly alike, so a little ridge."""
    inner = seen @ seen.T
    size = np.sqrt(np.maximum(np.diag(inner), 1e-300))
    scaled = inner / size / size[:, None] + 1e-5 * np.eye(len(inner))
    return np.asarray(np.linalg.solve(scaled, seen @ wanted / size) / size)
