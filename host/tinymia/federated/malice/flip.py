"""Wrong labels: one class as another."""

from __future__ import annotations

from tinymia.federated.malice.base import Malice, Wants

ATTACK = Malice(
    "flip",
    "wrong labels",
    "Biggio, Nelson and Laskov, Support vector machines under adversarial label noise, ACML 2011",
    Wants.CLASS,
    lambda view: view.own,
)
