"""Checks that the audit finds nothing where there is nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinymia.attacks import Attack
from tinymia.audit.grid import Grid
from tinymia.audit.intervals import Resampler
from tinymia.audit.pooled import PooledScores

SHUFFLES = 200

SIMULATED_LEVELS: list[dict[str, Any]] = [
    # Share of 400 simulated studies without effect whose 95 % interval claims one (nominal 0.05;
    # Monte-Carlo standard error 0.011). "alike": people react alike; "differ": the difference of
    # two conditions varies from person to person about a mean of zero. The figure is the paired
    # change in AUC, 250 windows a person. tests/test_intervals.py repeats the comparison.
    {"people": 3, "repetitions": 5, "case": "alike", "percentile": 0.060, "jackknife": 0.048},
    {"people": 3, "repetitions": 5, "case": "differ", "percentile": 0.235, "jackknife": 0.043},
    {"people": 4, "repetitions": 10, "case": "alike", "percentile": 0.007, "jackknife": 0.058},
    {"people": 4, "repetitions": 10, "case": "differ", "percentile": 0.180, "jackknife": 0.055},
    {"people": 5, "repetitions": 10, "case": "alike", "percentile": 0.025, "jackknife": 0.052},
    {"people": 5, "repetitions": 10, "case": "differ", "percentile": 0.147, "jackknife": 0.037},
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
