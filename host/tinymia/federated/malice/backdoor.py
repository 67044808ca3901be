"""A trigger in half of what they store."""

from __future__ import annotations

from tinymia.federated.malice.base import Malice, Wants

ATTACK = Malice(
    "backdoor",
    "a trigger",
    "Bagdasaryan et al., How to backdoor federated learning, AISTATS 2020",
    Wants.TRIGGER,
    lambda view: view.own,
)
