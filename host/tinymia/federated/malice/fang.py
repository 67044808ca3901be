"""Against where the others go, fitted to Krum, or to median and trimmed mean (and plain means).

Fang, Cao, Jia and Gong (USENIX Security 2020): for Krum, the longest step against the sign of what
would have been learnt that Krum still takes (section 4.2); else each number beyond the extreme of
the others', on the side that turns the aggregate back (section 4.3, b = 2). Full knowledge, or
devices' own updates in place of the others' (partial knowledge).
"""

from __future__ import annotations

import numpy as np

from tinymia.federated.malice.base import Malice, Updates, View, Wants
from tinymia.federated.malice.rules import KRUMS, kept, without

_BEYOND = 2.0
_LEAST = 1e-5


def craft(view: View) -> Updates:
    """See the module."""
    sign = np.sign(without(view))
    return _krum(view, sign) if view.strategy in KRUMS else _beyond(view, sign)


def _krum(view: View, sign: Updates) -> Updates:
    count = len(view)
    others = view.seen[: view.devices - count]
    step = view.most / max(float(np.linalg.norm(sign)), 1e-300)
    while step > _LEAST:
        made = view.alike(-step * sign)
        if kept(view, np.concatenate([made, others]))[0] < count:
            break
        step /= 2
    return view.alike(-step * sign)


def _beyond(view: View, sign: Updates) -> Updates:
    # From the extreme on as far again as it is from 0; drawn anew for each device there, and here
    # the far end, since nothing in a median or a mean tells them apart.
    top, bottom = view.seen.max(axis=0), view.seen.min(axis=0)
    above = np.where(top > 0, _BEYOND * top, top / _BEYOND)
    below = np.where(bottom > 0, bottom / _BEYOND, _BEYOND * bottom)
    return view.alike(np.where(sign > 0, below, above))


ATTACK = Malice(
    "fang",
    "against where the others go, fitted to the strategy",
    "Fang et al., Local model poisoning attacks to Byzantine-robust federated learning, USENIX"
    " Security 2020",
    Wants.WRONG,
    craft,
    looks=True,
)
