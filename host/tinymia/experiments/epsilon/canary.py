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
    head: NDArray[Any], scale: float, zero_point: int, clip: float, biases: bool
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
    """
    rng = np.random.default_rng(0)
    drawn = rng.integers(-128, 128, (_DRAWN, head.shape[1] - 1))
    pool = np.concatenate([np.rint(zero_point + t * (drawn - zero_point)) for t in _SHRINK])
    x = np.concatenate([(pool - zero_point) * scale, np.ones((len(pool), 1))], axis=1)
    logits = x @ np.asarray(head, np.float64).T
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    classes = p.shape[1]
    # One candidate for each embedding and label.
    which, label = (a.ravel() for a in np.indices(p.shape))
    delta = p[which] - np.eye(classes)[label]
    seen = np.ones((len(pool), 1)) if biases else x
    length = np.linalg.norm(seen, axis=1)[which]
    norm = np.linalg.norm(delta, axis=1) * length
    delta *= np.minimum(1.0, clip / np.maximum(norm, 1e-300))[:, None]

    null = int(np.argmin(norm))
    fit = np.flatnonzero(norm >= min(_SLACK * clip, norm.max()))
    square = np.minimum(norm[fit], clip) ** 2
    order = np.argsort(-p[which[fit], label[fit]], kind="stable")
    best = (-1.0, 0, 0)
    for one in order[:_TRIED]:
        # |a - b|^2 of two clipped gradients, each an outer product of delta and what is seen.
        inner = (delta[fit] @ delta[fit[one]]) * (seen[which[fit]] @ seen[which[fit[one]]])
        apart = square + square[one] - 2 * inner
        far = int(np.argmax(apart))
        if apart[far] > best[0] * (1 + 1e-6):
            best = (float(apart[far]), int(fit[one]), int(fit[far]))
    chosen = (null, best[1], best[2])
    weights = [np.outer(delta[c], x[which[c]][:-1]).ravel() for c in chosen[1:]]
    gradients = [
        delta[c] if biases else np.concatenate([w, delta[c]])
        for c, w in zip(chosen[1:], weights, strict=True)
    ]
    empty, first, second = (pool[which[c]].astype(np.int8) for c in chosen)
    labels = (int(label[chosen[0]]), int(label[chosen[1]]), int(label[chosen[2]]))
    return Canaries(empty, first, second, labels, np.array(gradients))
