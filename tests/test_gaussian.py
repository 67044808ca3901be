"""The noise of DP-SGD: its law, counted over all words; its draws; what it costs in epsilon."""

from __future__ import annotations

import ctypes
import functools
import re
import runpy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from scipy import stats

import draws
from corelib import CORE, ROOT, build_shared
from tinymia.defenses.noise_law import _TABLE, SIGMA, cost, law_of_sum, rounded_normal, table

Array = np.ndarray[Any, Any]
WORDS = 1 << 31  # without their sign
MOST = 1 << 18
LEVEL = 1e-4  # of a right sampler's runs fail; the seeds are fixed, so it is none here


class Units(ctypes.Structure):
    _fields_ = (("clip", ctypes.c_float), ("sigma", ctypes.c_float), ("shift", ctypes.c_int32))


@functools.cache
def core() -> Any:
    flags = ("-O3", "-fno-math-errno", "-Wno-psabi", "-I", str(ROOT / "host" / "native"))
    library = ctypes.CDLL(str(build_shared("gaussian", ["gaussian_shim.cc"], flags)))
    library.tinymia_units.argtypes = [ctypes.c_float, ctypes.c_uint32, ctypes.c_void_p]
    return library


def pointer(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def counted(first: int, count: int) -> Array:
    """How many of those words have each magnitude."""
    counts = np.zeros(MOST, np.uint32)
    assert core().tinymia_bell_law(first, count, MOST - 1, pointer(counts)) == 0
    return counts


@functools.cache
def law() -> Array:
    """Of the sum, of 2^64, exactly: over all words."""
    part = WORDS // 64
    with ThreadPoolExecutor(2) as pool:
        all_counts = sum(pool.map(lambda i: counted(i * part, part), range(64)))
    counts = np.asarray(all_counts)
    assert counts.sum() == WORDS
    return law_of_sum(counts[: np.flatnonzero(counts).max() + 1])


def drawn(step: int, n: int, seed: int = 1) -> Array:
    """Of four devices, side by side."""
    key, out = draws.key_of(seed), np.empty((4, n), np.int32)
    core().tinymia_gaussian_lanes(pointer(key), step, n, pointer(out))
    return out


def fits(values: Array, expected: Array) -> bool:
    """Chi-squared on bins of 64 units, the tails together."""
    width, top = 64, int(4.5 * SIGMA) // 64
    bins = np.clip(np.floor_divide(values, width), -top, top - 1) + top
    seen = np.bincount(bins.ravel(), minlength=2 * top)
    whole = np.concatenate([expected[:0:-1], expected])  # from -len + 1 on
    zero = len(expected) - 1
    inner = whole[zero - (top - 1) * width : zero + (top - 1) * width].reshape(-1, width).sum(1)
    low, high = whole[: zero - (top - 1) * width].sum(), whole[zero + (top - 1) * width :].sum()
    wanted = values.size * np.concatenate([[low], inner, [high]])
    wanted *= seen.sum() / wanted.sum()
    return bool(stats.chisquare(seen, wanted).pvalue > LEVEL)


@pytest.mark.sample(0)
@pytest.mark.parametrize("millions", [120])
def test_the_law_is_what_the_account_says(millions: int) -> None:
    """All 2^32 words, and more than 10^8 draws of sums beside their exact law."""
    found = law()
    assert (
        int(found[0]) + 2 * sum(int(part.sum()) for part in np.array_split(found[1:], 64))
        == 1 << 64
    )
    p, q = found / 2.0**64, rounded_normal(len(found))
    x = np.arange(len(p)) / SIGMA
    for reach, most in ((3.0, 5e-6), (5.0, 2e-5), (6.0, 4e-4), (7.0, 2e-2)):
        inside = x < reach
        assert np.abs(p[inside] / q[inside] - 1).max() < most
    assert p[x > 8].sum() < q[int(8 * SIGMA) :].sum() * 1.1
    rows = {row[:2]: row[2:] for row in table(found)}
    assert [row[:2] for row in _TABLE] == list(rows)
    for cap, rate, excess, moment in _TABLE:
        for stated, exact in zip((excess, moment), rows[cap, rate], strict=True):
            assert exact <= stated <= exact * 1.02
    values = np.concatenate([drawn(4 * step, 10**6).ravel() for step in range(millions // 4)])
    assert fits(values, p)
    assert abs(values.mean()) < 4 * SIGMA / np.sqrt(values.size)


def test_a_word_gives_its_quantile() -> None:
    """Of a normal variable of deviation SIGMA / sqrt(2), within 2 units or 1 % in the tails."""
    rng = np.random.default_rng(3)
    places = np.concatenate([rng.integers(0, WORDS, 2000), 2 ** rng.integers(0, 31, 500), [0]])
    magnitude = stats.norm.isf((places + 0.5) / 2**32) * SIGMA / np.sqrt(2)
    for place, exact in zip(places, magnitude, strict=True):
        plus = core().tinymia_bell(ctypes.c_uint32(int(place)))
        minus = core().tinymia_bell(ctypes.c_uint32(int(place) | 1 << 31))
        assert plus == -1 - minus
        assert abs(plus + 0.5 - exact) < 0.5 + (2 if exact < 2 * SIGMA else 0.01 * exact)


def test_draws_are_normal() -> None:
    values = np.concatenate([drawn(4 * step, 10**6, seed=2).ravel() for step in range(2)])
    assert fits(values, rounded_normal(int(12 * SIGMA)))
    assert not fits(np.rint(values * 1.005).astype(np.int32), rounded_normal(int(12 * SIGMA)))
    # Neighbours of a block share no word.
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 4 / np.sqrt(values.size)


def test_lanes_draw_what_one_device_draws() -> None:
    key, alone = draws.key_of(9), np.empty(1000, np.int32)
    for lane, values in enumerate(drawn(5, 1000, seed=9)):
        core().tinymia_gaussian(pointer(key), 5 + lane, 1000, pointer(alone))
        np.testing.assert_array_equal(values, alone)


@pytest.mark.parametrize("parameters", [7, 455, 4939, 10**6, 10**7])
@pytest.mark.parametrize("multiplier", [0.01, 0.3, 0.5, 1.0, 1.3, 20.0, 64.0])
def test_units_cover_all_that_an_example_can_change(multiplier: float, parameters: int) -> None:
    units = Units()
    core().tinymia_units(multiplier, parameters, ctypes.byref(units))
    assert units.sigma == SIGMA / 2**units.shift
    # The largest that counts gradients in no more units than the sampler has.
    assert units.clip <= SIGMA / 1.01
    if multiplier <= 1 and parameters < 5000:
        assert units.clip > SIGMA / 2.1
    if units.clip == 0:
        assert units.sigma / multiplier < np.sqrt(parameters) / 2 + 1.1
        return
    most = units.clip * 1.0099 + np.sqrt(parameters) / 2
    assert multiplier * most <= units.sigma
    assert units.sigma <= multiplier * most * 1.001


def test_the_price_grows_with_draws_and_falls_with_the_chance() -> None:
    head = 455 * 500
    assert cost(head, 1e-7) < 3e-4
    assert cost(10 * head, 1e-7) > cost(head, 1e-7) > cost(head // 100, 1e-7) > 0
    assert cost(head, 1e-8) > cost(head, 1e-6)
    assert cost(head, 1e-15) == np.inf


def test_the_coefficients_are_those_of_the_fit() -> None:
    """Other linear algebra may move the last ones a little: the law is counted above."""
    fit = runpy.run_path(str(ROOT / "firmware" / "noise" / "fit.py"))
    body = (CORE / "train" / "gaussian.h").read_text().split("inline IntOf<F> Bell")[1]
    body = body.split("Truncate")[0]
    found = [
        float(sign.strip() + number)
        for sign, number in re.findall(r"([-+]?) ?F\((-?[0-9.]+)f\);", body)
    ]
    log = fit["logarithm"]()
    np.testing.assert_allclose(found[1:7], log, rtol=1e-5)
    np.testing.assert_allclose(found[7:], fit["Magnitude"](log).fit(), rtol=2e-2)
