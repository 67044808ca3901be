"""Whatever turns the server's own rule back farthest: tried out on the others' updates.

Shejwalkar and Houmansadr (NDSS 2021), section IV-B: the factor of a perturbation is sought with the
rule itself, which is known. Here that paper's three perturbations are tried, and the opposite of
what the malicious devices learnt themselves; the one counts whose aggregate goes back farthest
along that. Length alone, as in the paper, goes where nothing is lost, and the others' mean is near
to noise once a federation has settled, so that it pulls somewhere else in each round.
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
    mean, own = view.seen.mean(axis=0), view.own.mean(axis=0)
    ways = [*directions(view.seen).values(), -own / max(float(np.linalg.norm(own)), 1e-300)]
    best, found = np.inf, mean
    for way in ways:
        for factor in _FACTORS * view.most:
            update = view.shortened(mean + factor * way)
            along = float(with_others(view, update) @ own)
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
