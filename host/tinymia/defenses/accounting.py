"""Epsilon of DP-SGD on a device: the Poisson-subsampled Gaussian mechanism, composed over steps.

Every figure is for a kind of **neighbouring data sets** (:class:`Neighbours`): one window more or
less among the members, the usual one, or one window replaced by another, for which epsilon is
larger. Neighbours keep all other windows where they are in the store: what else is drawn for an
example is keyed by its slot. Both accountants of the ``dp-accounting`` package give upper bounds:
Renyi differential privacy (Mironov 2017; Mironov, Talwar and Zhang 2019; for a window more or less
only) and privacy loss distributions (Koskela, Jalko and Honkela 2020; Doroshenko et al. 2022). The
smaller holds.

The device adds whole noise to gradients that are counted in whole units (``train/gaussian.h``):

- What it draws is nearly a normal variable that is rounded to the nearest unit. Added to a whole
  sum, that is the Gaussian mechanism whose result is rounded, so it is as private. What the
  sampler is off by is in every epsilon here, see :mod:`tinymia.defenses.noise_law`; it grows with
  the number of draws, so with the number of trained parameters.
- The deviation is the multiplier times all that an example can change the sum by: the clip norm,
  1 % for what float32 is off by, and the rounding to whole units, sqrt(parameters) / 2 of them.

Sampling rate, number of steps and divisor follow the public setting ``expected_members``, never how
many members there are, so a window more or less changes none of them. The key must be secret: an
audit build draws everything from the run's seed, and whoever knows that has no noise before them.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinymia.compat import StrEnum
from tinymia.defenses.noise_law import cost
from tinymia.errors import StudyError

MIN_NOISE, MAX_NOISE = 0.01, 64.0
PARAMETERS = 5000  # unless said otherwise: all layers of the watch model have fewer
_COARSE = 1e-3
"""Grid of losses of :func:`reconstruction_bound`; they are rounded up."""
_ORDERS = (*range(2, 65), 80, 96, 128, 192, 256, 512, 1024)


class Neighbours(StrEnum):
    """Which two data sets must give nearly the same results; the value is for people."""

    ADD_OR_REMOVE = "one window more or less"
    REPLACE = "one window replaced"


@dataclass(frozen=True)
class Epsilon:
    """Two upper bounds on epsilon at one delta.

    Attributes:
        rdp: by Renyi differential privacy; infinite for a replaced window.
        pld: by privacy loss distributions.
        neighbours: what it holds for.
    """

    rdp: float
    pld: float
    neighbours: Neighbours = Neighbours.ADD_OR_REMOVE

    @property
    def best(self) -> float:
        """The smaller, which holds."""
        return min(self.rdp, self.pld)

    @property
    def accountant(self) -> str:
        """Which one gave it: "RDP" or "PLD"."""
        return "RDP" if self.rdp < self.pld else "PLD"

    def __float__(self) -> float:
        return self.best


def epsilon(
    noise_multiplier: float,
    rate: float,
    steps: int,
    delta: float,
    neighbours: Neighbours = Neighbours.ADD_OR_REMOVE,
    parameters: int = 0,
) -> Epsilon:
    """Epsilon of ``steps`` steps.

    Args:
        noise_multiplier: standard deviation of the noise over the clip norm.
        rate: probability with which an example takes part in a step: batch / expected members.
        steps: updates in all: epochs times ceil(expected members / batch).
        delta: probability with which epsilon may be exceeded.
        neighbours: what it is to hold for.
        parameters: how many numbers a device trains, or more; 0: of the Gaussian mechanism itself.

    Returns:
        Of a device infinite where what its noise is off by leaves no claim: for an epsilon above
        about 15, or more than some millions of draws.

    Raises:
        StudyError: a value is out of range.
    """
    _check(0 < noise_multiplier < math.inf, f"a noise multiplier of {noise_multiplier}")
    _check_training(rate, steps, delta)
    import dp_accounting
    from dp_accounting import pld

    event, by_rdp = _composed(noise_multiplier, rate, steps)
    replaces = neighbours is Neighbours.REPLACE
    bound = float(by_rdp.get_epsilon(delta))
    # Losses are rounded up to a grid. Finer than 1e-4 gains nothing, and where they are large (one
    # step's are up to about `most`) so fine a grid would not fit into memory.
    reach = 2 if replaces else 1
    most = (0.5 * reach / noise_multiplier + 10) * reach / noise_multiplier
    grid = min(max(1e-4, reach**2 * bound / 2e4, most / 5e4), 100.0)
    relation = dp_accounting.NeighboringRelation
    by_pld = pld.PLDAccountant(
        relation.REPLACE_ONE if replaces else relation.ADD_OR_REMOVE_ONE, grid
    )
    by_pld.compose(event)
    draws = steps * parameters
    found = of_device(by_pld.get_epsilon, delta, draws)
    bound = math.inf if replaces else of_device(by_rdp.get_epsilon, delta, draws)
    return Epsilon(bound, found, neighbours)


def _composed(noise_multiplier: float, rate: float, steps: int) -> tuple[Any, Any]:
    """The event of all steps, and the accountant of Renyi's, which is quick."""
    import dp_accounting
    from dp_accounting import rdp

    step = dp_accounting.PoissonSampledDpEvent(
        rate, dp_accounting.GaussianDpEvent(noise_multiplier)
    )
    event = dp_accounting.SelfComposedDpEvent(step, steps)
    found = rdp.RdpAccountant(_ORDERS)
    found.compose(event)
    return event, found


def of_device(ideal: Callable[[float], float], delta: float, draws: int) -> float:
    """The least epsilon at that delta of a device's own noise, from the Gaussian mechanism's."""
    best = math.inf
    about = float(ideal(delta))
    if draws == 0:
        return about
    if about > 600:  # (exp() ends there)
        return best
    least = functools.cache(lambda share: float(ideal((1 - share) * delta)))
    tries = []
    for slack, share in itertools.product(
        (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.2),
        (0.5, 0.3, 0.1, 0.03, 0.01, 0.003, 1e-3, 1e-4),
    ):
        most = about + slack * (about + 5)
        tries.append((cost(draws, share * delta / (1 + math.exp(most))), most, share))
    for g, most, share in sorted(tries):
        # A smaller delta has no smaller epsilon: most tries cannot be the best, and are not made.
        if about + g > most or about + 2 * g >= best or least(share) + 2 * g >= best:
            continue
        epsilon_there = float(ideal((1 - share) * delta * math.exp(-g)))
        if epsilon_there + g <= most:
            best = min(best, epsilon_there + 2 * g)
    return best


def reconstruction_bound(
    noise_multiplier: float, rate: float, steps: int, guess: float, parameters: int = 0
) -> float:
    """Chance at most that a training example is reconstructed, whoever knows all others.

    With an output that is (epsilon, delta) private for one window more or less, whoever succeeds
    with a chance of ``guess`` without the example succeeds with exp(epsilon) guess + delta at most
    (Balle, Cherubin and Hayes, IEEE S&P 2022, theorem 3, here with delta; Hayes, Mahloujifar and
    Balle, NeurIPS 2023); the least over some deltas.

    Args:
        noise_multiplier, rate, steps, parameters: see :func:`epsilon`.
        guess: in (0, 1].
    """
    _check(0 < guess <= 1, f"a chance of {guess}")
    import dp_accounting
    from dp_accounting import pld

    step = dp_accounting.PoissonSampledDpEvent(
        rate, dp_accounting.GaussianDpEvent(noise_multiplier)
    )
    losses = pld.PLDAccountant(dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE, _COARSE)
    losses.compose(dp_accounting.SelfComposedDpEvent(step, steps))
    best = 1.0
    for delta in (0.3, 0.1, 0.03, 0.01, 0.001):
        most = of_device(losses.get_epsilon, delta, steps * parameters)
        best = min(best, math.exp(min(most, 700.0)) * guess + delta)
    return best


def noise_for(target: float, delta: float, rate: float, steps: int, parameters: int = 0) -> float:
    """The least noise multiplier, to 0.1 %, with which ``steps`` steps keep epsilon ``target``.

    Raises:
        StudyError: a value is out of range, or no multiplier up to 64 is enough.
    """
    _check(0 < target < math.inf, f"an epsilon of {target}")
    _check_training(rate, steps, delta)

    def fits(noise: float) -> bool:
        # Where one of the two bounds is small enough, the other, which takes longer, need not be.
        quick = _composed(noise, rate, steps)[1].get_epsilon
        if of_device(quick, delta, steps * parameters) <= target:
            return True
        return epsilon(noise, rate, steps, delta, parameters=parameters).best <= target

    low, high = MIN_NOISE, MAX_NOISE
    if not fits(high):
        raise StudyError(
            f"No noise multiplier up to {MAX_NOISE:g} gives epsilon {target:g} over {steps} steps.",
            "Train fewer epochs, with a smaller batch or on more members, or allow more epsilon.",
        )
    if fits(low):
        return low
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


def _check_training(rate: float, steps: int, delta: float) -> None:
    _check(0 < rate <= 1, f"a sampling rate of {rate}")
    _check(steps >= 1, f"{steps} steps")
    _check(0 < delta < 1, f"a delta of {delta}")


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise StudyError(
            f"Epsilon cannot be accounted for {what}.",
            "The noise and epsilon must be above 0, the rate in (0, 1], delta in (0, 1), and there"
            " must be a step.",
        )


@dataclass(frozen=True)
class Account:
    """What a training with DP-SGD claims.

    Attributes:
        added: epsilon for one window more or less.
        replaced: for one window that is replaced by another.
        delta: at which both hold.
        rate: chance of a window to be in a step.
        steps: of the whole training.
    """

    added: Epsilon
    replaced: Epsilon
    delta: float
    rate: float
    steps: int
