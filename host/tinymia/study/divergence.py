"""Whether training went wrong so badly that nobody wants what came of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_NEARLY = 0.9


def divergence(
    before: NDArray[np.float32], after: NDArray[np.float32], labels: NDArray[np.integer[Any]]
) -> str | None:
    """What tells that training diverged, in a few words; None: it did not.

    Either answers are no numbers, or the mean loss on the members, which training is to lower, has
    risen to that of guessing, ln(classes), or nearly: a network whose ReLUs have all died guesses.

    Args:
        before, after: (members, classes) probabilities of the members' windows.
        labels: (members,) true classes.
    """
    if not np.isfinite(after).all():
        return "its answers are no numbers"
    was, now = mean_loss(before, labels), mean_loss(after, labels)
    guessing = float(np.log(after.shape[1]))
    if now <= max(was, _NEARLY * guessing):
        return None
    return (
        f"the loss on its own members is {now:.3g}, before it was {was:.3g}, and guessing gives"
        f" {guessing:.3g}"
    )


def mean_loss(probabilities: NDArray[np.float32], labels: NDArray[np.integer[Any]]) -> float:
    """Mean cross-entropy; a probability that float32 cannot tell from 0 counts as the smallest."""
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean())
