"""One processor for each simulator, whose threads hand every byte of the line to one another.

QEMU's UART is a thread of its own: a byte wakes the processor's thread, which wakes the UART's.
Across two processors each of these waits until the other one is awake, which on a virtual machine
can make the line slower than 115200 baud (`pytest hil/test_speed.py -s` prints what it reaches).
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SHARING = 8  # simulators on one processor that are counted


@contextmanager
def one_processor() -> Iterator[tuple[int, ...]]:
    """Processes started inside run on one processor, the one with the fewest other simulators.

    Who starts a process lets it inherit the file descriptors that are yielded: while one is open,
    the processor counts as taken, for other programs of this user as well. None are yielded where
    the system does not offer this, or when each processor has many simulators already.
    """
    found = _claim()
    if found is None:
        yield ()
        return
    processor, fd = found
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {processor})  # of this thread, and of what it starts
        yield (fd,)
    finally:
        os.sched_setaffinity(0, before)
        os.close(fd)


def _claim() -> tuple[int, int] | None:
    """A processor that this program may use, and the lock that says so."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    folder = Path(tempfile.gettempdir())
    for turn in range(_SHARING):
        for processor in sorted(os.sched_getaffinity(0)):
            path = folder / f"tinymia-{os.getuid()}-processor-{processor}-{turn}"
            with suppress(OSError):
                fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    os.close(fd)
                    raise
                return processor, fd
    return None
