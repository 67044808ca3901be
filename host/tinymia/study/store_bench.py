"""How fast the store says what is done, takes a device and gives it back."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinymia.study.store import Store

DEVICES = 2000
_ANSWERS = (460, 1, 7)
"""Of a device of har-watch: windows, views, classes."""
_PARAMETERS = 455


@dataclass(frozen=True)
class Rate:
    """One kind of work.

    Attributes:
        of: what is done, for people.
        per_second: how often.
        ten_thousand: seconds for so many.
    """

    of: str
    per_second: float
    ten_thousand: float


def rates(folder: Path, devices: int = DEVICES) -> list[Rate]:
    """Store so many devices in a folder, ask for their names, and load them; raises StudyError."""
    store = Store(folder)
    rng = np.random.default_rng(0)
    arrays = {
        "answers": rng.random(_ANSWERS, np.float32),
        "theta": rng.random(_PARAMETERS, np.float32),
    }
    keys = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(devices)]
    return [
        _timed("devices stored", keys, lambda key: store.save("devices", key, arrays)),
        _timed("names asked for, there", keys, lambda key: store.has("devices", key)),
        _timed("names asked for, not there", keys, lambda key: store.has("confirmed", key)),
        _timed("devices loaded", keys, lambda key: store.load("devices", key)),
    ]


def _timed(of: str, keys: list[str], work: Callable[[str], object]) -> Rate:
    began = time.perf_counter()
    for key in keys:
        work(key)
    each = (time.perf_counter() - began) / len(keys)
    return Rate(of, 1 / each, 10_000 * each)
