"""The twin's extension, see host/native/module.cc."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

stamp: str
settings_size: int
last_layer: int

def isas() -> list[tuple[str, int, bool]]: ...
def settings_fields() -> list[tuple[str, str, int]]: ...
def check_settings(settings: NDArray[np.uint8]) -> tuple[int, int]: ...
def describe(bundle: bytes, first_layer: int) -> dict[str, Any]: ...
def embed(
    isa: str,
    bundle: bytes,
    first_layer: int,
    windows: NDArray[np.int8],
    out: NDArray[np.int8],
) -> None: ...
def load_model(model: bytes) -> dict[str, int]: ...

spare_windows: int

def guard(
    settings: bytes,
    classifiers: bytes,
    seeds: NDArray[np.uint64],
    epoch: int,
    features: NDArray[np.int8],
    spare: NDArray[np.float32],
    answers: NDArray[np.float32],
) -> None: ...
def watch(
    settings: bytes,
    seeds: NDArray[np.uint64],
    features: NDArray[np.int8],
    out: NDArray[np.uint32],
) -> None: ...
def write_spare_windows(out: NDArray[np.int8]) -> None: ...
def laplace_draws(seed: int, out: NDArray[np.int32]) -> None: ...
def check_update(clip_norm: float, units: int, noise: float) -> int: ...
def update_sigma(clip_norm: float, units: int, noise: float, count: int) -> int: ...
def make_updates(
    theta: NDArray[np.float32],
    start: NDArray[np.float32],
    clip_norm: float,
    units: int,
    noise: float,
    seeds: NDArray[np.uint64],
    updates: NDArray[np.int32],
    norms: NDArray[np.float32],
    clipped: NDArray[np.uint8],
) -> None: ...
def interrupt() -> None: ...
def end() -> None: ...
def after_fork() -> None: ...

class Board:
    def __init__(self, bundle: bytes, arena: int) -> None: ...
    def write(self, data: bytes) -> None: ...
    def read(self, size: int) -> bytes: ...

class Engine:
    def __init__(
        self,
        isa: str,
        bundle: bytes,
        first_layer: int,
        windows: NDArray[np.int8],
        features: NDArray[np.int8],
        labels: NDArray[np.uint8],
        queries: NDArray[np.int8],
        threads: int,
    ) -> None: ...
    def run(
        self,
        settings: NDArray[np.uint8],
        members: NDArray[np.uint8],
        checkpoints: list[int],
        order: NDArray[np.uint32],
        starts: NDArray[np.uint32],
        parameters: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        hashes: NDArray[np.uint64],
        losses: NDArray[np.float32],
        held_out: NDArray[np.float32],
        steps: NDArray[np.uint32],
        clipped: NDArray[np.uint32],
        stopped: NDArray[np.uint8],
        start: NDArray[np.float32],
        progress: Callable[[int], None] | None,
    ) -> None: ...
