"""Simulators that offer the board's UART as a TCP server."""

from __future__ import annotations

import os
import socket
import time
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

import serial

from tinymia.device.process import ChildProcess
from tinymia.device.socket_line import SocketSerial
from tinymia.device.target import ProcessTarget
from tinymia.errors import DeviceError

READY_SECONDS = 10.0
"""That a firmware may take to its first word."""


class ServerTarget(ProcessTarget):
    """A board that is a process of this machine, with its UART as a TCP server.

    The listening socket is made here and inherited, so no other program can take its port.
    """

    title: ClassVar[str]

    def __init__(self, spec: str, elf: Path) -> None:
        super().__init__(spec, elf)
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
        """End the process and let its port go."""
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
        deadline = time.monotonic() + READY_SECONDS
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
