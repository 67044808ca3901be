"""Worker processes, each on a line of its own: one that dies is replaced.

The standard library's pool ends as a whole with one of its processes, and has three threads in the
driver, which take turns for every cell. Here one thread serves all lines: who has done a cell is
given the next, and a process that is lost costs the cells that it had, which others begin again.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import selectors
import signal
import sys
import threading
import time
import traceback
import types
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from tinymia.errors import StudyError

AGAIN = 3
"""Times that a cell is begun anew whose worker was lost."""
_SHORT = 1.0  # seconds; who has such cells is given the next one beforehand
_SMALL = 1 << 14  # bytes that a line takes while nobody reads
_PATIENCE = 5.0  # seconds for a process to end


@dataclass(eq=False)
class _Worker:
    """One process.

    Attributes:
        process: it.
        line: to it.
        has: numbers of the cells that it was given, the one under way first.
        quick: whether its last cell was short.
    """

    process: BaseProcess
    line: Connection
    has: deque[int] = field(default_factory=deque)
    quick: bool = False


class _ThereError(Exception):
    """What a worker raised has its traceback there as its cause."""


class Pool:
    """Workers for one piece of work.

    Args:
        context: how processes are started.
        work: a callable that can be pickled.
        most: workers.
    """

    def __init__(self, context: BaseContext, work: Callable[[Any], Any], most: int) -> None:
        self._context, self._most = context, most
        self._sent = pickle.dumps(work)  # once for all
        self._workers: list[_Worker] = []
        self._lines = selectors.DefaultSelector()
        self._cells: Sequence[Any] = ()
        self._waiting: deque[int] = deque()
        self._lost: Counter[int] = Counter()

    def map(self, cells: Sequence[Any]) -> Iterator[Any]:
        """Results in the order of the cells; once for a pool.

        Raises:
            StudyError: workers were lost again and again with the same cell.
            Exception: what the first cell raised that failed.
        """
        self._cells, self._waiting = cells, deque(range(len(cells)))
        done: dict[int, tuple[bool, Any, str]] = {}
        for at in range(len(cells)):
            while at not in done:
                more = self._more()  # one at a time: those who are there go on meanwhile
                for key, _ in self._lines.select(0 if more else None):
                    worker: _Worker = key.data
                    try:
                        number, failed, value, text, seconds = worker.line.recv()
                    except (EOFError, OSError):
                        self._lose(worker)
                        continue
                    worker.has.popleft()
                    worker.quick = seconds < _SHORT
                    done[number] = failed, value, text
                    if failed:  # nothing behind it is begun
                        self._waiting = deque(n for n in self._waiting if n < number)
                    self._give(worker)
            failed, value, text = done.pop(at)
            if failed:
                raise value from _ThereError(f"\n{text}")
            yield value

    def _more(self) -> bool:
        """Start a worker if one is missing; whether one was."""
        if not self._waiting or len(self._workers) >= self._most:
            return False
        self._start()
        return True

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        make: Any = self._context
        process: BaseProcess = make.Process(target=_serve, args=(self._sent, theirs))
        with held(), without_main():
            process.start()
        theirs.close()  # only the worker has it, so that its end is heard
        worker = _Worker(process, ours)
        self._workers.append(worker)
        self._lines.register(ours, selectors.EVENT_READ, worker)
        self._give(worker)

    def _give(self, worker: _Worker) -> None:
        """Keep a worker busy: of short cells it has one beforehand, while there are many.

        Of long ones it has not: another worker might be free before it.
        """
        while self._waiting:
            ahead = worker.quick and len(self._waiting) > len(self._workers)
            if len(worker.has) > ahead:
                return
            number = self._waiting[0]
            sent = pickle.dumps((number, self._cells[number]))
            if worker.has and len(sent) > _SMALL:
                return
            worker.has.append(self._waiting.popleft())
            with contextlib.suppress(OSError):  # its line will say that it is gone
                worker.line.send_bytes(sent)

    def _lose(self, worker: _Worker) -> None:
        """Begin again what a worker had that has ended."""
        self._lines.unregister(worker.line)
        self._workers.remove(worker)
        _end(worker)
        self._lost.update([*worker.has][:1])  # the one under way, if any
        if worker.has and self._lost[worker.has[0]] > AGAIN:
            error = StudyError(
                f"A worker process ended before its work was done, {AGAIN + 1} times with the same"
                " cell; perhaps memory ran out.",
                "What is finished is kept: run the same command again, with fewer --boards.",
            )
            error.of_machine = True
            raise error
        self._waiting.extendleft(reversed(worker.has))
        for other in self._workers:  # who had nothing to do
            self._give(other)

    def close(self, *, at_once: bool) -> None:
        """End all workers; at once: whatever they are at."""
        for worker in self._workers:
            if at_once:
                worker.process.terminate()
            worker.line.close()  # who waits for a cell ends
        for worker in self._workers:
            _end(worker)
        self._workers.clear()
        self._lines.close()


def _end(worker: _Worker) -> None:
    worker.line.close()
    worker.process.join(_PATIENCE)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
    worker.process.close()


def _serve(sent: bytes, line: Connection) -> None:
    """In a worker: cells until there are no more."""
    import multiprocessing

    def follow() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
        os._exit(1)

    # Killed, the parent cannot end its workers, and one with a long cell would go on.
    threading.Thread(target=follow, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers itself
    work: Callable[[Any], Any] | None = None
    while True:
        try:
            number, cell = pickle.loads(line.recv_bytes())
        except (EOFError, OSError):
            return
        began, failed, text = time.monotonic(), False, ""
        try:
            if work is None:
                work = pickle.loads(sent)
            value = work(cell)
        except Exception as error:
            failed, value, text = True, error, traceback.format_exc()
        seconds = time.monotonic() - began
        try:
            line.send((number, failed, value, text, seconds))
        except OSError:
            return
        except Exception as error:  # it cannot be pickled
            said = RuntimeError(f"What a cell left does not pass from its process: {error}")
            line.send((number, True, said, text or traceback.format_exc(), seconds))


@contextlib.contextmanager
def without_main() -> Iterator[None]:
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


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Signals wait: who is interrupted while a worker starts would lose sight of it."""
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
