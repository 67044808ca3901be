"""PRADA, to hold a detector beside: Juuti et al., EuroS&P 2019, algorithm 3."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Codes

_DELTA = 0.9
"""Of the statistic of Shapiro and Wilk, under which distances are taken for not normal."""
_FIRST = 100
"""Distances before the first test."""
_EVERY = 20
"""Questions from test to test, which saves time and makes an alarm that much later."""


def rings_at(windows: Codes, labels: NDArray[np.int64]) -> int:
    """How many questions PRADA lets pass before its alarm; as many as there are if it never rings.

    Each question has a distance to the nearest that is kept of its class; it is kept if that is
    above a threshold, which is the mean less the deviation of the kept ones' distances. Distances
    further than three deviations from their mean, and those of 0, are left out.

    Args:
        windows: (m, ...) int8, questions.
        labels: (m,) int64, which class each was given.
    """
    from scipy.stats import shapiro

    flat = windows.reshape(len(windows), -1).astype(np.float64)
    kept: dict[int, list[int]] = {}
    grown: dict[int, list[float]] = {}
    threshold: dict[int, float] = {}
    distances: list[float] = []
    for at, (label, question) in enumerate(zip(labels.tolist(), flat, strict=True)):
        if label not in kept:
            kept[label], grown[label], threshold[label] = [at], [0.0], 0.0
            continue
        nearest = float(np.sqrt(((flat[kept[label]] - question) ** 2).sum(axis=1)).min())
        distances.append(nearest)
        if nearest > threshold[label]:
            kept[label].append(at)
            grown[label].append(nearest)
            found = float(np.mean(grown[label]) - np.std(grown[label]))
            threshold[label] = max(threshold[label], found)
        if len(distances) >= _FIRST and len(distances) % _EVERY == 0:
            some = np.array(distances)
            some = some[some > 0]
            some = some[np.abs(some - some.mean()) <= 3 * some.std()] if len(some) else some
            if len(some) > 3 and shapiro(some).statistic < _DELTA:
                return at
    return len(windows)
