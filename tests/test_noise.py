"""ChaCha20 against RFC 8439; the discrete Gaussian against its exact probabilities."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from scipy import stats

import draws

Array = np.ndarray[Any, Any]
LEVEL = 1e-4  # of a right sampler's runs fail; the seeds are fixed, so it is none here


def words(key: Array, use: int, step: int, n: int) -> Array:
    out = np.empty(n, np.uint32)
    draws.core().tinymia_words(
        ctypes.c_void_p(key.ctypes.data), use, step, n, ctypes.c_void_p(out.ctypes.data)
    )
    return out


def gaussian(sigma: int, n: int, seed: int = 1) -> Array:
    key, out = draws.key_of(seed), np.empty(n, np.int32)
    draws.core().tinymia_gaussian(
        ctypes.c_void_p(key.ctypes.data), sigma, n, ctypes.c_void_p(out.ctypes.data)
    )
    return out


def test_chacha20_block_of_the_rfc() -> None:
    """RFC 8439, section 2.3.2: block 1 with the nonce 000000090000004a00000000."""
    key = np.arange(32, dtype=np.uint8).view("<u4")
    block = words(key, use=0x4A000000, step=0x09000000, n=32)[16:]
    expected = (
        "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
        "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
    )
    assert block.astype("<u4").tobytes().hex() == expected


def test_the_key_of_a_seed_is_expanded_as_documented() -> None:
    seed = 0x0123456789ABCDEF
    base = np.frombuffer(seed.to_bytes(8, "little") + b"tinymia: audit-build key", "<u4")
    np.testing.assert_array_equal(draws.key_of(seed), words(base, use=0, step=0, n=8))
    assert len({draws.key_of(s).tobytes() for s in (*range(50), seed, 1 << 32, 1 << 63)}) == 53


def test_streams_of_uses_and_steps_differ() -> None:
    key = draws.key_of(5)
    streams = {words(key, use, step, 4).tobytes() for use in (1, 2) for step in range(20)}
    assert len(streams) == 40


def test_bits_are_those_of_the_words() -> None:
    key, bits = draws.key_of(5), np.empty(320, np.uint8)
    draws.core().tinymia_bits(
        ctypes.c_void_p(key.ctypes.data), 320, ctypes.c_void_p(bits.ctypes.data)
    )
    expected = np.unpackbits(words(key, 2, 0, 10).astype("<u4").view(np.uint8), bitorder="little")
    np.testing.assert_array_equal(bits, expected)


@pytest.mark.parametrize("sigma", [1, 2, 5])
def test_small_discrete_gaussians(sigma: int) -> None:
    n = 200_000
    drawn = gaussian(sigma, n)
    support = np.arange(-12 * sigma, 12 * sigma + 1)
    p = np.exp(-(support**2) / (2 * sigma**2))
    expected = n * p / p.sum()
    assert np.abs(drawn).max() <= 12 * sigma
    counts = np.bincount(drawn + 12 * sigma, minlength=len(support))
    rare = expected < 10  # their cells go together
    assert (
        stats.chisquare(
            [*counts[~rare], counts[rare].sum()], [*expected[~rare], expected[rare].sum()]
        ).pvalue
        > LEVEL
    )


@pytest.mark.parametrize("multiplier", [1.0, 0.01, 64.0])
def test_discrete_gaussians_of_training(multiplier: float) -> None:
    sigma = draws.core().tinymia_noise_sigma(multiplier)
    assert 0 <= sigma - multiplier * 65536 * 1.01 <= 1.5
    n = 100_000
    drawn = gaussian(sigma, n).astype(np.float64) / sigma
    assert abs(drawn.mean()) < 4 / np.sqrt(n)
    assert abs((drawn**2).mean() - 1) < 4 * np.sqrt(2 / n)
    assert abs((drawn**4).mean() - 3) < 4 * np.sqrt(96 / n)
    # Half a unit makes the steps of the distribution meet the curve in their middle.
    assert stats.kstest(drawn + 0.5 / sigma, "norm").pvalue > LEVEL
    assert stats.kstest(drawn[1:] - drawn[:-1], "norm", args=(0, np.sqrt(2))).statistic < 0.01


def test_draws_are_those_of_the_key() -> None:
    np.testing.assert_array_equal(gaussian(66192, 100, 3), gaussian(66192, 100, 3))
    assert (gaussian(66192, 100, 3) != gaussian(66192, 100, 4)).mean() > 0.9
