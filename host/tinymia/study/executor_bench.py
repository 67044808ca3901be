"""How well executors keep workers busy: cells that compute, and cells that only wait."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from tinymia.study.executors import Executor
from tinymia.twin import Twin, settings_array
from tinymia.wire.settings import TrainSettings

WORKERS, WAIT = 64, 0.5
ROUNDS = {"processes": 12, "ray": 60}
"""Cells a worker; Ray starts workers one after the other, which takes many cells' time."""
_EXAMPLES, _MEMBERS, _DEVICES, _EPOCHS = 460, 80, 2048, 50


@dataclass(frozen=True)
class Span:
    """When and where a cell was worked on.

    Attributes:
        worker: number of its process.
        began, ended: by the machine's clock.
        cpu: seconds of a processor that it took.
    """

    worker: int
    began: float
    ended: float
    cpu: float


@dataclass(frozen=True)
class Busy:
    """Workers side by side.

    Attributes:
        executor: its name.
        workers: that worked.
        cells: in all.
        per_second: cells a second.
        share: of the time in which workers were there that they were at work.
        cpu: seconds of a processor that a cell took.
    """

    executor: str
    workers: int
    cells: int
    per_second: float
    share: float
    cpu: float


def wait(seconds: float) -> Span:
    """A cell that only waits."""
    began, cpu = time.time(), time.process_time()
    time.sleep(seconds)
    return Span(os.getpid(), began, time.time(), time.process_time() - cpu)


@dataclass(frozen=True)
class Computing:
    """A cell that fine-tunes shadow devices, as most of an attack's cells do, on one thread."""

    bundle: bytes

    def __call__(self, number: int) -> Span:
        """Fine-tune devices whose members and seeds follow from the cell's number."""
        began, cpu = time.time(), time.process_time()
        twin = _twin(self.bundle)
        rng = np.random.default_rng(number)
        embeddings = rng.integers(-128, 128, (_EXAMPLES, twin.slot_bytes)).astype(np.int8)
        members = rng.random((_DEVICES, _EXAMPLES)).argsort(axis=1) < _MEMBERS
        settings = settings_array(TrainSettings(batch=8, clip_norm=1.0), _DEVICES)
        settings["seed"] = np.arange(_DEVICES)
        labels = rng.integers(0, twin.classes, _EXAMPLES)
        twin.fine_tune(embeddings, labels, members, settings, epochs=(_EPOCHS,), embedded=True)
        return Span(os.getpid(), began, time.time(), time.process_time() - cpu)


@cache
def _twin(bundle: bytes) -> Twin:
    return Twin(bundle, threads=1)


def waiting(executor: Executor, name: str, workers: int = WORKERS) -> Busy:
    """How busy a driver keeps so many workers whose cells only wait, half a second each."""
    return busy(name, list(executor.map(wait, [WAIT] * workers * ROUNDS[name])))


def computing(executor: Executor, name: str, bundle: bytes, cells: int = 24) -> Busy:
    """Cells a second of shadow devices."""
    return busy(name, list(executor.map(Computing(bundle), range(cells))))


def busy(name: str, spans: Sequence[Span]) -> Busy:
    """Of what was worked on: each worker counts from its first cell until the last one is begun."""
    workers = {span.worker for span in spans}
    end = max(span.began for span in spans)
    starts = [min(s.began for s in spans if s.worker == worker) for worker in workers]
    lasting = end - min(starts)
    inside = sum(max(0.0, min(span.ended, end) - span.began) for span in spans)
    there = sum(end - start for start in starts)
    done = sum(span.ended <= end for span in spans)
    cpu = sum(span.cpu for span in spans) / len(spans)
    if lasting <= 0:
        return Busy(name, len(workers), len(spans), 0.0, 0.0, cpu)
    return Busy(name, len(workers), len(spans), done / lasting, inside / there, cpu)
