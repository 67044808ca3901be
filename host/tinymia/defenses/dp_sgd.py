"""DP-SGD."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.accounting import Account, Epsilon, Neighbours, epsilon
from tinymia.defenses.base import Kind, Parameter, Plan, Site, TrainingSize, check, of_setting
from tinymia.wire.span import Span


@dataclass(frozen=True)
class DpSgd:
    """Poisson sampling, per-example clipping and Gaussian noise (Abadi et al., CCS 2016).

    With them the trained weights are (epsilon, delta) differentially private: one window more or
    less among the members changes the chance of any result by a factor of exp(epsilon) at most, but
    for delta; a window that is replaced by another may change it by more, see :meth:`account`. Both
    hold for one window, not for all of a person's, and only while the key is secret: an audit
    build's is the run's seed.

    Attributes:
        noise: standard deviation of the noise on the sum of gradients, in clip norms.
        clip: the clip norm.
        delta: at which epsilon is stated; well below 1 / members.
        slowdown: factor of the learning rate; noise wants smaller steps (the default was chosen on
            public people, each with a base model that had not seen them).

    Raises:
        StudyError: a number is out of range.
    """

    noise: float = 1.0
    clip: float = 1.0
    delta: float = 1e-3
    slowdown: float = 0.25
    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "noise", "A noise multiplier")
        why = "Without a bound on a gradient no noise of DP-SGD hides it."
        check(self, "clip", "A clip norm", why)
        check(self, "delta", "A delta")
        check(self, "slowdown", "With DP-SGD a slowdown")

    @property
    def title(self) -> str:
        """For people."""
        return f"DP-SGD with noise {self.noise:g} and clipping at {self.clip:g}"

    def account(self, size: TrainingSize) -> Account:
        """What it claims of a training of that size.

        Args:
            size: its number of members is a public one, that asked for: with the batch it gives
                rate and steps, whatever the true number is.
        """
        steps = -(-size.members // size.batch) * size.epochs
        rate = min(1.0, size.batch / size.members)
        added, replaced = (
            account_of(self.noise, rate, steps, self.delta, neighbours, size.parameters)
            for neighbours in (Neighbours.ADD_OR_REMOVE, Neighbours.REPLACE)
        )
        return Account(added, replaced, self.delta, rate, steps)

    def apply(self, plan: Plan) -> Plan:
        """The plan with noise and clipping on."""
        return plan.training(
            noise_multiplier=self.noise,
            clip_norm=self.clip,
            expected_members=plan.size.members,
            learning_rate=plan.settings.learning_rate * self.slowdown,
        )


@functools.cache
def account_of(
    noise: float, rate: float, steps: int, delta: float, neighbours: Neighbours, parameters: int
) -> Epsilon:
    """Epsilon of a device. Seconds of work, so it is done once.

    Orders that do not converge are left out silently.
    """
    logging.getLogger("absl").setLevel(logging.ERROR)
    return epsilon(noise, rate, steps, delta, neighbours, parameters)


KIND = DpSgd.kind = Kind(
    name="dp",
    short="DP-SGD",
    site=Site.GRADIENT,
    make=DpSgd,
    parameters=(
        Parameter(
            "noise", "--noise", "noise multipliers", of_setting("noise_multiplier"), several=True
        ),
        Parameter("clip", "--dp-clip", "clip norm", of_setting("clip_norm")),
        Parameter(
            "delta", "--delta", "at which epsilon is stated", Span(0, 1, above=True, below=True)
        ),
        Parameter(
            "slowdown", "--dp-slowdown", "factor of the learning rate", Span(0, 1, above=True)
        ),
    ),
    spread=(1.3, 3.0),
    excludes=frozenset({"clip", "mixup", "early-stop"}),
    why="It clips by itself, and its account holds for neither mixup nor held-out members.",
    sweep=(0.7, 1.3, 2.0, 3.0, 5.0),
)
