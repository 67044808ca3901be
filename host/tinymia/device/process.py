"""Simulators, compilers and programmers, which never outlive the program that started them."""

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
        *,
        stdin: int = subprocess.DEVNULL,
        out: int = subprocess.DEVNULL,
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
                    stdout=out,
                    stderr=err,
                    env=None if env is None else dict(env),
                    pass_fds=(*fds, *claim),
                    # Ctrl-C in the terminal is for the program, which ends its simulators itself.
                    start_new_session=True,
                )

        self._jobs.put((start, future))  # type: ignore[arg-type]
        try:
            return future.result()
        except BaseException:  # Ctrl-C, perhaps: nobody else will know of the process
            future.add_done_callback(_end_unknown)
            raise

    def _run(self) -> None:
        while True:
            job, future = self._jobs.get()
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)


def _end_unknown(future: Future[subprocess.Popen[bytes]]) -> None:
    if future.exception() is None:
        _end_group(future.result())


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """It leads a group of its own, in which whatever it started is."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


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
        launcher: the program may start others and wait for them, which end with it.
        pinned: it and its threads share one processor (:mod:`tinymia.device.processor`).
        piped: what it says can be read from :attr:`output`.

    Attributes:
        output: the end of the pipe, or None.

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
        piped: bool = False,
    ) -> None:
        self.title = title
        # A file and not a pipe: a full pipe would stop the process.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        setpriv = shutil.which("setpriv")
        tied = [setpriv, "--pdeathsig", "KILL", *command] if setpriv else list(command)
        out, err = (
            (subprocess.PIPE, subprocess.STDOUT) if piped else (subprocess.DEVNULL, self._stderr)
        )
        try:
            self._process = _spawner.popen(tied, env, fds, err, out=out, pinned=pinned)
        except OSError as error:
            self._stderr.close()
            raise DeviceError(f"{title} cannot be started: {error.strerror}.") from error
        _running.add(self)
        self.output = self._process.stdout
        self._guard: _Guard | None = None
        if launcher or setpriv is None:
            try:
                self._guard = _Guard(self._process.pid)
            except BaseException:
                self.end()
                raise

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

    def wait(self, seconds: float) -> int | None:
        """Give it so long to end by itself; its exit status, None if it did not."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def end(self) -> None:
        """End the process and wait until it is gone; harmless when it already is."""
        _running.discard(self)
        if self._process.poll() is None:
            _end_group(self._process)
        if self._guard is not None:
            self._guard.dismiss()
            self._guard = None

    def _last_words(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").splitlines()
        # QEMU's own news about its socket is no error.
        telling = [line for line in lines if line.strip() and ": info: " not in line]
        return "\n".join(telling[-_STDERR_LINES:])


def run_to_end(
    title: str,
    command: Sequence[str],
    *,
    seconds: float,
    env: Mapping[str, str] | None = None,
    say: Callable[[str], None] | None = None,
) -> tuple[int, str]:
    """Run a program, and whatever it starts, until it ends.

    Args:
        title: what it is, for messages.
        command: program and arguments.
        seconds: that it may take.
        env: its environment; None for the caller's.
        say: takes each line that it says, as it comes.

    Returns:
        Its exit status, and all that it said on both streams.

    Raises:
        DeviceError: it cannot be started.
        TimeoutError: it did not end in time, and was ended.
    """
    child = ChildProcess(title, command, env=env, launcher=True, piped=True)
    lines: list[str] = []

    def collect() -> None:
        assert child.output is not None
        with child.output:
            for raw in child.output:
                lines.append(raw.decode(errors="replace"))
                if say is not None:
                    say(lines[-1])

    reader = threading.Thread(target=collect, daemon=True)
    reader.start()
    try:
        status = child.wait(seconds)
        if status is None:
            raise TimeoutError(f"{title} did not finish within {seconds:.0f} s")
        reader.join(timeout=5.0)
    finally:
        child.end()
    return status, "".join(lines)


def tell(line: str) -> None:
    """Print a line of :func:`run_to_end` at once."""
    print(line, end="", flush=True)
