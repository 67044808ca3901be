"""TPR at a low FPR: with an interval that holds, and under three kinds of threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tinymia.experiments.base import Figure
from tinymia.experiments.membership.controls import PersonControls
from tinymia.experiments.membership.figures import absent
from tinymia.experiments.membership.types import ThresholdRow
from tinymia.statistics import thresholds
from tinymia.statistics.cells import Cell
from tinymia.statistics.intervals import Resampler
from tinymia.statistics.pooled import PooledScores


def threshold_rows(
    condition: str,
    attack: str,
    cells: Sequence[Cell],
    controls: Sequence[PersonControls],
    sampler: Resampler,
    fprs: Sequence[float],
) -> list[ThresholdRow]:
    """One attack on one condition at each target FPR.

    Args:
        condition, attack: names.
        cells: scores of its devices.
        controls: of each person, with scores of shadow devices that the attack was not fitted on.
        sampler: of the cells.
        fprs: targets.
    """
    pooled = PooledScores([(c.scores[c.member], c.scores[~c.member]) for c in cells])
    outside = _outside(attack, cells, controls)
    rows = []
    for fpr in fprs:
        everybody = thresholds.globally(cells, sampler, fpr, pooled)
        person = thresholds.by_person(cells, sampler, fpr)
        window = None
        if outside is not None:
            window = thresholds.by_window(cells, outside, sampler, fpr)
        alarms = thresholds.alarms(cells, fpr, pooled)
        rows.append(
            ThresholdRow(
                condition=condition,
                attack=attack,
                fpr=fpr,
                global_tpr=_figure(everybody),
                person_tpr=_figure(person),
                window_tpr=absent("needs shadow devices") if window is None else _figure(window),
                window_fpr=None
                if window is None or window.realised is None
                else float(window.realised.point),
                people_low=alarms.lowest,
                people_high=alarms.highest,
                windows_with_all=alarms.holding_all,
            )
        )
    return rows


def _outside(
    attack: str, cells: Sequence[Cell], controls: Sequence[PersonControls]
) -> list[NDArray[np.float64]] | None:
    """Of each cell, the scores of its windows on shadow devices that were not trained on them."""
    found: dict[str, NDArray[np.float64]] = {}
    for one in controls:
        if attack not in one.calibration:
            return None
        found[one.person] = np.where(one.calibration_member, np.nan, one.calibration[attack])
    whole: dict[tuple[str, bytes], NDArray[np.float64]] = {}
    rows = []
    for cell in cells:
        # Cells of one person share one array, which is calibrated once.
        at = cell.person, cell.window.tobytes()
        if at not in whole:
            whole[at] = found[cell.person][:, cell.window]
        rows.append(whole[at])
    return rows


def _figure(found: thresholds.Thresholded) -> Figure:
    if found.tpr is None:
        return absent(found.reason)
    estimate = found.tpr.estimate()
    return Figure(estimate.value, estimate.low, estimate.high)
