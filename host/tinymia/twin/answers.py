"""Guards of answers as devices apply them: the core's own code over many devices' whole answers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

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
        answers: (devices, n, classes) float32, whole; a detector of odd questions sees them in this
            order, and nothing before.
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
    if guard.watch:
        shown = guarded(
            answers,
            unwatched(guard),
            seeds=seeds,
            epoch=epoch,
            features=features,
            spare=spare,
            classifiers=classifiers,
            threads=threads,
        )
        return silenced(shown, watched(guard, seeds, read).first, guard)
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


def unwatched(guard: GuardSettings) -> GuardSettings:
    """A guard without its detector."""
    return replace(guard, watch=0, watch_near=0.0, watch_spread=0.0, watch_refuse=0)


@dataclass(frozen=True, eq=False)
class Watched:
    """What detectors of odd questions made of a stream.

    Attributes:
        copies, strange: (devices, n) float64, evidence behind each question that it is a changed
            copy of an earlier one, or no signal, in questions.
        alarm: (devices, n) int64: 0 none, 1 for copies, 2 for strange questions.
    """

    copies: NDArray[np.float64]
    strange: NDArray[np.float64]
    alarm: NDArray[np.int64]

    @property
    def first(self) -> NDArray[np.int64]:
        """(devices,) the number of the question that raised the alarm, from 0; n where none did."""
        rang = self.alarm > 0
        return np.where(rang.any(axis=1), rang.argmax(axis=1), rang.shape[1]).astype(np.int64)


def watched(guard: GuardSettings, seeds: Sequence[int], features: NDArray[np.int8]) -> Watched:
    """What devices' detectors make of a stream of questions; the same bits as a board's.

    Args:
        guard: ``watch`` and what belongs to it count.
        seeds: one a device, of its training: directions and cells hang on it.
        features: (n, slot_bytes) int8, what the trained layers read, in the order of questions.

    Returns:
        Evidence and alarm behind each question, of each device.

    Raises:
        DataError: a setting is out of range.
    """
    check_guard(guard)
    keys = np.array([int(seed) for seed in seeds], np.uint64)
    read = np.ascontiguousarray(features, np.int8)
    out = np.zeros((len(keys), len(read), 3), np.uint32)
    if read.size:
        core().watch(guard.pack(), keys, read, out)
    evidence = out[..., :2] / 256.0
    return Watched(evidence[..., 0], evidence[..., 1], out[..., 2].astype(np.int64))


def silenced(
    answers: NDArray[np.float32], first: NDArray[np.int64], guard: GuardSettings
) -> NDArray[np.float32]:
    """Answers as they are from an alarm on: labels alone, or none, which is NaN.

    Args:
        answers: (devices, n, classes) float32.
        first: (devices,) number of the first question to which this applies; negative: of all.
        guard: says which.

    Returns:
        Like ``answers``.
    """
    late = np.arange(answers.shape[1]) >= first[:, None]
    if guard.watch_refuse:
        left = np.full_like(answers, np.nan)
    else:
        best = np.nan_to_num(answers, nan=-1.0).argmax(axis=-1)
        left = np.eye(answers.shape[-1], dtype=np.float32)[best]
    return np.where(late[..., None], left, answers)


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
