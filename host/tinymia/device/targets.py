"""Boards that can be reached: simulated ones, which are started here, and real ones on a port.

A target is named by ``kind:rest``; :data:`TARGETS` lists the kinds. Another kind is one class.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import tempfile
import time
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import serial
from serial.tools import list_ports as _pyserial_ports

from tinymia.device.build import DEFAULT_ENV
from tinymia.device.link import LinkLostError
from tinymia.device.process import ChildProcess
from tinymia.device.renode import RenodeTarget
from tinymia.device.socket_line import SocketSerial
from tinymia.device.target import Target
from tinymia.device.twin import TwinTarget
from tinymia.errors import DeviceError

DEFAULT_BAUD = 115200
_READY_SECONDS = 10.0


@dataclass(frozen=True)
class PortInfo:
    """A serial port of this machine.

    Attributes:
        device: its path, e.g. ``/dev/ttyACM0``.
        description: what the adapter or board calls itself.
        usb: vendor and product id as ``vvvv:pppp``, empty when it is no USB device.
    """

    device: str
    description: str
    usb: str


def list_ports() -> list[PortInfo]:
    """Serial ports of this machine, USB devices first."""
    found = [
        PortInfo(
            device=p.device,
            description=p.description if p.description != "n/a" else "",
            usb=f"{p.vid:04x}:{p.pid:04x}" if p.vid is not None else "",
        )
        for p in _pyserial_ports.comports()
    ]
    return sorted(found, key=lambda p: (not p.usb, p.device))


class _ProcessTarget(Target):
    """A board that is a process of this machine, with its UART as a TCP server.

    The listening socket is made here and inherited, so no other program can take its port.
    """

    simulated = True
    title: ClassVar[str]
    process: ChildProcess

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
        self.process = ChildProcess(self.title, command, env=os.environ | extra_env, fds=(fd,))
        self._open()
        self._wait_until_ready()

    def power_cycle(self) -> None:
        """Switch the board off and on: it loses all but its flash, and the line breaks.

        Raises:
            DeviceError: it does not start.
        """
        self.serial.close()
        self.process.end()
        self._start()

    @abstractmethod
    def command(self, listener: int) -> tuple[list[str], dict[str, str]]:
        """Command line and added environment; ``listener`` is the UART's listening socket."""

    @property
    def pid(self) -> int:
        """Process id of the board."""
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

    def close(self) -> None:
        super().close()
        self._listener.close()
        if hasattr(self, "process"):
            self.process.end()

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
                if self.serial.read(1):
                    self.serial.timeout = 0
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


class QemuTarget(_ProcessTarget):
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


class NativeTarget(_ProcessTarget):
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


class SerialTarget(Target):
    """A board on a serial port, or behind a network bridge."""

    kind = "serial"
    usage = "serial:/dev/ttyACM0[?baud=115200] or serial:socket://host:port"

    def __init__(self, spec: str, baud: int = DEFAULT_BAUD) -> None:
        super().__init__(spec)
        port = spec.partition(":")[2]
        match = re.fullmatch(r"(.*)\?baud=(.*)", port)
        if match:
            port = match[1]
            if not match[2].isdecimal() or int(match[2]) == 0:
                raise DeviceError(f"{match[2]!r} is no baud rate.", f"Write {self.usage}.")
            baud = int(match[2])
        if not port:
            raise DeviceError(f"{spec!r} names no port.", f"Write {self.usage}.")
        self.port = port
        self.baud = baud
        self._open()

    def reconnect(self, seconds: float = 10.0) -> None:
        """Close the port and open it again as soon as it is back.

        Raises:
            DeviceError: it did not come back in time.
        """
        self.close()
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._open()
                return
            except DeviceError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def alive(self) -> None:
        """Raise LinkLostError when the port's device file is gone."""
        if self.port.startswith("/") and not Path(self.port).exists():
            raise LinkLostError(f"The board at {self.port} is gone.", "Plug it in again.")

    def _open(self) -> None:
        try:
            if self.port.startswith("socket://"):
                self.serial = SocketSerial(self.port, timeout=0)
            elif "://" in self.port:
                self.serial = serial.serial_for_url(self.port, self.baud, timeout=0)
            else:
                # Two programs on one line would each see half of the answers.
                self.serial = serial.Serial(self.port, self.baud, timeout=0, exclusive=True)
        except (OSError, ValueError) as error:
            raise _explain(self.port, error) from error


# errno, a part of the text where pyserial keeps no errno, message, hint
_CAUSES: tuple[tuple[set[int], str, str, str], ...] = (
    (
        {errno.ENOENT, errno.ENODEV, errno.ENXIO},
        "No such file",
        "There is no port {port}.",
        "Plug the board in. Ports of this machine: {known}.",
    ),
    (
        {errno.EACCES, errno.EPERM},
        "Permission denied",
        "You may not open {port}.",
        "Join its group, `sudo usermod -a -G dialout $USER`, and log in again; or add a udev rule"
        " for the board.",
    ),
    (
        {errno.EBUSY, errno.EWOULDBLOCK},
        "exclusively lock",
        "Another program uses {port}.",
        "Close it (a serial monitor, a second run) and try again.",
    ),
    (
        {errno.ECONNREFUSED},
        "refused",
        "Nothing listens at {port}.",
        "Start the bridge or simulator there, or correct the port number.",
    ),
    (
        {socket.EAI_NONAME, socket.EAI_AGAIN},
        "Name or service",
        "The host in {port} is unknown.",
        "Check its spelling.",
    ),
    ({errno.ETIMEDOUT}, "timed out", "{port} does not answer.", "Check the host and its firewall."),
    (set(), "", "{port} cannot be opened: {text}.", "`tinymia devices` lists the ports."),
)


def _explain(port: str, error: Exception) -> DeviceError:
    code, text = getattr(error, "errno", None), str(error)
    known = ", ".join(p.device for p in list_ports()) or "none"
    message, hint = next(
        (message, hint) for codes, sign, message, hint in _CAUSES if code in codes or sign in text
    )
    return DeviceError(message.format(port=port, text=text), hint.format(known=known))


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
    if issubclass(kind, (_ProcessTarget, RenodeTarget)):
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
