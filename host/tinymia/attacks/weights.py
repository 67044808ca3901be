"""Attacks that read the trained weights out of the device's flash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.joint import Joint, bits_of
from tinymia.attacks.softmax import (
    Floats,
    curvature,
    early_stopping,
    head_of,
    probabilities,
    read_by_head,
    residuals,
)
from tinymia.evidence import Candidates, Lab, Reveals, Run, Scorer, Scores, Target

_DAMPING = 1e-2
"""Ridge of the templates' covariance, as a part of its mean eigenvalue: the best of 0.001, 0.01,
0.1 and 1 on plain fine-tuning of the default study, so that its figure there is a little too good;
no verdict is given by it."""


@dataclass(frozen=True)
class GradientNorm:
    """A window whose loss has a small gradient at the trained weights is a member.

    The gradient is (p - y) x', so its norm is that of the residual times that of what the head
    reads.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        name="gradient-norm",
        title="Norm of the loss's gradient",
        reference="Nasr, Shokri and Houmansadr, IEEE S&P 2019",
        adversary=Adversary.FLASH,
        needs=Reveals.LABEL,
        weights=True,
        head_only=True,
    )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``; nothing is asked of the lab but the candidates."""
        candidates = lab.candidates(run, person)
        read = read_by_head(candidates)
        length = np.sqrt((read**2).sum(axis=1))

        def score(target: Target) -> Scores:
            left = residuals(probabilities(_trained(target), read), candidates.labels)
            return np.asarray(-np.sqrt((left**2).sum(axis=1)) * length, dtype=np.float64)

        return score


@dataclass(frozen=True)
class GradientTemplates:
    """The update theta - theta0, matched with what each group's gradients would have added.

    A group's template is the sum of its windows' negative gradients at the public head. The other
    groups' templates are noise of covariance C, and the matched filter for a template t in such
    noise is t' C^-1 (theta - theta0); it is given in units of its own noise, sqrt(t' C^-1 t). C is
    the templates' second moment. No shadow devices are needed.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        name="gradient-templates",
        title="Update matched with gradients at the public head",
        reference="this project; matched filter in coloured noise (Turin, 1960)",
        adversary=Adversary.FLASH,
        needs=Reveals.LABEL,
        weights=True,
        head_only=True,
        calibrated=True,
    )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``; nothing is asked of the lab but the candidates."""
        candidates = lab.candidates(run, person)
        base = _public(candidates)
        bit = bits_of(candidates)
        templates = np.zeros((int(bit.max()) + 1, base.size))
        np.add.at(templates, bit, -_gradients(base, candidates))
        second = templates.T @ templates / len(templates)
        ridge = _DAMPING * max(float(np.trace(second)) / len(second), 1e-12)
        filters = np.linalg.solve(second + ridge * np.eye(len(second)), templates.T)
        noise = np.sqrt(np.maximum((templates * filters.T).sum(axis=1), 1e-12))

        def score(target: Target) -> Scores:
            update = (_trained(target) - base).ravel()
            return np.asarray((update @ filters / noise)[bit], dtype=np.float64)

        return score


@dataclass(frozen=True)
class InverseHessian:
    """The inverse Hessian attack (theorem on stochastic gradient descent's stationary state).

    With g the window's gradient at the trained weights, L0 the other candidates' mean loss and H
    its Hessian, the log-likelihood ratio is, up to a common factor,
    loss - (|H^-1 g|^2 / n + 2 (H^-1 grad L0)' (H^-1 g)) / rate, without momentum or weight decay.
    Neither L0 nor H contains the window's group: the authors' code keeps the candidate in H, which
    tells it apart by construction. Who the other members are is not known here, so that all other
    candidates stand for them. The damping of H is that of early stopping, see
    :func:`early_stopping`.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        name="iha",
        title="Inverse Hessian attack",
        reference="Suri, Zhang and Evans, TMLR 2024 (arXiv 2406.11544)",
        adversary=Adversary.FLASH,
        needs=Reveals.LABEL,
        weights=True,
        head_only=True,
        limits="It takes training for run to its stationary state, which fine-tuning is not; all "
        "other candidates stand for the members.",
    )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``; nothing is asked of the lab but the candidates."""
        candidates = lab.candidates(run, person)
        read = read_by_head(candidates)
        damping = early_stopping(run, len(candidates))
        rate = max(run.training.learning_rate, 1e-12)

        def score(target: Target) -> Scores:
            probs = probabilities(_trained(target), read)
            return inverse_hessian(probs, read, candidates, damping, rate)

        return score


def inverse_hessian(
    probs: Floats, read: Floats, candidates: Candidates, damping: float, rate: float
) -> Scores:
    """Scores of :class:`InverseHessian`.

    Args:
        probs: (n, classes), of the trained head.
        read: (n, d + 1), features and a 1.
        candidates: their labels and groups.
        damping: added to the Hessian's diagonal.
        rate: learning rate.

    Returns:
        (n,) float64.
    """
    count = len(probs)
    errors = residuals(probs, candidates.labels)
    total = (errors.T @ read).ravel()
    curved = curvature(probs, read, damping)
    true = probs[np.arange(count), candidates.labels]
    scores = -np.log(np.maximum(true, np.finfo(np.float64).tiny))
    every, all_of_them = curved.times(errors), curved.inverse @ total
    for group in np.unique(candidates.group):
        chosen = np.flatnonzero(candidates.group == group)
        own = every[:, chosen]
        others = (all_of_them - own.sum(axis=1)) / count
        solved = curved.without(chosen, np.column_stack([own, others]))
        reach, drift = solved[:, :-1], solved[:, -1]
        scores[chosen] -= ((reach**2).sum(axis=0) / count + 2.0 * (drift @ reach)) / rate
    return np.asarray(scores, dtype=np.float64)


def _gradients(head: Floats, candidates: Candidates) -> Floats:
    """(n, classes * (d + 1)): of the loss, at a head."""
    read = read_by_head(candidates)
    return _outer(residuals(probabilities(head, read), candidates.labels), read)


def _outer(left: Floats, read: Floats) -> Floats:
    return np.asarray((left[:, :, None] * read[:, None, :]).reshape(len(left), -1))


def _public(candidates: Candidates) -> Floats:
    assert candidates.head is not None, "more than the head is trained"
    return candidates.head.astype(np.float64)


def _trained(target: Target) -> Floats:
    assert target.theta is not None, "the target's weights are not granted"
    return head_of(target.theta, target.candidates.classes)


ATTACKS: tuple[Attack, ...] = (
    Joint(weights=True),
    GradientTemplates(),
    InverseHessian(),
    GradientNorm(),
)
