"""Where cells are worked on: in this thread, in threads or processes, or by ray_executor.py.

To the same numbers: linear algebra has one thread in each, so that sums have one order.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar, cast

Cell = TypeVar("Cell")
Result = TypeVar("Result")


ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # glibc gives large blocks back at once, and the kernel clears them anew for each array: a tenth
    # of a worker's time. It keeps up to half a gigabyte instead.
    "MALLOC_MMAP_THRESHOLD_": str(2**29),
    "MALLOC_TRIM_THRESHOLD_": str(2**29),
}
"""Of worker processes; read when one starts."""

_PRELOADED = ("tinymia.study.audit", "tinymia.attacks.registry", "scipy.stats", "scipy.optimize")
"""Imported before workers start."""


@contextmanager
def environment() -> Iterator[None]:
    """What is started within has the environment of a worker."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _one_thread() -> Iterator[None]:
    """Linear algebra has one thread within, also a library that is not loaded before a cell."""
    from threadpoolctl import threadpool_limits

    with environment(), threadpool_limits(1):
        yield


class Executor(Protocol):
    """Runs the same work on many cells."""

    def map(self, work: Callable[[Cell], Result], cells: Sequence[Cell]) -> Iterator[Result]:
        """The results in the order of the cells, each as soon as those before it are there.

        Args:
            work: a callable that can be pickled, where the executor has processes.
            cells: likewise.

        Raises:
            TinymiaError: what the first cell raised that failed; no further ones are begun.
        """
        ...


class Here:
    """One cell after the other in this thread, to the same numbers as in processes."""

    def map(self, work: Callable[[Cell], Result], cells: Sequence[Cell]) -> Iterator[Result]:
        """See :class:`Executor`."""
        for cell in cells:
            with _one_thread():  # sums have one order, see `Processes`
                done = work(cell)
            yield done


class Threads:
    """Cells side by side in threads of this process.

    Slower than processes, since most of an attack holds the interpreter's lock, but nothing is
    started, and there is no second process in which a system or a debugger would be lost.

    Args:
        workers: 0: one a processor that this process may use.
    """

    def __init__(self, workers: int = 0) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))

    def __repr__(self) -> str:
        return f"Threads({self.workers})"

    def map(self, work: Callable[[Cell], Result], cells: Sequence[Cell]) -> Iterator[Result]:
        """See :class:`Executor`."""
        from concurrent.futures import ThreadPoolExecutor

        if not cells:
            return
        sent = pickle.dumps(work)
        own = threading.local()

        def call(cell: Cell) -> Result:
            if not hasattr(own, "work"):  # work keeps what it has made, as in a process
                own.work = pickle.loads(sent)
            return cast("Result", own.work(cell))

        pool = ThreadPoolExecutor(min(self.workers, len(cells)))
        try:
            with _one_thread():
                yield from pool.map(call, cells)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class Processes:
    """Cells side by side in processes of their own, each with one thread of linear algebra.

    One thread, so that sums have one order and results do not depend on how many processors there
    are.

    Args:
        workers: 0: one a processor that this process may use.
    """

    def __init__(self, workers: int = 0) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))

    def __repr__(self) -> str:
        return f"Processes({self.workers})"

    def map(self, work: Callable[[Cell], Result], cells: Sequence[Cell]) -> Iterator[Result]:
        """See :class:`Executor`."""
        import multiprocessing

        from tinymia.study.worker_pool import Pool

        if not cells:
            return
        # Not forked: threads of the twin or of a simulator's line do not survive that. A server
        # without threads is, which imports once what takes longer than many a cell.
        context = multiprocessing.get_context(
            "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        )
        context.set_forkserver_preload(list(_PRELOADED))
        with environment():
            pool = Pool(context, work, self.workers)
            ended = False
            try:
                yield from pool.map(cells)
                ended = True
            finally:
                # Who was interrupted does not wait for what is under way.
                pool.close(at_once=not ended)
