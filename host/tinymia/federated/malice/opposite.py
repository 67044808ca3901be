"""The opposite of what they learnt, outweighing all others."""

from __future__ import annotations

from tinymia.federated.malice.base import Malice, Wants

ATTACK = Malice(
    "opposite",
    "what they learnt, turned round and multiplied",
    "Blanchard et al., Machine learning with adversaries, NeurIPS 2017 (section 2)",
    Wants.WRONG,
    lambda view: -view.whole * view.own,
)
