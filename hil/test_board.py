"""Who answers the handshake, and what its work costs."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinymia import __version__
from tinymia.data.splits import Draw, Pool
from tinymia.device.boards import BoardFile
from tinymia.device.connect import Connection
from tinymia.device.elf import image_info
from tinymia.export.bundle import Bundle
from tinymia.wire import protocol
from tinymia.wire.settings import TrainSettings

Note = Callable[..., None]


def test_the_handshake_says_who_it_is(
    connection: Connection,
    board_file: BoardFile | None,
    image: Path | bytes | None,
    bundle: Bundle,
    facts: Note,
) -> None:
    who = connection.board.identity
    assert who.protocol == protocol.VERSION
    assert who.firmware == __version__
    assert len(bytes.fromhex(who.build_id)) == 20
    if isinstance(image, Path):
        assert who.build_id == image_info(image).build_id
    if board_file is not None:
        assert who.board == board_file.id
    info = connection.board.info()
    data = bundle.to_bytes()
    assert (info.bundle_size, info.classes) == (len(data), 7)
    assert info.rx_overruns == 0
    facts(
        board=who.board,
        build_id=who.build_id,
        firmware=who.firmware,
        unit=connection.unit,
        bundle_bytes=len(data),
    )


def test_the_unit_is_that_of_the_target(target: str, connection: Connection) -> None:
    kind = target.partition(":")[0]
    expected = {
        "qemu": {"instructions"},
        "renode": {"virtual-ticks"},
        "native": {"host-ns"},
        "twin": {"host-ns"},
    }
    assert connection.unit in expected.get(kind, {"cycles", "ticks"})


def test_greeting_again_keeps_the_state(connection: Connection, bundle: Bundle, pool: Pool) -> None:
    board = connection.board
    board.store(bundle.quantize(pool.windows.x[:5]), pool.windows.y[:5])
    before, who = board.state(), board.identity
    board.hello()
    assert (board.state(), board.identity) == (before, who)


def test_costs_are_counted(
    stocked: Connection, bundle: Bundle, pool: Pool, drawn: Draw, facts: Note
) -> None:
    board = stocked.board
    windows = bundle.quantize(pool.windows.x)[:16]
    inference = [board.ask(window[None])[1] for window in windows]
    steps = []
    for _ in range(2):
        board.begin(TrainSettings(clip_norm=1.0, label_smoothing=0.1))
        trained = board.train(0, 1)
        steps.append(trained.ticks / trained.steps)
    assert 0 < steps[0] < statistics.mean(inference)
    board.begin(TrainSettings())  # soft floats take as long as their values need
    if stocked.unit == "instructions":  # the same work is the same number, within a tick
        assert steps[0] == steps[1]
        assert abs(board.ask(windows[:1])[1] - inference[0]) <= 1
    elif stocked.unit == "virtual-ticks":  # as good but for a clock that rounds, and a request
        assert abs(steps[0] - steps[1]) < 1  # sent again on a busy machine finds the board at work
        usual = statistics.median(inference)
        assert statistics.median(abs(ticks - usual) for ticks in inference) <= 4
    info = board.info(fresh=True)
    assert 0 <= info.stack_used <= info.stack_size
    facts(
        inference=statistics.mean(inference),
        step=float(np.mean(steps)),
        arena=info.arena_used,
        stack=info.stack_used,
    )


def test_the_stack_has_room(stocked: Connection) -> None:
    info = stocked.board.info(fresh=True)
    if info.stack_size == 0:
        pytest.skip("a process of this machine does not watch its stack")
    assert 0 < info.stack_used < info.stack_size - 1024
