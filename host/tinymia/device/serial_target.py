"""A board on a serial port of this machine, or behind a bridge in the network."""

from __future__ import annotations

import errno
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import serial
from serial.tools import list_ports as _pyserial_ports

from tinymia.device.link import LinkLostError
from tinymia.device.port_url import check_url, split_baud
from tinymia.device.rfc2217_line import HUNG_UP, Rfc2217Serial
from tinymia.device.socket_line import SocketSerial
from tinymia.device.target import DEFAULT_BAUD, Given, Target
from tinymia.errors import DeviceError

_FASTEST = 50_000_000  # baud, more than any UART has


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


class SerialTarget(Target):
    """A board on a serial port, or behind a network bridge."""

    kind = "serial"
    foreign_line = True
    usage = (
        "serial:/dev/ttyACM0[?baud=115200], serial:rfc2217://host:port[?baud=115200] or"
        " serial:socket://host:port"
    )

    def __init__(self, spec: str, baud: int = DEFAULT_BAUD) -> None:
        super().__init__(spec)
        port, asked = split_baud(spec.partition(":")[2])
        if asked is not None:
            if not (asked.isascii() and asked.isdecimal() and 0 < int(asked[:12]) <= _FASTEST):
                raise DeviceError(f"{asked!r} is no baud rate.", f"Write {self.usage}.")
            baud = int(asked)
        if not port:
            raise DeviceError(f"{spec!r} names no port.", f"Write {self.usage}.")
        check_url(port)
        self.port = port
        self.baud = baud
        self._open()

    @classmethod
    def opened(cls, spec: str, given: Given) -> SerialTarget:
        """Open the port."""
        return cls(spec, given.baud)

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
            elif self.port.startswith("rfc2217://"):
                self.serial = Rfc2217Serial(self.port, self.baud, timeout=0)
            elif "://" in self.port:
                self.serial = serial.serial_for_url(self.port, self.baud, timeout=0)
                self.serial.fileno()
            else:
                # Two programs on one line would each see half of the answers.
                self.serial = serial.Serial(self.port, self.baud, timeout=0, exclusive=True)
        # pyserial lets any of these through, from an option that it cannot read.
        except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
            self.close()
            raise _explain(self.port, self.baud, error) from error


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
        {errno.ENOTTY, errno.EISDIR},
        "Inappropriate ioctl",
        "{port} is no serial port.",
        "Ports of this machine: {known}.",
    ),
    (
        set(),
        "fileno",
        "There is no line behind {port} that a board could be on.",
        "Give a port's path or a bridge's address; ports of this machine: {known}.",
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
    (
        set(),
        HUNG_UP,
        "{port} closed the connection.",
        "A bridge serves one program at a time: close the other one and try again.",
    ),
    (
        set(),
        "not seem to support RFC2217",
        "What listens at {port} does not answer in RFC 2217.",
        "Close other programs that use the bridge; if it passes bytes on as they are, write"
        " serial:socket://host:port.",
    ),
    (
        set(),
        "option 'baudrate'",
        "The bridge at {port} refuses {baud} baud.",
        "Give the board's rate, ?baud=N, if its port has that.",
    ),
    (
        set(),
        "option 'control'",
        "The bridge at {port} does not acknowledge control lines.",
        "Add the option ign_set_control to its address, ?ign_set_control.",
    ),
    (
        set(),
        "unknown option",
        "{port} has an option that is not known.",
        "Options of rfc2217:// are baud=N, ign_set_control, poll_modem and timeout=SECONDS.",
    ),
    (
        set(),
        "not known",
        "{port} is no address of a bridge.",
        "Write serial:rfc2217://host:port or serial:socket://host:port.",
    ),
    (set(), "", "{port} cannot be opened: {text}.", "`tinymia devices` lists the ports."),
)


def _explain(port: str, baud: int, error: Exception) -> DeviceError:
    code, text = getattr(error, "errno", None), str(error)
    known = ", ".join(p.device for p in list_ports()) or "none"
    message, hint = next(
        (message, hint) for codes, sign, message, hint in _CAUSES if code in codes or sign in text
    )
    return DeviceError(message.format(port=port, baud=baud, text=text), hint.format(known=known))
