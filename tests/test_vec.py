"""The twin's vectors give in every lane the bits that a float gives."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corelib import NATIVE, ROOT, build_shared

HOST = ROOT / "host" / "native"
AVX512 = ("-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw")
SETS = {"base": (4, ()), "avx2": (8, ("-mavx2",)), "avx512f": (16, AVX512)}


@pytest.fixture(scope="module", params=SETS)
def vec(request: pytest.FixtureRequest) -> Any:
    lanes, flags = SETS[request.param]
    if request.param != "base":
        if platform.machine() != "x86_64":
            pytest.skip(f"{request.param} is an instruction set of x86-64, not of this machine")
        if request.param not in Path("/proc/cpuinfo").read_text().split():
            pytest.skip(f"this processor has no {request.param}")
    stamp = [f"-DHEADER_{path.stem}={path.stat().st_mtime_ns}" for path in sorted(HOST.glob("*.h"))]
    more = (f"-I{HOST}", f"-DTWIN_LANES={lanes}", "-Wno-psabi", *stamp, *flags)
    return ctypes.CDLL(str(build_shared("vec", [NATIVE / "vec_shim.cc"], more, core=False)))


def pointer(array: np.ndarray) -> Any:
    return ctypes.c_void_p(array.ctypes.data)


def test_functions(vec: Any) -> None:
    """Numbers of all sizes and signs, NaN and infinity among them."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 1 << 18, dtype=np.uint32)
    usual = rng.normal(0, 10, 1 << 16).astype(np.float32).view(np.uint32)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 0.5, 2.0, 1e-45] * 2, np.float32)
    x = np.concatenate([bits, usual, special.view(np.uint32)]).view(np.float32)
    wrong = np.full(7, 7, np.uint32)
    vec.vec_differences(pointer(x), ctypes.c_uint32(len(x)), pointer(wrong))
    assert wrong.tolist() == [0] * 7


@pytest.mark.parametrize("n", [1, 15, 16, 64, 87, 133])
def test_rows(vec: Any, n: int) -> None:
    rows = np.random.default_rng(n).integers(-128, 128, (16, n)).astype(np.int8)
    assert vec.vec_rows(pointer(rows), n, ctypes.c_float(0.037), -5) == 0


def test_dropout(vec: Any) -> None:
    rng = np.random.default_rng(1)
    seeds = rng.integers(0, 2**64, 16, dtype=np.uint64)
    rates = rng.choice([0, 0.1, 0.5, 0.95], 16).astype(np.float32)
    positions = rng.integers(0, 2**32, 16, dtype=np.uint32)
    for n in (1, 4, 67):
        assert vec.vec_dropout(pointer(seeds), pointer(rates), pointer(positions), 9, n) == 0


def test_shuffles(vec: Any) -> None:
    """Lanes of different lengths, none and one among them."""
    seeds = np.random.default_rng(2).integers(0, 2**64, 16, dtype=np.uint64)
    counts = np.array([80, 0, 1, 2, 3, 4, 5, 81] * 2, np.uint32)
    for epoch in (0, 7):
        assert vec.vec_shuffle(pointer(seeds), pointer(counts), ctypes.c_uint32(epoch)) == 0


def test_any_and_all(vec: Any) -> None:
    for bits in (np.zeros(16), np.ones(16), np.eye(16)[3], 1 - np.eye(16)[3], np.eye(16)[0]):
        assert vec.vec_masks(pointer(bits.astype(np.uint8))) == 0
