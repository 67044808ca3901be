"""Ridge regression of many bits at once, its strength by leaving each shadow device out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STRENGTHS = np.geomspace(1e-8, 10.0, 28)
"""Tried strengths, as parts of the Gram matrix's largest eigenvalue."""
_LEAST_LEFT = 1e-9
"""Least part of a device that its own prediction leaves out: 0 / 0 would follow."""
_ROUNDING = 1e-20
"""What of the signals' squares may be rounding."""
_SURE = 1e-4
"""Least variance of a bit's decoded value, as a part of all bits' together."""


@dataclass(frozen=True, eq=False)
class Ridge:
    """A fitted regression from P signals to g bits.

    Attributes:
        centre: (P,) float64, mean of the signals.
        weights: (P, g) float64.
        strength: as a part of the largest eigenvalue.
        left_out: (s, g) float64, each device's decoded bits by a regression without that device:
            deviations from the mean bit of the other devices, as :meth:`decode` gives them.
        error: mean squared difference of ``left_out`` to the bits' own deviations.
    """

    centre: Floats
    weights: Floats
    strength: float
    left_out: Floats
    error: float

    def decode(self, signals: Floats) -> Floats:
        """(..., P) signals to (..., g) decoded deviations of the bits from their means."""
        return np.asarray((signals - self.centre) @ self.weights, dtype=np.float64)


def ridge(signals: Floats, bits: Floats) -> Ridge:
    """Fit with the strength, one for all bits, of least squared leave-one-out error.

    In dual form: with X the centred signals and X X' = U L U', the predictions for the devices
    themselves are H Y with H = 1/s + U L / (L + r) U', and those by a regression without device i
    differ from its bits by (Y - H Y)_i / (1 - H_ii), exactly (Golub, Heath and Wahba, Technometrics
    1979; mean and intercept are left out with the device). One decomposition serves all strengths.

    Args:
        signals: (s, P) float64, finite, s >= 2.
        bits: (s, g) float64.
    """
    count = len(signals)
    centre, mean = signals.mean(axis=0), bits.mean(axis=0)
    x, y = signals - centre, bits - mean
    values, vectors = np.linalg.eigh(x @ x.T)
    values = np.maximum(values, 0.0)
    # Devices that are all alike differ by rounding alone, from which nothing is to be learnt.
    largest = max(float(values[-1]), _ROUNDING * float((signals**2).sum())) or 1.0
    turned = vectors.T @ y
    # The mean of the other devices' bits; a device's own deviation is from that.
    others = y * (-1.0 / (count - 1))
    squared = vectors**2
    best: tuple[float, float, Floats] | None = None
    for part in STRENGTHS:
        kept = values / (values + part * largest)
        left = np.maximum(1.0 - 1.0 / count - squared @ kept, _LEAST_LEFT)
        miss = (y - vectors @ (kept[:, None] * turned)) / left[:, None]
        error = float(np.mean(miss**2))
        if best is None or error < best[0]:
            best = error, float(part), y - others - miss
    assert best is not None
    error, strength, left_out = best
    dual = vectors @ (turned / (values + strength * largest)[:, None])
    return Ridge(centre, x.T @ dual, strength, left_out, error)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Gaussians of each bit's decoded value where it is 1 and where it is 0, of one variance.

    Attributes:
        middle: (g,) half way between the means.
        slope: (g,) difference of the means over the variance, not negative.
    """

    middle: Floats
    slope: Floats

    def ratio(self, decoded: Floats) -> Floats:
        """(..., g) log-likelihood ratios of 1 against 0, to which one threshold applies."""
        return np.asarray(self.slope * (decoded - self.middle), dtype=np.float64)


def calibrate(left_out: Floats, member: NDArray[np.bool_]) -> Calibration:
    """From the leave-one-out values of devices whose bits are known.

    A bit that all devices share gets the other bits' mean difference. Means in the wrong order are
    chance: such a bit is not decoded, and its ratio is 0 always.

    Args:
        left_out: (s, g), see :class:`Ridge`.
        member: (s, g) bool.
    """
    sides = []
    for chosen in (member, ~member):
        count = chosen.sum(axis=0)
        mean = np.where(chosen, left_out, 0.0).sum(axis=0) / np.maximum(count, 1)
        squares = (np.where(chosen, left_out - mean, 0.0) ** 2).sum(axis=0)
        sides.append((count, mean, squares))
    (seen, inside, spread_in), (unseen, outside, spread_out) = sides
    both = (seen > 0) & (unseen > 0)
    shift = float((inside - outside)[both].mean()) if both.any() else 0.0
    inside = np.where(seen > 0, inside, outside + shift)
    outside = np.where(unseen > 0, outside, inside - shift)
    freedom = np.maximum(seen - 1, 0) + np.maximum(unseen - 1, 0)
    squares = spread_in + spread_out
    common = max(float(squares.sum() / max(freedom.sum(), 1)), 1e-12)
    variance = np.maximum(squares / np.maximum(freedom, 1), _SURE * common)
    variance = np.where(freedom > 0, variance, common)
    return Calibration((inside + outside) / 2, np.maximum(inside - outside, 0.0) / variance)
