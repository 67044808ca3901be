"""A head fitted to what a device answers, from the public base head on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.softmax import probabilities

Floats = NDArray[np.float64]

_TINY = 1e-30
_LATE = 0.75
"""Where on the way probabilities are taken, and the strength of the ridge: of a few that were tried
on one person, those that told most."""
_RIDGE = 1e-4
_PULL = 1e-4
"""Strength of the pull to the base head where answers leave the head open."""


def odds(answers: NDArray[np.float32]) -> Floats:
    """(..., classes) float64, log-probabilities less their mean: what a head is linear in."""
    logs = np.log(np.maximum(answers.astype(np.float64), _TINY))
    return np.asarray(logs - logs.mean(axis=-1, keepdims=True))


def exactly(base: Floats, read: Floats, answers: NDArray[np.float32]) -> Floats:
    """The head whose log-odds are the answers', nearest to the base head where several are.

    With whole probabilities each answer gives as many linear equations as there are classes but
    one: log p_c - mean log p = (w_c - mean w) x. As many questions as a window has features, and
    one for the bias, give the head away (Tramer et al., USENIX Security 2016, section 4.1).

    Args:
        base: (classes, d + 1) float64, the public head.
        read: (m, d + 1) float64, what the head reads of the questions, a 1 behind it.
        answers: (m, classes) float32, whole probabilities.

    Returns:
        (classes, d + 1) float64, rows centred as the base head's are: softmax does not tell a
        common shift.
    """
    wanted, start = odds(answers), centred(base)
    # Answers are float32: a relative error of 6e-8 in p is the same absolute one in log p.
    more = np.linalg.lstsq(read, wanted - read @ start.T, rcond=1e-7)[0]
    return np.asarray(start + more.T)


def likely(base: Floats, read: Floats, answers: NDArray[np.float32]) -> Floats:
    """The most likely head under answers that tell less: rounded, the top classes, a label.

    Minimises the cross-entropy of what is shown (the shown probabilities, and the rest as one
    outcome) with a slight pull to the base head, by L-BFGS.

    Args:
        base, read: see :func:`exactly`.
        answers: (m, classes) float32; NaN where a class is hidden.

    Returns:
        (classes, d + 1) float64, rows centred.
    """
    from scipy.optimize import minimize

    start = centred(base)
    known = ~np.isnan(answers)
    shown = np.where(known, answers, 0.0).astype(np.float64)
    shown = np.clip(shown, 0.0, 1.0)
    total = shown.sum(axis=1, keepdims=True)
    # Noise and rounding leave sums other than 1.
    shown = np.where(total > 1.0, shown / np.maximum(total, _TINY), shown)
    rest = np.where(known.all(axis=1), 0.0, 1.0 - shown.sum(axis=1))
    whole = known.all(axis=1)[:, None]
    shown = np.where(whole, shown / np.maximum(shown.sum(axis=1, keepdims=True), _TINY), shown)
    scale = np.sqrt(np.mean(read**2, axis=0)) + 1e-9
    along = read / scale
    origin = start * scale

    def loss(flat: Floats) -> tuple[float, Floats]:
        head = flat.reshape(start.shape)
        p = probabilities(head, along)
        hidden = np.where(known, 0.0, p)
        mass = np.maximum(hidden.sum(axis=1), _TINY)
        value = -(shown * np.log(np.maximum(p, _TINY))).sum() - (rest * np.log(mass)).sum()
        # d/dz: p * (what is shown in all) - shown, and the rest's share among hidden classes.
        pull = p - shown - (rest / mass)[:, None] * hidden
        moved = head - origin
        gradient = pull.T @ along / len(along) + 2 * _PULL * moved
        return float(value / len(along) + _PULL * (moved**2).sum()), gradient.ravel()

    found = minimize(loss, origin.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    fitted: Floats = np.asarray(found.x, np.float64).reshape(start.shape)
    return centred(fitted / scale)


def centred(head: Floats) -> Floats:
    """A head whose rows have no common part, which answers do not show."""
    return np.asarray(head - head.mean(axis=0, keepdims=True))


def error(copy: Floats, head: Floats, base: Floats) -> float:
    """How far a copy is from the head, by how far the head is from the base model's."""
    true, start = centred(head), centred(base)
    far = float(np.linalg.norm(true - start))
    return float(np.linalg.norm(copy - true)) / max(far, _TINY)


def agreement(copy: Floats, head: Floats, read: Floats) -> float:
    """Share of windows to which copy and head give the same label."""
    return float(((read @ copy.T).argmax(axis=1) == (read @ head.T).argmax(axis=1)).mean())


def shares(
    head: Floats,
    base: Floats,
    read: Floats,
    labels: NDArray[np.int64],
    group: NDArray[np.int64],
) -> Floats:
    """How much each window has of the way from the base head to a head: higher, rather a member.

    A fine-tuned head is nearly base + sum over members of a_i (y_i - p_i) x_i'. The a_i of all
    candidates together are the solution of one ridge regression; windows of a group are members
    together, so their mean counts.

    Args:
        head, base: (classes, d + 1) float64.
        read: (n, d + 1) float64, of the candidates.
        labels, group: (n,) int64.

    Returns:
        (n,) float64.
    """
    ends = probabilities(centred(base), read), probabilities(centred(head), read)
    between = (1 - _LATE) * ends[0] + _LATE * ends[1]
    one = np.zeros_like(between)
    one[np.arange(len(labels)), labels] = 1.0
    columns = ((one - between)[:, :, None] * read[:, None, :]).reshape(len(labels), -1)
    moved = (centred(head) - centred(base)).ravel()
    gram = columns @ columns.T
    ridge = _RIDGE * np.trace(gram) / len(gram)
    weights = np.linalg.solve(gram + ridge * np.eye(len(gram)), columns @ moved)
    number = np.unique(group, return_inverse=True)[1]
    mean = np.bincount(number, weights) / np.bincount(number)
    return np.asarray(mean[number], np.float64)
