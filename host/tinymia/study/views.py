"""Other views of a window: what one asks who wants more than one answer about it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHIFTS = (-3, -1, 1, 3)
VIEWS = 1 + len(SHIFTS)
"""The window itself, and the same moved in time by a few samples (Choquette-Choo et al., ICML 2021,
section 3.2, translations)."""


def views_of(windows: NDArray[np.int8]) -> NDArray[np.int8]:
    """Each window in all views; where a moved one ends, its last sample is repeated.

    Args:
        windows: (n, length, channels) int8.

    Returns:
        (n, VIEWS, length, channels) int8; view 0 is the window itself.
    """
    length = windows.shape[1]
    rows = [np.arange(length), *(np.clip(np.arange(length) + s, 0, length - 1) for s in SHIFTS)]
    return np.stack([windows[:, row] for row in rows], axis=1)
