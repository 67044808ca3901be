"""Boards that can be reached: simulated ones, which are started here, and real ones on a port.

A target is named by ``kind:rest``; :data:`TARGETS` lists the kinds. Another kind is one class.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import serial

from tinymia.device.build import DEFAULT_ENV
from tinymia.device.process import ChildProcess
from tinymia.device.renode import RenodeTarget
from tinymia.device.serial_target import DEFAULT_BAUD, PortInfo, SerialTarget, list_ports
from tinymia.device.socket_line import SocketSerial
from tinymia.device.target import ProcessTarget, Target
from tinymia.device.twin import TwinTarget
from tinymia.errors import DeviceError

_READY_SECONDS = 10.0


class _ServerTarget(ProcessTarget):
    """A board that is a process of this machine, with its UART as a TCP server.

    The listening socket is made here and inherited, so no other program can take its port.
    """

    title: ClassVar[str]

    def __init__(self, spec: str, elf: Path) -> None:
        super().__init__(spec)
        self.elf = elf
        if not elf.is_file():
            raise DeviceError(f"There is no image at {elf}.", "Build it: `tinymia build`.")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = int(self._listener.getsockname()[1])
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        fd = self._listener.fileno()
        command, extra_env = self.command(fd)
        self.process = ChildProcess(
            self.title, command, env=os.environ | extra_env, fds=(fd,), pinned=True
        )
        self._open()
        self._wait_until_ready()

    @abstractmethod
    def command(self, listener: int) -> tuple[list[str], dict[str, str]]:
        """Command line and added environment; ``listener`` is the UART's listening socket."""

    def close(self) -> None:
        super().close()
        self._listener.close()

    def _open(self) -> None:
        try:
            self.serial = SocketSerial(f"socket://127.0.0.1:{self._port}", timeout=0)
        except OSError as error:
            self.alive()
            raise DeviceError(f"{self.title} takes no connection ({error}).") from error

    def _wait_until_ready(self) -> None:
        """The firmware speaks when it listens; what is sent to it earlier would be lost."""
        deadline = time.monotonic() + _READY_SECONDS
        self.serial.timeout = 0.05
        while time.monotonic() < deadline:
            try:
                if first := self.serial.read(1):
                    self.serial.timeout = 0
                    self.said = first
                    return
            except serial.SerialException:
                time.sleep(0.05)
            self.alive()
        raise DeviceError(
            f"The image {self.elf} does not start on {self.spec}.", "Build it: `tinymia build`."
        )


@dataclass(frozen=True)
class Machine:
    """A board that QEMU simulates.

    Attributes:
        env: environment of ``platformio.ini`` whose image runs on it.
        title: what it is.
        qemu: QEMU's name of the machine; empty: as it is called here.
        line: number of the machine's serial line that is the firmware's.
    """

    env: str
    title: str
    qemu: str = ""
    line: int = 0


MACHINES = {
    "netduinoplus2": Machine(DEFAULT_ENV, "STM32F405 (Cortex-M4F)"),
    "mps2-an385": Machine("mps2_an385", "Arm MPS2 (Cortex-M3, no FPU)"),
    "mps2-an500": Machine("mps2_an500", "Arm MPS2 (Cortex-M7)"),
    "mps2-an505": Machine("mps2_an505", "Arm MPS2 (Cortex-M33)"),
    "mps3-an547": Machine("mps3_an547", "Arm MPS3 (Cortex-M55, without Helium)"),
}
"""Simulated boards by QEMU's name."""

_SERIAL_LINES = {"usart1": 0, "usart2": 1, "usart3": 2, "usart6": 5}


def machine_called(name: str) -> Machine | None:
    """A simulated board, by QEMU's name or by that of a board file whose image QEMU runs."""
    if name in MACHINES:
        return MACHINES[name]
    from tinymia.device.boards import boards

    board = boards().get(name)
    if board is None or not board.qemu:
        return None
    return Machine(board.env, board.name, board.qemu, _SERIAL_LINES.get(board.uart.port, 0))


class QemuTarget(_ServerTarget):
    """A board in QEMU, counting instructions (``-icount shift=0``)."""

    kind = "qemu"
    usage = "qemu:netduinoplus2"
    unit = "instructions"
    title = "The simulator"
    program = "qemu-system-arm"

    def __init__(self, spec: str, elf: Path) -> None:
        name = spec.partition(":")[2]
        machine = machine_called(name)
        if machine is None:
            raise DeviceError(
                f"There is no simulated board {name!r}.",
                f"Simulated boards: {', '.join(MACHINES)}; `tinymia boards` lists others that QEMU"
                " runs.",
            )
        if shutil.which(self.program) is None:
            raise DeviceError(
                f"{self.program}, which simulates the board, is missing.",
                "Install it: `apt-get install qemu-system-arm` (as root or with sudo).",
            )
        self._machine = machine.qemu or name
        self._line = machine.line
        super().__init__(spec, elf)

    def command(self, listener: int) -> tuple[list[str], dict[str, str]]:
        """QEMU without a monitor or any device that is not the board's."""
        uart = f"socket,id=uart,fd={listener},server=on,wait=on,nodelay=on"
        return [
            *(self.program, "-M", self._machine, "-nodefaults", "-nographic"),
            *("-icount", "shift=0", "-chardev", uart),
            *("-serial", "null") * self._line,
            *("-serial", "chardev:uart"),
            *("-kernel", str(self.elf)),
        ], {}


class NativeTarget(_ServerTarget):
    """The firmware as a process of this machine (environment ``native``).

    Args:
        spec: ``native:``.
        elf: the program.
        bundle: what lies in its flash; nothing: the file that ``TINYMIA_BUNDLE`` names, if any.
    """

    kind = "native"
    usage = "native:"
    title = "The native firmware"

    def __init__(self, spec: str, elf: Path, bundle: bytes = b"") -> None:
        if rest := spec.partition(":")[2]:
            raise DeviceError(
                f"{rest!r} says nothing to the native firmware.", f"Write {self.usage}."
            )
        self._flash = tempfile.NamedTemporaryFile(prefix="tinymia-", suffix=".bundle")  # noqa: SIM115
        self._flash.write(bundle)
        self._flash.flush()
        self._baked = bool(bundle)
        super().__init__(spec, elf)

    def command(self, listener: int) -> tuple[list[str], dict[str, str]]:
        """The program itself."""
        flash = {"TINYMIA_BUNDLE": self._flash.name} if self._baked else {}
        return [str(self.elf)], {"TINYMIA_LISTEN_FD": str(listener), **flash}

    def close(self) -> None:
        """End the process."""
        super().close()
        self._flash.close()


TARGETS: dict[str, type[Target]] = {
    t.kind: t for t in (QemuTarget, RenodeTarget, NativeTarget, TwinTarget, SerialTarget)
}
"""Kinds of targets by the word in front of the colon."""


def needs_image(spec: str) -> bool:
    """Whether the target is a simulator, which must be given an image with a bundle in it."""
    kind = TARGETS.get(spec.partition(":")[0])
    return kind is not None and kind.simulated and not takes_bundle(spec)


def takes_bundle(spec: str) -> bool:
    """Whether the target must be given a bundle's bytes: no image is needed, or none is baked."""
    return spec.partition(":")[0] in (TwinTarget.kind, NativeTarget.kind)


def environment(spec: str) -> str:
    """Environment of ``platformio.ini`` whose image runs on a target."""
    kind, _, rest = spec.partition(":")
    if kind == NativeTarget.kind:
        return "native"
    if kind == RenodeTarget.kind:
        from tinymia.device.boards import boards

        return next((b.env for b in boards().values() if b.renode == rest), DEFAULT_ENV)
    machine = machine_called(rest) if kind == QemuTarget.kind else None
    return machine.env if machine is not None else DEFAULT_ENV


def is_twin(spec: str) -> bool:
    """Whether the target is a board inside this process."""
    return spec.partition(":")[0] == TwinTarget.kind


def open_target(
    spec: str,
    *,
    elf: Path | None = None,
    bundle: bytes = b"",
    baud: int = DEFAULT_BAUD,
) -> Target:
    """Start or reach a board.

    Args:
        spec: e.g. ``twin:``, ``qemu:netduinoplus2``, ``serial:/dev/ttyACM0``,
            ``serial:socket://host:port``.
        elf: image for a simulated board; built from the sources, without a bundle, when None.
        bundle: what lies in the flash of ``twin:`` and ``native:``.
        baud: rate of a serial port, unless ``spec`` ends in ``?baud=N``.

    Raises:
        DeviceError: the target is unknown, missing, busy or does not start.
        TwinError: the extension behind ``twin:`` is missing or out of date.
    """
    kind = TARGETS.get(spec.partition(":")[0])
    if kind is None or ":" not in spec:
        usages = ", ".join(t.usage for t in TARGETS.values())
        raise DeviceError(f"{spec!r} is no target.", f"Targets: {usages}.")
    if issubclass(kind, (_ServerTarget, RenodeTarget)):
        if elf is None:
            from tinymia.device.build import build

            elf = build(environment(spec)).elf
        if issubclass(kind, NativeTarget):
            return kind(spec, elf, bundle)
        return kind(spec, elf)
    if issubclass(kind, TwinTarget):
        return kind(spec, bundle)
    if issubclass(kind, SerialTarget):
        return kind(spec, baud)
    return kind(spec)


__all__ = [
    "DEFAULT_BAUD",
    "MACHINES",
    "TARGETS",
    "Machine",
    "NativeTarget",
    "PortInfo",
    "QemuTarget",
    "SerialTarget",
    "Target",
    "environment",
    "is_twin",
    "list_ports",
    "machine_called",
    "needs_image",
    "open_target",
    "takes_bundle",
]
