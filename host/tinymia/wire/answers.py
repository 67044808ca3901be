"""Answers as they cross the line under each output policy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinymia.wire import protocol


def answer_bytes(policy: protocol.Policy, classes: int) -> int:
    """Bytes of one answer on the line."""
    return {
        protocol.Policy.FULL: 4 * classes,
        protocol.Policy.ROUNDED: 2 * classes,
        protocol.Policy.TOP1: 5,
        protocol.Policy.LABEL: 1,
    }[policy]


def decode_answers(
    data: bytes, n: int, policy: protocol.Policy, levels: int, classes: int
) -> NDArray[np.float32]:
    """Answers as (n, classes) float32; NaN where the policy hides a class's probability.

    Under ``TOP1`` the most probable class has its probability; under ``LABEL`` it has 1 and the
    others 0, since nothing but the class is known.

    Raises:
        ValueError: there are more or fewer bytes, or a class that does not exist.
    """
    if len(data) != n * answer_bytes(policy, classes):
        raise ValueError(
            f"{len(data)} bytes of answers instead of {n * answer_bytes(policy, classes)}"
        )
    if policy is protocol.Policy.FULL:
        return np.frombuffer(data, "<f4").reshape(n, classes).astype(np.float32)
    if policy is protocol.Policy.ROUNDED:
        steps = np.frombuffer(data, "<u2").reshape(n, classes)
        return (steps / np.float32(levels)).astype(np.float32)
    out = np.zeros((n, classes), np.float32)
    if policy is protocol.Policy.LABEL:
        out[np.arange(n), _known(np.frombuffer(data, np.uint8), classes)] = 1
        return out
    rows = np.frombuffer(data, np.dtype([("label", "u1"), ("probability", "<f4")]))
    out[:] = np.nan
    out[np.arange(n), _known(rows["label"], classes)] = rows["probability"]
    return out


def check_probabilities(answers: NDArray[np.float32]) -> None:
    """Raise ValueError unless decoded answers are probabilities, or NaN: of a training that
    diverged, or hidden."""
    # (Sums of float32 may end a little above 1.)
    wrong = ~np.isnan(answers) & ~((answers >= 0) & (answers <= 1 + 1e-5))
    if wrong.any():
        raise ValueError(f"{answers[wrong][0]} as a probability")


def _known(labels: NDArray[np.uint8], classes: int) -> NDArray[np.uint8]:
    """The labels; raises ValueError for one that is no class."""
    wrong = labels[labels >= classes]
    if len(wrong):
        raise ValueError(f"class {wrong[0]} of {classes}")
    return labels
