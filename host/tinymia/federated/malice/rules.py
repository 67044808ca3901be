"""What a server makes of a round, as malicious devices that know its strategy reckon it.

Weights by windows and what a server remembers of earlier rounds are left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinymia.federated.malice.base import Updates, View

KRUMS = ("krum", "multi-krum")


def kept(view: View, updates: Updates) -> NDArray[np.intp]:
    """Places of the updates (n, P) that Krum or Multi-Krum keeps, the best one first."""
    count = len(updates)
    bad = int(view.options["malicious"] * count)
    nearest = max(1, count - bad - 2)
    squares = ((updates[:, None] - updates[None]) ** 2).sum(axis=2)
    scores = np.sort(squares, axis=1)[:, 1 : nearest + 1].sum(axis=1)
    most = nearest if view.strategy == "multi-krum" else 1
    return np.argsort(scores, kind="stable")[:most]


def combined(view: View, updates: Updates) -> Updates:
    """(P,) of updates (n, P): how the strategy takes them together."""
    if view.strategy == "median":
        return np.asarray(np.median(updates, axis=0))
    if view.strategy == "trimmed-mean":
        cut = int(view.options["beta"] * len(updates))
        return np.asarray(np.sort(updates, axis=0)[cut : len(updates) - cut].mean(axis=0))
    if view.strategy in KRUMS:
        updates = updates[kept(view, updates)]
    return np.asarray(updates.mean(axis=0))


def with_others(view: View, update: Updates) -> Updates:
    """(P,): what the strategy makes where all malicious devices give the same update (P,)."""
    return combined(view, np.concatenate([view.alike(view.shortened(update)), _others(view)]))


def without(view: View) -> Updates:
    """(P,): what it would make of the honest ones alone."""
    return combined(view, view.seen)


def _others(view: View) -> Updates:
    """(devices - m, P): honest updates; who sees none thinks of their own again and again."""
    return np.resize(view.seen, (view.devices - len(view), view.seen.shape[1]))
