"""Against the mean, in sum no farther from honest updates than one of these is."""

from __future__ import annotations

from tinymia.federated.malice.base import Malice, Updates, View, Wants
from tinymia.federated.malice.hiding import directions, hidden, no_farther_in_sum


def craft(view: View) -> Updates:
    """See the module."""
    way = directions(view.seen)["unit"]
    return view.alike(hidden(view.seen, way, no_farther_in_sum, 4 * view.most))


ATTACK = Malice(
    "min-sum",
    "in sum as far from the others as one of them",
    "Shejwalkar and Houmansadr, Manipulating the Byzantine, NDSS 2021 (section IV-C)",
    Wants.WRONG,
    craft,
    looks=True,
)
