"""Screening of what a device stores: its own, and two of a host by the embeddings that it keeps.

The device's own (:mod:`tinymia.defenses.screening`) leaves out what the base network doubts most.
The others are here for comparison alone:
Tran, Li, Madry, "Spectral signatures in backdoor attacks", NeurIPS 2018 (algorithm 1); Chen et al.,
"Detecting backdoor attacks on deep neural networks by activation clustering", SafeAI 2019
(arXiv 2018; relative size as the sign); Peri et al., "Deep k-NN defense against clean-label data
poisoning attacks", ECCV Workshops 2020.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SPECTRAL, CLUSTERS, NEIGHBOURS = "spectral", "clusters", "neighbours"
SCREENS = {
    SPECTRAL: "screening by spectral signatures",
    CLUSTERS: "screening by activation clustering",
    NEIGHBOURS: "screening by nearest neighbours",
}
_MORE = 1.5
"""Windows that spectral signatures remove, by those that may be poisoned (algorithm 1)."""
_NEAREST = 5
_SMALL = 0.35
"""A class's smaller cluster is removed where its part of the class is at most this."""
_DIMENSIONS = 10
_LEAST = 4
"""Windows that a class must have to be clustered."""


def doubted(losses: Floats, labels: Integers, share: int) -> Bools:
    """(n,) bool: what a device leaves out, reckoned once more.

    Args:
        losses: (n,) float64, of the base network.
        labels: (n,) int64, as told.
        share: per cent, rounded down.
    """
    out = np.zeros(len(labels), np.bool_)
    quota = np.bincount(labels) * 3 // 4
    left = len(labels) * share // 100
    for place in np.argsort(-losses, kind="stable"):
        if left and quota[labels[place]]:
            out[place] = True
            quota[labels[place]] -= 1
            left -= 1
    return out


def outlying(read: Floats, labels: Integers) -> Floats:
    """(n,) float64: squared part of each window along its class's first principal direction.

    Args:
        read: (n, d) float64, embeddings.
        labels: (n,) int64, as told.
    """
    found = np.zeros(len(labels))
    for label in np.unique(labels):
        of = labels == label
        centred = read[of] - read[of].mean(axis=0)
        direction = np.linalg.svd(centred, full_matrices=False)[2][0]
        found[of] = (centred @ direction) ** 2
    return found


def spectral(read: Floats, labels: Integers, poisoned: int) -> Bools:
    """(n,) bool: the most outlying windows, half as many again as may be poisoned.

    Args:
        read: (n, d) float64, embeddings.
        labels: (n,) int64, as told.
        poisoned: how many may be.
    """
    return _first(outlying(read, labels), poisoned)


def _first(scores: Floats, poisoned: int) -> Bools:
    suspicious = np.zeros(len(scores), np.bool_)
    most = min(int(np.ceil(_MORE * poisoned)), len(scores) - 1)
    suspicious[np.argsort(-scores, kind="stable")[:most]] = True
    return suspicious


def neighbours(read: Floats, labels: Integers, poisoned: int) -> Bools:
    """(n,) bool: as many, of those whose label is not that of what lies near.

    By the mean squared distance to the five nearest windows of the same label, over that to the
    five nearest of others: a score in place of the vote of Peri et al.

    Args:
        read: (n, d) float64, embeddings.
        labels: (n,) int64, as told.
        poisoned: how many may be.
    """
    squares = np.sum(read**2, axis=1)
    apart = squares[:, None] + squares - 2 * read @ read.T
    far = float(apart.max()) + 1.0
    np.fill_diagonal(apart, far)
    same = labels[:, None] == labels
    own, other = (
        np.sort(np.where(of, apart, far), axis=1)[:, :_NEAREST].mean(axis=1) for of in (same, ~same)
    )
    return _first(own / (np.maximum(other, 0) + 1.0), poisoned)


def clusters(read: Floats, labels: Integers, poisoned: int = 0) -> Bools:
    """(n,) bool: the smaller of two clusters of each class, where it is small.

    Clusters start at both ends of the first principal direction, so nothing is drawn.

    Args:
        read: (n, d) float64, embeddings.
        labels: (n,) int64, as told.
        poisoned: not used; a small cluster is one whatever was poisoned.
    """
    from scipy.cluster.vq import kmeans2

    suspicious = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        of = np.flatnonzero(labels == label)
        if len(of) < _LEAST:
            continue
        centred = read[of] - read[of].mean(axis=0)
        if not np.ptp(centred, axis=0).any():  # all the same: there are no two
            continue
        directions = np.linalg.svd(centred, full_matrices=False)[2][:_DIMENSIONS]
        seen = centred @ directions.T
        ends = seen[[seen[:, 0].argmin(), seen[:, 0].argmax()]]
        which = kmeans2(seen, ends, minit="matrix")[1]
        small = int(np.sum(which == 1) <= len(of) / 2)
        if 0 < np.sum(which == small) <= _SMALL * len(of):
            suspicious[of[which == small]] = True
    return suspicious


Method = Callable[[Floats, Integers, int], Bools]
"""Which windows look poisoned, by embeddings (n, d), labels (n,), and how many may be."""
SCREENING: dict[str, Method] = {
    SPECTRAL: spectral,
    CLUSTERS: clusters,
    NEIGHBOURS: neighbours,
}
