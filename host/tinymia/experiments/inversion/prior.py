"""What windows of a class look like, by public people, and searching among such windows.

A prior from public data, as generative model inversion has it (Zhang et al., "The secret revealer",
CVPR 2020); windows are short, so principal components take the place of a generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Codes

Floats = NDArray[np.float64]

_TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Prior:
    """Windows of a class c as centre_c + basis z, with z of independent standard normals.

    Attributes:
        shape: of a window.
        centres: (classes, d) float64, in codes.
        basis: (k, d) float64, principal components times their standard deviations.
    """

    shape: tuple[int, ...]
    centres: Floats
    basis: Floats

    @property
    def wide(self) -> int:
        """Coordinates of a window."""
        return len(self.basis)

    def windows(self, z: Floats) -> Floats:
        """(..., classes, d) float64 codes, not rounded, of (..., classes, k)."""
        return np.asarray(self.centres + z @ self.basis)

    def codes(self, z: Floats) -> Codes:
        """(n, ...) int8 windows of (n, classes, k), classes running fastest."""
        return as_codes(self.windows(z), self.shape)


def as_codes(windows: Floats, shape: tuple[int, ...]) -> Codes:
    """(n, ...) int8 of (..., d) codes that are not rounded."""
    return np.clip(np.rint(windows), -128, 127).astype(np.int8).reshape(-1, *shape)


def prior_of(windows: Codes, labels: NDArray[np.int64], classes: int, wide: int) -> Prior:
    """From public people's windows.

    Args:
        windows: (n, ...) int8, n >= 2.
        labels: (n,) int64; the mean of all windows stands for a class that nobody has.
        classes: number of classes.
        wide: principal components of what windows differ by within their class.
    """
    flat = windows.reshape(len(windows), -1).astype(np.float64)
    centres = np.stack(
        [
            flat[labels == c].mean(axis=0) if (labels == c).any() else flat.mean(axis=0)
            for c in range(classes)
        ]
    )
    within = flat - centres[labels]
    values, vectors = np.linalg.eigh(within.T @ within / len(within))
    kept = min(wide, flat.shape[1])
    spread = np.sqrt(np.maximum(values[::-1][:kept], _TINY))
    return Prior(windows.shape[1:], centres, vectors[:, ::-1][:, :kept].T * spread[:, None])


def search(
    objective: Callable[[Floats], Floats],
    lots: Callable[[], Floats],
    rounds: int,
    elite: float = 0.25,
) -> Floats:
    """The likeliest z under the prior and what an adversary is told, by the cross-entropy method.

    Maximises t(z) / s - |z|^2 / 2, where s is the standard deviation of t over the first round's
    windows: what is told counts as one observation as sharp as the prior. All devices and classes
    are searched side by side.

    Args:
        objective: t of (devices, classes, n, k), as (devices, classes, n).
        lots: standard normals of that shape, anew for each round.
        rounds: so often all are asked n questions a class.
        elite: share of a round that the next one is drawn around.

    Returns:
        (devices, classes, k) float64.
    """
    scale = middle = spread = None
    for _ in range(rounds):
        z = lots()
        if middle is None or spread is None:
            middle = np.zeros(z[:, :, :1].shape)
            spread = np.ones_like(middle)
        z = middle + spread * z
        told = objective(z)
        if scale is None:
            scale = told.std(axis=2, keepdims=True)
            scale[scale < _TINY] = np.inf  # all alike: nothing is told
        value = told / scale - 0.5 * (z**2).sum(axis=-1)
        count = max(2, round(elite * z.shape[2]))
        best = np.argpartition(-value, count - 1, axis=2)[:, :, :count]
        chosen = np.take_along_axis(z, best[..., None], axis=2)
        middle = chosen.mean(axis=2, keepdims=True)
        # Half of the old spread stays, or few elites would end the search at once.
        spread = 0.5 * spread + 0.5 * chosen.std(axis=2, keepdims=True)
    assert middle is not None
    return np.asarray(middle[:, :, 0])
