"""Checks that the audit finds nothing where there is nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinymia.attacks import Attack
from tinymia.audit.grid import Grid
from tinymia.statistics.intervals import Resampler
from tinymia.statistics.pooled import PooledScores

SHUFFLES = 200

# Share of 400 simulated studies (tests/level_simulation.py) whose 95 % interval misses the truth:
# nominal 0.05, Monte-Carlo standard error 0.011. 250 windows a person in blocks of 5. "people
# differ": the leak and the difference of two conditions vary over people; the true difference is 0.
# Columns: people, repetitions, case, figure, percentile bootstrap, leave-one-person-out.
_SIMULATED: tuple[tuple[int, int, str, str, float, float], ...] = (
    (3, 5, "no leak", "AUC", 0.04, 0.0475),
    (3, 5, "no leak", "change in AUC", 0.03, 0.035),
    (3, 5, "no leak", "TPR at 1 %", 0.04, 0.0625),
    (3, 5, "no leak", "change in TPR at 1 %", 0.0075, 0.0525),
    (3, 5, "people differ", "AUC", 0.0925, 0.0525),
    (3, 5, "people differ", "change in AUC", 0.22, 0.0325),
    (3, 5, "people differ", "TPR at 1 %", 0.05, 0.05),
    (3, 5, "people differ", "change in TPR at 1 %", 0.0325, 0.0325),
    (4, 5, "no leak", "AUC", 0.0175, 0.045),
    (4, 5, "no leak", "change in AUC", 0.0225, 0.045),
    (4, 5, "no leak", "TPR at 1 %", 0.015, 0.0675),
    (4, 5, "no leak", "change in TPR at 1 %", 0.015, 0.0625),
    (4, 5, "people differ", "AUC", 0.08, 0.0425),
    (4, 5, "people differ", "change in AUC", 0.155, 0.055),
    (4, 5, "people differ", "TPR at 1 %", 0.0275, 0.0525),
    (4, 5, "people differ", "change in TPR at 1 %", 0.02, 0.04),
    (5, 5, "no leak", "AUC", 0.02, 0.06),
    (5, 5, "no leak", "change in AUC", 0.025, 0.0575),
    (5, 5, "no leak", "TPR at 1 %", 0.0175, 0.055),
    (5, 5, "no leak", "change in TPR at 1 %", 0.0075, 0.035),
    (5, 5, "people differ", "AUC", 0.06, 0.055),
    (5, 5, "people differ", "change in AUC", 0.1275, 0.0425),
    (5, 5, "people differ", "TPR at 1 %", 0.02, 0.04),
    (5, 5, "people differ", "change in TPR at 1 %", 0.025, 0.0425),
    (5, 10, "no leak", "AUC", 0.0175, 0.05),
    (5, 10, "no leak", "change in AUC", 0.0075, 0.0175),
    (5, 10, "no leak", "TPR at 1 %", 0.02, 0.0525),
    (5, 10, "no leak", "change in TPR at 1 %", 0.005, 0.03),
    (5, 10, "people differ", "AUC", 0.0575, 0.0325),
    (5, 10, "people differ", "change in AUC", 0.1225, 0.05),
    (5, 10, "people differ", "TPR at 1 %", 0.0325, 0.045),
    (5, 10, "people differ", "change in TPR at 1 %", 0.0525, 0.0525),
)
SIMULATED_LEVELS: list[dict[str, Any]] = [
    dict(
        zip(
            ("people", "repetitions", "case", "figure", "percentile", "jackknife"), row, strict=True
        )
    )
    for row in _SIMULATED
]


def shuffled_level(
    grid: Grid, resampler: Resampler, condition: str, attack: Attack, seed: int
) -> dict[str, Any] | None:
    """How often the interval of the AUC excludes 0.5 when membership is shuffled.

    The study's own scores are kept and the member mask of each cell is permuted, so nothing leaks;
    an interval that holds its level then excludes 0.5 in 5 % of the shuffles.

    Returns:
        shuffles, excluded (a share) and the mean AUC; None with a single person.
    """
    if resampler.people < 2:
        return None
    rng = np.random.default_rng(np.random.PCG64([seed, 0x5A]))
    cells = [(attack.scores(cell), cell.member) for cell in grid.cells[condition]]
    excluded, values = 0, []
    for _ in range(SHUFFLES):
        shuffled = []
        for scores, member in cells:
            mask = rng.permutation(member)
            shuffled.append((scores[mask], scores[~mask]))
        estimate = resampler.replicates(PooledScores(shuffled).auc).estimate(0.0, 1.0)
        excluded += estimate.excludes(0.5)
        values.append(estimate.value)
    return {
        "condition": condition,
        "attack": attack.name,
        "shuffles": SHUFFLES,
        "excluded": excluded / SHUFFLES,
        "mean_auc": float(np.mean(values)),
    }


def base_gap(grid: Grid) -> float | None:
    """Largest difference between the base condition's answers and the recorded base answers.

    Zero when going back to the base tail really restores it; None without a base condition.
    """
    cells = grid.cells.get("base")
    if cells is None or grid.policy.value != "full":
        return None
    return max(float(np.abs(cell.probs - cell.base_probs).max()) for cell in cells)
