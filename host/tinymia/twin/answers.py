"""Guards of answers as devices apply them: the core's own code over many devices' whole answers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import TwinError
from tinymia.twin.core import core
from tinymia.wire.answers import check_guard
from tinymia.wire.guard import GuardSettings


def guarded(
    answers: NDArray[np.float32],
    guard: GuardSettings,
    *,
    seeds: Sequence[int],
    epoch: int,
    features: NDArray[np.int8],
    spare: NDArray[np.float32] | None = None,
    classifiers: bytes = b"",
    threads: int | None = None,
) -> NDArray[np.float32]:
    """What devices answer instead, before a policy cuts it; the same bits as a board's.

    Args:
        answers: (devices, n, classes) float32, whole.
        guard: how they are guarded.
        seeds: one a device, of its training.
        epoch: behind which it is asked.
        features: (n, slot_bytes) int8, what the trained layers read of each question.
        spare: (devices, spare windows, classes) float32, whole answers to
            :func:`spare_windows`, which swapping takes; else None.
        classifiers: body of a bundle's section of classifiers, where one is named.
        threads: None: one a core that this process may use.

    Returns:
        Like ``answers``.

    Raises:
        DataError: a setting is out of range.
        TwinError: what the settings need is not there.
    """
    check_guard(guard)
    out = np.array(answers, dtype=np.float32, order="C")
    devices, n, classes = out.shape
    if not guard.is_on or out.size == 0:
        return out
    read = np.ascontiguousarray(features, np.int8).reshape(n, -1)
    if not 2 <= classes <= 256:
        raise TwinError(f"Answers of {classes} classes cannot be guarded.", "2 to 256 can.")
    shape = devices, core().spare_windows, classes
    if guard.swap and (spare is None or spare.shape != shape):
        raise TwinError("Swapping needs each device's answers to the spare windows.")
    others = np.zeros((0, 0, classes), np.float32)
    if guard.swap and spare is not None:
        others = np.ascontiguousarray(spare, np.float32)
    if guard.classifier and not classifiers:
        raise TwinError(
            "MemGuard's classifier of members is missing.",
            "An audit trains one on public people; a bundle gets it by `tinymia export`.",
        )
    keys = np.array([int(seed) for seed in seeds], np.uint64)
    workers = threads or len(os.sched_getaffinity(0))
    share = max(1, -(-devices // workers))

    def work(at: int) -> None:
        part = slice(at, at + share)
        core().guard(
            guard.pack(),
            classifiers,
            keys[part],
            epoch,
            read,
            others[part],
            out[part],
        )

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(0, devices, share)))
    return out


def spare_windows(input_bytes: int) -> NDArray[np.int8]:
    """The public random windows whose answers HAMP gives in place of the own.

    Args:
        input_bytes: of a window.

    Returns:
        (spare windows, input_bytes) int8.
    """
    out = np.empty((core().spare_windows, input_bytes), np.int8)
    core().write_spare_windows(out)
    return out


def laplace_draws(seed: int, count: int) -> NDArray[np.int32]:
    """(count,) int32 draws of the law of Laplace noise, in units of 1/32 of its scale."""
    out = np.empty(count, np.int32)
    core().laplace_draws(seed, out)
    return out
