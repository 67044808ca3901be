"""A softmax head in coordinates that suit attacks on all windows at once.

Answers tell a head only up to what they do not change: a number added to all logits of a window
cancels, and weights count on the directions that the windows reach. So a head with C classes is
held as a matrix (C - 1, q): contrasts of classes by axes of the windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

MOST = 800
"""Numbers of a head that are kept at most; beyond, the axes on which windows differ least go."""
_LEAST = 1e-30
"""Below this the device's float32 exponentials are no longer exact to 7 digits."""


def contrasts(classes: int) -> Doubles:
    """(C - 1, C): orthonormal, each row sums to 0 (Helmert's)."""
    rows = np.tril(np.ones((classes - 1, classes)))
    size = np.arange(1, classes)
    rows[size - 1, size] = -size
    return np.asarray(rows / np.sqrt(size * (size + 1))[:, None], np.float64)


def softmax(logits: NDArray[Any]) -> Doubles:
    """Probabilities (..., C) of logits (..., C)."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float64)


@dataclass(frozen=True, eq=False)
class Readout:
    """How the answers to n windows follow from a matrix (k, q), k = C - 1.

    Logits of window i are ``(offset[i] + rows[i] @ matrix.T) @ basis``, up to a number added to
    all of them.

    Attributes:
        rows: (n, q).
        offset: (n, k): contrasts where the matrix is 0.
        basis: (k, C), see :func:`contrasts`.
        axes: (d + 1, q), orthonormal: from features and 1 to ``rows``; None where rows are no
            features of the windows but axes on which shadow devices' answers differ.
        missed: (n,), variance of a window's contrasts that no matrix explains; None: none.
        start: (C, d + 1), the head from which weights are counted; None: from 0.
    """

    rows: Doubles
    offset: Doubles
    basis: Doubles
    axes: Doubles | None = None
    missed: Doubles | None = None
    start: Doubles | None = None

    @classmethod
    def of_head(cls, read: Doubles, classes: int) -> Readout:
        """Of a head: the matrix holds its weights and bias.

        Args:
            read: (n, d + 1), features and a 1.
            classes: C.
        """
        _, size, axes = np.linalg.svd(read, full_matrices=False)
        kept = min(int((size > 1e-6 * size[0]).sum()), max(2, MOST // max(1, classes - 1)))
        turn = np.ascontiguousarray(axes[:kept].T)
        offset = np.zeros((len(read), classes - 1))
        return cls(read @ turn, offset, contrasts(classes), turn)

    @classmethod
    def of_answers(cls, shadows: NDArray[Any], brief: bool) -> Readout:
        """Of networks that are trained deep: the axes on which shadow devices' answers differ.

        Args:
            shadows: (s, n, C), whole answers.
            brief: half as many axes, where equations are to be solved in all of them.
        """
        basis = contrasts(shadows.shape[-1])
        seen = log_contrasts(shadows, basis)
        centre = seen.mean(axis=0)
        spread = (seen - centre).transpose(1, 0, 2).reshape(len(centre), -1)
        size, axes = np.linalg.eigh(spread @ spread.T)
        most = max(2, (MOST // 2 if brief else MOST) // len(basis))
        kept = max(1, min(int((size > 1e-9 * size[-1]).sum()), most))
        chosen = np.ascontiguousarray(axes[:, ::-1][:, :kept])
        left = seen - centre - chosen @ (chosen.T @ (seen - centre))
        return cls(chosen, centre, basis, None, (left**2).mean(axis=(0, 2)))

    @property
    def shape(self) -> tuple[int, int]:
        """(k, q)."""
        return len(self.basis), self.rows.shape[1]

    @cached_property
    def pairs(self) -> Pairs:
        """Sums over the rows' squares."""
        return Pairs(self.rows)

    def logits(self, matrix: Doubles) -> Doubles:
        """(n, C)."""
        return np.asarray((self.offset + self.rows @ matrix.T) @ self.basis)

    def of_weights(self, weights: NDArray[Any]) -> Doubles:
        """(..., k, q) of a head's weights and bias (..., C, d + 1)."""
        assert self.axes is not None
        moved = np.asarray(weights, np.float64) - (0.0 if self.start is None else self.start)
        return np.asarray(self.basis @ moved @ self.axes)

    def of_whole(self, answers: NDArray[Any]) -> Doubles:
        """(s, k, q): what whole answers (s, n, C) tell, by least squares.

        Windows with a probability that float32 cannot hold are left out while enough remain.
        """
        seen = log_contrasts(answers, self.basis) - self.offset
        sure = (np.asarray(answers) > _LEAST).all(axis=-1)
        out = np.empty((len(seen), *self.shape))
        everywhere = sure.all(axis=1)
        inverse = np.linalg.pinv(self.rows, rcond=1e-9)
        out[everywhere] = np.matmul(inverse, seen[everywhere]).transpose(0, 2, 1)
        for device in np.flatnonzero(~everywhere):
            use = sure[device]
            if use.sum() < 2 * self.shape[1]:
                use = np.ones_like(use)
            solved = np.linalg.lstsq(self.rows[use], seen[device, use], rcond=1e-6)[0]
            out[device] = solved.T
        return out


def log_contrasts(answers: NDArray[Any], basis: Doubles) -> Doubles:
    """(..., n, k): contrasts of log-probabilities (..., n, C)."""
    logs = np.log(np.fmax(np.asarray(answers, np.float64), 1e-37))
    return np.asarray(logs @ basis.T)


def spread_of(probabilities: Doubles, basis: Doubles) -> Doubles:
    """(n, k, k): covariance of the one-hot label under each answer, in contrasts."""
    mean = probabilities @ basis.T
    squares = np.einsum("kc,nc,lc->nkl", basis, probabilities, basis, optimize=True)
    return np.asarray(squares - mean[:, :, None] * mean[:, None, :])


class Pairs:
    """Sums over windows of M_i (x) x_i x_i', for ever new M and the same x: symmetric halves."""

    def __init__(self, rows: Doubles) -> None:
        upper, self._place = _halves(rows.shape[1])
        self._products = np.ascontiguousarray(rows[:, upper[0]] * rows[:, upper[1]])

    def sum(self, blocks: Doubles) -> Doubles:
        """(k q, k q) of symmetric blocks (n, k, k)."""
        k, width = blocks.shape[1], len(self._place)
        upper, place = _halves(k)
        halves = blocks[:, upper[0], upper[1]].T @ self._products
        full = halves.take(self._place.ravel(), axis=1).reshape(-1, width, width)[place]
        return np.asarray(full.transpose(0, 2, 1, 3).reshape(k * width, k * width))


@cache
def _halves(size: int) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], NDArray[np.intp]]:
    """Indices of a symmetric matrix's upper half, and where each element (size, size) is in it."""
    upper = np.triu_indices(size)
    place = np.empty((size, size), np.intp)
    place[upper] = place[upper[::-1]] = np.arange(len(upper[0]))
    return upper, place
