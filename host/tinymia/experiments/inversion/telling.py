"""Whom a reconstruction looks like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FEWEST = 3
"""Windows of a class without which a person has no mean of it."""
_TINY = 1e-9


def class_means(read: Floats, labels: NDArray[np.int64], classes: int) -> Floats:
    """(classes, d) float64 of (n, d) windows; NaN where there are too few of a class."""
    means = np.full((classes, read.shape[1]), np.nan)
    for c in range(classes):
        if (labels == c).sum() >= _FEWEST:
            means[c] = read[labels == c].mean(axis=0)
    return means


def distances(found: Floats, means: Floats) -> Floats:
    """How far reconstructions are from each person, by how far they are from all on average.

    Args:
        found: (devices, classes, d).
        means: (people, classes, d), NaN where there is none; with (devices, ...) in front where
            they are not the same for all.

    Returns:
        (devices, people) float64, the mean over classes that a person has.
    """
    far = np.linalg.norm(found[:, None] - means, axis=-1)
    return np.asarray(np.nanmean(far / np.nanmean(far, axis=1, keepdims=True), axis=2))


def apart(found: Floats, before: Floats, means: Floats) -> Floats:
    """How little reconstructions moved from those of the base model towards each person.

    Args:
        found: (devices, classes, d).
        before: (classes, d), of the base model.
        means: (people, classes, d), or (devices, people, classes, d).

    Returns:
        (devices, people) float64: minus the cosine of what moved to where the person is, seen from
        the mean person; the mean over classes.
    """
    moved = found - before
    towards = means - np.nanmean(means, axis=-3, keepdims=True)
    dots = (moved[:, None] * towards).sum(axis=-1)
    norms = np.linalg.norm(moved, axis=-1)[:, None] * np.linalg.norm(towards, axis=-1)
    return np.asarray(-np.nanmean(dots / np.maximum(norms, _TINY), axis=2))


def nearest(far: Floats, owner: NDArray[np.int64]) -> Floats:
    """(devices,) 1 where the owner is nearest of all people; a part of it where several are.

    Args:
        far: (devices, people).
        owner: (devices,) place of each device's owner among the people.
    """
    least = far == far.min(axis=1, keepdims=True)
    own = least[np.arange(len(far)), owner]
    return np.asarray(own / least.sum(axis=1))


def nearer(far: Floats, owner: NDArray[np.int64]) -> Floats:
    """(devices,) share of the other people who are farther than the owner; ties count half."""
    own = far[np.arange(len(far)), owner][:, None]
    wins = (far > own).sum(axis=1) + 0.5 * ((far == own).sum(axis=1) - 1)
    return np.asarray(wins / (far.shape[1] - 1))


def closer(far: Floats, owner: NDArray[np.int64]) -> Floats:
    """(devices,) mean distance to the other people over the distance to the owner."""
    own = far[np.arange(len(far)), owner]
    others = (far.sum(axis=1) - own) / (far.shape[1] - 1)
    return np.asarray(others / np.maximum(own, _TINY))
