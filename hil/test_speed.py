"""Windows stream at the line's rate, on an adapter that keeps to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from proxy import Proxy, require_descriptor
from tinymia.data.splits import Pool
from tinymia.device.client import Board
from tinymia.device.connect import Connection, connect
from tinymia.device.targets import open_target
from tinymia.export.bundle import Bundle

pytestmark = pytest.mark.speed

SECONDS = 5.0
LEAST = 0.95  # of the line's bytes are windows
TRIES = 3  # what else runs on this machine may slow one down, and makes none faster

# QEMU's own UARTs are not many times as fast; a process of this machine has no such limit.
RATES = {"qemu": (115200,), "native": (921600, 3000000)}


def test_windows_stream_at_95_percent_of_the_line(
    target: str,
    spec: str,
    image: Path | bytes | None,
    bundle: Bundle,
    pool: Pool,
    facts: Callable[..., None],
) -> None:
    rates = RATES.get(target.partition(":")[0])
    if rates is None:
        pytest.skip("the rate of this line is its own; measured on qemu: and native:")
    windows = bundle.quantize(pool.windows.x)
    shares = {}
    for baud in rates:
        with connect(spec, image) as behind, Proxy(behind.target, baud=baud) as proxy:
            for _ in range(TRIES):
                share = _share(proxy.port, baud, windows, pool)
                shares[baud] = max(share, shares.get(baud, 0.0))
                if share >= LEAST:
                    break
    facts(line_percent=round(100 * min(shares.values()), 1))
    print({baud: f"{100 * share:.1f} %" for baud, share in shares.items()})
    assert min(shares.values()) >= LEAST


def _share(port: str, baud: int, windows: np.ndarray, pool: Pool) -> float:
    """How much of the line's rate are windows, over a few seconds."""
    with open_target(f"serial:{port}?baud={baud}") as adapter:
        board = Board(adapter.serial)
        times = max(1, round(SECONDS * baud / 10 / windows.nbytes))
        started = time.perf_counter()
        for _ in range(times):
            board.store(windows, pool.windows.y)
        seconds = time.perf_counter() - started
    return times * windows.nbytes / seconds / (baud / 10)


def test_the_adapter_keeps_to_its_rate(connection: Connection) -> None:
    """What is measured above is the line, not the adapter's haste."""
    require_descriptor(connection)
    baud, size, blocks = 57600, 900, 12
    with (
        Proxy(connection.target, baud=baud) as proxy,
        open_target(f"serial:{proxy.port}?baud={baud}") as adapter,
    ):
        board = Board(adapter.serial)
        started = time.perf_counter()
        block = np.random.default_rng(0).bytes(size)
        assert all(back == block for back in board.echo([block] * blocks))
        seconds = time.perf_counter() - started
    assert seconds >= size * blocks / (baud / 10)
