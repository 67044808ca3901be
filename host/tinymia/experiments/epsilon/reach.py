"""What an audit of so many devices could show at most: where that is little, little was asked."""

from __future__ import annotations

import math

import numpy as np

from tinymia.statistics.epsilon import SOUND, Audit
from tinymia.statistics.epsilon.audit import Half

_MARGIN = 0.1
"""Of epsilon above a limit that is to be seen broken."""


def reach(devices: int, delta: float, level: float) -> float:
    """The largest bound that an audit can end with: every device gives its arm away.

    Args:
        devices: of each arm.
        delta: in (0, 1), at which epsilon is stated.
        level: confidence of a bound.
    """
    half = Half(np.ones((1, devices // 2)), np.zeros((1, devices // 2)))
    audit = Audit(half, half)
    return max(float(audit.bound(method, delta, level)[0]) for method in SOUND)


def devices_for(epsilon: float, devices: int, reached: float) -> int:
    """About how many devices of each arm could show more than ``epsilon``.

    The largest bound grows by 1 where there are e times as many.

    Args:
        epsilon: that is to be exceeded.
        devices, reached: of an audit, by :func:`reach`.

    Returns:
        A number of two digits and zeros.
    """
    needed = devices * math.exp(max(0.0, epsilon + _MARGIN - reached))
    grain = int(10 ** max(0, math.floor(math.log10(needed)) - 1))
    return math.ceil(needed / grain) * grain
