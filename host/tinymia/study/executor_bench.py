"""How well executors keep workers busy: cells that compute, and cells that only wait."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tinymia.study.executors import Executor
from tinymia.twin import Twin, settings_array
from tinymia.wire.settings import TrainSettings

WORKERS, WAIT = 64, 0.5
ROUNDS = 20
"""Cells a worker, once all are there."""
_LATEST = 400.0  # seconds for all workers to be there
_POLL = 0.2
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
        starting: seconds until all workers had their first cell: so many processes share the
            processors of one machine, which on a cluster have each their own.
    """

    executor: str
    workers: int
    cells: int
    per_second: float
    share: float
    cpu: float
    cores: float = 0.0
    driver: float = 0.0
    starting: float = 0.0


@dataclass(frozen=True)
class Waiting:
    """Cells that only wait: the first ones until every worker has one of them.

    Attributes:
        folder: in which workers meet.
        workers: how many.
        seconds: that each further cell waits.
    """

    folder: Path
    workers: int
    seconds: float

    def __call__(self, number: int) -> Span:
        """Wait."""
        began, cpu = time.time(), time.process_time()
        if number >= self.workers:
            time.sleep(self.seconds)
            return _span(began, cpu)
        (self.folder / str(number)).touch()
        while len(os.listdir(self.folder)) < self.workers and time.time() - began < _LATEST:
            time.sleep(_POLL)
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
    with tempfile.TemporaryDirectory() as folder:
        work = Waiting(Path(folder), workers, WAIT)
        return _measured(executor, name, work, range(workers * (1 + ROUNDS)), workers, met=True)


def computing(executor: Executor, name: str, bundle: bytes, cells: int = 48) -> Busy:
    """Cells a second of shadow devices."""
    return _measured(executor, name, Computing(bundle), range(cells), 2)


def _measured(
    executor: Executor,
    name: str,
    work: Callable[[Any], Span],
    cells: Sequence[Any],
    first: int,
    *,
    met: bool = False,
) -> Busy:
    """Of cells, the first of which start workers; met: in these they waited for each other."""
    spans: list[Span] = []
    asked = time.time()
    whole, own = time.process_time(), time.thread_time()
    for span in executor.map(work, cells):
        spans.append(span)
        if len(spans) == first:  # workers have started
            whole, own = time.process_time(), time.thread_time()
    whole, own = time.process_time() - whole, time.thread_time() - own
    found = busy(name, spans[first:], spans[:first]) if met else busy(name, spans)
    earliest: dict[int, float] = {}
    for span in spans:
        earliest[span.worker] = min(span.began, earliest.get(span.worker, span.began))
    found = replace(found, starting=max(earliest.values()) - asked)
    handed = max(1, len(spans) - first)
    if name == "threads":  # of this very process
        cpu = (whole - own) / handed
        return replace(found, cpu=cpu, cores=cpu * found.per_second, driver=own / handed)
    return replace(found, driver=whole / handed)


def busy(name: str, spans: Sequence[Span], there: Sequence[Span] = ()) -> Busy:
    """Of what was worked on until the last cell was begun.

    Args:
        name: of the executor.
        spans: the cells.
        there: a cell of each worker before them, from whose end on it counts; none: it does from
            its first of ``spans``.
    """
    workers = {span.worker for span in spans}
    end = max(span.began for span in spans)
    ready = {span.worker: span.ended for span in there}
    starts = [
        ready.get(worker, min(s.began for s in spans if s.worker == worker)) for worker in workers
    ]
    lasting = end - min(starts)
    inside = sum(max(0.0, min(span.ended, end) - span.began) for span in spans)
    whole = sum(end - start for start in starts)
    done = sum(span.ended <= end for span in spans)
    cpu = sum(span.cpu for span in spans) / len(spans)
    if lasting <= 0:
        return Busy(name, len(workers), len(spans), 0.0, 0.0, cpu)
    rate = done / lasting
    return Busy(name, len(workers), len(spans), rate, inside / whole, cpu, cpu * rate)
