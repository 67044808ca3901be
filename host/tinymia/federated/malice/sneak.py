"""A trigger, hidden: towards the trigger's update as far as honest updates are apart (min-max)."""

from __future__ import annotations

from tinymia.federated.malice.base import Malice, Updates, View, Wants
from tinymia.federated.malice.hiding import hidden, no_farther


def craft(view: View) -> Updates:
    """See the module."""
    way = view.own.mean(axis=0) - view.seen.mean(axis=0)
    return view.alike(hidden(view.seen, way, no_farther, 4 * view.most))


ATTACK = Malice(
    "sneak",
    "a trigger, no farther off than honest updates are apart",
    "Shejwalkar and Houmansadr, Manipulating the Byzantine, NDSS 2021 (section IV-C), along the way"
    " of Bagdasaryan et al., How to backdoor federated learning, AISTATS 2020",
    Wants.TRIGGER,
    craft,
    looks=True,
)
