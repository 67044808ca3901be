"""What the training core draws, through ctypes, and Philox once more."""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from corelib import build_shared
from tinymia.wire.settings import SETTINGS, TrainSettings

Array = np.ndarray[Any, Any]
F = ctypes.c_float
_KINDS = {"f32": F, "u8": ctypes.c_uint8, "u16": ctypes.c_uint16, "u64": ctypes.c_uint64}
_DEFAULTS = {field.name: field.default for field in fields(TrainSettings)} | {"batch": 1}
FIELDS: list[tuple[str, Any, Any]] = [  # name, type and default, in the order of the registry
    (s.name, _KINDS[s.kind], _DEFAULTS[s.name]) for s in SETTINGS
]


class Settings(ctypes.Structure):
    _fields_ = tuple((name, kind) for name, kind, _ in FIELDS)


class Example(ctypes.Structure):
    _fields_ = (
        ("slot", ctypes.c_uint16),
        ("partner", ctypes.c_uint16),
        ("mix", ctypes.c_float),
        ("position", ctypes.c_uint32),
    )


class Shape(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_uint32),
        ("channels", ctypes.c_uint32),
        ("scale", ctypes.c_float),
        ("zero_point", ctypes.c_int32),
    )


def settings(**changed: Any) -> Settings:
    values = {name: default for name, _, default in FIELDS}
    assert set(changed) <= set(values)
    values |= changed
    return Settings(
        **{name: values[name] if kind is F else int(values[name]) for name, kind, _ in FIELDS}
    )


@functools.cache
def core() -> Any:
    library = ctypes.CDLL(str(build_shared("draws", ["draws_shim.cc"])))
    library.tinymia_rate_factor.restype = ctypes.c_float
    library.tinymia_key.argtypes = [ctypes.c_uint64, ctypes.c_void_p]
    assert library.tinymia_settings_size() == ctypes.sizeof(Settings)
    return library


def key_of(seed: int) -> Array:
    out = np.empty(8, np.uint32)
    core().tinymia_key(seed, out.ctypes.data)
    return out


@dataclass
class Epoch:
    held: Array
    examples: Array  # structured: slot, partner, mix, position
    steps: Array


def epoch(s: Settings, members: Array, number: int, key: Array | None = None) -> Epoch:
    """One epoch over ``members`` (bool, a slot each)."""
    count = int(members.sum())
    bitmap = np.packbits(members, bitorder="little")
    key = key_of(s.seed) if key is None else key
    order, held = np.zeros(count, np.uint16), np.zeros(count, np.uint16)
    room = 4 * count + 400
    examples = (Example * room)()
    steps = np.zeros(room, np.uint32)
    held_count = ctypes.c_uint32()
    pointer = ctypes.c_void_p
    n = core().tinymia_epoch(
        ctypes.byref(s),
        pointer(key.ctypes.data),
        pointer(bitmap.ctypes.data),
        len(members),
        number,
        pointer(order.ctypes.data),
        room,
        pointer(held.ctypes.data),
        ctypes.byref(held_count),
        examples,
        pointer(steps.ctypes.data),
    )
    assert n < room
    every = np.frombuffer(examples, np.dtype(Example))
    return Epoch(held[: held_count.value], every[:n], steps[:n])


def philox(key: int, *counter: int) -> list[int]:
    """Philox4x32-10 (Salmon et al., SC 2011)."""
    c, k = list(counter), [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c[0], 1 << 32)
        high1, low1 = divmod(0xCD9E8D57 * c[2], 1 << 32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) % (1 << 32), (k[1] + 0xBB67AE85) % (1 << 32)]
    return c


def shuffled(key: int, number: int, items: list[int], purpose: int) -> list[int]:
    """Fisher and Yates from the end, a word a swap."""
    out = list(items)
    for n, i in enumerate(range(len(out), 1, -1)):
        j = philox(key, n // 4, number, 0, purpose)[n % 4] * i >> 32
        out[i - 1], out[j] = out[j], out[i - 1]
    return out
