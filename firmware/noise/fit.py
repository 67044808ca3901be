"""Fits the coefficients of Bell() in lib/learncore/src/train/gaussian.h, and prints them.

    python firmware/noise/fit.py

What is fitted is the law of the sum of two draws, not one draw: given the sum z (in deviations),
either part is normal around z / sqrt(2) with variance 1/2, so the sum's density is off by twice the
mean of what one part's is off by, over that window (to first order). That mean is made small for
all z up to 7, by Gauss and Newton over the coefficients, which are rounded to float32 one after the
other, the highest first. tests/test_gaussian.py then counts the law as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtri
from scipy.stats import norm

Array = np.ndarray[Any, Any]
SIGMA = 16384.0
SHIFT = 0.55  # s^2 = SHIFT - log(w), for w the share of magnitudes that are larger
DEGREES = 5, 8  # of the logarithm on an octave, and of the magnitude in s
ALONE = 21  # octaves up to here are integrated, the places behind them taken one by one
PART = np.sqrt((SIGMA**2 - 1 / 12) / 2)  # deviation of one draw; to cut off adds 1/12 to the sum
LOG2 = float(np.float32(np.log(2)))


def _nodes() -> tuple[Array, Array, Array]:
    """(octave, m, weight): w = m * 2^-octave."""
    at, share = np.polynomial.legendre.leggauss(96)
    octave = np.repeat(np.arange(1.0, ALONE + 1), 96)
    m = np.tile(1.5 + at / 2, ALONE)
    weight = np.tile(share / 2, ALONE) * 2.0**-octave
    place = np.arange(2 ** (31 - ALONE)) + 0.5
    exponent = np.floor(np.log2(place))
    return (
        np.append(octave, 31 - exponent),
        np.append(m, place / 2.0**exponent),
        np.append(weight, np.full(len(place), 2.0**-31)),
    )


def _rounded(value: float) -> float:
    return float(np.float32(value))


def logarithm() -> Array:
    """SHIFT - log(m) on [1, 2], continuous from octave to octave."""
    m = 1.5 + np.cos(np.pi * (np.arange(800) + 0.5) / 800) / 2
    powers = np.vander(m, DEGREES[0] + 1)
    jump = (np.vander([2.0], DEGREES[0] + 1) - np.vander([1.0], DEGREES[0] + 1))[0]
    found, fixed = np.zeros(DEGREES[0] + 1), np.zeros(DEGREES[0] + 1, bool)
    for i in range(len(found)):
        free = ~fixed
        a, c = powers[:, free], jump[free]
        left = SHIFT - np.log(m) - powers[:, fixed] @ found[fixed]
        if c.any():
            system = np.block([[2 * a.T @ a, c[:, None]], [c[None], np.zeros((1, 1))]])
            right = np.append(2 * a.T @ left, -LOG2 - jump[fixed] @ found[fixed])
            found[free] = np.linalg.solve(system, right)[:-1]
        else:
            found[free] = np.linalg.lstsq(a, left, rcond=None)[0]
        found[i], fixed[i] = _rounded(found[i]), True
    return found


class Magnitude:
    """What the sum's law is off by, as a function of the magnitude's coefficients."""

    def __init__(self, log: Array) -> None:
        octave, m, self.weight = _nodes()
        self.exact = -ndtri(m * 2.0**-octave / 2)
        self.powers = np.vander(np.sqrt(np.polyval(log, m) + octave * LOG2), DEGREES[1] + 1)
        self.zero = np.vander([np.sqrt(np.polyval(log, 1.0))], DEGREES[1] + 1)[0]
        self.z = np.linspace(0, 7, 141)
        self.scale = np.sqrt(np.maximum(norm.pdf(self.z), 1e-14) * 2 * self.z[1])

    def off(self, found: Array) -> tuple[Array, Array]:
        """Residuals and their derivatives; the last: the least magnitude is 0."""
        x, centre = np.clip(self.powers @ found / PART, 0, 8), self.z[:, None] / np.sqrt(2)
        density, slope = 0.0, 0.0
        for sign in (1, -1):
            part = np.sqrt(2) * np.exp(-((x - sign * centre) ** 2) + x * x / 2)
            density, slope = density + part, slope + part * (x - 2 * (x - sign * centre))
        row = 0.03 * self.zero / PART
        by = self.scale[:, None] * slope * self.weight @ self.powers / PART
        return np.append(self.scale * (density @ self.weight - 2), row @ found), np.vstack(
            [by, row]
        )

    def solve(self, found: Array, free: Array, turns: int) -> Array:
        """Gauss and Newton over the free coefficients."""
        off, by = self.off(found)
        for _ in range(turns):
            size = np.linalg.norm(by[:, free], axis=0)
            tries = []
            for cut in (1e-15, 1e-13, 1e-11, 1e-9, 1e-7):
                step = np.zeros(len(found))
                step[free] = np.linalg.lstsq(by[:, free] / size, -off, rcond=cut)[0] / size
                tries.append((float(np.linalg.norm(self.off(found + step)[0])), found + step))
            best = min(tries, key=lambda t: t[0])
            if best[0] >= np.linalg.norm(off) * 0.9999:
                break
            found = best[1]
            off, by = self.off(found)
        return found

    def fit(self) -> Array:
        """From the quantiles themselves to the sum's law."""
        weight = np.sqrt(self.weight)
        rows = self.powers * weight[:, None]
        size = np.linalg.norm(rows, axis=0)
        found = np.linalg.lstsq(rows / size, self.exact * PART * weight, rcond=None)[0] / size
        free = np.ones(len(found), bool)
        found = self.solve(found, free, 30)
        for i in range(len(found)):
            found[i], free[i] = _rounded(found[i]), False
            if free.any():
                found = self.solve(found, free, 8)
        return found


def main() -> None:
    """Print both polynomials, the highest power first."""
    log = logarithm()
    for name, found in (("logarithm", log), ("magnitude", Magnitude(log).fit())):
        print(name, " ".join(f"{np.float32(c):.9g}" for c in found))


if __name__ == "__main__":
    main()
