"""What experiments ask devices, and how they read answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Codes, Workbench

_LEAST = 1e-6
"""Least probability that is told apart from 0."""


def public_questions(bench: Workbench, experiment: str, most: int | None = None) -> Codes:
    """(m, ...) int8 windows of public people in a random order, the same for all devices.

    Args:
        bench: gives them.
        experiment: others have another order.
        most: how many at most; None: all.
    """
    windows = np.concatenate([person.windows for person in bench.public])
    order = bench.generator(experiment, "questions").permutation(len(windows))
    return np.asarray(windows[order[:most]])


def logs(answers: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-probabilities of answers; what is hidden is as little as can be told."""
    shown = np.nan_to_num(answers.astype(np.float64), nan=0.0)
    return np.asarray(np.log(np.maximum(shown, _LEAST)))
