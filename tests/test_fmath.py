"""The core's exp and log against float64, its square root bit for bit."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from corelib import NATIVE, build_shared


@pytest.fixture(scope="module")
def core() -> Any:
    return ctypes.CDLL(str(build_shared("fmath", [NATIVE / "fmath_shim.cc"], core=False)))


def call(function: Any, x: np.ndarray) -> np.ndarray:
    y = np.empty_like(x)
    pointer = ctypes.POINTER(ctypes.c_float)
    function(x.ctypes.data_as(pointer), y.ctypes.data_as(pointer), ctypes.c_int32(len(x)))
    return y


def test_exp(core: Any) -> None:
    x = np.concatenate([np.linspace(-87, 88, 1_000_001), [-0.0, 0.0]]).astype(np.float32)
    expected = np.exp(x.astype(np.float64))
    assert (np.abs(call(core.tinymia_exp, x) - expected) <= 2e-7 * expected).all()
    assert call(core.tinymia_exp, np.zeros(1, np.float32))[0] == 1.0


def test_exp_is_clamped(core: Any) -> None:
    x = np.array([-np.inf, -1e30, -100, 100, np.inf], np.float32)
    low, high = np.exp(-87.0), np.exp(88.0)
    np.testing.assert_allclose(call(core.tinymia_exp, x), [low] * 3 + [high] * 2, rtol=3e-7)


def test_log(core: Any) -> None:
    x = np.concatenate([np.geomspace(1.2e-38, 3.4e38, 500_000), np.linspace(0.5, 2, 500_001)])
    x = x.astype(np.float32)
    expected = np.log(x.astype(np.float64))
    assert (np.abs(call(core.tinymia_log, x) - expected) <= 1e-7 + 2e-7 * np.abs(expected)).all()
    assert call(core.tinymia_log, np.ones(1, np.float32))[0] == 0.0


def test_the_square_root_without_an_fpu_is_correctly_rounded(core: Any) -> None:
    # The mantissas of an even and an odd exponent are all there is to rounding; then every exponent
    # with a few mantissas, subnormals, and what has no root.
    bits = np.concatenate(
        [
            np.arange(0x3F800000, 0x40800000, dtype=np.uint32),
            (np.arange(0, 0x100) << 23)[:, None].astype(np.uint32)
            | np.array([0, 1, 2, 0x3FFFFF, 0x400000, 0x5A5A5A, 0x7FFFFF], np.uint32),
            np.arange(0, 0x800000, 61, dtype=np.uint32),
            np.array([0x80000000, 0x7F800000], np.uint32),
        ],
        axis=None,
    )
    x = bits.view(np.float32)
    x = x[~np.isnan(x)]
    np.testing.assert_array_equal(
        call(core.tinymia_soft_sqrt, x).view(np.uint32), np.sqrt(x).view(np.uint32)
    )
    none = np.array([-1.0, -np.inf, -1e-45, np.nan], np.float32)
    assert np.isnan(call(core.tinymia_soft_sqrt, none)).all()
