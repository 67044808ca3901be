"""The leverage score as an attack on a trained head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.signals import completed
from tinymia.attacks.softmax import Floats, curvature, early_stopping, read_by_head
from tinymia.evidence import Candidates, Lab, Run, Scorer, Scores, Target

_LEAST = 1e-6
"""Least probability of a class: Pearson's residual divides by its square root."""


@dataclass(frozen=True)
class Leverage:
    """How much smaller than a stranger's is the window's residual, for its leverage.

    In the Gaussian linear model, a window of leverage h' on a fit without it has a residual of
    variance 1 + h' if it is no member and 1 / (1 + h') if it is one, so that leverage says how far
    the two are apart (Dorseuil, Atif and Cappé, 2026) and the likelihood ratio of residual e is
    log(1 + h') - e^2 (1 + h' - 1 / (1 + h')) / 2.

    For a softmax head the same holds to second order with the leverage matrix M = U' H^-1 U and
    Pearson's residual, H being the loss's Hessian over the other candidates (without the window's
    group) and U U' the window's own. Both follow from the answers and what the public backbone
    makes of the windows, so that neither weights nor shadow devices are needed. The paper gives a
    measure of risk, not an attack: the ratio is this project's reading of its theory. H is damped
    as early stopping would, see :func:`early_stopping`.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        name="leverage",
        title="Residual for its leverage",
        reference="after Dorseuil, Atif and Cappé, 2026 (arXiv 2602.15919)",
        adversary=Adversary.NO_SHADOWS,
        head_only=True,
        limits="All other candidates stand for the members, whose number is not known.",
    )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``; nothing is asked of the lab but the candidates."""
        candidates = lab.candidates(run, person)
        read = read_by_head(candidates)
        damping = early_stopping(run, len(candidates))

        def score(target: Target) -> Scores:
            shown = completed(target.known(run.answer)[:, 0]).astype(np.float64)
            probs = np.maximum(np.nan_to_num(shown, nan=0.0), _LEAST)
            probs /= probs.sum(axis=1, keepdims=True)
            return leverage_ratios(probs, read, candidates, damping)

        return score


def leverage_ratios(probs: Floats, read: Floats, candidates: Candidates, damping: float) -> Scores:
    """Log-likelihood ratios of :class:`Leverage`.

    Args:
        probs: (n, classes) above 0, rows that sum to 1.
        read: (n, d + 1), features and a 1.
        candidates: their labels and groups.
        damping: of the Hessian.

    Returns:
        (n,) float64.
    """
    count, classes = probs.shape
    curved = curvature(probs, read, damping)
    # W^-1/2 (p - y) by the root that U has: its columns are orthogonal to sqrt(p), as is this.
    root = np.sqrt(probs)
    pearson = root.copy()
    rows = np.arange(count)
    pearson[rows, candidates.labels] -= 1.0 / root[rows, candidates.labels]
    grown = np.empty((count, classes, classes))
    for group in np.unique(candidates.group):
        chosen = np.flatnonzero(candidates.group == group)
        leverage = curved.leverage(chosen)
        for at, window in enumerate(chosen):
            own = slice(at * classes, (at + 1) * classes)
            grown[window] = np.eye(classes) + leverage[own, own]
    stretched = (grown @ pearson[:, :, None])[:, :, 0]
    shrunk = np.linalg.solve(grown, pearson[:, :, None])[:, :, 0]
    gain = (pearson * (stretched - shrunk)).sum(axis=1)
    return np.asarray(np.linalg.slogdet(grown)[1] - 0.5 * gain, dtype=np.float64)


ATTACKS: tuple[Attack, ...] = (Leverage(),)
