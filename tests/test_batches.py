"""Which example comes when: order, held-out examples, partners of mixup, Poisson sampling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import draws
from draws import epoch, settings

Array = np.ndarray[Any, Any]
PRIVATE = {"noise_multiplier": 1.0, "clip_norm": 1.0}


def some(slots: int, share: float = 0.7, seed: int = 0) -> Array:
    return np.random.default_rng(seed).random(slots) < share


def test_philox_of_the_tests() -> None:
    """Known answers of Random123 (kat_vectors)."""
    ones = 0xFFFFFFFF
    assert philox_hex(0, 0, 0, 0, 0) == "6627e8d5 e169c58d bc57ac4c 9b00dbd8"
    assert philox_hex(2**64 - 1, ones, ones, ones, ones) == "408f276d 41c83b0e a20bc7c6 6d5451fd"


def philox_hex(*words: int) -> str:
    return " ".join(f"{w:08x}" for w in draws.philox(*words))


def test_the_order_of_an_epoch() -> None:
    members = some(300)
    slots = list(np.flatnonzero(members))
    s = settings(seed=2**40 + 9, batch=16)
    for number in (0, 1, 7):
        e = epoch(s, members, number)
        assert e.examples["slot"].tolist() == draws.shuffled(s.seed, number, slots, purpose=1)
        np.testing.assert_array_equal(e.examples["position"], np.arange(len(slots)))
        np.testing.assert_array_equal(e.steps, np.arange(len(slots)) // 16)
        np.testing.assert_array_equal(e.examples["partner"], e.examples["slot"])
        assert (e.examples["mix"] == 1).all()
        assert len(e.held) == 0


@pytest.mark.parametrize(
    ("members", "holdout", "held"),
    [(200, 10, 20), (199, 10, 19), (2, 1, 1), (1, 50, 0), (3, 50, 1)],
)
def test_held_out_examples(members: int, holdout: int, held: int) -> None:
    mask = np.zeros(members + 8, bool)
    mask[4:-4] = True
    s = settings(seed=3, batch=7, holdout=holdout, patience=2)
    pool = draws.shuffled(3, 0, list(range(4, members + 4)), purpose=2)
    for number in (0, 5):
        e = epoch(s, mask, number)
        assert e.held.tolist() == pool[:held]
        assert e.examples["slot"].tolist() == draws.shuffled(3, number, pool[held:], purpose=1)
        assert not set(e.held) & set(e.examples["slot"])


def test_no_members() -> None:
    for changed in ({}, {**PRIVATE, "expected_members": 9}, {"holdout": 5, "patience": 1}):
        assert len(epoch(settings(**changed), np.zeros(16, bool), 0).examples) == 0


def test_partners_of_mixup() -> None:
    members = some(60)
    s = settings(seed=8, batch=4, mixup=0.4, holdout=20, patience=1)
    drawn = [epoch(s, members, number) for number in range(200)]
    training = set(drawn[0].examples["slot"])
    partners = np.concatenate([e.examples["partner"] for e in drawn])
    assert set(partners) == training
    assert stats.chisquare(np.unique(partners, return_counts=True)[1]).pvalue > 1e-4
    # Of a counter of their own: neither order nor mix tells the partner.
    first = epoch(s, members, 0)
    expected = [
        first.examples["slot"][draws.philox(8, 0, 0, i, 3)[0] * len(training) >> 32]
        for i in range(len(training))
    ]
    np.testing.assert_array_equal(first.examples["partner"], expected)


@pytest.mark.parametrize("alpha", [0.05, 0.4, 1.0, 1.001, 2.0, 8.0])
def test_weights_of_mixup(alpha: float) -> None:
    n = 30_000
    mix = epoch(settings(seed=4, mixup=alpha), np.ones(n, bool), 0).examples["mix"]
    mix = mix.astype(np.float64)
    assert ((mix >= 0) & (mix <= 1)).all()
    law = stats.beta(alpha, alpha)
    for moment in (1, 2, 3, 4):
        spread = np.sqrt((law.moment(2 * moment) - law.moment(moment) ** 2) / n)
        assert abs((mix**moment).mean() - law.moment(moment)) < 4 * spread
    grid = np.linspace(0.002, 0.998, 500)
    share = np.searchsorted(np.sort(mix), grid, side="right") / n
    assert np.abs(share - law.cdf(grid)).max() < 2.2 / np.sqrt(n)  # Kolmogorov: 1e-4
    assert np.corrcoef(mix[1:], mix[:-1])[0, 1] < 0.03


@pytest.mark.parametrize("alpha", [1e-45, 1e-6])
def test_tiny_alphas_mix_nothing(alpha: float) -> None:
    mix = epoch(settings(seed=4, mixup=alpha), np.ones(1000, bool), 0).examples["mix"]
    assert ((mix < 1e-4) | (mix > 0.999)).all()
    assert 0.4 < mix.mean() < 0.6


def test_poisson_sampling() -> None:
    members = some(80)
    count = int(members.sum())
    s = settings(seed=6, batch=9, expected_members=count, **PRIVATE)
    steps = -(-count // 9)
    taken = np.zeros((400 * steps, 80), int)
    for number in range(400):
        e = epoch(s, members, number)
        slots = e.examples["slot"].astype(int)
        np.add.at(taken, (number * steps + e.steps.astype(int), slots), 1)
        # An example's other draws are keyed by itself, not by who else is there.
        np.testing.assert_array_equal(e.examples["position"], e.steps * 65536 + slots)
    assert taken.max() == 1
    assert not taken[:, ~members].any()
    n, rate = len(taken), 9 / count
    each = taken[:, members].sum(axis=0)
    assert (np.abs(each - n * rate) < 4.5 * np.sqrt(n * rate * (1 - rate))).all()
    sizes = taken.sum(axis=1)
    np.testing.assert_allclose(sizes.mean(), 9, rtol=0.02)
    np.testing.assert_allclose(sizes.var(), count * rate * (1 - rate), rtol=0.06)
    assert sizes.min() < 4
    assert sizes.max() > 15
    together = np.corrcoef(taken[:, members].T) - np.eye(count)
    assert np.abs(together).max() < 5 / np.sqrt(n)


def test_poisson_sampling_follows_the_key_alone() -> None:
    members = np.ones(64, bool)
    s = settings(seed=6, batch=8, expected_members=64, **PRIVATE)
    key = draws.key_of(77)
    first = epoch(s, members, 3, key)
    other = epoch(settings(seed=7, batch=8, expected_members=64, **PRIVATE), members, 3, key)
    np.testing.assert_array_equal(first.examples["slot"], other.examples["slot"])
    assert (
        len(epoch(s, members, 3).examples) != len(first.examples)
        or (epoch(s, members, 3).examples["slot"] != first.examples["slot"]).any()
    )


@pytest.mark.parametrize("batch", [64, 65, 65535])
def test_a_batch_of_all_takes_all(batch: int) -> None:
    s = settings(batch=batch, expected_members=64, **PRIVATE)
    e = epoch(s, np.ones(64, bool), 2)
    np.testing.assert_array_equal(e.examples["slot"], np.arange(64))


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 80])
def test_what_is_expected_and_not_what_is_there_gives_rate_and_steps(count: int) -> None:
    """A member more or less changes neither, nor what is drawn for the slots before it."""
    members = np.arange(80) < count
    s = settings(seed=9, batch=16, expected_members=64, **PRIVATE)
    steps = 4  # ceil(64 / 16), whatever `count` is
    drawn = [epoch(s, members, number) for number in range(300)]
    sizes = np.array([np.bincount(e.steps, minlength=steps) for e in drawn])
    assert sizes.shape == (300, steps)
    n = 300 * steps
    assert abs(sizes.sum() - n * count / 4) <= 4.5 * np.sqrt(n * count * 3 / 16)
    # Its noise and its other draws are keyed by slot and step alone.
    for e in drawn[:3]:
        np.testing.assert_array_equal(e.examples["position"], (e.steps << 16) + e.examples["slot"])
