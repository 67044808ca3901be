"""What defences by noise on answers share: how they are set, and the epsilon of an answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinymia.defenses.accounting import of_device
from tinymia.defenses.base import Kind, Plan, Unproven, check
from tinymia.defenses.noise_law import SIGMA
from tinymia.wire.guard import NoiseLaw

UNITS = {NoiseLaw.LAPLACE: 32, NoiseLaw.GAUSSIAN: int(SIGMA)}
"""Whole units of the core's grid in the noise's scale (``answer/keyed.h``, ``answer/guard.cc``)."""
LAPLACE_SLACK = 2.5e-5
"""What the constants of the core's Laplace law add to epsilon at most, a class: they are exact to
4e-6 of themselves at worst, in each of two numbers, on either side."""


_DELTA = 1e-3
"""At which an epsilon of Gaussian noise is stated."""


@dataclass(frozen=True)
class OutputNoise(Unproven):
    """Adds noise to the logits of every answer, the same whenever the same is asked.

    Each logit is taken as far as it lies behind the largest one, at most ``bound``, so that no
    training set whatever moves an answer by more than ``bound`` in each of its numbers: an answer
    is differentially private for the whole of a device's data, however much of it changes, not for
    one window alone. That is dear: epsilon an answer is large where the noise leaves accuracy.

    Keyed by the question's features and the state of training under a secret key, so that asking
    again gives nothing. Other questions have other noise: epsilon grows with each different one.
    In an audit the key comes from the seed, and whoever knew it would have no noise before them.
    A release build draws it when it is switched on: what was trained before that and lies in the
    bundle has other noise, and as many answers, each time.

    Attributes:
        scale: of the noise, in logits.
        bound: see above.
        answers: the most that a device gives, repeated ones counted; 0: no limit. Of one training;
            a release build, where anybody may begin another one, since it was switched on.

    Raises:
        StudyError: a number is out of range.
    """

    scale: float = 1.0
    bound: float = 6.0
    answers: int = 0

    kind: ClassVar[Kind]
    law: ClassVar[NoiseLaw]

    def __post_init__(self) -> None:
        check(self, "scale", "Noise on answers")
        why = "Without a bound on logits no noise hides what moves them."
        check(self, "bound", "A bound on logits", why)
        check(self, "answers", "A limit of {} answers", "0 sets none.")

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.law.name.title()} noise {self.scale:g} on logits within {self.bound:g}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with noise on answers."""
        return plan.guarding(
            noise_law=self.law,
            noise=self.scale,
            noise_bound=self.bound,
            answers=int(self.answers),
        )

    def promise(self, classes: int) -> str:
        """What is proven of one answer; "" where that is nothing."""
        epsilon = self.epsilon(classes, 1)
        if math.isinf(epsilon):
            return ""
        at = "" if self.law is NoiseLaw.LAPLACE else f" at \u03b4 = {_DELTA:g}"
        return f"\u03b5 = {epsilon:.3g}{at} an answer"

    def epsilon(self, classes: int, answers: int, delta: float = _DELTA) -> float:
        """Epsilon of so many different answers together, whatever changes in the training data.

        Args:
            classes: of an answer.
            answers: how many different questions are asked.
            delta: with which it holds; the Laplace law needs none.

        Returns:
            Of Gaussian noise infinite above about 15, where what the device's noise is off by
            leaves no claim.
        """
        unit = np.float32(self.scale) / np.float32(UNITS[self.law])
        reach = int(np.float32(self.bound) / unit + np.float32(0.5)) / UNITS[self.law]
        if self.law is NoiseLaw.LAPLACE:
            return answers * classes * (reach + LAPLACE_SLACK)
        # Zero-concentrated (Bun and Steinke, TCC 2016), since logits are rounded beforehand.
        rho = answers * classes * reach**2 / 2

        def ideal(chance: float) -> float:
            return rho + 2 * math.sqrt(rho * math.log(1 / chance))

        return of_device(ideal, delta, answers * classes)
