"""Client-level epsilon: what all rounds tell about whether one device took part.

Neighbouring federations differ in one device, whose update is what it is or nothing (zero): the sum
then moves by at most the clip norm, rounding included, and the number of devices that is divided by
is public. Nothing is claimed for the chance of not being chosen: who runs the rounds knows whom it
chose. A device that took part in k rounds is accounted for k of them; the device that took part
most often gives the figure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tinymia.errors import StudyError
from tinymia.federated.terms import UpdateTerms


@dataclass(frozen=True)
class ClientEpsilon:
    """What is claimed for one device.

    Attributes:
        epsilon, delta: the claim.
        multiplier: the smallest noise of a round, as a multiple of the clip norm with its rounding.
        rounds: in which the busiest device took part.
        accountant: "PLD" of the Gaussian mechanism, or "RDP" of concentrated privacy.
    """

    epsilon: float
    delta: float
    multiplier: float
    rounds: int
    accountant: str


def central_multiplier(
    noise: float, terms: UpdateTerms, count: int, replied: int, of: int
) -> float:
    """Noise of a round's mean over what one device moves it by.

    Args:
        noise: of the strategy, in clip norms over the number of devices that it chose.
        terms: of the updates.
        count: numbers of an update.
        replied: devices whose updates are in the mean.
        of: devices that were chosen, for which the noise was made.
    """
    return noise * replied / of * terms.units / terms.sensitivity(count)


def distributed_multiplier(terms: UpdateTerms, count: int, replied: int) -> float:
    """The same where each device adds discrete Gaussian noise and the server sees the sum alone.

    Kairouz, Liu and Steinke (ICML 2021), theorem 1: a sum of discrete Gaussians is no discrete
    Gaussian, and what that costs is tau, which vanishes where sigma is a few units.

    Args:
        terms: of the updates, with their noise.
        count: numbers of an update.
        replied: devices in the sum.
    """
    sigma = terms.sigma(count)
    tau = 10 * sum(
        math.exp(-2 * math.pi**2 * sigma**2 * k / (k + 1)) for k in range(1, max(2, replied))
    )
    moved = terms.sensitivity(count) / (math.sqrt(replied) * sigma) + tau * math.sqrt(count)
    return 1 / moved


def client_epsilon(
    multipliers: Sequence[float], delta: float, *, distributed: bool
) -> ClientEpsilon | None:
    """Epsilon over rounds of these noise multipliers; None: there was no round.

    Args:
        multipliers: of the rounds in which the device took part.
        delta: at which epsilon is said.
        distributed: whether the noise is a sum of discrete Gaussians: then it comes from
            concentrated differential privacy alone.

    Raises:
        StudyError: delta is out of range.
    """
    if not 0 < delta < 1:
        raise StudyError(f"A delta of {delta} cannot be.", "Give one between 0 and 1.")
    if not multipliers:
        return None
    import dp_accounting
    from dp_accounting import pld, rdp

    # Gaussian mechanisms compose to one whose noise is this.
    whole = 1 / math.sqrt(sum(1 / z**2 for z in multipliers))
    # As in `defenses.accounting`: losses go up to about `most`, and the grid must fit into memory.
    most = (0.5 / whole + 10) / whole
    # (With hardly any noise there is no privacy either, and losses are too large for a grid.)
    by_rdp = distributed or whole < 0.02
    accountant = (
        rdp.RdpAccountant([1 + x / 10 for x in range(1, 100)] + list(range(11, 512)))
        if by_rdp
        else pld.PLDAccountant(value_discretization_interval=max(1e-4, most / 5e4))
    )
    accountant.compose(dp_accounting.GaussianDpEvent(whole))
    return ClientEpsilon(
        float(accountant.get_epsilon(delta)),
        delta,
        min(multipliers),
        len(multipliers),
        "RDP" if by_rdp else "PLD",
    )
