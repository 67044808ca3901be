"""What the device's noise costs in epsilon and delta, beside the Gaussian of which it is a copy.

The device draws from a law p on the whole numbers (``firmware/lib/learncore/src/train/gaussian.h``)
that is nearly q, a normal variable of deviation 16384 that is rounded to the nearest. With q, what
a device does is the Gaussian mechanism followed by rounding, since the sum to which noise is added
is whole; whatever an account claims of the one holds for the other. The step from q to p:

A training is a function of its data, of which examples are drawn, and of N noises z, of law q in M
and p in the device's M'. For a, b in {(p, q), (q, p)} and a cap r cut a to a^ = min(a, exp(r) b).
But for a chance of N t, t = sum(a - a^), all draws of a are those of a^, and by Chernoff's bound,
for any l > 0,

    P[sum of log(a^(z) / b(z)) > g]  <=  exp(-l g) * (sum of a^ (a^ / b)^l)^N .

So no event's chance under one is more than exp(g) times that under the other, plus
h = N t + exp(-l g + N m), where m is the logarithm of that sum. With M' to M, M's own claim
(epsilon, delta), and M to M' again, M' is

    (epsilon + 2 g, exp(g) delta + h (1 + exp(epsilon + g)))

differentially private. It is cheap because the log-ratios of single draws have either sign and
nearly cancel, where statistical distances add up: Micciancio and Walter (CRYPTO 2017) for samplers
of signatures; as with privacy losses (Dwork, Rothblum and Vadhan, FOCS 2010).

p is known exactly: each of the 2^32 words gives one number, the law of one is counted and that of
the sum of two is its convolution, in whole numbers of 2^-64. ``_TABLE`` holds t and m of it, for
both directions the worse one; tests/test_gaussian.py counts again.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGMA = 16384.0  # kNoiseGrid of the core
CAPS = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)
RATES = (1e1, 3e1, 1e2, 3e2, 1e3, 3e3, 1e4, 3e4, 1e5, 3e5)

# (cap r, rate l, excess t, logarithm m): what `table` finds, rounded up.
_TABLE: tuple[tuple[float, float, float, float], ...] = (
    (3e-05, 10000.0, 3.38e-13, 3.31e-07),
    (3e-05, 30000.0, 3.38e-13, 2.98e-06),
    (3e-05, 100000.0, 3.38e-13, 3.35e-05),
    (3e-05, 300000.0, 3.38e-13, 0.000413),
    (0.0001, 3000.0, 1.12e-13, 2.99e-08),
    (0.0001, 10000.0, 1.12e-13, 3.33e-07),
    (0.0001, 30000.0, 1.12e-13, 3.03e-06),
    (0.0001, 100000.0, 1.12e-13, 7.32e-05),
    (0.0003, 1000.0, 4.87e-14, 3.38e-09),
    (0.0003, 3000.0, 4.87e-14, 3.03e-08),
    (0.0003, 10000.0, 4.87e-14, 3.39e-07),
    (0.0003, 30000.0, 4.87e-14, 4.43e-06),
    (0.001, 300.0, 3.45e-14, 3.1e-10),
    (0.001, 1000.0, 3.45e-14, 3.39e-09),
    (0.001, 3000.0, 3.45e-14, 3.04e-08),
    (0.001, 10000.0, 3.45e-14, 6.47e-07),
    (0.003, 100.0, 2.14e-14, 3.53e-11),
    (0.003, 300.0, 2.14e-14, 3.1e-10),
    (0.003, 1000.0, 2.14e-14, 3.43e-09),
    (0.003, 3000.0, 2.14e-14, 6.47e-08),
    (0.01, 30.0, 1.07e-14, 3.33e-12),
    (0.01, 100.0, 1.07e-14, 3.54e-11),
    (0.01, 300.0, 1.07e-14, 3.22e-10),
    (0.01, 1000.0, 1.07e-14, 2.16e-08),
    (0.03, 10.0, 4.93e-15, 4.05e-13),
    (0.03, 30.0, 4.93e-15, 3.37e-12),
    (0.03, 100.0, 4.93e-15, 3.81e-11),
    (0.03, 300.0, 4.93e-15, 1.58e-09),
    (0.1, 10.0, 1.89e-15, 4.18e-13),
    (0.1, 30.0, 1.89e-15, 3.8e-12),
    (0.1, 100.0, 1.89e-15, 4.75e-10),
    (0.3, 10.0, 8.12e-16, 4.8e-13),
    (0.3, 30.0, 8.12e-16, 2.47e-11),
    (1.0, 10.0, 4.46e-16, 4.42e-12),
)


def cost(draws: int, chance: float) -> float:
    """By what factor exp(g) chances may differ, but for ``chance``, after so many draws.

    Args:
        draws: of noise, in all: parameters times steps.
        chance: h, above 0.

    Returns:
        g; infinite where no bound is known.
    """
    best = math.inf
    for _, rate, excess, moment in _TABLE:
        left = chance - draws * excess
        if left > 0:
            best = min(best, (draws * moment - math.log(left)) / rate)
    return best


def law_of_sum(counts: NDArray[np.integer[Any]]) -> NDArray[np.uint64]:
    """The law of the sum of two of Bell(), one added.

    Args:
        counts: (n,) how many of the 2^31 words without a sign have each magnitude. With the sign
            the magnitude k stands for k and for -1 - k.

    Returns:
        (2 n - 1,) of 2^64, from 0 upwards; the law is symmetric. Exact.
    """
    from scipy import fft

    one = np.concatenate([counts[::-1], counts]).astype(np.int64)
    size = fft.next_fast_len(2 * len(one) - 1, real=True)
    # In two halves, so that no rounding of the transforms reaches half a unit.
    low, high = (fft.rfft(part.astype(np.float64), size) for part in (one & 1023, one >> 10))

    def whole(spectrum: NDArray[Any]) -> NDArray[np.uint64]:
        found: NDArray[np.float64] = np.rint(fft.irfft(spectrum, size)[: 2 * len(one) - 1])
        return found.astype(np.uint64)

    both = whole(low * low) + (whole(2 * low * high) << np.uint64(10))
    both += whole(high * high) << np.uint64(20)
    # The smallest sum is -2 n + 1.
    return np.asarray(both[2 * len(counts) - 1 :])


def rounded_normal(count: int) -> NDArray[np.float64]:
    """(count,) q from 0 upwards: Taylor's series of the integral over a unit, exact to 1e-16."""
    d = 1 / SIGMA
    x = np.arange(count) * d
    series = 1 + (x**2 - 1) * d**2 / 24 + (x**4 - 6 * x**2 + 3) * d**4 / 1920
    found: NDArray[np.float64] = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi) * d * series
    return found


def table(law: NDArray[np.uint64]) -> list[tuple[float, float, float, float]]:
    """Rows of ``_TABLE`` for a law of sums; those that never help are left out."""
    count = int(12 * SIGMA)
    p = np.zeros(count)
    p[: len(law)] = law[:count].astype(np.float64) / 2.0**64
    q = rounded_normal(count)
    times = np.where(np.arange(count) == 0, 1.0, 2.0)
    rows = []
    for cap in CAPS:
        for rate in RATES:
            if not 0.2 < cap * rate < 11:
                continue
            excess, moment = 0.0, -math.inf
            for a, b in ((p, q), (q, p)):
                cut = np.minimum(a, math.exp(cap) * b)
                some = cut > 0
                left = float((times * (a - cut)).sum())
                grown = np.expm1(rate * np.log(cut[some] / b[some]))
                total = float((times[some] * cut[some] * grown).sum()) - left
                excess, moment = max(excess, left), max(moment, math.log1p(total))
            rows.append((cap, rate, excess, moment))
    return rows
