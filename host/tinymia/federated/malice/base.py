"""What an attack of malicious devices is, and what they know when they make their updates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.compat import StrEnum

Updates = NDArray[np.float64]


class Wants(StrEnum):
    """What malicious devices want, and so what they store: windows of one class taken for another
    (they have wrong labels); windows with a trigger taken for a class (half of what they store has
    it); wrong answers (they store nothing false)."""

    CLASS = "class"
    TRIGGER = "trigger"
    WRONG = "wrong"


@dataclass(frozen=True, eq=False)
class View:
    """What malicious devices know in a round.

    Attributes:
        own: (m, P) float64, what each learnt from what it stores.
        seen: (h, P) float64, the honest devices' updates; of those who see none (``blind``), what
            the malicious ones would have given, were they honest.
        devices: in the round, the malicious ones among them.
        whole: all devices of the federation over the malicious ones.
        most: how long an update may be that the server does not refuse.
        strategy, options: of the server, as in :mod:`tinymia.federated.strategies`.
    """

    own: Updates
    seen: Updates
    devices: int
    whole: float
    most: float
    strategy: str
    options: Mapping[str, float]

    def __len__(self) -> int:
        """Malicious devices in the round."""
        return len(self.own)

    def shortened(self, update: Updates) -> Updates:
        """An update (P,), no longer than may be."""
        return np.asarray(update * min(1.0, self.most / max(float(np.linalg.norm(update)), 1e-300)))

    def alike(self, update: Updates) -> Updates:
        """(m, P): the same update (P,) of all."""
        return np.repeat(update[None], len(self), axis=0)


@dataclass(frozen=True)
class Malice:
    """One attack.

    Attributes:
        name: on the command line.
        title: for people.
        reference: the paper.
        wants: of it.
        craft: what they give, (m, P) float64, of what they know.
        looks: whether that depends on others' updates.
    """

    name: str
    title: str
    reference: str
    wants: Wants
    craft: Callable[[View], Updates]
    looks: bool = False
