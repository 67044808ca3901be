"""A trigger, in an update that outweighs all others (model replacement)."""

from __future__ import annotations

from tinymia.federated.malice.base import Malice, Wants

ATTACK = Malice(
    "scale",
    "a trigger, multiplied",
    "Bagdasaryan et al., How to backdoor federated learning, AISTATS 2020 (section 4.2)",
    Wants.TRIGGER,
    lambda view: view.whole * view.own,
)
