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
_EACH = 12  # cells a worker
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
        per_second: cells a second while all workers were there.
        share: of that time in which they were at work.
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
    return busy(name, list(executor.map(wait, [WAIT] * workers * _EACH)))


def computing(executor: Executor, name: str, bundle: bytes, cells: int = 24) -> Busy:
    """Cells a second of shadow devices."""
    return busy(name, list(executor.map(Computing(bundle), range(cells))))


def busy(name: str, spans: Sequence[Span]) -> Busy:
    """Of what was worked on, from when all workers had begun until the first has nothing more."""
    workers = {span.worker for span in spans}
    own = [[span for span in spans if span.worker == worker] for worker in workers]
    start = max(min(span.began for span in of) for of in own)
    end = max(start, min(max(span.ended for span in of) for of in own))
    inside = sum(max(0.0, min(s.ended, end) - max(s.began, start)) for s in spans)
    done = sum(start < span.ended <= end for span in spans)
    cpu = sum(span.cpu for span in spans) / len(spans)
    lasting = end - start
    if lasting <= 0:
        return Busy(name, len(workers), len(spans), 0.0, 0.0, cpu)
    share = inside / lasting / len(workers)
    return Busy(name, len(workers), len(spans), done / lasting, share, cpu)
