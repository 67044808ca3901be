"""Several verdicts at once: what corrects for the number that was compared.

Under ten true null hypotheses, at least one of ten unadjusted 95 % intervals excludes zero in
about a third of all studies. Holm's procedure (Holm 1979, Scandinavian Journal of Statistics 6)
holds the family-wise level under any dependence. The simultaneous intervals take the quantile of
the largest |t| (Westfall and Young 1993, chapter 2.5), for which the correlation of the comparisons
is that of their paired resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinymia.statistics.intervals import LEVEL, TINY, Floats, Replicates, t_quantile

_DRAWS = 10_000
# More people than this are simulated as this many, which makes the quantile a little larger.
_MOST_PEOPLE = 64


@dataclass(frozen=True)
class Adjusted:
    """One comparison of a family, alone and corrected for the others.

    Attributes:
        value: the difference.
        p: two-sided, of the same Student's t as the 95 % interval; None with a single person.
        p_holm: the same, by Holm's procedure.
        low, high: simultaneous interval: all of the family hold at once in 95 % of studies.
        significant: p is at most 0.05.
        significant_adjusted: p_holm is at most 0.05. Holm steps down, so a comparison beside others
            that are clear may be significant while its simultaneous interval still holds zero.
    """

    value: float
    p: float | None
    p_holm: float | None
    low: float | None
    high: float | None
    significant: bool
    significant_adjusted: bool


def adjust(differences: Sequence[Replicates]) -> list[Adjusted]:
    """Test each difference against zero, alone and corrected for the number compared.

    Args:
        differences: one family: scalar paired differences of the same resampler.

    Returns:
        One entry a difference, in the same order.
    """
    if not differences:
        return []
    errors = [difference.standard_error() for difference in differences]
    values = np.array([float(difference.point) for difference in differences])
    if any(error is None for error in errors):
        return [Adjusted(float(v), None, None, None, None, False, False) for v in values]
    people = differences[0].people
    error = np.array([float(e) for e in errors if e is not None])
    p = two_sided(values, error, people)
    adjusted = holm(p)
    critical = max_t(differences)
    out = []
    for i, difference in enumerate(differences):
        low, high = difference.clip(values[i] + critical * error[i] * np.array([-1.0, 1.0]))
        out.append(
            Adjusted(
                float(values[i]),
                float(p[i]),
                float(adjusted[i]),
                float(low),
                float(high),
                bool(p[i] <= 1 - LEVEL),
                bool(adjusted[i] <= 1 - LEVEL),
            )
        )
    return out


def two_sided(values: Floats, errors: Floats, people: int) -> Floats:
    """Two-sided p of each value against zero, by Student's t with people - 1 degrees of freedom.

    Args:
        values, errors: (m,) estimates and their standard errors. Where an error is zero, p is 1 for
            a value of zero and 0 for any other: all people agree. Less than ``TINY`` is zero.
        people: at least 2.

    Returns:
        (m,) float64.
    """
    from scipy.stats import t

    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.abs(values) / np.where(errors < TINY, 0.0, errors)
    ratio = np.where(np.abs(values) < TINY, 0.0, ratio)
    return np.asarray(2 * t.sf(ratio, people - 1), dtype=np.float64)


def holm(p: Floats) -> Floats:
    """Holm's adjusted p-values: reject where they are at most the family-wise level.

    Args:
        p: (m,) p-values.

    Returns:
        (m,) float64, in the order of ``p``.
    """
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def max_t(differences: Sequence[Replicates]) -> float:
    """The 95 % quantile of the largest |t| of all differences when none is there.

    P people are drawn from the normal distribution that has the correlation of the paired
    resamples, and the t of each difference is computed as in the study. Never above Bonferroni's
    quantile, which is what independent comparisons need, nor below Student's of a single one.
    """
    from scipy.stats import t

    people, m = differences[0].people, len(differences)
    single = t_quantile(people)
    bonferroni = float(t.isf((1 - LEVEL) / 2 / m, people - 1))
    boot = np.array([difference.boot for difference in differences])
    spread = boot.std(axis=1) if boot.size else np.zeros(m)
    varies = spread > TINY
    if m == 1 or not varies.any():
        return bonferroni
    # A difference that never varies has t = 0 and takes no part in the maximum.
    correlation = np.atleast_2d(np.corrcoef(boot[varies]))
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    drawn = min(people, _MOST_PEOPLE)
    rng = np.random.default_rng(np.random.PCG64(0))
    largest = np.empty(_DRAWS)
    step = max(1, 2_000_000 // (drawn * len(root)))
    for start in range(0, _DRAWS, step):
        rows = min(step, _DRAWS - start)
        x = rng.standard_normal((rows, drawn, len(root))) @ root.T
        ratio = np.abs(x.mean(axis=1)) / (x.std(axis=1, ddof=1) / np.sqrt(drawn))
        largest[start : start + rows] = ratio.max(axis=1)
    return float(np.clip(np.quantile(largest, LEVEL), single, bonferroni))
