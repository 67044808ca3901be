"""What inference, training and the defences cost on the device itself."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.data.splits import Draw, Pool
from tinymia.device.client import Board
from tinymia.export.bundle import Bundle
from tinymia.study.runner import Layout, Task
from tinymia.study.settings import StudySettings

_SAMPLES = 16


def measure(
    board: Board,
    bundle: Bundle,
    pool: Pool,
    draw: Draw,
    settings: StudySettings,
    tasks: Sequence[Task],
) -> dict[str, Any]:
    """Costs on a board with a fresh session.

    Requests go one at a time, so that no interrupt of the line falls into a measurement.

    Returns:
        ``inference`` and ``query`` are the mean over 16 windows; ``train_steps``, by run, the mean
        over one epoch over the members, the order of examples and the update included; all in the
        board's unit. ``train_step`` is that of the run without a defence. ``trained`` and
        ``workspaces``, by run: parameters that change, and bytes that training takes beside the
        store. Bytes on the line are those of sending one person's windows, choosing members, one
        training run and the answers to every query.
    """
    costs: dict[str, Any] = {"unit": board.identity.unit}
    steps: dict[str, float] = {}
    trained: dict[str, int] = {}
    workspaces: dict[str, int] = {}
    members = np.flatnonzero(draw.member)
    for layout, group in groupby(tasks, key=lambda task: task.layout):
        for task in group:
            _stock(board, bundle, pool, members, layout)
            begun = board.begin(settings.training_of(task.run, settings.seed, task.parameters))
            trained[task.run.name] = begun.trained
            workspaces[task.run.name] = begun.workspace
            if task.run.reported != (0,):
                epoch = board.train(0, 1)
                steps[task.run.name] = round(epoch.ticks / max(1, epoch.steps), 1)
    costs |= {
        "train_step": steps["plain"],
        "train_steps": steps,
        "trained": trained,
        "workspaces": workspaces,
    }

    plain = next(task for task in tasks if task.run.name == "plain")
    board.layout(plain.layout.first_layer, plain.layout.raw)
    windows = bundle.quantize(pool.windows.x)
    kept = slice(0, min(len(windows), board.info(fresh=True).store_capacity))
    before = board.stats.first_bytes_out
    board.store(windows[kept], pool.windows.y[kept])
    stored_bytes = board.stats.first_bytes_out - before
    some = windows[:_SAMPLES]
    costs["inference"] = statistics.mean(board.ask(w[None])[1] for w in some)
    costs["query"] = statistics.mean(board.query(np.array([i]))[1] for i in range(len(some)))

    start_out, start_in = board.stats.first_bytes_out, board.stats.first_bytes_in
    board.select(draw.member[kept])
    board.begin(settings.training_of(plain.run, settings.seed, plain.parameters))
    board.train(0, 1 if plain.run.deep else settings.epochs[-1])
    board.query(np.flatnonzero((draw.member | draw.nonmember)[kept]))
    info = board.info(fresh=True)
    return {
        **costs,
        "bytes_host_to_device": stored_bytes + board.stats.first_bytes_out - start_out,
        "bytes_device_to_host": board.stats.first_bytes_in - start_in,
        "payload_fraction": round(windows[kept].nbytes / stored_bytes, 4),
        "arena_used": info.arena_used,
        "arena_size": info.arena_size,
        "arena_model": info.model_arena,
        "arena_tail": info.tail_arena,
        "arena_store": info.store_arena,
        "store_capacity": info.store_capacity,
        "stack_used": info.stack_used,
        "stack_size": info.stack_size,
    }


def _stock(
    board: Board, bundle: Bundle, pool: Pool, members: NDArray[np.intp], layout: Layout
) -> None:
    """Nothing but the members, so that the largest workspace fits beside them."""
    board.layout(layout.first_layer, layout.raw)
    board.store(bundle.quantize(pool.windows.x[members]), pool.windows.y[members])
    board.select(np.ones(len(members), np.bool_))
