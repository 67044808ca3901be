"""What a target is: a board with an open line. Its kinds are in :mod:`tinymia.device.targets`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, ClassVar


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
