"""What a target is: a board with an open line. Its kinds are in :mod:`tinymia.device.targets`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, ClassVar

from tinymia.device.process import ChildProcess


class Target(ABC):
    """A board with an open line; use it as a context manager.

    Attributes:
        spec: the name it was opened by.
        serial: a pyserial object with ``timeout=0``.
        unit: what the board's ticks are, where the target knows better than the board:
            "instructions" in a simulator that counts them; else empty.
        said: what was read while it started, for whoever shows all that the board says.
        simulated: whether the board is a process of this machine, which runs an image.
        patience: seconds without progress after which the board counts as silent.
    """

    kind: ClassVar[str]
    usage: ClassVar[str]
    unit: ClassVar[str] = ""
    simulated: ClassVar[bool] = False
    patience: ClassVar[float] = 10.0

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self.serial: Any = None
        self.said = b""

    @abstractmethod
    def alive(self) -> None:
        """Raise DeviceError when the board is known to be gone."""

    @abstractmethod
    def reconnect(self, seconds: float = 10.0) -> None:
        """Open the line again, waiting up to ``seconds`` for the board to come back.

        Raises:
            DeviceError: it did not.
        """

    def close(self) -> None:
        """Close the line and end what was started for it."""
        if self.serial is not None:
            self.serial.close()

    def __enter__(self) -> Target:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class ProcessTarget(Target):
    """A board that is a process of this machine, which can be switched off and on."""

    simulated = True
    process: ChildProcess

    @property
    def pid(self) -> int:
        """Process id of the simulator."""
        return self.process.pid

    def alive(self) -> None:
        """Raise DeviceError, with the process's last words, when it ended."""
        self.process.check()

    def reconnect(self, seconds: float = 10.0) -> None:
        """Open the line again; a process that ended is not started anew.

        Raises:
            DeviceError: the process ended.
        """
        self.alive()
        self.serial.close()
        self._open()

    def power_cycle(self) -> None:
        """Switch the board off and on: it loses all but its flash, and the line breaks.

        Raises:
            DeviceError: it does not start.
        """
        self.serial.close()
        self._end()
        self._start()

    def close(self) -> None:
        """Close the line and end the process."""
        super().close()
        self._end()

    @abstractmethod
    def _start(self) -> None:
        """Start the process and open its line; the firmware listens afterwards."""

    @abstractmethod
    def _open(self) -> None:
        """Open the line of a process that runs."""

    def _end(self) -> None:
        if hasattr(self, "process"):
            self.process.end()
