"""How well executors keep workers busy: cells that compute, and cells that only wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from tinymia.study.executors import Executor
from tinymia.twin import Twin, settings_array
from tinymia.wire.settings import TrainSettings

WORKERS, WAIT = 64, 0.5
ROUNDS = {"processes": 12, "threads": 12, "ray": 60}
"""Cells a worker; Ray starts workers one after the other, which takes many cells' time."""
_EXAMPLES, _MEMBERS, _DEVICES, _EPOCHS = 460, 80, 2048, 50


@dataclass(frozen=True)
class Span:
    """When and where a cell was worked on.

    Attributes:
        worker: number of its thread, on this machine.
        began, ended: by the machine's clock.
        cpu: seconds of a processor that its process took meanwhile.
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
        cores: processors that the cells had: fewer than there are workers, where these only wait,
            where they share one, or where something else ran beside.
        driver: seconds of a processor that a cell took of the process that hands them out.
    """

    executor: str
    workers: int
    cells: int
    per_second: float
    share: float
    cpu: float
    cores: float = 0.0
    driver: float = 0.0


def wait(seconds: float) -> Span:
    """A cell that only waits."""
    began, cpu = time.time(), time.process_time()
    time.sleep(seconds)
    return _span(began, cpu)


def _span(began: float, cpu: float) -> Span:
    return Span(threading.get_native_id(), began, time.time(), time.process_time() - cpu)


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
        return _span(began, cpu)


@cache
def _twin(bundle: bytes) -> Twin:
    return Twin(bundle, threads=1)


def waiting(executor: Executor, name: str, workers: int = WORKERS) -> Busy:
    """How busy a driver keeps so many workers whose cells only wait, half a second each."""
    return _measured(executor, name, wait, [WAIT] * workers * ROUNDS[name], workers)


def computing(executor: Executor, name: str, bundle: bytes, cells: int = 48) -> Busy:
    """Cells a second of shadow devices."""
    return _measured(executor, name, Computing(bundle), range(cells), 2)


def _measured(
    executor: Executor, name: str, work: Callable[[Any], Span], cells: Sequence[Any], starting: int
) -> Busy:
    spans: list[Span] = []
    whole, own = time.process_time(), time.thread_time()
    for span in executor.map(work, cells):
        if len(spans) == starting and name != "threads":  # workers have started
            whole = time.process_time()
        spans.append(span)
    whole, own = time.process_time() - whole, time.thread_time() - own
    found = busy(name, spans)
    if name == "threads":  # of this very process
        cpu = (whole - own) / len(spans)
        return replace(found, cpu=cpu, cores=cpu * found.per_second, driver=own / len(spans))
    return replace(found, driver=whole / max(1, len(spans) - starting))


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
    rate = done / lasting
    return Busy(name, len(workers), len(spans), rate, inside / there, cpu, cpu * rate)
