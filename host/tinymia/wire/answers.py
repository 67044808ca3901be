"""Answers as they cross the line under each output policy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import DataError
from tinymia.wire import protocol
from tinymia.wire.guard import GUARDS, GuardSettings
from tinymia.wire.settings import described, wrong_setting


def answer_bytes(policy: protocol.Policy, classes: int, levels: int = 1) -> int:
    """Bytes of one answer on the line; ``levels`` classes under TOPK."""
    return {
        protocol.Policy.FULL: 4 * classes,
        protocol.Policy.ROUNDED: 2 * classes,
        protocol.Policy.TOP1: 5,
        protocol.Policy.TOPK: 5 * levels,
        protocol.Policy.LABEL: 1,
    }[policy]


def decode_answers(
    data: bytes, n: int, policy: protocol.Policy, levels: int, classes: int
) -> NDArray[np.float32]:
    """Answers as (n, classes) float32; NaN where the policy hides a class's probability.

    Under ``TOP1`` the most probable class has its probability, under ``TOPK`` the ``levels`` most
    probable ones have theirs; under ``LABEL`` it has 1 and the
    others 0, since nothing but the class is known.

    Raises:
        ValueError: there are more or fewer bytes, or a class that does not exist.
    """
    expected = n * answer_bytes(policy, classes, levels)
    if len(data) != expected:
        raise ValueError(f"{len(data)} bytes of answers instead of {expected}")
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
    shown = _known(rows["label"], classes).reshape(n, -1)
    np.put_along_axis(out, shown, rows["probability"].reshape(n, -1), axis=1)
    return out


def check_guard(guard: GuardSettings) -> None:
    """Raise DataError, with the setting's name and range, unless a device takes the settings."""
    name = wrong_setting(guard, GUARDS)
    if name is not None:
        setting = next(s for s in GUARDS if s.name == name)
        raise DataError(
            f"The answer setting {name} is out of range: {getattr(guard, name)}.",
            f"It may be {described(setting)}.",
        )


def check_probabilities(answers: NDArray[np.float32]) -> None:
    """Raise ValueError unless decoded answers are probabilities, or NaN: of a training that
    diverged, or hidden."""
    # (Sums of float32 may end a little above 1.)
    wrong = ~np.isnan(answers) & ~((answers >= 0) & (answers <= 1 + 1e-5))
    if wrong.any():
        raise ValueError(f"{answers[wrong][0]} as a probability")


def _known(labels: NDArray[np.uint8], classes: int) -> NDArray[np.intp]:
    """The labels; raises ValueError for one that is no class."""
    wrong = labels[labels >= classes]
    if len(wrong):
        raise ValueError(f"class {wrong[0]} of {classes}")
    return labels.astype(np.intp)
