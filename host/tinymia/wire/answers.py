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
    """
    if policy is protocol.Policy.FULL:
        return np.frombuffer(data, "<f4").reshape(n, classes).astype(np.float32)
    if policy is protocol.Policy.ROUNDED:
        steps = np.frombuffer(data, "<u2").reshape(n, classes)
        return (steps / np.float32(levels)).astype(np.float32)
    if policy is protocol.Policy.LABEL:
        return np.eye(classes, dtype=np.float32)[np.frombuffer(data, np.uint8)]
    rows = np.frombuffer(data, np.dtype([("label", "u1"), ("probability", "<f4")]))
    out = np.full((n, classes), np.nan, np.float32)
    out[np.arange(n), rows["label"]] = rows["probability"]
    return out
