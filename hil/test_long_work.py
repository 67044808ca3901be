"""Work that takes longer than the line's patience, and more ticks than the counter holds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tinymia.data.splits import Draw, Pool
from tinymia.device.client import Board
from tinymia.device.connect import Connection, connect, image_for
from tinymia.device.link import LinkLostError
from tinymia.export.bundle import Bundle
from tinymia.wire import protocol
from tinymia.wire.settings import TrainSettings

SLOW = "qemu:mps2-an385"  # without an FPU: a step of the whole network takes ten million ticks
EPOCHS = 6
PATIENCE = 10.0
SETTINGS = TrainSettings(seed=4, learning_rate=0.02, clip_norm=1.0)


def prepare(board: Board, bundle: Bundle, pool: Pool, drawn: Draw) -> None:
    chosen = drawn.member_slots
    board.layout(0)
    board.store(bundle.quantize(pool.windows.x)[chosen], pool.windows.y[chosen])
    board.select(np.ones(len(chosen), np.bool_))
    board.begin(SETTINGS)


@pytest.fixture(scope="module")
def slow(bundle: Bundle) -> Iterator[Connection]:
    image = image_for(bundle.to_bytes(), bundle.bundle_id, target=SLOW)
    with connect(SLOW, image.elf, patience=PATIENCE) as opened:
        yield opened


def test_one_request_may_take_longer_than_the_line_s_patience(
    slow: Connection, bundle: Bundle, pool: Pool, drawn: Draw
) -> None:
    """And its ticks are as many as those of its parts, beyond 2^32 too."""
    board = slow.board
    prepare(board, bundle, pool, drawn)
    single = board.train(0, 1).ticks
    board.begin(SETTINGS)
    whole = board.train(0, EPOCHS)
    assert whole.ticks > 2**32
    assert whole.ticks == pytest.approx(EPOCHS * single, rel=0.02)
    with connect("twin:", bundle.to_bytes()) as twin:
        prepare(twin.board, bundle, pool, drawn)
        assert twin.board.train(0, EPOCHS).tail_hash == whole.tail_hash


def test_a_board_that_computes_is_greeted_when_it_is_done(
    slow: Connection, bundle: Bundle, pool: Pool, drawn: Draw
) -> None:
    board = slow.board
    prepare(board, bundle, pool, drawn)
    board.link._send_new(protocol.TrainRequest(0, EPOCHS), 0.0)
    slow.target.reconnect()  # the host has forgotten what it asked for
    with pytest.raises(LinkLostError, match="computes there for an earlier request"):
        Board(slow.target.serial, patience=3.0, wait_for_work=False)
    assert Board(slow.target.serial, patience=PATIENCE).state().epoch == EPOCHS
