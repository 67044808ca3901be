"""Noise of weight matrices: covariance of rows by covariance of columns, and shrinkage."""

from __future__ import annotations

import numpy as np

from tinymia.attacks.heads import Doubles

_FLOOR = 1e-6


def whiteners(matrices: Doubles, rounds: int = 3) -> tuple[Doubles, Doubles]:
    """(left, right) such that the entries of left @ M @ right are nearly uncorrelated.

    Maximum likelihood of a matrix-variate normal distribution with mean 0 (Dutilleul, Journal of
    Statistical Computation and Simulation 64, 1999: the flip-flop algorithm): with s matrices
    (k, q) it needs far fewer of them than the k q numbers whose covariance it describes.

    Args:
        matrices: (s, k, q), mean 0.
        rounds: of the alternation; it converges fast.

    Returns:
        (k, k) and (q, q), symmetric.
    """
    count, k, q = matrices.shape
    rows = np.eye(k)
    columns = np.eye(q)
    flat = np.ascontiguousarray(matrices.reshape(count * k, q))
    by_row = np.ascontiguousarray(matrices.transpose(1, 0, 2)).reshape(k, count * q)
    for _ in range(rounds):
        turned = (np.linalg.inv(rows) @ by_row).reshape(k, count, q).transpose(1, 0, 2)
        columns = _floored(flat.T @ turned.reshape(count * k, q) / (count * k))
        turned = (flat @ np.linalg.inv(columns)).reshape(count, k, q).transpose(1, 0, 2)
        rows = _floored(turned.reshape(k, count * q) @ by_row.T / (count * q))
        rows /= np.trace(rows) / k
    return _inverse_root(rows), _inverse_root(columns)


def applied(left: Doubles, right: Doubles, matrices: Doubles) -> Doubles:
    """left @ M @ right of flat matrices: (..., k q) from (..., k, q) or (..., k q)."""
    shape = (*matrices.shape[: -1 if matrices.shape[-1] != len(right) else -2],)
    whole = matrices.reshape(-1, len(left), len(right))
    return np.asarray(np.matmul(np.matmul(left, whole), right).reshape(*shape, -1))


def shrinkage(rows: Doubles) -> float:
    """How much of a covariance of such rows should be a multiple of the identity.

    Ledoit and Wolf, Journal of Multivariate Analysis 88, 2004; computed from inner products of the
    rows, as there are fewer rows than columns.

    Args:
        rows: (s, p), mean 0.

    Returns:
        0.001 to 1.
    """
    count, width = rows.shape
    inner = rows @ rows.T / width
    squared = float((inner**2).sum()) * width / count**2
    level = float(np.trace(inner)) / count
    error = float((np.diag(inner) ** 2).sum()) * width / count**2 - squared / count
    return float(np.clip(error / max(squared - level**2, 1e-300), 1e-3, 1.0))


def _floored(matrix: Doubles) -> Doubles:
    size = len(matrix)
    even = (matrix + matrix.T) / 2
    return np.asarray(even + (_FLOOR * np.trace(even) / size + 1e-300) * np.eye(size))


def _inverse_root(matrix: Doubles) -> Doubles:
    size, turn = np.linalg.eigh(matrix)
    return np.asarray((turn / np.sqrt(np.maximum(size, _FLOOR * size[-1]))) @ turn.T)
