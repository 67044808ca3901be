"""A line that is bad for long: not one wrong weight or answer."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from faults import KINDS
from proxy import Proxy, require_descriptor
from tinymia.data.splits import Draw, Pool
from tinymia.device.client import Board
from tinymia.device.connect import Connection
from tinymia.device.targets import open_target
from tinymia.errors import DeviceError
from tinymia.export.bundle import Bundle
from tinymia.wire.protocol import Policy
from tinymia.wire.settings import TrainSettings

SETTINGS = TrainSettings(clip_norm=1.0, label_smoothing=0.1, seed=4)
WINDOWS = 30
EVERY = 1000  # bytes from one fault to the next: three windows


def job(board: Board, bundle: Bundle, pool: Pool, drawn: Draw) -> tuple[str, str, bytes, bytes]:
    """Store, train and ask; returns hashes and answers."""
    windows, labels = bundle.quantize(pool.windows.x[:WINDOWS]), pool.windows.y[:WINDOWS]
    board.clear()
    board.store(windows, labels)
    board.select(np.arange(WINDOWS) % 2 == 0)
    board.begin(SETTINGS)
    trained = board.train(0, 2, at_once=1)
    stored, _ = board.query(np.arange(WINDOWS))
    fresh, _ = board.ask(windows[:8], Policy.ROUNDED, 1000)
    return trained.tail_hash, f"{board.state().store_hash:x}", stored.tobytes(), fresh.tobytes()


def test_faults_change_nothing(
    connection: Connection,
    bundle: Bundle,
    pool: Pool,
    drawn: Draw,
    pytestconfig: pytest.Config,
    facts: Callable[..., None],
) -> None:
    wanted = pytestconfig.getoption("--soak-faults")
    expected = job(connection.board, bundle, pool, drawn)
    require_descriptor(connection)
    with (
        Proxy(connection.target, every=EVERY, seed=wanted) as proxy,
        open_target(f"serial:{proxy.port}") as target,
    ):
        board = Board(target.serial, patience=30, watch=connection.target.alive)
        board.link.max_payload = 320  # one window a frame: a long one would hardly get through
        started, jobs, injected = time.monotonic(), 0, proxy.injected()
        while sum(injected.values()) < wanted:
            assert job(board, bundle, pool, drawn) == expected
            injected, jobs = proxy.injected(), jobs + 1
        seconds = time.monotonic() - started
    assert board.stats.resent > 0
    assert {f"{kind}-{way}" for kind in KINDS for way in ("in", "out")} <= set(injected)
    facts(soak_faults=sum(injected.values()))
    print(f"{sum(injected.values())} faults, {jobs} whole jobs, {seconds:.0f} s: {injected}")


def test_the_adapter_does_damage(connection: Connection) -> None:
    """The soak could not fail if nothing went wrong on the line."""
    require_descriptor(connection)
    with (
        Proxy(connection.target, every=3, seed=1) as proxy,
        open_target(f"serial:{proxy.port}") as target,
        pytest.raises(DeviceError),
    ):
        Board(target.serial, patience=1.0)
