"""Simulator processes that never outlive the program that started them."""

from __future__ import annotations

import atexit
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext, suppress
from typing import IO

from tinymia.device.processor import one_processor
from tinymia.errors import DeviceError

_STDERR_LINES = 5


class _Spawner:
    """Starts processes from one thread that lives as long as the program.

    Linux sends the parent-death signal when the *thread* that started a child ends, so a worker
    thread of the caller must not be that thread.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], object], Future[object]]] = (
            queue.SimpleQueue()
        )
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def popen(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None,
        fds: Sequence[int],
        err: IO[bytes] | int,
        stdin: int = subprocess.DEVNULL,
        *,
        pinned: bool = False,
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="spawner", daemon=True)
                self._thread.start()
        future: Future[subprocess.Popen[bytes]] = Future()

        def start() -> subprocess.Popen[bytes]:
            # Threads inherit where they may run, so this thread goes there first.
            with one_processor() if pinned else nullcontext(()) as claim:
                return subprocess.Popen(
                    command,
                    stdin=stdin,
                    stdout=subprocess.DEVNULL,
                    stderr=err,
                    env=None if env is None else dict(env),
                    pass_fds=(*fds, *claim),
                    # Ctrl-C in the terminal is for the program, which ends its simulators itself.
                    start_new_session=True,
                )

        self._jobs.put((start, future))  # type: ignore[arg-type]
        return future.result()

    def _run(self) -> None:
        while True:
            job, future = self._jobs.get()
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)


_spawner = _Spawner()
_running: weakref.WeakSet[ChildProcess] = weakref.WeakSet()


def _after_fork() -> None:
    # Threads and children belong to the parent.
    global _spawner  # noqa: PLW0603
    _spawner = _Spawner()
    _running.clear()


os.register_at_fork(after_in_child=_after_fork)


@atexit.register
def _end_all() -> None:
    for child in list(_running):
        child.end()


class _Guard:
    """Kills a group of processes when this program is gone, however it ended.

    The parent-death signal reaches a launcher, but not what the launcher started.
    """

    def __init__(self, group: int) -> None:
        reading, self._held = os.pipe()
        try:
            self._process = _spawner.popen(
                ["sh", "-c", 'read -r _; kill -s KILL -- "-$1"', "guard", str(group)],
                None,
                (),
                subprocess.DEVNULL,
                stdin=reading,
            )
        finally:
            os.close(reading)

    def dismiss(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._held)


class ChildProcess:
    """A process that ends with :meth:`end`, at the program's exit, or when the program is killed.

    Args:
        title: what the process is, for messages.
        command: program and arguments.
        env: its environment; None for the caller's.
        fds: file descriptors that it inherits.
        launcher: the program may start another one and wait for it, which ends with it.
        pinned: it and its threads share one processor (:mod:`tinymia.device.processor`).

    Raises:
        DeviceError: the program cannot be started.
    """

    def __init__(
        self,
        title: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        fds: Sequence[int] = (),
        launcher: bool = False,
        pinned: bool = False,
    ) -> None:
        self.title = title
        # A file and not a pipe: a full pipe would stop the process.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        setpriv = shutil.which("setpriv")
        tied = [setpriv, "--pdeathsig", "KILL", *command] if setpriv else list(command)
        try:
            self._process = _spawner.popen(tied, env, fds, self._stderr, pinned=pinned)
        except OSError as error:
            self._stderr.close()
            raise DeviceError(f"{title} cannot be started: {error.strerror}.") from error
        self._guard = _Guard(self._process.pid) if launcher else None
        _running.add(self)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def check(self) -> None:
        """Raise DeviceError, with what the process said last, when it is no longer there."""
        status = self._process.poll()
        if status is None:
            return
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        said = self._last_words()
        raise DeviceError(
            f"{self.title} ended {how}{': ' + said if said else '.'}",
            "Run the same command again.",
        )

    def wait(self, seconds: float) -> None:
        """Give it so long to end by itself."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def end(self) -> None:
        """End the process and wait until it is gone; harmless when it already is."""
        _running.discard(self)
        if self._process.poll() is None:
            # It leads a group of its own, in which whatever it started is.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._guard is not None:
            self._guard.dismiss()
            self._guard = None

    def _last_words(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").splitlines()
        # QEMU's own news about its socket is no error.
        telling = [line for line in lines if line.strip() and ": info: " not in line]
        return "\n".join(telling[-_STDERR_LINES:])
