"""DP-SGD against its claim: a lower bound on epsilon, measured on many devices, stays below it.

The members are null windows, whose gradient is exactly zero, and one canary, whose gradient is the
same in every step and always clipped: the worst case of the proof. The threshold is chosen on one
half of the devices, the bound comes from the other (Clopper and Pearson 1934; as in Nasr et al.,
IEEE S&P 2021, section IV). ``TINYMIA_LARGE=1`` takes more devices.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import beta

from tinymia.defenses.accounting import Neighbours, epsilon
from tinymia.export.bundle import Bundle, Tail
from tinymia.twin.fleet import Twin
from tinymia.twin.settings import settings_array
from tinymia.wire.settings import Parameters, TrainSettings

Array = np.ndarray[Any, Any]
BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"
DELTA, LEVEL = 1e-3, 0.05
DEVICES = 40_000 if os.environ.get("TINYMIA_LARGE") else 4_000
SURE = 200.0  # logit of class 0, far enough above all others that it stays certain


@dataclass(frozen=True)
class Training:
    noise: float
    batch: int
    epochs: int
    expected: int
    parameters: Parameters = Parameters.BIASES

    @property
    def steps(self) -> int:
        return -(-self.expected // self.batch) * self.epochs

    def claim(self, neighbours: Neighbours) -> float:
        rate = min(1.0, self.batch / self.expected)
        return epsilon(self.noise, rate, self.steps, DELTA, neighbours).best


FULL = Training(noise=20.0, batch=80, epochs=20, expected=80)
WHOLE_HEAD = Training(20.0, 80, 1, 80, Parameters.WEIGHTS)
SAMPLED = Training(noise=1.3, batch=8, epochs=5, expected=80)


@pytest.fixture(scope="module")
def twin() -> Twin:
    """A head that is sure of class 0, and of class 1 where the first feature is large."""
    bundle = Bundle.load(BUNDLE)
    assert bundle.tail is not None
    bias = np.zeros(bundle.tail.classes, np.float32)
    bias[0] = SURE
    weights = np.zeros(bundle.tail.shape, np.float32)
    weights[1, 0] = SURE / 4
    return Twin(replace(bundle, tail=Tail(weights, bias)))


def devices(twin: Twin, how: Training, members: list[int], seed: int) -> Array:
    """What training moves the biases by, (DEVICES, 7), and behind them what it moves in all.

    Args:
        members: of each, whether it is a null window (0) or a canary, 1 or its opposite, -1.
    """
    canaries = np.array(members)
    windows = np.full((len(members), twin.slot_bytes), twin.zero_point, np.int8)
    windows[canaries == -1, 0] = 127
    settings = settings_array(
        TrainSettings(
            batch=how.batch,
            clip_norm=1.0,
            noise_multiplier=how.noise,
            expected_members=how.expected,
            trained=how.parameters,
        ),
        DEVICES,
    )
    settings["seed"] = seed * 10**6 + np.arange(DEVICES)
    out = twin.fine_tune(
        windows,
        (canaries == 1).astype(int),
        np.ones((DEVICES, len(members)), np.bool_),
        settings,
        epochs=(how.epochs,),
        embedded=True,
    )
    moved = out.parameters.astype(np.float64)
    moved[:, -7] -= SURE
    if how.parameters is Parameters.WEIGHTS:
        moved[:, twin.slot_bytes] -= SURE / 4
    return np.column_stack([moved[:, -7:], (moved**2).sum(axis=1)])


def scores(moved: Array) -> Iterator[Array]:
    """What tells two data sets apart: the canary's direction, and how far training went in all."""
    yield moved[:, 1] - moved[:, 0]
    yield moved[:, 7]


def measured(with_it: Array, without: Array) -> float:
    """The largest lower bound on epsilon over all scores and both directions of each.

    Its level is LEVEL for each score; all are tried in the first half, one in the second.
    """
    half = len(with_it) // 2
    best, bound = -np.inf, 0.0
    for a, b in zip(scores(with_it), scores(without), strict=True):
        for p, q in ((a, b), (b, a), (-a, -b), (-b, -a)):
            cuts = np.quantile(np.concatenate([p[:half], q[:half]]), np.linspace(0, 1, 101))
            found = [lower_bound(p[:half], q[:half], cut) for cut in cuts]
            if max(found) > best:
                best = max(found)
                bound = lower_bound(p[half:], q[half:], cuts[int(np.argmax(found))])
    return bound


def lower_bound(p: Array, q: Array, cut: float) -> float:
    """Epsilon that P(p >= cut) <= exp(epsilon) P(q >= cut) + delta asks for at least."""
    n, hits, alarms = len(p), int((p >= cut).sum()), int((q >= cut).sum())
    low = float(beta.ppf(LEVEL / 2, hits, n - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - LEVEL / 2, alarms + 1, n - alarms)) if alarms < n else 1.0
    return float(np.log((low - DELTA) / high)) if low > DELTA else 0.0


NULL = [0] * 79


@pytest.mark.parametrize("how", [FULL, WHOLE_HEAD, SAMPLED], ids=["full", "head", "sampled"])
@pytest.mark.parametrize(
    ("with_it", "without"),
    [([*NULL, 0, 1], [*NULL, 0]), ([*NULL, 1], NULL), ([*NULL, 1], [*NULL, -1])],
    ids=["add", "remove", "replace"],
)
def test_the_measured_bound_is_below_the_claim(
    how: Training, with_it: list[int], without: list[int], twin: Twin
) -> None:
    """81 against 80 members, 80 against 79, and 80 against 80.

    At noise 20 and batch 80, with rate and steps from the true number, the first was measured at
    2.9 (biases) and 6.0 (the whole head) against a claim of 0.77.
    """
    replaced = len(with_it) == len(without)
    claim = how.claim(Neighbours.REPLACE if replaced else Neighbours.ADD_OR_REMOVE)
    bound = measured(devices(twin, how, with_it, 1), devices(twin, how, without, 2))
    assert bound <= claim


def test_the_audit_finds_a_claim_that_is_wrong(twin: Twin) -> None:
    """It comes close to a claim that is right, and over one for a fifth of the epochs."""
    with_it, without = [*NULL, 1], NULL
    loud = replace(SAMPLED, batch=80, noise=4.0, epochs=20)
    p, q = (devices(twin, loud, members, seed) for seed, members in ((1, with_it), (2, without)))
    bound = measured(p, q)
    assert bound > 0.5 * loud.claim(Neighbours.ADD_OR_REMOVE)
    assert bound > replace(loud, epochs=4).claim(Neighbours.ADD_OR_REMOVE)


@pytest.mark.parametrize("how", [FULL, WHOLE_HEAD], ids=["full", "head"])
def test_rate_and_steps_from_the_true_number_would_break_the_claim(
    how: Training, twin: Twin
) -> None:
    """As it was: with 81 members an epoch has two steps, with 80 one."""
    more = replace(how, expected=81)
    bound = measured(devices(twin, more, [*NULL, 0, 1], 1), devices(twin, how, [*NULL, 0], 2))
    assert bound > 1.5 * more.claim(Neighbours.ADD_OR_REMOVE)
