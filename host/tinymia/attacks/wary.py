"""Laws for devices that were not trained as the shadow devices were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinymia.attacks.heads import Doubles
from tinymia.attacks.response import Law, Response
from tinymia.evidence.types import Integers

_TIMES = (1.0, 2.0, 4.0, 0.5, 0.25, 0.125, 0.0625)
_LOOSE = 30.0
"""Spread that is allowed along directions in which all devices of a recipe move alike."""


class Wary:
    """The law of shadow devices, trusted for its directions but not for its means.

    Another recipe, or a defence that the adversary does not know, moves all devices elsewhere, and
    farther or less far. So what moves classes of windows as a whole may take any value; effects
    are tried for several lengths of training; and the noise is taken to be as large as the
    attacked device's misfit says.

    Args:
        response: learnt from shadow devices.
        labels: (G,), the class of each unit.
    """

    def __init__(self, response: Response, labels: Integers) -> None:
        self.readout = response.readout
        usual = response.at(None)
        classes = np.unique(labels)
        loose = response.directions((labels == classes[:, None]).astype(np.float64))
        self._freedom = len(usual.precision) - len(loose)
        precision = usual.precision
        held = loose @ precision
        precision = precision - held.T @ np.linalg.solve(
            held @ loose.T + np.eye(len(loose)) / _LOOSE**2, held
        )
        self._laws = [
            replace(
                usual,
                precision=precision,
                effects=usual.effects if time == 1.0 else response.effects(time),
            )
            for time in _TIMES
        ]

    def at(self, matrix: Doubles | None) -> Law:
        """The law under which a device is likeliest, its noise scaled; None: as shadow devices."""
        if matrix is None:
            return self._laws[0]
        tried = [self._scaled(law, matrix) for law in self._laws]
        return max(tried, key=lambda pair: pair[0])[1]

    def _scaled(self, law: Law, matrix: Doubles) -> tuple[float, Law]:
        """Log evidence, up to what is the same for all, and the law with the noise that fits."""
        place = law.whiten(matrix)
        pull = law.weighted @ place
        total = float(place @ law.precision @ place)
        units = len(pull)
        noise = 1.0
        for _ in range(4):
            inner = law.information / noise + law.prior.precision
            guess = np.linalg.solve(inner, pull / noise)
            # What is left of the place once the units' effects are taken off.
            rest = total - 2 * float(guess @ pull) + float(guess @ law.information @ guess)
            noise = max(1.0, rest / max(self._freedom - units, units))
        inner = law.information / noise + law.prior.precision
        explained = float(pull @ np.linalg.solve(inner, pull)) / noise
        evidence = -(
            (total - explained) / noise
            + float(np.linalg.slogdet(inner)[1])
            + self._freedom * float(np.log(noise))
        )
        return evidence, replace(law, precision=law.precision / noise)
