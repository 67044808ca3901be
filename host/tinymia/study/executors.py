"""Where cells are worked on: in this thread, in threads or processes, or by ray_executor.py.

To the same numbers: linear algebra has one thread in each, so that sums have one order.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, cast

from tinymia.errors import StudyError

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
        from threadpoolctl import threadpool_limits

        for cell in cells:
            with threadpool_limits(1):  # sums have one order, see `Processes`
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

        from threadpoolctl import threadpool_limits

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
            with threadpool_limits(1):
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
        from concurrent.futures import ProcessPoolExecutor
        from concurrent.futures.process import BrokenProcessPool

        if not cells:
            return
        # Not forked: threads of the twin or of a simulator's line do not survive that. A server
        # without threads is, which imports once what takes longer than many a cell.
        context = multiprocessing.get_context(
            "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        )
        context.set_forkserver_preload(list(_PRELOADED))
        before = {name: os.environ.get(name) for name in ENVIRONMENT}
        os.environ.update(ENVIRONMENT)
        workers = min(self.workers, len(cells))
        pool = ProcessPoolExecutor(
            workers, mp_context=context, initializer=_begin, initargs=(work,)
        )
        try:
            with _held(), _without_main():
                results = pool.map(_call, cells)  # which starts the workers
            for done in results:
                yield cast("Result", done)
        except BrokenProcessPool as error:
            ended = StudyError(
                "A worker process ended before its work was done; perhaps memory ran out.",
                "What is finished is kept: run the same command again, with fewer --boards.",
            )
            ended.of_machine = True
            raise ended from error
        except BaseException:
            # Who was interrupted does not wait for what is under way.
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


@contextmanager
def _without_main() -> Iterator[None]:
    """Workers do not run the program's main module, which no cell is of.

    A script of one's own that runs an audit at its top level would begin the audit once more in
    each of them.
    """
    before = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = before


@contextmanager
def _held() -> Iterator[None]:
    """Signals wait: a pool that is interrupted while it starts a worker loses sight of it.

    That worker then waits for ever, and the pool for it, or it complains that the pool is gone.
    """
    came: list[int] = []
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if callable(handler := signal.getsignal(number)):
                before[number] = handler
                signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


_work: Callable[[Any], Any] | None = None


def _begin(work: Callable[[Any], Any]) -> None:
    """In a worker: keep the work, which is large, instead of sending it with each cell."""
    import multiprocessing

    def follow() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
        os._exit(1)

    # Killed, the parent cannot end its workers, and these would wait for work for ever.
    threading.Thread(target=follow, daemon=True).start()
    global _work  # noqa: PLW0603 - there is one work in a worker process
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers itself


def _call(cell: Any) -> Any:
    assert _work is not None
    return _work(cell)
