"""Lower bounds on epsilon from decisions on many independent devices: which arm is each from?

A decision's threshold must come from other devices than its counts. All functions take arrays of
trials, which broadcast; ``level`` is a confidence: a bound is above the true epsilon in at most
1 - ``level`` of trials.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tinymia.statistics.epsilon.coins import LEVEL
from tinymia.statistics.epsilon.numeric import (
    CEILING,
    Floats,
    gaussian_epsilon,
    proportion_above,
    proportion_below,
)
from tinymia.statistics.metrics import auc


def many_run(
    hits: ArrayLike,
    positives: ArrayLike,
    alarms: ArrayLike,
    negatives: ArrayLike,
    delta: float,
    level: float = LEVEL,
) -> Floats:
    """log((TPR - delta) / FPR), each rate at the end of its Clopper-Pearson interval.

    Jagielski, Ullman and Oprea, NeurIPS 2020, section 3.1; with delta: Nasr et al., IEEE S&P 2021,
    section IV. Each of the two bounds has half of the error.

    Args:
        hits, positives: (...) decisions for one arm, among its devices.
        alarms, negatives: (...) decisions for it among the other arm's devices. Epsilon is the
            same with the arms exchanged, or with the complement of the decision.
        delta: in [0, 1).
        level: confidence.
    """
    error = (1 - level) / 2
    tpr = proportion_below(hits, positives, error)
    fpr = proportion_above(alarms, negatives, error)
    with np.errstate(divide="ignore"):
        bound = np.log(np.maximum(tpr - delta, 0.0)) - np.log(fpr)
    return np.asarray(np.clip(bound, 0.0, CEILING), np.float64)


def gaussian_many_run(
    hits: ArrayLike,
    positives: ArrayLike,
    alarms: ArrayLike,
    negatives: ArrayLike,
    delta: float,
    level: float = LEVEL,
) -> Floats:
    """Epsilon of the least mu that explains both rates, if the mechanism is mu-Gaussian DP.

    Nasr et al., USENIX Security 2023 ("Tight auditing of differentially private machine
    learning"), section 4: mu >= Phi^-1(TPR) - Phi^-1(FPR) at the ends of the intervals.

    Args:
        hits, positives, alarms, negatives, level: see :func:`many_run`.
        delta: at which epsilon is said, in (0, 1).
    """
    from scipy.special import ndtri

    error = (1 - level) / 2
    tpr = proportion_below(hits, positives, error)
    fpr = proportion_above(alarms, negatives, error)
    mu = np.clip(ndtri(tpr) - ndtri(fpr), 0.0, CEILING)
    return gaussian_epsilon(mu, delta)


def gaussian_fit(inside: Floats, outside: Floats, delta: float) -> tuple[Floats, Floats]:
    """The mu-Gaussian DP whose best test has the scores' AUC, and its epsilon: a fit, not a bound.

    AUC = Phi(mu / sqrt(2)) for N(0, 1) against N(mu, 1) (Dong, Roth and Su, JRSS B 2022, section
    2.3, for the pair). It is above the true epsilon half of the time where the mechanism is
    Gaussian, and says nothing where it is not.

    Args:
        inside, outside: (trials, n) and (trials, k) scores of the two arms; ties count half.
        delta: at which epsilon is said, in (0, 1).

    Returns:
        mu and epsilon, each (trials,); 0 where the AUC is 0.5 or less.
    """
    from scipy.special import ndtri

    x, y = np.atleast_2d(inside), np.atleast_2d(outside)
    areas = np.array([auc(a, b) for a, b in zip(x, y, strict=True)])
    # An area of 1 is known to half a pair only.
    most = 1 - 0.5 / (x.shape[1] * y.shape[1])
    mu = np.sqrt(2) * ndtri(np.clip(areas, 0.5, most))
    return mu, gaussian_epsilon(mu, delta)
