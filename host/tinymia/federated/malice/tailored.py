"""Whatever turns the server's own rule back farthest: tried out on the others' updates.

Shejwalkar and Houmansadr (NDSS 2021), section IV-B: the factor of a perturbation is sought with the
rule itself, which is known. Here all three perturbations of that paper are tried, and the one
counts that takes most from the aggregate along the others' mean: length alone, as there, goes where
nothing is lost.
"""

from __future__ import annotations

import numpy as np

from tinymia.federated.malice.base import Malice, Updates, View, Wants
from tinymia.federated.malice.hiding import directions
from tinymia.federated.malice.rules import with_others

_FACTORS = 2.0 ** np.arange(-6, 2.5, 0.5)
"""Of the length that an update may have."""


def craft(view: View) -> Updates:
    """See the module."""
    mean = view.seen.mean(axis=0)
    best, found = np.inf, mean
    for way in directions(view.seen).values():
        for factor in _FACTORS * view.most:
            update = view.shortened(mean + factor * way)
            along = float(with_others(view, update) @ mean)
            if along < best:
                best, found = along, update
    return view.alike(found)


ATTACK = Malice(
    "tailored",
    "what turns the strategy back farthest",
    "Shejwalkar and Houmansadr, Manipulating the Byzantine, NDSS 2021 (section IV-B)",
    Wants.WRONG,
    craft,
    looks=True,
)
