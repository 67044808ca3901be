"""Boards in Renode: a process with the board's line on one TCP port and its monitor on another."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import tempfile
import time
from pathlib import Path

from tinymia.device.process import ChildProcess
from tinymia.device.socket_line import SocketSerial
from tinymia.device.target import Target
from tinymia.errors import DeviceError

_START_SECONDS = 90.0  # Renode takes about 6 s on an idle machine
_PROMPT = re.compile(rb"\(([^()\r\n]*)\) $")
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\xff[\xfb-\xfe].|\xff[\xf0-\xfa]|\x00")


def scripts_dir() -> Path:
    """``hil/renode`` of the checkout.

    Raises:
        DeviceError: the package was installed without it.
    """
    folder = Path(__file__).resolve().parents[3] / "hil" / "renode"
    if not folder.is_dir():
        raise DeviceError(
            f"Renode's scripts are not at {folder}.",
            "Install the package from a checkout: `pip install -e .` in the repository.",
        )
    return folder


def find_renode() -> str:
    """The program: RENODE_PATH (a program, or a folder with one), else what PATH has.

    Raises:
        DeviceError: there is none.
    """
    given = os.environ.get("RENODE_PATH", "")
    if given:
        path = Path(given)
        for candidate in (path, path / "renode"):
            if candidate.is_file() and os.access(candidate, os.X_OK):
                return str(candidate)
        raise DeviceError(
            f"RENODE_PATH is {given}, and there is no Renode.",
            "Let it name the program `renode`, or its folder.",
        )
    found = shutil.which("renode")
    if found is None:
        raise DeviceError(
            "Renode, which simulates the board, is missing.",
            "Install it from https://renode.io, and put it on PATH or name it in RENODE_PATH.",
        )
    return found


class Monitor:
    """Renode's monitor over its TCP port.

    Args:
        port: of this machine.
        seconds: to wait for it to listen and for each answer.

    Raises:
        DeviceError: nothing answers.
    """

    def __init__(self, port: int, seconds: float = _START_SECONDS) -> None:
        self._seconds = seconds
        self._line = socket.create_connection(("127.0.0.1", port), timeout=5.0)
        self._line.settimeout(0.2)
        # The monitor loses the start of the first line.
        self._line.sendall(b"\n")
        self._until_prompt()

    def run(self, command: str) -> str:
        """Run one command; returns what it prints.

        Raises:
            DeviceError: the monitor is gone or stays silent.
        """
        self._drain()
        self._line.sendall(command.encode() + b"\n")
        text = self._until_prompt()
        lines = [line.strip() for line in text.splitlines()]
        return "\n".join(line for line in lines if line and not line.endswith(command))

    def _drain(self) -> None:
        """Drop what earlier commands still say, such as one more prompt."""
        with contextlib.suppress(TimeoutError):
            while self._line.recv(4096):
                pass

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    def _until_prompt(self) -> str:
        heard, deadline = b"", time.monotonic() + self._seconds
        while time.monotonic() < deadline:
            try:
                data = self._line.recv(4096)
            except TimeoutError:
                continue
            except OSError as error:
                raise DeviceError(f"Renode's monitor is gone ({error}).") from error
            if not data:
                raise DeviceError("Renode's monitor is gone.", "Run the same command again.")
            heard += data
            plain = _ESCAPES.sub(b"", heard)
            match = _PROMPT.search(plain)
            if match and b"\n" in plain:
                return plain[: match.start()].decode("utf-8", "replace")
        raise DeviceError(f"Renode's monitor did not answer within {self._seconds:.0f} s.")


class RenodeTarget(Target):
    """A board in Renode, headless.

    Args:
        spec: ``renode:NAME``, where NAME is ``stm32f4``, ``nucleo_f767zi`` or ``nano33ble``.
        elf: its image.

    Raises:
        DeviceError: no such board, no Renode, or it does not start; with Renode's last words.
    """

    kind = "renode"
    usage = "renode:stm32f4"
    simulated = True
    unit = "virtual-ticks"

    def __init__(self, spec: str, elf: Path) -> None:
        super().__init__(spec)
        name = spec.partition(":")[2]
        folder = scripts_dir()
        if not (folder / f"{name}.resc").is_file():
            known = ", ".join(sorted(path.stem for path in folder.glob("*.resc")))
            raise DeviceError(f"There is no board {name!r} for Renode.", f"Boards: {known}.")
        if not elf.is_file():
            raise DeviceError(f"There is no image at {elf}.", "Build it: `tinymia build`.")
        program = find_renode()
        self.monitor: Monitor | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="tinymia-")
        # Links, since a script cannot quote a path with a space in it.
        here = Path(self._folder.name)
        for link, to in (("image.elf", elf), ("board.repl", folder / f"{name}.repl")):
            (here / link).symlink_to(to.resolve())
        (here / "board.resc").symlink_to((folder / f"{name}.resc").resolve())
        self._port, monitor = _free_port(), _free_port()
        script = here / "run.resc"
        script.write_text(
            f"$bin=@{here}/image.elf\n$platform=@{here}/board.repl\n$port={self._port}\n"
            f"include @{here}/board.resc\nstart\n"
        )
        command = [program, "--plain", "--disable-xwt", "--port", str(monitor), str(script)]
        self._process = ChildProcess("Renode", command)
        try:
            self.monitor = self._reach(monitor)
            self._open()
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id of Renode."""
        return self._process.pid

    def alive(self) -> None:
        """Raise DeviceError, with Renode's last words, when it ended."""
        self._process.check()

    def reconnect(self, seconds: float = 10.0) -> None:
        """Open the line again; the board goes on as it was."""
        self.alive()
        self.serial.close()
        self._open()

    def executed_instructions(self) -> int:
        """Instructions of the core since it started, those of the line included."""
        assert self.monitor is not None
        said = self.monitor.run("sysbus.cpu ExecutedInstructions")
        numbers = re.findall(r"0x[0-9A-Fa-f]+|\d+", said)
        if not numbers:
            raise DeviceError(f"Renode does not tell its instructions: {said}.")
        return int(numbers[-1], 0)

    def close(self) -> None:
        """End Renode, kindly if it listens."""
        super().close()
        if self.monitor is not None:
            try:
                self.monitor._line.sendall(b"quit\n")
            except OSError:
                pass
            else:
                self._process.wait(3.0)
            self.monitor.close()
        self._process.end()
        self._folder.cleanup()

    def _reach(self, port: int) -> Monitor:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            self.alive()
            try:
                return Monitor(port)
            except OSError:
                time.sleep(0.2)
        raise DeviceError("Renode does not open its monitor.", "Try `renode --version`.")

    def _open(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            self.alive()
            try:
                self.serial = SocketSerial(f"socket://127.0.0.1:{self._port}", timeout=0)
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise DeviceError(
                        f"Renode opens no line for {self.spec} ({error}).",
                        "Run its script in Renode to see what it says: hil/renode.",
                    ) from error
                time.sleep(0.2)

    def _wait_until_ready(self) -> None:
        """Waits for the firmware's first words, which may have come before the line was open."""
        deadline = time.monotonic() + 5.0
        while time.monotonic() < deadline:
            self.alive()
            if first := self.serial.read(1):
                self.said = first
                return
            time.sleep(0.05)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
