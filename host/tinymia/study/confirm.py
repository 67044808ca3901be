"""The board's word on what the twin did: the same cells again, equal in every bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinymia.errors import StudyError
from tinymia.study.journal import Journal, Unit
from tinymia.study.runner import Job, Task
from tinymia.study.settings import StudySettings


def jobs_to_confirm(jobs: Sequence[Job], settings: StudySettings) -> list[Job]:
    """What boards run: the first repetitions, and of deep training less of it."""
    chosen = []
    for number, job in enumerate(jobs):
        tasks = tuple(
            _shortened(task, settings)
            for task in job.tasks
            if not task.run.deep or number < settings.deep_people
        )
        if tasks and settings.confirm:
            chosen.append(replace(job, draws=job.draws[: settings.confirm], tasks=tasks))
    return chosen


def _shortened(task: Task, settings: StudySettings) -> Task:
    if not task.run.deep:
        return task
    asked = tuple(c for c in task.run.checkpoints if c <= settings.deep_epochs)
    return replace(task, run=replace(task.run, checkpoints=asked or task.run.checkpoints[:1]))


def compare(twin: Unit, board: Unit) -> int:
    """Check a board's run against the twin's.

    Args:
        twin: all queries at all checkpoints.
        board: some of the queries at some of the checkpoints.

    Returns:
        How many answers were compared.

    Raises:
        StudyError: a weight or an answer differs; names person, repetition, run and epoch.
    """
    where = np.searchsorted(twin.slots, board.slots)
    same = np.array_equal(twin.slots[np.minimum(where, len(twin.slots) - 1)], board.slots)
    if not same or not np.array_equal(twin.member[where], board.member):
        raise _unequal(board, "had other members or queries")
    for at, epoch in enumerate(board.checkpoints):
        if epoch not in twin.checkpoints:
            raise _unequal(board, f"was asked at epoch {epoch}, and the twin was not")
        twin_at = twin.checkpoints.index(epoch)
        found, expected = board.tail_hashes[at], twin.tail_hashes[twin_at]
        if found != expected:
            raise _unequal(
                board,
                f"has weights with the hash {found} behind epoch {epoch}, the twin {expected}",
            )
        counts = (board.steps[at], board.clipped[at]), (twin.steps[twin_at], twin.clipped[twin_at])
        if counts[0] != counts[1]:
            raise _unequal(
                board,
                f"counts (steps, clipped) {counts[0]} behind epoch {epoch}, the twin {counts[1]}",
            )
        theirs = twin.probs[twin_at][where]
        if theirs.tobytes() != board.probs[at].tobytes():
            bits = theirs.view(np.uint32) != board.probs[at].view(np.uint32)
            slot = int(board.slots[int(np.argmax(bits.any(axis=1)))])
            raise _unequal(
                board, f"answers window {slot} otherwise than the twin behind epoch {epoch}"
            )
    return len(board.slots) * len(board.checkpoints)


def _unequal(board: Unit, what: str) -> StudyError:
    key = board.key
    return StudyError(
        f"The board does not confirm the twin: {key.person}, repetition {key.repetition + 1},"
        f" {key.run}: the board {what}.",
        "Board and twin must be built from the same source: build and flash again, and install"
        " the package again. Then give --fresh.",
    )


def confirmation(
    jobs: Sequence[Job],
    confirmed: Sequence[Job],
    journal: Journal,
    where: dict[str, str],
) -> dict[str, Any]:
    """Compare all that boards ran, and say what ran where.

    Args:
        jobs: all runs.
        confirmed: those that boards ran as well.
        journal: holds both.
        where: "main" and "board": the targets.

    Returns:
        ``results["confirmation"]``: {main, board, cells, cells_board, hashes, answers, rows}; a row
        for each run: {run, cells, cells_board, people, repetitions, epochs, answers}, where epochs
        are those behind which the board was compared.

    Raises:
        StudyError: see :func:`compare`.
    """
    rows: dict[str, dict[str, Any]] = {}
    for job in jobs:
        for task in job.tasks:
            row = rows.setdefault(
                task.run.name,
                {
                    "run": task.run.name,
                    "cells": 0,
                    "cells_board": 0,
                    "people": [],
                    "repetitions": 0,
                    "epochs": [],
                    "answers": 0,
                    "hashes": 0,
                },
            )
            row["cells"] += len(job.draws)
    for job in confirmed:
        for task in job.tasks:
            row = rows[task.run.name]
            row["people"].append(job.pool.person)
            row["repetitions"] = len(job.draws)
            row["epochs"] = list(task.run.checkpoints)
        for key in job.units():
            row = rows[key.run]
            unit = journal.confirmed.load(key)
            row["answers"] += compare(journal.cells.load(key), unit)
            row["hashes"] += len(unit.tail_hashes)
            row["cells_board"] += 1
    total = {
        key: sum(row[key] for row in rows.values())
        for key in ("cells", "cells_board", "hashes", "answers")
    }
    return {**where, **total, "rows": list(rows.values())}
