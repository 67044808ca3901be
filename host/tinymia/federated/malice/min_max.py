"""Against the mean, no farther from any honest update than two of these are apart."""

from __future__ import annotations

from tinymia.federated.malice.base import Malice, Updates, View, Wants
from tinymia.federated.malice.hiding import directions, hidden, no_farther


def craft(view: View) -> Updates:
    """See the module."""
    way = directions(view.seen)["unit"]
    return view.alike(hidden(view.seen, way, no_farther, 4 * view.most))


ATTACK = Malice(
    "min-max",
    "as far from the mean as honest updates are apart",
    "Shejwalkar and Houmansadr, Manipulating the Byzantine, NDSS 2021 (section IV-C)",
    Wants.WRONG,
    craft,
    looks=True,
)
