"""Fine-tuning of the tail in NumPy float32: what the firmware does, for choosing its settings.

This is a stand-in for planning only. What is published about leakage is measured on the firmware.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import DataError
from tinymia.export.bundle import Tail


def finetune(
    tail: Tail,
    x: NDArray[np.float32],
    y: NDArray[np.int64],
    checkpoints: Sequence[int],
    *,
    learning_rate: float,
    batch: int,
    seed: int,
) -> dict[int, Tail]:
    """Mini-batch SGD on softmax cross-entropy, from the base tail.

    The step is ``w -= learning_rate * mean of the batch's gradients``; the last batch of an epoch
    may be smaller.

    Args:
        tail: where to start.
        x: (n, dim) float32 dequantised embeddings.
        y: (n,) classes.
        checkpoints: epochs after which a copy of the tail is kept; 0 is the base.
        learning_rate: of plain SGD.
        batch: examples in a step.
        seed: of the order.

    Returns:
        The tail after each of ``checkpoints``.

    Raises:
        DataError: if there is nothing to train on.
    """
    if len(x) == 0 or len(x) != len(y) or batch < 1:
        raise DataError("Fine-tuning needs at least one example and one label for each.")
    rng = np.random.default_rng(seed)
    w, b = tail.weights.copy(), tail.bias.copy()
    targets = np.eye(tail.classes, dtype=np.float32)[y]
    kept = {0: tail} if 0 in checkpoints else {}
    for epoch in range(1, max(checkpoints, default=0) + 1):
        order = rng.permutation(len(x))
        for at in range(0, len(x), batch):
            chosen = order[at : at + batch]
            delta = Tail(w, b).probabilities(x[chosen]) - targets[chosen]
            rate = np.float32(learning_rate / len(chosen))
            w -= rate * (delta.T @ x[chosen])
            b -= rate * delta.sum(axis=0)
        if epoch in checkpoints:
            kept[epoch] = Tail(w.copy(), b.copy())
    return kept


def losses(tail: Tail, x: NDArray[np.float32], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Cross-entropy (n,) of the tail's answers."""
    logits = tail.logits(x).astype(np.float64)
    top = logits.max(axis=1)
    log_sum = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return np.asarray(log_sum - logits[np.arange(len(y)), y])
