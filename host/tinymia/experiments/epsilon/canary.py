"""Worst cases for a softmax head: the example that shows most, and one that shows nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_DRAWN = 400
_SHRINK = (1.0, 0.5, 0.25, 0.1, 0.05)
_SLACK = 1.1  # so that a gradient is clipped still when training has made it smaller
_TRIED = 40
_REACHES = (3.0, 4.0, 5.0, 7.0, 10.0, 14.0, 20.0)
_LONG, _QUIET = 2.5, 1e-3


@dataclass(frozen=True, eq=False)
class Canaries:
    """Three slots and their labels.

    Attributes:
        null: (d,) int8, whose gradient is as good as zero.
        first, second: (d,) int8: the canary, and what replaces it.
        labels: of null, first and second.
        gradients: (2, P) float64: of first and second at the base head, clipped: weights row by
            row, then biases; or biases alone.
    """

    null: NDArray[np.int8]
    first: NDArray[np.int8]
    second: NDArray[np.int8]
    labels: tuple[int, int, int]
    gradients: Floats


def worst_case(
    head: NDArray[Any],
    scale: float,
    zero_point: int,
    clip: float,
    biases: bool,
    shape: tuple[NDArray[Any], NDArray[Any]] | None = None,
) -> Canaries:
    """Search what a slot may hold for the largest clipped gradient and for the smallest one.

    DP promises something for every neighbour, so the canary need not be a person's window: any int8
    embedding is fair. As in Nasr et al., IEEE S&P 2021, section V ("gradient attack"), everybody
    else should change nothing. The canary's gradient is clipped, with some slack, at the base head;
    among those the answer to it is least extreme, so that answers show what training changed. The
    second one's gradient is the farthest from the first's.

    Args:
        head: (classes, d + 1): weights and bias.
        scale, zero_point: of an embedding.
        clip: the clip norm.
        biases: whether biases alone are trained.
        shape: see :class:`~tinymia.experiments.epsilon.Devices`; gradients are in its coordinates.
    """
    rng = np.random.default_rng(0)
    drawn = rng.integers(-128, 128, (_DRAWN, head.shape[1] - 1))
    pool = np.concatenate([np.rint(zero_point + t * (drawn - zero_point)) for t in _SHRINK])
    if shape is not None:
        near = _near(np.asarray(head, np.float64), *shape)
        pool = np.concatenate([pool, np.clip(np.rint(zero_point + near / scale), -128, 127)])
    x = np.concatenate([(pool - zero_point) * scale, np.ones((len(pool), 1))], axis=1)
    logits = x @ np.asarray(head, np.float64).T
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    classes = p.shape[1]
    # One candidate for each embedding and label.
    which, label = (a.ravel() for a in np.indices(p.shape))
    delta = p[which] - np.eye(classes)[label]
    seen = np.ones((len(pool), 1)) if biases else x
    if shape is not None:
        mean, rows = (np.asarray(part, np.float64) for part in shape)
        seen = np.concatenate([(x[:, :-1] - mean) @ rows.T, x[:, -1:]], axis=1)
    length = np.linalg.norm(seen, axis=1)[which]
    norm = np.linalg.norm(delta, axis=1) * length
    delta *= np.minimum(1.0, clip / np.maximum(norm, 1e-300))[:, None]

    null = int(np.argmin(norm))
    if shape is not None:
        # Noise moves answers by as much as the coordinates are long: one that is sure beside that.
        first, second = np.sort(p, axis=1)[:, :-3:-1].T
        firm = (np.log(first) - np.log(second + 1e-300)) / length.reshape(p.shape)[:, 0]
        quiet = norm < _QUIET * clip
        null = int(np.argmax(np.where(quiet, firm[which], 0.0))) if quiet.any() else null
    fit = np.flatnonzero(norm >= min(_SLACK * clip, norm.max()))
    square = np.minimum(norm[fit], clip) ** 2
    sure = p[which[fit], label[fit]]
    if shape is not None:
        # Few large steps: a gradient lasts that is not much too long, of a class far from likely.
        sure = -sure - (norm[fit] > _LONG * clip)
    order = np.argsort(-sure, kind="stable")
    best = (-1.0, 0, 0)
    for one in order[:_TRIED]:
        # |a - b|^2 of two clipped gradients, each an outer product of delta and what is seen.
        inner = (delta[fit] @ delta[fit[one]]) * (seen[which[fit]] @ seen[which[fit[one]]])
        apart = square + square[one] - 2 * inner
        far = int(np.argmax(apart))
        if apart[far] > best[0] * (1 + 1e-6):
            best = (float(apart[far]), int(fit[one]), int(fit[far]))
    chosen = (null, best[1], best[2])
    weights = [np.outer(delta[c], seen[which[c]][:-1]).ravel() for c in chosen[1:]]
    gradients = [
        delta[c] if biases else np.concatenate([w, delta[c]])
        for c, w in zip(chosen[1:], weights, strict=True)
    ]
    empty, first, second = (pool[which[c]].astype(np.int8) for c in chosen)
    labels = (int(label[chosen[0]]), int(label[chosen[1]]), int(label[chosen[2]]))
    return Canaries(empty, first, second, labels, np.array(gradients))


def _near(head: Floats, mean: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float64]:
    """(m, d): embeddings whose classes are as sure as they can be so near to a shape's mean."""
    back = np.linalg.pinv(np.asarray(rows, np.float64))
    towards = (head[:, :-1] - head[:, :-1].mean(axis=0)) @ back
    towards /= np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-300)
    ways = np.concatenate([towards, -towards])
    return np.concatenate([mean + reach * ways @ back.T for reach in _REACHES])
