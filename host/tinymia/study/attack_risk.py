"""What an account says of an attacker: the trade-off curve of f-DP, of a device's own noise."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from tinymia.defenses.accounting import Neighbours
from tinymia.defenses.noise_law import cost
from tinymia.statistics.epsilon import Profile
from tinymia.study.epsilon_devices import profile

FPRS = (0.0, *(float(f"{rate:.3g}") for rate in np.geomspace(1e-3, 1.0, 31)))
_CHANCES = (1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5)
"""Of what the device's noise is off by, see :func:`tinymia.defenses.noise_law.cost`; each holds."""


@dataclass(frozen=True)
class Risk:
    """The most that any attack on one window can do, whoever knows all others.

    Attributes:
        advantage: of true-positive rate over false-positive rate.
        power: the greatest true-positive rate at each of ``FPRS``.
    """

    advantage: float
    power: tuple[float, ...]


@functools.cache
def risk(noise_multiplier: float, rate: float, steps: int, parameters: int) -> Risk:
    """Of a training with noise, for one window more or less among the members.

    From deltas at many epsilons, which says more than one pair does (Kulynych, Gomez et al.,
    NeurIPS 2024); tests hold it against their package riskcal. Seconds of work, so it is done once.

    Args:
        noise_multiplier, rate, steps, parameters: see :func:`tinymia.defenses.accounting.epsilon`.
    """
    claimed = profile(noise_multiplier, rate, steps, Neighbours.ADD_OR_REMOVE)
    held = _of_device(claimed, steps * parameters) if parameters else [claimed]
    power = np.min([one.power(FPRS) for one in held], axis=0)
    return Risk(min(one.advantage for one in held), tuple(float(p) for p in power))


def _of_device(ideal: Profile, draws: int) -> list[Profile]:
    """What holds with the noise that a device draws, by :mod:`tinymia.defenses.noise_law`."""
    found = [Profile(np.array([0.0, 1.0]), np.ones(2))]
    for chance in _CHANCES:
        g = cost(draws, chance)
        if math.isfinite(g):
            delta = math.exp(g) * ideal.delta + chance * (1 + np.exp(ideal.epsilon + g))
            delta = np.minimum.accumulate(np.minimum(np.append(1.0, delta), 1.0))
            found.append(Profile(np.append(0.0, ideal.epsilon + 2 * g), delta))
    return found
