"""Figures as they stand in findings, from replicates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinymia.experiments.base import Figure
from tinymia.statistics.intervals import Floats, Replicates, t_quantile


def figure(replicates: Replicates) -> Figure:
    """A value, its interval, and the percentile bootstrap's where resamples were drawn."""
    estimate = replicates.estimate()
    boot = replicates.percentile() if len(replicates.boot) else None
    return Figure(
        estimate.value,
        estimate.low,
        estimate.high,
        None if boot is None else float(boot[0]),
        None if boot is None else float(boot[1]),
    )


def error_behind(figure: Figure, people: int) -> float | None:
    """The standard error behind an interval over people; None where there is no interval."""
    value, low, high = figure.value, figure.low, figure.high
    if value is None or low is None or high is None or people < 2:
        return None
    # One end may be cut off at what the figure can be.
    return max(value - low, high - value) / t_quantile(people)


def absent(reason: str) -> Figure:
    """A figure that is not printed, and why."""
    return Figure(None, reason=reason)


def masked(values: Floats | None, shown: NDArray[np.bool_]) -> tuple[float | None, ...]:
    """A curve with None where it is not shown."""
    if values is None:
        return (None,) * len(shown)
    return tuple(float(v) if keep else None for v, keep in zip(values, shown, strict=True))
