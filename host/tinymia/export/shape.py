"""The public shape of a bundle: coordinates of the embedding in which noise of DP-SGD costs least.

Embeddings of people who are public say around what they lie and in which directions they differ.
A head's gradient is an outer product with the embedding, so most of its norm, and with it most of
the noise, goes into what all embeddings have in common. With z = rows * (x - mean), of about the
same width in each direction, clipping and noise are spent on what differs. (Whitening by public
data before private training: Tramer and Boneh, ICLR 2021, normalise so; Amid et al., ICML 2022,
shape steps by public gradients.)
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import BundleError

ROWS = 32
POWER = 0.75
SIZE = 1 / 0.15
_HEADER = struct.Struct("<II8s")


@dataclass(frozen=True, eq=False)
class Shape:
    """z = rows * (x - mean).

    Attributes:
        mean: (dim,) float32.
        rows: (rows, dim) float32, at most dim of them.

    Raises:
        BundleError: these do not go together.
    """

    mean: NDArray[np.float32]
    rows: NDArray[np.float32]

    def __post_init__(self) -> None:
        mean = np.ascontiguousarray(self.mean, np.float32)
        rows = np.ascontiguousarray(self.rows, np.float32)
        if rows.ndim != 2 or mean.shape != rows.shape[1:] or not 1 <= len(rows) <= len(mean):
            raise BundleError(
                f"A public shape needs a mean (dim,) and rows (1 to dim, dim), but got"
                f" {mean.shape} and {rows.shape}."
            )
        if not (np.isfinite(mean).all() and np.isfinite(rows).all()):
            raise BundleError("The public shape holds NaN or infinite values.", "Make it again.")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "rows", rows)

    def to_bytes(self) -> bytes:
        """The body of a ``SHAP`` section."""
        count, dim = self.rows.shape
        floats = self.mean.astype("<f4").tobytes() + self.rows.astype("<f4").tobytes()
        return _HEADER.pack(dim, count, bytes(8)) + floats

    @classmethod
    def from_bytes(cls, data: bytes) -> Shape:
        """Read a ``SHAP`` section's body; raises BundleError."""
        damaged = BundleError("The bundle's SHAP section is damaged.", "Copy the file again.")
        if len(data) < _HEADER.size:
            raise damaged
        dim, count, reserved = _HEADER.unpack_from(data)
        if any(reserved) or len(data) != _HEADER.size + 4 * dim * (count + 1):
            raise damaged
        floats = np.frombuffer(data, "<f4", offset=_HEADER.size).reshape(count + 1, dim)
        return cls(floats[0], floats[1:])


def shape_of(
    embeddings: NDArray[Any], rows: int = ROWS, power: float = POWER, size: float = SIZE
) -> Shape:
    """The shape of public people's embeddings.

    Args:
        embeddings: (n, dim) float, of two or more windows that differ.
        rows: how many directions are kept, those of most variance (up to dim).
        power: of the deviation by which each is divided; 1 makes all equally wide.
        size: root mean square of the norm of z; beside the bias's input, which is 1.

    Raises:
        BundleError: there is nothing to learn a shape from.
    """
    x = np.asarray(embeddings, np.float64)
    if x.ndim != 2 or len(x) < 2 or not x.std(axis=0).any():
        raise BundleError(
            "There are no public people's windows that differ, so no public shape.",
            "Give a data set with people beside those who are audited.",
        )
    mean = x.mean(axis=0)
    variance, directions = np.linalg.eigh(np.cov(x.T).reshape(x.shape[1], -1))
    kept = np.argsort(variance)[::-1][:rows]
    # No direction counts for less than a thousandth of the widest one's variance.
    scale = (np.maximum(variance[kept], 0) + 1e-3 * variance.max()) ** (-power / 2)
    z = (directions[:, kept] * scale).T
    norm = np.sqrt((((x - mean) @ z.T) ** 2).sum(axis=1).mean())
    return Shape(mean.astype(np.float32), (z * (size / norm)).astype(np.float32))
