"""What a target is: a board with an open line. :mod:`tinymia.device.targets` finds its kinds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from tinymia.device.build import build
from tinymia.device.checkout import DEFAULT_ENV
from tinymia.device.process import ChildProcess

DEFAULT_BAUD = 115200


class Needs(Enum):
    """What a target must be given to have a bundle."""

    NOTHING = 0  # it is there already
    IMAGE = 1  # of the firmware, with the bundle in it
    BUNDLE = 2  # the bundle's bytes


@dataclass(frozen=True)
class Given:
    """What a target is opened with; each kind takes what it can use.

    Attributes:
        elf: image; None: built from the sources, without a bundle.
        bundle: what lies in the flash.
        baud: rate of a serial port, unless its name says another.
    """

    elf: Path | None = None
    bundle: bytes = b""
    baud: int = DEFAULT_BAUD


class Target(ABC):
    """A board with an open line; use it as a context manager.

    Attributes:
        spec: the name it was opened by.
        serial: a pyserial object with ``timeout=0``.
        unit: what the board's ticks are, where the target knows better than the board:
            "instructions" in a simulator that counts them; else empty.
        said: what was read while it started, for whoever shows all that the board says.
        simulated: whether the board is a process of this machine, which runs an image.
        in_process: whether the board is inside this process.
        needs: what it must be given.
        foreign_line: whether adapters or bridges carry the line, which may not be made for bytes.
        patience: seconds without progress after which the board counts as silent.
    """

    kind: ClassVar[str]
    usage: ClassVar[str]
    unit: ClassVar[str] = ""
    simulated: ClassVar[bool] = False
    in_process: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs.NOTHING
    foreign_line: ClassVar[bool] = False
    patience: ClassVar[float] = 10.0

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self.serial: Any = None
        self.said = b""

    @classmethod  # noqa: B027
    def check(cls, spec: str) -> None:
        """Raise DeviceError when ``spec`` names no board, or what runs it is not installed: said
        before anything is built for it."""

    @classmethod
    def opened(cls, spec: str, given: Given) -> Target:
        """Start or reach the board that ``spec`` names.

        Raises:
            DeviceError: it is malformed, missing, busy or does not start.
        """
        return cls(spec)

    @classmethod
    def environment(cls, rest: str) -> str:
        """Environment of ``platformio.ini`` whose image runs on ``kind:rest``."""
        return DEFAULT_ENV

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
    needs = Needs.IMAGE
    process: ChildProcess

    def __init__(self, spec: str, elf: Path) -> None:
        super().__init__(spec)
        self.elf = elf

    @classmethod
    def opened(cls, spec: str, given: Given) -> Target:
        """Start the board, with an image that is built if none is given."""
        return cls(spec, cls.image(spec, given))

    @classmethod
    def image(cls, spec: str, given: Given) -> Path:
        """What is given, else the image as it is built.

        Raises:
            DeviceError: there is no such board, or it does not build.
        """
        cls.check(spec)
        return given.elf or build(cls.environment(spec.partition(":")[2])).elf

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
