"""The core's exp and log against float64."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from corelib import NATIVE, build_shared


@pytest.fixture(scope="module")
def core() -> Any:
    return ctypes.CDLL(str(build_shared("fmath", [NATIVE / "fmath_shim.cc"])))


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
