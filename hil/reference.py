"""The device's training written again in NumPy float32, from its description alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinymia.device.client import TrainSettings


def philox(key: int, counter: tuple[int, int, int, int]) -> list[int]:
    """Philox4x32-10 (Salmon et al., SC 2011, section 3.3)."""
    c = list(counter)
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [
            (p1 >> 32) ^ c[1] ^ k0,
            p1 & 0xFFFFFFFF,
            (p0 >> 32) ^ c[3] ^ k1,
            p0 & 0xFFFFFFFF,
        ]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def epoch_order(seed: int, epoch: int, members: NDArray[np.int64]) -> list[int]:
    """Fisher and Yates over the members in slot order; draws are consumed four to a block."""
    items = members.tolist()
    words: list[int] = []
    for used, i in enumerate(range(len(items), 1, -1)):
        if used % 4 == 0:
            words = philox(seed, (used // 4, epoch, 0, 1))
        j = words[used % 4] * i >> 32
        items[i - 1], items[j] = items[j], items[i - 1]
    return items


def train(
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    x: NDArray[np.float32],
    y: NDArray[np.int64],
    members: NDArray[np.int64],
    settings: TrainSettings,
    epochs: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (classes, dim) and bias (classes,) after training on embeddings x (n, dim)."""
    w, b = weights.copy(), bias.copy()
    classes = len(b)
    rate = np.float32(settings.learning_rate)
    smooth = np.float32(settings.label_smoothing)
    for epoch in range(epochs):
        order = epoch_order(settings.seed, epoch, members)
        for start in range(0, len(order), settings.batch):
            batch = order[start : start + settings.batch]
            gw, gb = np.zeros_like(w), np.zeros_like(b)
            for i in batch:
                z = w @ x[i] + b
                e = np.exp(z - z.max())
                target = np.full(classes, smooth / np.float32(classes), np.float32)
                target[y[i]] += np.float32(1) - smooth
                delta = (e / e.sum() - target).astype(np.float32)
                if settings.clip_norm > 0:
                    norm = np.sqrt((delta @ delta) * (x[i] @ x[i] + np.float32(1)))
                    delta *= np.float32(min(1.0, settings.clip_norm / norm))
                gw += np.outer(delta, x[i])
                gb += delta
            w -= rate / np.float32(len(batch)) * gw
            b -= rate / np.float32(len(batch)) * gb
    return w, b
