"""A board is one resource: commands of one machine take turns, wherever their folders are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tinymia.device.port_url import is_bridge, split_baud
from tinymia.device.targets import is_twin, needs_image, takes_bundle
from tinymia.errors import StudyError
from tinymia.files import cache_dir

if TYPE_CHECKING:
    from filelock import FileLock

Wanted = Callable[[], bool]
"""Whether there is still something for a board to do."""
_EVERY = 0.2  # seconds after which a board that somebody has is asked for again


class NoLongerWanted(Exception):  # noqa: N818  nothing went wrong
    """Nothing is left to do for a board that somebody else has had all the time."""


def is_shared(spec: str) -> bool:
    """Whether a target is a board that others may ask, too: nothing that is started here."""
    return not (is_twin(spec) or needs_image(spec) or takes_bundle(spec))


def port_of(spec: str) -> str:
    """What a target's board is on, however it is written: without a rate, behind links."""
    port = split_baud(spec.partition(":")[2])[0]
    return port if is_bridge(port) else str(Path(port).resolve())


def check_once(targets: tuple[str, ...]) -> None:
    """Raise StudyError where a board is named twice: it would be two boards' work for one."""
    ports = [port_of(spec) for spec in targets if is_shared(spec)]
    twice = [port for port in ports if ports.count(port) > 1]
    if twice:
        raise StudyError(
            f"The board at {twice[0]} is named twice.", "Name each board once; one works alone."
        )


class BoardLock:
    """Keeps other commands of this user and machine from a board.

    Args:
        spec: a target that is shared.
        say: told where somebody has it, once.
    """

    def __init__(self, spec: str, say: Callable[[str], None] | None = None) -> None:
        self._port, self._say = port_of(spec), say
        self._lock: FileLock | None = None

    def acquire(self, wanted: Wanted = lambda: True) -> None:
        """Wait until nobody else has it. Where no lock can be kept, the line itself refuses two.

        Args:
            wanted: asked while it waits.

        Raises:
            NoLongerWanted: it was not free before.
        """
        from filelock import FileLock

        name = hashlib.sha256(self._port.encode()).hexdigest()[:16]
        path = cache_dir() / "boards" / f"{name}.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            if not _tried(lock, 0) and self._say is not None:
                self._say(f"Waiting for the board at {self._port}: another command has it.")
            while not lock.is_locked:
                if not wanted():
                    raise NoLongerWanted
                _tried(lock, _EVERY)
        except (OSError, NotImplementedError):  # a folder that is read-only, or has no locks
            return
        self._lock = lock

    def release(self) -> None:
        """Let others have it."""
        if self._lock is not None:
            self._lock.release()


def _tried(lock: FileLock, seconds: float) -> bool:
    """Whether it could be had within so many seconds."""
    from filelock import Timeout

    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return False
    return True
