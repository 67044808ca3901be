"""What a softmax head's trained weights say of its loss: gradients, and Hessians without a group.

With features x (a 1 behind them, for the bias), probabilities p and the true class one-hot y, the
loss's gradient is (p - y) x' and its Hessian (diag(p) - p p') (x) x x'; the latter is U U' with
U = (diag(sqrt p) - p sqrt(p)') (x) x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.symmetric import inverse
from tinymia.evidence import Candidates, Run

Floats = NDArray[np.float64]


def with_one(features: NDArray[Any]) -> Floats:
    """(n, d + 1) float64: (n, d) features and a 1, which the bias reads."""
    return np.column_stack([features, np.ones(len(features))]).astype(np.float64, copy=False)


def read_by_head(candidates: Candidates) -> Floats:
    """(n, d + 1) float64: features and a 1.

    Raises:
        AssertionError: more than the head is trained.
    """
    assert candidates.features is not None, "more than the head is trained"
    return with_one(candidates.features)


def head_of(theta: NDArray[np.floating[Any]], classes: int) -> Floats:
    """(classes, d + 1) float64 of the weights row by row and the biases behind them."""
    split = len(theta) - classes
    rows = theta[:split].reshape(classes, -1)
    return np.column_stack([rows, theta[split:]]).astype(np.float64)


def probabilities(head: Floats, read: Floats) -> Floats:
    """(n, classes) float64, rows that sum to 1."""
    logits = read @ head.T
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float64)


def residuals(probs: Floats, labels: NDArray[np.int64]) -> Floats:
    """(n, classes): p - y, the loss's gradient by the logits."""
    left = probs.copy()
    left[np.arange(len(labels)), labels] -= 1.0
    return left


def early_stopping(run: Run, windows: int) -> float:
    """Damping of a mean Hessian that training as short as this amounts to.

    T steps of gradient descent of rate r shrink an eigendirection as a ridge of strength 1 / (r T)
    does (Ali, Kolter and Tibshirani, AISTATS 2019). Half of the windows are taken for members.

    Args:
        run: its rate, batch and epochs.
        windows: number of candidates.
    """
    steps = max(run.epochs, 1) * max(windows / 2 / max(run.training.batch, 1), 1.0)
    return 1.0 / (max(run.training.learning_rate, 1e-12) * steps)


@dataclass(frozen=True, eq=False)
class Curvature:
    """Inverse Hessians of the mean loss of all candidates but one group, plus a damping.

    The sum over the others is divided by the number of all candidates, n. Parameters stand class
    by class, P of them. A window's part of the Hessian is V V' with V = S (x) x, whose large
    products are never written down.

    Attributes:
        inverse: (P, P), of the Hessian that has all candidates.
        read: (n, d + 1), x of each window.
        root: (n, classes, classes), S of each window over the square root of n.
        reached: (P, classes, n), the inverse times each window's x, class by class.
    """

    inverse: Floats
    read: Floats
    root: Floats
    reached: Floats

    def times(self, rows: Floats) -> Floats:
        """The inverse times r (x) x of each window: (P, n) of r (n, classes)."""
        return np.asarray(np.einsum("pcn,nc->pn", self.reached, rows))

    def overlap(self, group: NDArray[np.intp]) -> Floats:
        """V' A^-1 V of a group's V side by side: (m * classes, m * classes)."""
        x, s = self.read[group], self.root[group]
        (m, width), classes = x.shape, s.shape[1]
        kept = self.reached[:, :, group].reshape(classes, width, classes * m)
        inner = np.matmul(x, kept).reshape(classes, m, classes, m).transpose(1, 3, 0, 2)
        found = s.transpose(0, 2, 1)[:, None] @ inner @ s
        return np.asarray(found.transpose(0, 2, 1, 3).reshape(m * classes, m * classes))

    def without(self, group: NDArray[np.intp], solved: Floats) -> Floats:
        """Some columns times the inverse Hessian that lacks a group's windows.

        By Woodbury's identity: (A - V V')^-1 B = C + W (I - V' W)^-1 V' C, C = A^-1 B, W = A^-1 V.

        Args:
            group: indices of the windows that are left out.
            solved: (P, k), C.

        Returns:
            (P, k) float64.
        """
        x, s = self.read[group], self.root[group]
        m, classes = s.shape[:2]
        inner = self.overlap(group)
        seen = np.matmul(x, solved.reshape(classes, x.shape[1], -1)).transpose(1, 0, 2)
        pulled = np.matmul(s.transpose(0, 2, 1), seen).reshape(m * classes, -1)
        right = np.linalg.solve(np.eye(len(inner)) - inner, pulled)
        turned = np.matmul(s, right.reshape(m, classes, -1)).transpose(1, 0, 2)
        kept = self.reached[:, :, group].reshape(len(self.inverse), classes * m)
        return np.asarray(solved + kept @ turned.reshape(classes * m, -1), dtype=np.float64)

    def leverage(self, group: NDArray[np.intp]) -> Floats:
        """V' (A - V V')^-1 V, as :meth:`without` has it: (m * classes, m * classes)."""
        inner = self.overlap(group)
        return np.asarray(np.linalg.solve(np.eye(len(inner)) - inner, inner), dtype=np.float64)


def mean_hessian(probs: Floats, read: Floats) -> Floats:
    """(P, P): of the mean loss; classes in rows, what the head reads in columns.

    Args:
        probs: (n, classes).
        read: (n, d + 1).
    """
    (count, classes), width = probs.shape, read.shape[1]
    hessian = np.empty((classes, width, classes, width))
    for k in range(classes):
        for m in range(k + 1):
            weight = probs[:, k] * ((k == m) - probs[:, m]) / count
            block = read.T @ (weight[:, None] * read)
            hessian[k, :, m] = hessian[m, :, k] = block
    return hessian.reshape(classes * width, classes * width)


def curvature(probs: Floats, read: Floats, damping: float) -> Curvature:
    """Of a head that gives these probabilities.

    Args:
        probs: (n, classes).
        read: (n, d + 1).
        damping: above 0, so that every inverse exists.
    """
    (count, classes), width = probs.shape, read.shape[1]
    size = classes * width
    inverted = inverse(mean_hessian(probs, read) + damping * np.eye(size))
    root = np.sqrt(probs / count)
    spread = root[:, :, None] * (np.eye(classes) - np.sqrt(probs[:, :, None] * probs[:, None, :]))
    reached = (inverted.reshape(-1, width) @ read.T).reshape(size, classes, count)
    return Curvature(inverted, read, spread, reached)
