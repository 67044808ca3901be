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
    clip: float = 0.0,
    smoothing: float = 0.0,
) -> dict[int, Tail]:
    """Mini-batch SGD on softmax cross-entropy, from the base tail.

    The step is ``w -= learning_rate * mean of the batch's gradients``; the last batch of an epoch
    may be smaller. Each example's gradient is first scaled to the norm ``clip`` at most; for a
    dense layer the norm is ``|delta| * sqrt(|x|^2 + 1)``, so it needs no gradient.

    Args:
        tail: where to start.
        x: (n, dim) float32 dequantised embeddings.
        y: (n,) classes.
        checkpoints: epochs after which a copy of the tail is kept; 0 is the base.
        learning_rate: of plain SGD.
        batch: examples in a step.
        seed: of the order.
        clip: bound of each example's gradient norm; 0 for none.
        smoothing: label smoothing, 0 to 1.

    Returns:
        The tail after each of ``checkpoints``.

    Raises:
        DataError: if there is nothing to train on.
    """
    if len(x) == 0 or len(x) != len(y) or batch < 1:
        raise DataError("Fine-tuning needs at least one example and one label for each.")
    rng = np.random.default_rng(seed)
    w, b = tail.weights.copy(), tail.bias.copy()
    targets = np.full((len(y), tail.classes), smoothing / tail.classes, np.float32)
    targets[np.arange(len(y)), y] += np.float32(1 - smoothing)
    reach = np.sqrt((x * x).sum(axis=1) + 1)
    kept = {0: tail} if 0 in checkpoints else {}
    for epoch in range(1, max(checkpoints, default=0) + 1):
        order = rng.permutation(len(x))
        for at in range(0, len(x), batch):
            chosen = order[at : at + batch]
            delta = Tail(w, b).probabilities(x[chosen]) - targets[chosen]
            if clip > 0:
                norm = np.linalg.norm(delta, axis=1) * reach[chosen]
                delta *= np.minimum(1, clip / np.maximum(norm, 1e-12))[:, None]
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


def auc(member: NDArray[np.float64], nonmember: NDArray[np.float64]) -> float:
    """Chance that a member scores above a non-member; ties count half."""
    ranked = np.sort(nonmember)
    below = np.searchsorted(ranked, member, "left") + np.searchsorted(ranked, member, "right")
    return float(below.mean() / (2 * len(ranked)))
