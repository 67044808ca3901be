"""As far along a direction as the others lie apart (Shejwalkar and Houmansadr, NDSS 2021)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinymia.federated.malice.base import Updates

_HALVINGS = 30


def directions(seen: Updates) -> dict[str, Updates]:
    """Perturbations (P,) of that paper: against the mean, its spread, and its signs; length 1.

    Args:
        seen: (h, P) honest updates.
    """
    mean = seen.mean(axis=0)
    found = {"unit": -mean, "std": -seen.std(axis=0), "sign": -np.sign(mean)}
    return {name: way / max(float(np.linalg.norm(way)), 1e-300) for name, way in found.items()}


def farthest(fits: Callable[[float], bool], first: float) -> float:
    """The largest factor up to ``first`` that fits, where smaller ones fit as well; 0: none."""
    low, high = 0.0, first
    if fits(high):
        return high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def no_farther(seen: Updates, update: Updates) -> bool:
    """Whether its largest distance to honest updates is one between two of them: min-max."""
    return bool(_squares(seen, update[None]).max() <= _squares(seen, seen).max())


def no_farther_in_sum(seen: Updates, update: Updates) -> bool:
    """Whether its squared distances to honest updates add up to no more than one of theirs:
    min-sum."""
    return bool(_squares(seen, update[None]).sum() <= _squares(seen, seen).sum(axis=1).max())


def hidden(
    seen: Updates, way: Updates, allowed: Callable[[Updates, Updates], bool], most: float
) -> Updates:
    """The honest mean, moved along ``way`` as far as is allowed.

    Args:
        seen: (h, P) honest updates.
        way: (P,).
        allowed: of (seen, update).
        most: length of ``way`` times the factor, at most.
    """
    mean, length = seen.mean(axis=0), max(float(np.linalg.norm(way)), 1e-300)
    factor = farthest(lambda times: allowed(seen, mean + times * way), most / length)
    return np.asarray(mean + factor * way)


def _squares(one: Updates, other: Updates) -> Updates:
    """(n, m) squared distances of rows."""
    found = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    return np.asarray(np.maximum(found, 0.0))
