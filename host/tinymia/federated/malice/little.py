"""A little is enough: every number as far from the others' mean as a majority does not notice.

Baruch, Baruch and Goldberg (NeurIPS 2019), algorithm 1. To which side a number is moved is free
there; here it is against the mean's own sign, so that learning goes back.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from tinymia.federated.malice.base import Malice, Updates, View, Wants


def deviations(devices: int, malicious: int) -> float:
    """z: so many standard deviations from the mean they have enough honest devices behind them."""
    others = devices - malicious
    supporters = devices // 2 + 1 - malicious
    share = (others - supporters) / max(1, others)
    return max(0.0, NormalDist().inv_cdf(min(max(share, 1e-6), 1 - 1e-6)))


def craft(view: View) -> Updates:
    """Mean, moved by z standard deviations."""
    mean, off = view.seen.mean(axis=0), view.seen.std(axis=0)
    return view.alike(mean - deviations(view.devices, len(view)) * off * np.sign(mean))


ATTACK = Malice(
    "little",
    "a little is enough",
    "Baruch, Baruch and Goldberg, A little is enough, NeurIPS 2019",
    Wants.WRONG,
    craft,
    looks=True,
)
