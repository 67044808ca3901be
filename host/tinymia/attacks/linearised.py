"""The law of a head's fine-tuning from its recipe alone: no shadow devices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinymia.attacks.heads import Doubles, Readout, softmax
from tinymia.attacks.response import Law, Prior
from tinymia.attacks.symmetric import inverse
from tinymia.attacks.templates import Habits, filtered, pulls, sums_by
from tinymia.evidence import Run
from tinymia.evidence.types import Integers

SHARE = 0.2
"""Share of the candidates that is taken to be members, where nothing tells it."""
_LENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Lengths of training that are tried, in units of the reciprocal curvature of a unit loss."""
_GAINS = np.geomspace(0.25, 4.0, 9)
_NOISES = np.geomspace(0.3, 300.0, 13)
_EVEN = 0.01


@dataclass(frozen=True, eq=False)
class _Forces:
    """What acts on a head, in the eigenbasis of its mean Hessian.

    Attributes:
        rates, turn: eigenvalues and eigenvectors.
        units: (G, p), pulls of the units.
        jitter: (p, p), covariance of one example's pull about the mean.
        free: (r, p), orthonormal: directions in which all heads may have moved alike.
        moved: (p,), where the head went.
    """

    rates: Doubles
    turn: Doubles
    units: Doubles
    jitter: Doubles
    free: Doubles
    moved: Doubles


class Linearised:
    """Laws of fine-tuned heads by first principles.

    SGD of rate r and batch b on a loss with Hessian H turns a member's pull g, after gradient flow
    for a time t, into H^-1 (1 - exp(-t H)) g, and the scatter C of single pulls into noise of
    covariance r/b times the integral of exp(-u H) C exp(-u H) over u up to t (Mandt, Hoffman and
    Blei, JMLR 18, 2017, section 3). H and g are means of those at the base head and at the attacked
    one. The time, the size of the pulls and that of the noise, which takes up what linearisation
    misses, are those under which the head that was found is likeliest, whoever the members are.

    Args:
        readout: of the head.
        features: (n, d + 1) with 1 for the bias.
        labels, units: (n,).
        start: (k, q), the base head.
        run: the recipe.
    """

    def __init__(
        self,
        readout: Readout,
        features: Doubles,
        labels: Integers,
        units: Integers,
        start: Doubles,
        run: Run,
    ) -> None:
        self.readout = readout
        self._features, self._labels, self._units = features, labels, units
        self._start, self._training = start, run.training
        self._habits = Habits.of(run)
        self._first = pulls(readout, features, labels, start, self._habits)
        self.prior = Prior.independent(int(units.max()) + 1, SHARE)

    def at(self, matrix: Doubles | None) -> Law:
        """The law of devices like this one; None: of whichever, vaguely."""
        if matrix is None:
            forces = self._forces(self._start)
            return self._law(forces, 10.0, 1.0, 10.0)
        forces = self._forces(matrix)
        time = self._tuned(forces, _LENGTHS, whole=False)[0]
        return self._law(forces, *self._tuned(forces, (time,), whole=True))

    def _forces(self, matrix: Doubles) -> _Forces:
        k, q = self.readout.shape
        first, one = self._first
        last, other = pulls(self.readout, self._features, self._labels, matrix, self._habits)
        rates, turn = np.linalg.eigh((one + other) / 2)
        rates = np.maximum(rates, 0.0)
        pull = (first + last) / 2
        scatter = (pull - pull.mean(axis=0)) @ turn
        jitter = scatter.T @ scatter / len(pull)
        training = self._training
        if training.dropout > 0 and self.readout.axes is not None:
            jitter += turn.T @ self._masks(matrix).reshape(k * q, k * q) @ turn
        if training.is_private:
            noise = training.noise_multiplier * training.clip_norm
            jitter[np.diag_indices_from(jitter)] += noise**2 / training.batch
        base = self._start.ravel() @ turn
        drifts = [base, *(base * filtered(t, rates) / t for t in (3.0, 30.0))]
        stacked = np.stack([drift / max(np.linalg.norm(drift), 1e-300) for drift in drifts])
        _, size, free = np.linalg.svd(stacked, full_matrices=False)
        moved = (matrix - self._start).ravel() @ turn
        return _Forces(
            rates,
            turn,
            sums_by(self._units, pull) @ turn,
            jitter,
            free[size > 1e-3 * max(size[0], 1e-300)],
            moved,
        )

    def _masks(self, matrix: Doubles) -> Doubles:
        """(k, q, k, q): scatter of pulls by dropping inputs, which scales those that stay."""
        readout, count = self.readout, len(self._labels)
        wanted = np.eye(readout.basis.shape[1])[self._labels]
        means = [softmax(readout.logits(at)) for at in (self._start, matrix)]
        error = (wanted - sum(means) / 2) @ readout.basis.T
        squares = self._features**2
        squares[:, -1] = 0.0
        blocks = (error[:, :, None] * error[:, None, :]).reshape(count, -1)
        share = self._training.dropout / (1 - self._training.dropout)
        noise = blocks.T @ squares * (share / count)
        assert readout.axes is not None
        turned = np.matmul(noise[:, None, :] * readout.axes.T, readout.axes)
        k, q = readout.shape
        return np.asarray(turned.reshape(k, k, q, q).transpose(0, 2, 1, 3))

    def _noise(self, forces: _Forces, time: float, whole: bool) -> Doubles:
        """Precision of the noise: (p, p), or its diagonal's (p,) as if there were no more."""
        factor = self._training.learning_rate / self._training.batch
        if not whole:
            noise = factor * np.diag(forces.jitter) * filtered(time, 2 * forces.rates)
            return np.asarray(1 / (noise + _EVEN * noise.mean() + 1e-300))
        both = forces.rates[:, None] + forces.rates
        noise = factor * forces.jitter * filtered(time, both)
        level = _EVEN * np.trace(noise) / len(noise) + 1e-300
        return inverse(noise + level * np.eye(len(noise)))

    def _effects(self, forces: _Forces, time: float) -> Doubles:
        return forces.units * (filtered(time, forces.rates) / (SHARE * len(self._labels)))

    def _tuned(
        self, forces: _Forces, times: tuple[float, ...], whole: bool
    ) -> tuple[float, float, float]:
        """The time, the gain of the effects and the size of the noise with the most evidence."""
        share, variance = self.prior.share, self.prior.variance
        best, found = -np.inf, (times[0], 1.0, 1.0)
        gain, noise = _GAINS[:, None], _NOISES
        for time in times:
            effects = self._effects(forces, time)
            precision = self._noise(forces, time, whole)
            free, moved = forces.free, forces.moved
            if whole:
                seen, freed, here = effects @ precision, free @ precision, precision @ moved
                size = 0.0
            else:
                seen, freed, here = effects * precision, free * precision, precision * moved
                size = float(np.log(precision).sum())
            inner = np.linalg.inv(freed @ free.T)
            across, aside = seen @ free.T, freed @ moved
            information = seen @ effects.T - across @ inner @ across.T
            pull = seen @ moved - across @ (inner @ aside)
            total = float(moved @ here - aside @ inner @ aside)
            curve, turn = np.linalg.eigh((information + information.T) / 2)
            curve = np.maximum(curve, 0.0)
            push, even = turn.T @ pull, turn.T @ np.full(len(pull), share)
            # log N(moved; gain * effects' share, gain^2 variance effects' effects + noise), whose
            # determinants and inverses are those of the units' eigenvalues.
            ratio = gain**2 * variance / noise
            spread = ratio[..., None] * curve
            rest = gain[..., None] * push - (gain**2)[..., None] * (curve * even)
            square = total - 2 * gain * (push @ even) + gain**2 * (curve @ even**2)
            square = square - (rest**2 * variance / noise[:, None] / (1 + spread)).sum(axis=-1)
            freedom = len(moved) - len(free)
            evidence = (
                -(square / noise + np.log1p(spread).sum(axis=-1) + freedom * np.log(noise) - size)
                / 2
            )
            at = np.unravel_index(int(evidence.argmax()), evidence.shape)
            if evidence[at] > best:
                best = float(evidence[at])
                found = time, float(_GAINS[at[0]]), float(_NOISES[at[1]])
        return found

    def _law(self, forces: _Forces, time: float, gain: float, noise: float) -> Law:
        k, q = self.readout.shape
        effects = gain * self._effects(forces, time)
        precision = self._noise(forces, time, True) / noise
        freed = forces.free @ precision
        precision -= freed.T @ np.linalg.solve(
            freed @ forces.free.T + 1e-9 * np.trace(precision) / k / q * np.eye(len(freed)), freed
        )
        turn = forces.turn
        effects = effects @ turn.T
        mean = self._start + (self.prior.share * effects.sum(axis=0)).reshape(k, q)
        return Law(
            self.readout,
            mean,
            np.eye(k),
            np.eye(q),
            effects,
            turn @ precision @ turn.T,
            self.prior,
        )
