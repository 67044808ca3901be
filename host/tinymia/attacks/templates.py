"""Where members pull a network: gradients, and what fine-tuning makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np

from tinymia.attacks.heads import Doubles, Readout, softmax, spread_of
from tinymia.evidence import Run
from tinymia.evidence.types import Integers

REACH = (1.0, 10.0, 60.0, 300.0)
"""Lengths of training for which a head's templates are made, in units of its fastest direction."""
_POWERS = (0.5, 1.0, 1.5)


@dataclass(frozen=True)
class Habits:
    """What of a device's training step bends gradients; all 0: nothing.

    (RelaxLoss is not among it: it turns gradients round as the loss of each mini-batch says. It is
    taken for plain training that ends where the device did. Nor is what pruning and rounding do to
    the weights afterwards, which is noise to who has shadow devices.)

    Attributes:
        clip_norm, label_smoothing, l2, dropout, confidence_penalty, focal_loss, base_pull: as in
            ``TrainSettings``.
    """

    clip_norm: float = 0.0
    label_smoothing: float = 0.0
    l2: float = 0.0
    dropout: float = 0.0
    confidence_penalty: float = 0.0
    focal_loss: float = 0.0
    base_pull: float = 0.0

    @classmethod
    def of(cls, run: Run) -> Habits:
        """Of a run, for an adversary who knows its defences."""
        return cls(**{field.name: getattr(run.training, field.name) for field in fields(cls)})


class Templates(Protocol):
    """K directions for each of G units (groups of windows that are members together).

    A device that is trained on some units moves by about a combination, the same for all devices,
    of the sums of its units' directions.
    """

    count: int

    def moved(self, chosen: Doubles, time: Doubles | None) -> Doubles:
        """(K, s, p): sums of directions over units chosen (s, G); time (s,) stretches training."""
        ...

    def effects(self, weights: Doubles, time: float) -> Doubles:
        """(G, p): one direction for each unit, of K weights."""
        ...


def pulls(
    readout: Readout, features: Doubles, labels: Integers, matrix: Doubles, habits: Habits
) -> tuple[Doubles, Doubles]:
    """What each window pulls a head towards, and how the pull weakens as the head gives way.

    Args:
        readout: of the head; its matrix is (k, q).
        features: (n, d + 1) with 1 for the bias.
        labels: (n,).
        matrix: (k, q), where the head stands.
        habits: of the training step.

    Returns:
        Minus the gradient of each window's loss, (n, k q); the mean Hessian (k q, k q). Clipping
        scales both, dropout adds its penalty's curvature (Wager et al., NeurIPS 2013).
    """
    basis, rows = readout.basis, readout.rows
    k, q = readout.shape
    found = softmax(readout.logits(matrix))
    smooth = habits.label_smoothing
    wanted = (1 - smooth) * np.eye(basis.shape[1])[labels] + smooth / basis.shape[1]
    error = wanted - found
    spread = spread_of(found, basis)
    if habits.confidence_penalty > 0:
        reward, curve = _penalised(readout.logits(matrix), found, basis)
        error = error - habits.confidence_penalty * reward
        spread = spread + habits.confidence_penalty * curve
    if habits.focal_loss > 0:
        own = found[np.arange(len(labels)), labels]
        factor, slope = _focal(own, habits.focal_loss)
        aside = error @ basis.T
        outer = aside[:, :, None] * aside[:, None, :]
        spread = spread * factor[:, None, None] - outer * (slope * own)[:, None, None]
        error = error * factor[:, None]
    if habits.clip_norm > 0:
        norm = np.linalg.norm(error, axis=1) * np.linalg.norm(features, axis=1)
        kept = np.minimum(1.0, habits.clip_norm / np.maximum(norm, 1e-300))
        error, spread = error * kept[:, None], spread * kept[:, None, None]
    hessian = readout.pairs.sum(spread)
    if habits.dropout > 0 and readout.axes is not None:
        squares = features**2
        squares[:, -1] = 0.0  # the bias is not dropped
        noise = spread.reshape(len(rows), -1).T @ squares * (habits.dropout / (1 - habits.dropout))
        turned = np.matmul(noise[:, None, :] * readout.axes.T, readout.axes)
        hessian += turned.reshape(k, k, q, q).transpose(0, 2, 1, 3).reshape(k * q, k * q)
    hessian = hessian / len(rows) + (habits.l2 + habits.base_pull) * np.eye(k * q)
    return pull_of(readout, error), hessian


def pull_of(readout: Readout, slopes: Doubles) -> Doubles:
    """(n, k q): what pulls on logits, (n, C), pull a head to."""
    pull = (slopes @ readout.basis.T)[:, :, None] * readout.rows[:, None, :]
    return np.asarray(pull.reshape(len(slopes), -1))


def _penalised(logits: Doubles, found: Doubles, basis: Doubles) -> tuple[Doubles, Doubles]:
    """Gradient (n, C) and Hessian (n, k, k), in contrasts, of minus the entropy."""
    away = logits - (found * logits).sum(axis=1, keepdims=True)
    curve = -found[:, :, None] * found[:, None, :] * (away[:, :, None] + away[:, None, :] + 1)
    each = np.arange(found.shape[1])
    curve[:, each, each] += found * (away + 1)
    return found * away, np.asarray(basis @ curve @ basis.T)


def _focal(own: Doubles, gamma: float) -> tuple[Doubles, Doubles]:
    """What focal loss multiplies gradients by, and its slope in the class's probability ``own``."""
    rest, log = np.maximum(1 - own, 1e-12), np.log(np.maximum(own, 1e-300))
    factor = rest**gamma - gamma * own * log * rest ** (gamma - 1)
    slope = -gamma * rest ** (gamma - 1) * (2 + log)
    slope += gamma * (gamma - 1) * own * log * rest ** (gamma - 2)
    return factor, slope


def sums_by(units: Integers, values: Doubles) -> Doubles:
    """(G, ...): sums of values (n, ...) over the windows of each unit."""
    order = np.argsort(units, kind="stable")
    starts = np.searchsorted(units[order], np.arange(int(units.max()) + 1))
    return np.asarray(np.add.reduceat(values[order], starts, axis=0))


def filtered(time: Doubles | float, rates: Doubles) -> Doubles:
    """(1 - exp(-time rate)) / rate: what becomes of a steady pull against a restoring force."""
    exponent = np.asarray(time) * rates
    small = np.maximum(exponent, 1e-9)
    return np.asarray(np.asarray(time) * -np.expm1(-small) / small)


class HeadTemplates:
    """Gradients of a head's loss, filtered as gradient descent filters them.

    Near a mean trajectory, t units of gradient flow on a loss with Hessian H turn a member's pull g
    into H^-1 (1 - exp(-t H)) g: slow directions add it up, fast ones settle at Newton's step, which
    is what influence functions say (Koh and Liang, ICML 2017). Pulls at the base head and at the
    mean fine-tuned head, for several t, span what shadow devices then tell apart.

    Args:
        readout, features, labels, habits: see :func:`pulls`.
        units: (n,) 0 to G - 1.
        start, end: (k, q), the base head and the mean of fine-tuned ones.
        more: (n, C) each: what else members pull the logits to, of sizes that are not known.
    """

    def __init__(
        self,
        readout: Readout,
        features: Doubles,
        labels: Integers,
        units: Integers,
        start: Doubles,
        end: Doubles,
        habits: Habits,
        more: Sequence[Doubles] = (),
    ) -> None:
        first, one = pulls(readout, features, labels, start, habits)
        last, other = pulls(readout, features, labels, end, habits)
        rates, turn = np.linalg.eigh((one + other) / 2)
        self._rates = np.maximum(rates, 0.0)
        self._turn = turn
        others = [pull_of(readout, slopes) for slopes in more]
        self._pulls = [sums_by(units, pull) @ turn for pull in (first, last, *others)]
        self._times = [reach / max(self._rates[-1], 1e-300) for reach in REACH]
        self.count = len(self._pulls) * len(REACH)

    def moved(self, chosen: Doubles, time: Doubles | None) -> Doubles:
        """See :class:`Templates`."""
        out = []
        for pull in self._pulls:
            total = chosen @ pull if time is not None else pull
            for length in self._times:
                stretched = length if time is None else length * time[:, None]
                # Over the time, so that all templates are of one size.
                part = (total * (filtered(stretched, self._rates) / length)) @ self._turn.T
                out.append(part if time is not None else chosen @ part)
        return np.stack(out)

    def effects(self, weights: Doubles, time: float) -> Doubles:
        """See :class:`Templates`."""
        total = np.zeros_like(self._pulls[0])
        terms = iter(weights)
        for pull in self._pulls:
            gains = [
                next(terms) * filtered(length * time, self._rates) / length
                for length in self._times
            ]
            total += pull * np.sum(gains, axis=0)
        return np.asarray(total @ self._turn.T)


class KernelTemplates:
    """The same where the gradient is not known, for networks that are trained deep.

    What a window changes elsewhere is a kernel times its error (the neural tangent kernel's view).
    Shadow devices' answers vary by that kernel, so powers of their covariance stand in for it.

    Args:
        readout: of answers, see :meth:`Readout.of_answers`.
        matrices: (s, k, q) of the shadow devices.
        labels, units: (n,).
        base: (n, C), the base model's whole answers.
    """

    def __init__(
        self,
        readout: Readout,
        matrices: Doubles,
        labels: Integers,
        units: Integers,
        base: Doubles,
    ) -> None:
        spread = (matrices**2).mean(axis=(0, 1))
        spread /= spread.max()
        wanted = np.eye(readout.basis.shape[1])[labels]
        mean = softmax(readout.logits(np.zeros(readout.shape)))
        found = []
        for answers in (base, mean):
            error = (wanted - answers) @ readout.basis.T
            for power in _POWERS:
                pull = error[:, :, None] * (readout.rows * spread**power)[:, None, :]
                found.append(sums_by(units, pull.reshape(len(labels), -1)))
        self._effects = np.stack(found)
        self.count = len(found)

    def moved(self, chosen: Doubles, time: Doubles | None) -> Doubles:
        """See :class:`Templates`; time does not stretch these."""
        return np.asarray(chosen @ self._effects)

    def effects(self, weights: Doubles, time: float) -> Doubles:
        """See :class:`Templates`."""
        return np.asarray(np.tensordot(weights, self._effects, 1))
