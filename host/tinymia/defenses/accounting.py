"""Epsilon of DP-SGD on a device: the Poisson-subsampled Gaussian mechanism, composed over steps.

Neighbouring data sets differ by one example that is added or removed. Both accountants of the
``dp-accounting`` package give upper bounds: Renyi differential privacy (Mironov 2017; Mironov,
Talwar and Zhang 2019) and privacy loss distributions (Koskela, Jalko and Honkela 2020; Doroshenko
et al. 2022). The smaller holds.

The device adds *discrete* Gaussian noise to gradients that are counted in units of
clip / 65536 (``train/noise.h``). It may be accounted as the continuous one: its sensitivity, with
the rounding to whole units, is covered by the 1 % that the device adds to the noise; its Renyi
divergence between whole shifts is at most the continuous one's (Canonne, Kamath and Steinke,
NeurIPS 2020, theorem 4 and proposition 5); and for the sampled mechanism, whose divergence is a sum
over the grid where the continuous one's is an integral, the two differ by less than
exp(-2 pi^2 sigma^2), which for the least noise multiplier of 0.01 (sigma = 655 units) is far below
the smallest double.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinymia.errors import StudyError

MIN_NOISE, MAX_NOISE = 0.01, 64.0
MAX_STEPS = 1_000_000


@dataclass(frozen=True)
class Epsilon:
    """Two upper bounds on epsilon at one delta.

    Attributes:
        rdp: by Renyi differential privacy.
        pld: by privacy loss distributions.
    """

    rdp: float
    pld: float

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


def epsilon(noise_multiplier: float, rate: float, steps: int, delta: float) -> Epsilon:
    """Epsilon of ``steps`` steps.

    Args:
        noise_multiplier: standard deviation of the noise over the clip norm.
        rate: probability with which an example takes part in a step: batch / members.
        steps: updates in all: epochs times ceil(members / batch).
        delta: probability with which epsilon may be exceeded.

    Raises:
        StudyError: a value is out of range.
    """
    _check(noise_multiplier > 0, f"a noise multiplier of {noise_multiplier}")
    event = _event(noise_multiplier, rate, steps, delta)
    from dp_accounting import pld, rdp

    bounds = []
    for accountant in (rdp.RdpAccountant(), pld.PLDAccountant()):
        accountant.compose(event)
        bounds.append(float(accountant.get_epsilon(delta)))
    return Epsilon(*bounds)


def noise_for(target: float, delta: float, rate: float, steps: int) -> float:
    """The least noise multiplier, to 0.2 %, with which ``steps`` steps keep epsilon ``target``.

    Raises:
        StudyError: a value is out of range, or no multiplier up to 64 is enough.
    """
    _check(target > 0, f"an epsilon of {target}")
    # Renyi bounds are quick and lie a little too high, so they enclose the search.
    low, high = MIN_NOISE, MAX_NOISE
    if _rdp(high, rate, steps, delta) > target:
        raise StudyError(
            f"No noise multiplier up to {MAX_NOISE:g} gives epsilon {target:g} over {steps} steps.",
            "Train fewer epochs, with a smaller batch or on more members, or allow more epsilon.",
        )
    while high / low > 1.002:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if _rdp(middle, rate, steps, delta) <= target else (middle, high)
    low = max(MIN_NOISE, high / 1.3)
    while high / low > 1.002:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if _pld(middle, rate, steps, delta) <= target else (middle, high)
    return high


def steps_for(target: float, delta: float, rate: float, noise_multiplier: float) -> int:
    """The most steps, up to a million, that keep epsilon ``target``; 0 if not even one does.

    Raises:
        StudyError: a value is out of range.
    """
    _check(target > 0, f"an epsilon of {target}")
    _check(noise_multiplier > 0, f"a noise multiplier of {noise_multiplier}")
    low, high = 0, 1
    while high < MAX_STEPS and _rdp(noise_multiplier, rate, high, delta) <= target:
        low, high = high, 2 * high
    if high >= MAX_STEPS:
        return MAX_STEPS
    # Twice of what Renyi bounds allow is more than enough room for the better accountant.
    high = 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        fits = _pld(noise_multiplier, rate, middle, delta) <= target
        low, high = (middle, high) if fits else (low, middle)
    return low


def _rdp(noise_multiplier: float, rate: float, steps: int, delta: float) -> float:
    event = _event(noise_multiplier, rate, steps, delta)
    from dp_accounting import rdp

    accountant = rdp.RdpAccountant()
    accountant.compose(event)
    return float(accountant.get_epsilon(delta))


def _pld(noise_multiplier: float, rate: float, steps: int, delta: float) -> float:
    from dp_accounting import pld

    accountant = pld.PLDAccountant()
    accountant.compose(_event(noise_multiplier, rate, steps, delta))
    return float(accountant.get_epsilon(delta))


def _event(noise_multiplier: float, rate: float, steps: int, delta: float) -> Any:
    _check(0 < rate <= 1, f"a sampling rate of {rate}")
    _check(steps >= 1, f"{steps} steps")
    _check(0 < delta < 1, f"a delta of {delta}")
    import dp_accounting

    step = dp_accounting.PoissonSampledDpEvent(
        rate, dp_accounting.GaussianDpEvent(noise_multiplier)
    )
    return dp_accounting.SelfComposedDpEvent(step, steps)


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise StudyError(
            f"Epsilon cannot be accounted for {what}.",
            "The noise and epsilon must be above 0, the rate in (0, 1], delta in (0, 1), and there"
            " must be a step.",
        )
