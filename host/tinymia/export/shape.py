"""The public shape of a bundle: coordinates of the embedding in which noise of DP-SGD costs least.

Embeddings of people who are public say around what they lie and in which directions they differ.
A head's gradient is an outer product with the embedding, so most of its norm, and with it most of
the noise, goes into what all embeddings have in common. With z = rows * (x - mean), of about the
same width in each direction, clipping and noise are spent on what differs; and a little more width
is given to what people's own heads differ in. (Whitening by public data before private training:
Tramer and Boneh, ICLR 2021, normalise so; Amid et al., ICML 2022, shape steps by public gradients.)
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import BundleError

ROWS = 48
POWER = 1.0
SIZE = 1 / 0.15
EVEN, STRESS = 0.2, 0.25
"""Share of a direction's weight that does not depend on people, and the power of the weight."""
_RATE, _OTHERS, _OWN = 0.1, 40, 10
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


def personal_shape(
    people: Sequence[tuple[NDArray[Any], NDArray[Any], NDArray[np.integer[Any]]]],
    even: float = EVEN,
    stress: float = STRESS,
) -> Shape:
    """The shape of public people's embeddings, wider where their own heads go.

    Each person's head is fine-tuned a little from one that is fine-tuned on all the others. How
    far these heads go in a direction, squared and on average, is its weight.

    Args:
        people: of each, embeddings (n, dim), the public head's logits (n, classes) and labels
            (n,); the shape is :func:`shape_of` where there are fewer than three.
        even: share of the weights that is the same for all directions.
        stress: power of the weights by which directions are stretched.

    Raises:
        BundleError: there is nothing to learn a shape from.
    """
    whole = [np.asarray(x, np.float64) for x, _, _ in people]
    together = np.concatenate(whole)
    shape = shape_of(together)
    if len(people) < 3:
        return shape
    read = [np.column_stack([(x - shape.mean) @ shape.rows.T, np.ones(len(x))]) for x in whole]
    logits = [np.asarray(seen, np.float64) for _, seen, _ in people]
    wanted = [np.eye(seen.shape[1])[y] for _, seen, y in people]
    weight = np.zeros((len(shape.rows), len(shape.rows)))
    for own in range(len(people)):
        others = [other for other in range(len(people)) if other != own]
        of_others = [np.concatenate([part[i] for i in others]) for part in (read, logits, wanted)]
        start = _descended(of_others[0], of_others[1], of_others[2], _OTHERS)
        before = logits[own] + read[own] @ start.T
        moved = _descended(read[own], before, wanted[own], _OWN)[:, :-1]
        weight += moved.T @ moved
    level = float(np.trace(weight)) / len(weight)
    if level <= 0:
        return shape
    size, turn = np.linalg.eigh((1 - even) * weight / level + even * np.eye(len(weight)))
    rows = (turn * size**stress) @ turn.T @ shape.rows
    norm = np.sqrt((((together - shape.mean) @ rows.T) ** 2).sum(axis=1).mean())
    return Shape(shape.mean, (rows * (SIZE / norm)).astype(np.float32))


def _descended(
    read: NDArray[np.float64], logits: NDArray[np.float64], wanted: NDArray[np.float64], steps: int
) -> NDArray[np.float64]:
    """(classes, r): where steps of gradient descent lead from a head that gives these logits."""
    moved = np.zeros((wanted.shape[1], read.shape[1]))
    for _ in range(steps):
        seen = logits + read @ moved.T
        odds = np.exp(seen - seen.max(axis=1, keepdims=True))
        error = wanted - odds / odds.sum(axis=1, keepdims=True)
        moved += _RATE * error.T @ read / len(read)
    return moved
