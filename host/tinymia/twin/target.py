"""The target ``twin:``: the firmware's own session and link, run inside this process."""

from __future__ import annotations

import re
from typing import Any

from tinymia.device.link import LinkLostError
from tinymia.device.target import Given, Needs, Target
from tinymia.errors import DeviceError
from tinymia.twin.core import core

_LEAST_ARENA, _MOST_ARENA = 1024, 1 << 30


class TwinPort:
    """A pyserial port (``timeout=0``) with the board behind it.

    Requests are executed while they are written, so what they answer is there at once.

    Args:
        bundle: what lies in the board's flash; nothing: no bundle.
        arena: bytes of its arena.
    """

    timeout = 0

    def __init__(self, bundle: bytes, arena: int) -> None:
        self._bundle, self._arena = bundle, arena
        self._board: Any = None
        self.open()

    def write(self, data: bytes) -> int:
        """Hand all of ``data`` to the board; returns when it has done what is asked."""
        self._check()
        try:
            self._board.write(bytes(data))
        except BaseException:  # Ctrl-C in the middle of its work
            self.is_open, self._board = False, None
            raise
        return len(data)

    def read(self, size: int = 1) -> bytes:
        """What the board has sent, at most ``size`` bytes."""
        self._check()
        return bytes(self._board.read(size))

    def open(self) -> None:
        """Take up the line again; the board has kept its state, unless it was interrupted."""
        if self._board is None:
            self._board = core().Board(self._bundle, self._arena)
        self.is_open = True

    def close(self) -> None:
        """Let go of the line."""
        self.is_open = False

    def _check(self) -> None:
        if not self.is_open:
            raise OSError("the port is closed")


class TwinTarget(Target):
    """A board inside this process: no compiler, no image, no simulator.

    Args:
        spec: ``twin:``, or ``twin:?arena=BYTES`` for another arena than the STM32F405's.
        bundle: what lies in its flash.

    Raises:
        DeviceError: ``spec`` is malformed.
        TwinError: the extension is missing or out of date.
    """

    kind = "twin"
    usage = "twin:[?arena=BYTES]"
    in_process = True
    needs = Needs.BUNDLE
    arena = 112 * 1024

    def __init__(self, spec: str, bundle: bytes = b"") -> None:
        super().__init__(spec)
        arena = self.arena
        rest = spec.partition(":")[2]
        if rest:
            match = re.fullmatch(r"\?arena=([0-9]{1,10})", rest)
            if match is None:
                raise DeviceError(f"{rest!r} says nothing to the twin.", f"Write {self.usage}.")
            arena = int(match[1])
            if not _LEAST_ARENA <= arena <= _MOST_ARENA:
                raise DeviceError(
                    f"The twin cannot have an arena of {arena} bytes.",
                    f"Give it {_LEAST_ARENA} to {_MOST_ARENA}.",
                )
        self.serial = TwinPort(bundle, arena)

    @classmethod
    def opened(cls, spec: str, given: Given) -> TwinTarget:
        """Make the board."""
        return cls(spec, given.bundle)

    def alive(self) -> None:
        """Raise LinkLostError when the line was closed; the board lives as long as this process."""
        if not self.serial.is_open:
            raise LinkLostError("The line to the twin is closed.", "Connect to it again.")

    def reconnect(self, seconds: float = 10.0) -> None:
        """Take up the line again; ``seconds`` are not needed."""
        self.serial.open()
