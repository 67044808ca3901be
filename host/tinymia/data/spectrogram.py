"""A plain logarithmic mel spectrogram, for audio models that have none of their own."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE, LENGTH, HOP, SIZE, BANDS = 16000, 480, 320, 512, 40
LOW, HIGH = 20.0, 7600.0
FLOOR = 1e-6


@cache
def filters() -> NDArray[np.float32]:
    """(SIZE / 2 + 1, BANDS) float32: triangles whose corners lie evenly on the mel scale.

    The scale is 1127 ln(1 + f / 700) (D. O'Shaughnessy, Speech Communication, 1987).
    """
    mel = np.linspace(1127 * np.log1p(LOW / 700), 1127 * np.log1p(HIGH / 700), BANDS + 2)
    corner = 700 * np.expm1(mel / 1127)
    f = np.arange(SIZE // 2 + 1)[:, None] * RATE / SIZE
    rise = (f - corner[:-2]) / (corner[1:-1] - corner[:-2])
    fall = (corner[2:] - f) / (corner[2:] - corner[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rise, fall)), np.float32)


def log_mel(clip: NDArray[Any]) -> NDArray[np.float32]:
    """The spectrogram of a clip at 16 kHz.

    Args:
        clip: (samples,) int16, at least ``LENGTH``.

    Returns:
        (1 + (samples - LENGTH) // HOP, BANDS) float32, the natural logarithm of each band's power.
    """
    x = clip.astype(np.float32) / np.float32(32768)
    count = 1 + (len(x) - LENGTH) // HOP
    frames = np.lib.stride_tricks.sliding_window_view(x, LENGTH)[: count * HOP : HOP]
    window = np.hanning(LENGTH + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, SIZE, axis=1)) ** 2 / LENGTH
    return np.asarray(np.log(power @ filters() + FLOOR), np.float32)
