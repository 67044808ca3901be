"""What inference, training and the defences cost on the device itself."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from tinymia.data.splits import Draw, Pool
from tinymia.device.client import Board
from tinymia.export.bundle import Bundle
from tinymia.study.settings import StudySettings

_SAMPLES = 16


def measure(
    board: Board, bundle: Bundle, pool: Pool, draw: Draw, settings: StudySettings
) -> dict[str, Any]:
    """Costs on a board with a fresh session.

    Requests go one at a time, so that no interrupt of the line falls into a measurement.

    Returns:
        ``inference`` and ``query`` are the mean over 16 windows; ``train_step`` and its kin the
        mean over one epoch over the members, the order of examples and the update included; all in
        the board's unit. Bytes on the line are those of sending one person's windows, choosing
        members, one training run and the answers to every query.
    """
    windows = bundle.quantize(pool.windows.x)
    before = board.stats.first_bytes_out
    board.store(windows, pool.windows.y)
    stored_bytes = board.stats.first_bytes_out - before

    board.select(draw.member)
    costs: dict[str, Any] = {"unit": board.identity.unit}
    for suffix, defenses in zip(
        ("", "_clip", "_smooth", "_both"), settings.defenses.values(), strict=True
    ):
        board.begin(settings.training(defenses, settings.seed))
        trained = board.train(0, 1)
        costs[f"train_step{suffix}"] = round(trained.ticks / trained.steps, 1)

    some = windows[:_SAMPLES]
    costs["inference"] = statistics.mean(board.ask(w[None])[1] for w in some)
    costs["query"] = statistics.mean(board.query(np.array([i]))[1] for i in range(len(some)))

    start_out, start_in = board.stats.first_bytes_out, board.stats.first_bytes_in
    board.select(draw.member)
    board.begin(settings.training((), settings.seed))
    board.train(0, settings.epochs[-1])
    board.query(np.flatnonzero(draw.member | draw.nonmember))
    info = board.info(fresh=True)
    return {
        **costs,
        "bytes_host_to_device": stored_bytes + board.stats.first_bytes_out - start_out,
        "bytes_device_to_host": board.stats.first_bytes_in - start_in,
        "payload_fraction": round(windows.nbytes / stored_bytes, 4),
        "arena_used": info.arena_used,
        "arena_size": info.arena_size,
        "arena_model": info.model_arena,
        "arena_tail": info.tail_arena,
        "arena_store": info.store_arena,
        "store_capacity": info.store_capacity,
        "stack_used": info.stack_used,
        "stack_size": info.stack_size,
    }
