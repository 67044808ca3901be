"""ChaCha20 against RFC 8439, keys and streams. What is drawn from them: test_gaussian.py."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

import draws

Array = np.ndarray[Any, Any]


def words(key: Array, use: int, step: int, n: int) -> Array:
    out = np.empty(n, np.uint32)
    draws.core().tinymia_words(
        ctypes.c_void_p(key.ctypes.data), use, step, n, ctypes.c_void_p(out.ctypes.data)
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
