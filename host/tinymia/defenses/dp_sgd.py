"""DP-SGD."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass, replace

from tinymia.defenses.accounting import Epsilon, epsilon
from tinymia.defenses.base import Site
from tinymia.errors import StudyError
from tinymia.wire.settings import TrainSettings


@dataclass(frozen=True)
class DpSgd:
    """Poisson sampling, per-example clipping and Gaussian noise (Abadi et al., CCS 2016).

    With them the trained weights are (epsilon, delta) differentially private: one member more or
    less changes the chance of any result by a factor of exp(epsilon) at most, but for delta.

    Attributes:
        noise: standard deviation of the noise on the sum of gradients, in clip norms.
        clip: the clip norm.
        delta: at which epsilon is stated; well below 1 / members.
        slowdown: factor of the learning rate; noise wants smaller steps (the default was chosen on
            public people, each with a base model that had not seen them).
        rate: chance of a member to be in a step; 0 where it is not known yet.
        steps: of the whole training.

    Raises:
        StudyError: a number is out of range.
    """

    noise: float = 1.0
    clip: float = 1.0
    delta: float = 1e-3
    slowdown: float = 0.25
    rate: float = 0.0
    steps: int = 0
    site: Site = Site.GRADIENT

    def __post_init__(self) -> None:
        if not 0.01 <= self.noise <= 64:
            raise StudyError(
                f"A noise multiplier of {self.noise} is not possible.", "Give 0.01 to 64."
            )
        if not 0 < self.clip <= 1e6:
            raise StudyError(
                f"A clip norm of {self.clip} is not possible with DP-SGD.",
                "Without a bound on a gradient no noise hides it; give a number > 0.",
            )
        if not 0 < self.delta < 1:
            raise StudyError(f"A delta of {self.delta} is not possible.", "Give 0 < delta < 1.")

        if not 0 < self.slowdown <= 1:
            raise StudyError(
                f"A slowdown of {self.slowdown} is not possible with DP-SGD.", "Give 0 < x <= 1."
            )

    @property
    def name(self) -> str:
        """With the multiplier, since an audit compares several."""
        return f"dp-{self.noise:g}"

    @property
    def title(self) -> str:
        """For people, with epsilon where the training is known."""
        text = f"DP-SGD with noise {self.noise:g} and clipping at {self.clip:g}"
        if self.epsilon is None:
            return text
        return f"{text}, epsilon {self.epsilon:.2f} at delta {self.delta:g}"

    @property
    def epsilon(self) -> float | None:
        """Of the whole training, the better bound of :attr:`account`; None if not known."""
        return None if self.account is None else self.account.best

    @property
    def account(self) -> Epsilon | None:
        """Both bounds of :mod:`tinymia.defenses.accounting`; None if the training is not known."""
        if not (self.rate and self.steps):
            return None
        return _account(self.noise, self.rate, self.steps, self.delta)

    def of_training(self, members: int, batch: int, epochs: int) -> DpSgd:
        """The same for a training of that size, whose epsilon can be stated."""
        steps = -(-members // batch) * epochs
        return replace(self, rate=min(1.0, batch / members), steps=steps)

    def apply(self, settings: TrainSettings) -> TrainSettings:
        """The settings with noise and clipping on."""
        return replace(
            settings,
            noise_multiplier=self.noise,
            clip_norm=self.clip,
            learning_rate=settings.learning_rate * self.slowdown,
        )


@functools.cache
def _account(noise: float, rate: float, steps: int, delta: float) -> Epsilon:
    """Seconds of work, so it is done once; orders that do not converge are left out silently."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    return epsilon(noise, rate, steps, delta)
