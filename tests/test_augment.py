"""Augmentation of windows: what each switch does alone, and that draws do not interfere."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from scipy import stats

import draws

Array = np.ndarray[Any, Any]
SCALE, ZERO = 0.04, -3


def augment(
    window: Array, epoch: int = 0, position: int = 0, zero_point: int = ZERO, **changed: Any
) -> Array:
    """``window`` (length, channels) int8."""
    out = np.full_like(window, 99)
    shape = draws.Shape(*window.shape, SCALE, zero_point)
    window = np.ascontiguousarray(window)
    s = draws.settings(**{"seed": 12, **changed})
    draws.core().tinymia_augment(
        ctypes.byref(s),
        ctypes.byref(shape),
        epoch,
        position,
        ctypes.c_void_p(window.ctypes.data),
        ctypes.c_void_p(out.ctypes.data),
    )
    return out


def window(length: int = 50, channels: int = 6, most: int = 60, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    return rng.integers(ZERO - most, ZERO + most, (length, channels), dtype=np.int8, endpoint=True)


def real(w: Array, zero_point: int = ZERO) -> Array:
    return w.astype(np.float64) - zero_point


@pytest.mark.parametrize("channels", [1, 3, 4, 6])
def test_off_is_the_same(channels: int) -> None:
    for w in (window(channels=channels), np.arange(-128, 128, dtype=np.int8).reshape(-1, 1)):
        np.testing.assert_array_equal(augment(w), w)


def test_shift() -> None:
    w = window()
    seen = set()
    for position in range(300):
        out = augment(w, position=position, shift=5)
        late = [k for k in range(-5, 6) if (out == w[np.clip(np.arange(50) - k, 0, 49)]).all()]
        assert len(late) == 1
        seen.add(late[0])
    assert seen == set(range(-5, 6))
    # Longer than the window.
    assert {len(np.unique(augment(w, position=p, shift=1024), axis=0)) for p in range(9)} >= {1}


def test_rotation_keeps_norms() -> None:
    w = window(most=55)  # norms below 127, so that nothing saturates
    angles = []
    for position in range(400):
        out = real(augment(w, position=position, rotation=0.2)).reshape(50, 2, 3)
        triples = real(w).reshape(50, 2, 3)
        before, after = (np.linalg.norm(x, axis=2) for x in (triples, out))
        assert np.abs(before - after).max() <= np.sqrt(3) / 2 + 1e-3
        for k in range(2):
            # One rotation for the whole window: the best one (Kabsch) leaves rounding only.
            u, _, v = np.linalg.svd(out[:, k].T @ triples[:, k])
            r = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
            assert np.abs(triples[:, k] @ r.T - out[:, k]).max() < 0.65
            angles.append(np.arccos(np.clip((np.trace(r) - 1) / 2, -1, 1)))
    # 2 atan(|v| / 2) for v of three normals of 0.2; Kabsch adds some thousandths.
    lengths = 2 * np.tan(np.array(angles) / 2) / 0.2
    assert stats.kstest(lengths, stats.chi(3).cdf).pvalue > 1e-3


def test_channels_that_are_no_triples_are_not_rotated() -> None:
    for channels in (1, 2, 4):
        w = window(channels=channels)
        np.testing.assert_array_equal(augment(w, rotation=1.0), w)


def test_scaling() -> None:
    w = window(most=40)
    factors = []
    for position in range(300):
        out = real(augment(w, position=position, scaling=0.3))
        # The factors that round to what came out: some, and nearly one.
        x, near = real(w), np.sign(real(w)) * 0.5001
        with np.errstate(divide="ignore", invalid="ignore"):
            low = np.nanmax(np.where(x == 0, -np.inf, (out - near) / x), axis=0)
            high = np.nanmin(np.where(x == 0, np.inf, (out + near) / x), axis=0)
        assert (low <= high).all()
        factor = (low + high) / 2
        factors.append(factor)
    normals = (np.array(factors) - 1) / 0.3
    assert stats.kstest(normals.ravel(), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(normals.T) - np.eye(6)).max() < 0.2


def test_jitter() -> None:
    w = window(length=2000, most=20)
    noise = (real(augment(w, jitter=0.8)) - real(w)) * SCALE / 0.8
    assert stats.kstest(noise.ravel() + 1e-9, "norm").statistic < 0.03  # steps of 0.05
    assert abs(noise.std() - 1) < 0.02
    assert abs(noise.mean()) < 0.03
    assert np.abs(np.corrcoef(noise.T) - np.eye(6)).max() < 0.1
    assert abs(np.corrcoef(noise[1:, 0], noise[:-1, 0])[0, 1]) < 0.1


def test_saturation() -> None:
    w = np.array([[-128, 127, 0]] * 40, np.int8)
    out = augment(w, zero_point=0, jitter=10.0)
    assert {-128, 127} <= set(out.ravel())
    far = augment(w, zero_point=127, jitter=10.0, scaling=2.0, rotation=4.0)
    assert far.shape == w.shape


def test_keyed_by_seed_epoch_and_position() -> None:
    w = window()
    every = {"jitter": 0.1, "scaling": 0.1, "rotation": 0.1, "shift": 3}
    first = augment(w, **every)
    np.testing.assert_array_equal(first, augment(w, **every))
    for other in ({"epoch": 1}, {"position": 1}, {"seed": 13}):
        assert (augment(w, **{**every, **other}) != first).mean() > 0.5


def test_switches_do_not_change_each_other() -> None:
    """All at once is one after the other, up to rounding in between."""
    w = window(most=40)
    for position in range(20):
        at: dict[str, Any] = {"position": position}
        step = augment(w, **at, shift=4)
        step = augment(step, **at, rotation=0.3)
        step = augment(step, **at, scaling=0.1)
        step = augment(step, **at, jitter=0.1)
        whole = augment(w, **at, shift=4, rotation=0.3, scaling=0.1, jitter=0.1)
        assert np.abs(real(step) - real(whole)).max() <= 2
