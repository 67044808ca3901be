"""Figures as they stand in the results: plain dicts of numbers, rounded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.statistics.intervals import Floats, Replicates, Statistic


def mean_of(values: Floats) -> Statistic:
    """The statistic "weighted mean of one value a cell"."""
    return lambda w: (w @ values) / w.sum(axis=1)


def right(probs: NDArray[np.float32], labels: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Whether each answer's most likely class is the true one, (n,) bool."""
    # Under a policy that hides classes they are NaN, which argmax would choose.
    return np.asarray(np.nan_to_num(probs, nan=-1.0).argmax(axis=1) == labels, dtype=np.bool_)


def figure(replicates: Replicates, low: float = -np.inf, high: float = np.inf) -> dict[str, Any]:
    """A figure for the results: value, its interval, and the percentile bootstrap's beside it."""
    estimate = replicates.estimate(low, high)
    boot = replicates.percentile()
    return {
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "boot_low": None if boot is None else boot[0],
        "boot_high": None if boot is None else boot[1],
    }


def absent(reason: str) -> dict[str, Any]:
    """A figure that is not printed, and why."""
    return {
        "value": None,
        "low": None,
        "high": None,
        "boot_low": None,
        "boot_high": None,
        "reason": reason,
    }


def masked(values: Floats | None, shown: NDArray[np.bool_]) -> list[float | None]:
    """A curve with None where it is not shown."""
    if values is None:
        return [None] * len(shown)
    return [float(v) if keep else None for v, keep in zip(values, shown, strict=True)]


def clean(value: Any) -> Any:
    """Round floats to 6 decimals, so that the JSON does not hang on the last bits."""
    if isinstance(value, dict):
        return {str(k): clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 6) + 0.0
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, np.integer):
        return int(value)
    return value
