"""How often intervals, verdicts and bounds are wrong, by simulated studies whose truth is known.

``python tests/level_simulation.py 400`` printed the rows, and tests measure them again. The studies
have 440 windows a person in blocks of 4, a fifth of the blocks members, which is a default study's
shape. Windows have a heavy-tailed difficulty, which stays the same over repetitions and conditions.

Cases: "windows recur": each window keeps a part of its score through all repetitions, people differ
in place, and windows of a block share noise, so that few windows give most false alarms. "people
differ": the leak and the difference of two conditions vary over people; the true difference is 0.
"strong": a TPR of a fifth at an FPR of 0.1 %, skewed over people.
"""

from __future__ import annotations

from dataclasses import dataclass

TRIALS = 400


def standard_error(level: float) -> float:
    """Monte-Carlo standard error of a share of the trials."""
    return float((level * (1 - level) / TRIALS) ** 0.5)


@dataclass(frozen=True)
class Interval:
    """Share of studies whose 95 % interval misses the truth; nominal 0.05.

    Attributes:
        people, repetitions: the study's shape.
        case: what leaks and how scores depend on each other.
        figure: of what.
        percentile: by the hierarchical bootstrap's percentiles, which are not used.
        jackknife: by leaving one person out.
        used: by the interval in use: leaving one person out, for a TPR with ``rates.tpr_estimate``.
    """

    people: int
    repetitions: int
    case: str
    figure: str
    percentile: float
    jackknife: float
    used: float


@dataclass(frozen=True)
class Verdicts:
    """Share of studies with at least one false verdict among several; nominal 0.05.

    Attributes:
        people, repetitions: the study's shape.
        comparisons: conditions that are compared with one reference; none differs on average.
        case: as for intervals.
        alone: unadjusted.
        holm: adjusted, as verdicts are.
        largest_t: by the simultaneous intervals.
    """

    people: int
    repetitions: int
    comparisons: int
    case: str
    alone: float
    holm: float
    largest_t: float


@dataclass(frozen=True)
class Bound:
    """Share of studies that call an AUC at the margin "no more than guessing"; nominal 0.05."""

    people: int
    repetitions: int
    claimed: float


_INTERVALS: tuple[tuple[int, int, str, str, float, float, float], ...] = (
    (3, 5, "no leak", "AUC", 0.0375, 0.0475, 0.0475),
    (3, 5, "no leak", "change in AUC", 0.0375, 0.03, 0.03),
    (3, 5, "no leak", "TPR at 1 %", 0.0425, 0.0275, 0.01),
    (3, 5, "no leak", "change in TPR at 1 %", 0.0225, 0.02, 0.02),
    (3, 5, "no leak", "TPR at 0.1 %", 0.0775, 0.0025, 0.0),
    (3, 5, "no leak", "change in TPR at 0.1 %", 0.0025, 0.0, 0.0),
    (3, 5, "no leak, windows recur", "AUC", 0.0425, 0.0425, 0.0425),
    (3, 5, "no leak, windows recur", "change in AUC", 0.0425, 0.0125, 0.0125),
    (3, 5, "no leak, windows recur", "TPR at 1 %", 0.0375, 0.0475, 0.005),
    (3, 5, "no leak, windows recur", "change in TPR at 1 %", 0.005, 0.005, 0.005),
    (3, 5, "no leak, windows recur", "TPR at 0.1 %", 0.09, 0.0025, 0.0),
    (3, 5, "no leak, windows recur", "change in TPR at 0.1 %", 0.0, 0.0, 0.0),
    (3, 5, "people differ", "AUC", 0.15, 0.0475, 0.0475),
    (3, 5, "people differ", "change in AUC", 0.2, 0.0525, 0.0525),
    (3, 5, "people differ", "TPR at 1 %", 0.0625, 0.045, 0.03),
    (3, 5, "people differ", "change in TPR at 1 %", 0.03, 0.0225, 0.0225),
    (3, 5, "people differ", "TPR at 0.1 %", 0.0175, 0.0025, 0.0),
    (3, 5, "people differ", "change in TPR at 0.1 %", 0.005, 0.01, 0.01),
    (3, 5, "strong, people differ", "AUC", 0.2175, 0.0425, 0.0425),
    (3, 5, "strong, people differ", "change in AUC", 0.24, 0.0625, 0.0625),
    (3, 5, "strong, people differ", "TPR at 1 %", 0.1725, 0.0525, 0.035),
    (3, 5, "strong, people differ", "change in TPR at 1 %", 0.165, 0.05, 0.05),
    (3, 5, "strong, people differ", "TPR at 0.1 %", 0.1175, 0.11, 0.0675),
    (3, 5, "strong, people differ", "change in TPR at 0.1 %", 0.05, 0.04, 0.04),
    (4, 10, "no leak", "AUC", 0.0275, 0.055, 0.055),
    (4, 10, "no leak", "change in AUC", 0.03, 0.0575, 0.0575),
    (4, 10, "no leak", "TPR at 1 %", 0.0175, 0.045, 0.0425),
    (4, 10, "no leak", "change in TPR at 1 %", 0.0075, 0.0325, 0.0325),
    (4, 10, "no leak", "TPR at 0.1 %", 0.015, 0.0275, 0.0),
    (4, 10, "no leak", "change in TPR at 0.1 %", 0.005, 0.005, 0.005),
    (4, 10, "no leak, windows recur", "AUC", 0.0175, 0.035, 0.035),
    (4, 10, "no leak, windows recur", "change in AUC", 0.0275, 0.065, 0.065),
    (4, 10, "no leak, windows recur", "TPR at 1 %", 0.0175, 0.0525, 0.035),
    (4, 10, "no leak, windows recur", "change in TPR at 1 %", 0.0025, 0.03, 0.03),
    (4, 10, "no leak, windows recur", "TPR at 0.1 %", 0.02, 0.0425, 0.0),
    (4, 10, "no leak, windows recur", "change in TPR at 0.1 %", 0.0, 0.0, 0.0),
    (4, 10, "people differ", "AUC", 0.1625, 0.0525, 0.0525),
    (4, 10, "people differ", "change in AUC", 0.2175, 0.085, 0.085),
    (4, 10, "people differ", "TPR at 1 %", 0.0975, 0.05, 0.05),
    (4, 10, "people differ", "change in TPR at 1 %", 0.075, 0.05, 0.05),
    (4, 10, "people differ", "TPR at 0.1 %", 0.025, 0.075, 0.03),
    (4, 10, "people differ", "change in TPR at 0.1 %", 0.005, 0.04, 0.04),
    (4, 10, "strong, people differ", "AUC", 0.2125, 0.055, 0.055),
    (4, 10, "strong, people differ", "change in AUC", 0.2475, 0.08, 0.08),
    (4, 10, "strong, people differ", "TPR at 1 %", 0.1725, 0.065, 0.065),
    (4, 10, "strong, people differ", "change in TPR at 1 %", 0.1925, 0.055, 0.055),
    (4, 10, "strong, people differ", "TPR at 0.1 %", 0.1225, 0.0875, 0.05),
    (4, 10, "strong, people differ", "change in TPR at 0.1 %", 0.125, 0.055, 0.055),
    (10, 5, "no leak", "AUC", 0.015, 0.04, 0.04),
    (10, 5, "no leak", "change in AUC", 0.015, 0.05, 0.05),
    (10, 5, "no leak", "TPR at 1 %", 0.0175, 0.03, 0.03),
    (10, 5, "no leak", "change in TPR at 1 %", 0.0075, 0.04, 0.04),
    (10, 5, "no leak", "TPR at 0.1 %", 0.0075, 0.0525, 0.0025),
    (10, 5, "no leak", "change in TPR at 0.1 %", 0.0025, 0.025, 0.025),
    (10, 5, "no leak, windows recur", "AUC", 0.0125, 0.0425, 0.0425),
    (10, 5, "no leak, windows recur", "change in AUC", 0.0125, 0.05, 0.05),
    (10, 5, "no leak, windows recur", "TPR at 1 %", 0.0125, 0.0475, 0.045),
    (10, 5, "no leak, windows recur", "change in TPR at 1 %", 0.0, 0.0075, 0.0075),
    (10, 5, "no leak, windows recur", "TPR at 0.1 %", 0.02, 0.07, 0.0),
    (10, 5, "no leak, windows recur", "change in TPR at 0.1 %", 0.0, 0.0075, 0.0075),
    (10, 5, "people differ", "AUC", 0.06, 0.06, 0.06),
    (10, 5, "people differ", "change in AUC", 0.0875, 0.045, 0.045),
    (10, 5, "people differ", "TPR at 1 %", 0.0325, 0.0475, 0.0475),
    (10, 5, "people differ", "change in TPR at 1 %", 0.045, 0.0625, 0.0625),
    (10, 5, "people differ", "TPR at 0.1 %", 0.005, 0.045, 0.02),
    (10, 5, "people differ", "change in TPR at 0.1 %", 0.01, 0.02, 0.02),
    (10, 5, "strong, people differ", "AUC", 0.11, 0.0725, 0.0725),
    (10, 5, "strong, people differ", "change in AUC", 0.11, 0.04, 0.04),
    (10, 5, "strong, people differ", "TPR at 1 %", 0.1075, 0.075, 0.075),
    (10, 5, "strong, people differ", "change in TPR at 1 %", 0.07, 0.0475, 0.0475),
    (10, 5, "strong, people differ", "TPR at 0.1 %", 0.06, 0.0825, 0.035),
    (10, 5, "strong, people differ", "change in TPR at 0.1 %", 0.035, 0.0175, 0.0175),
)
_VERDICTS: tuple[tuple[int, int, int, str, float, float, float], ...] = (
    (4, 5, 10, "no leak", 0.3, 0.0125, 0.0175),
    (4, 5, 10, "people differ", 0.325, 0.045, 0.0525),
    (10, 5, 10, "people differ", 0.31, 0.035, 0.0425),
)
_BOUNDS: tuple[tuple[int, int, float], ...] = (
    (3, 5, 0.04),
    (4, 10, 0.0475),
    (10, 5, 0.0525),
)

INTERVALS = tuple(Interval(*row) for row in _INTERVALS)
VERDICTS = tuple(Verdicts(*row) for row in _VERDICTS)
BOUNDS = tuple(Bound(*row) for row in _BOUNDS)
