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

from tinymia.device.boards import boards
from tinymia.device.checkout import DEFAULT_ENV, renode_dir
from tinymia.device.process import ChildProcess
from tinymia.device.socket_line import SocketSerial
from tinymia.device.target import ProcessTarget
from tinymia.errors import DeviceError

STARTED = "tinymia: started"
"""What a script prints at its end: Renode stops at a line that it cannot run, and goes on."""

_START_SECONDS = 180.0  # Renode takes 5 s on an idle machine, and 20 times that on a crowded one
_PROMPT = re.compile(rb"(?:^|[\r\n])\([^()\r\n]*\) $")
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\xff[\xfb-\xfe].", re.DOTALL)
# WILL BINARY, DO ECHO, DO SUPPRESS-GO-AHEAD (RFC 856, 857, 858).
_TELNET_ANSWER = bytes([255, 251, 0, 255, 253, 1, 255, 253, 3])


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
    """Renode's monitor over its TCP port, once Renode has run the script that it was started with.

    Args:
        port: of this machine.
        script: the script's file name.
        seconds: to wait for the script's end and for each answer.

    Raises:
        DeviceError: no answer, or the script did not get to its last line, which must print
            ``STARTED``; with what Renode says about it.
    """

    def __init__(self, port: int, script: str, seconds: float = _START_SECONDS) -> None:
        self._seconds = seconds
        self._line = socket.create_connection(("127.0.0.1", port), timeout=5.0)
        self._line.settimeout(0.2)
        # Renode waits for nine bytes, whatever they are, and drops them.
        self._line.sendall(_TELNET_ANSWER)
        said = _lines(self._until_prompt(script))
        if STARTED not in said:
            raise DeviceError(
                "Renode does not run the board's script: " + " ".join(said),
                "The scripts in hil/renode are for Renode 1.15.3; see `renode --version`.",
            )

    def run(self, command: str) -> str:
        """Run one command; returns what it prints.

        Raises:
            DeviceError: the monitor is gone or stays silent.
        """
        self._line.sendall(command.encode() + b"\n")
        return "\n".join(_lines(self._until_prompt(command)))

    def quit(self) -> None:
        """Ask Renode to end."""
        with contextlib.suppress(OSError):
            self._line.sendall(b"quit\n")

    def close(self) -> None:
        """Hang up; at once after ``quit`` Renode might not hear that."""
        self._line.close()

    def _until_prompt(self, command: str) -> str:
        """What is said between the echo of a command and the next prompt."""
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
            _before, echo, answer = _ESCAPES.sub(b"", heard).partition(command.encode() + b"\n")
            match = _PROMPT.search(answer) if echo else None
            if match:
                return answer[: match.start()].decode("utf-8", "replace")
        raise DeviceError(f"Renode's monitor did not answer within {self._seconds:.0f} s.")


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


class RenodeTarget(ProcessTarget):
    """A board in Renode, headless.

    Args:
        spec: ``renode:NAME``, where NAME is ``stm32f4``, ``nucleo_f767zi`` or ``nano33ble``.
        elf: its image.

    Raises:
        DeviceError: no such board, no Renode, or it does not start; with Renode's last words.
    """

    kind = "renode"
    usage = "renode:stm32f4"
    unit = "virtual-ticks"
    # Its threads hand over to each other for every byte: on a crowded machine that takes long.
    patience = 60.0

    @classmethod
    def environment(cls, rest: str) -> str:
        """That of the board file which names it."""
        return next((b.env for b in boards().values() if b.renode == rest), DEFAULT_ENV)

    @classmethod
    def check(cls, spec: str) -> None:
        """That there is such a board, and Renode."""
        name, folder = spec.partition(":")[2], renode_dir()
        if not (folder / f"{name}.resc").is_file():
            known = ", ".join(sorted(path.stem for path in folder.glob("*.resc")))
            raise DeviceError(f"There is no board {name!r} for Renode.", f"Boards: {known}.")
        find_renode()

    def __init__(self, spec: str, elf: Path) -> None:
        super().__init__(spec, elf)
        self.check(spec)
        name, folder = spec.partition(":")[2], renode_dir()
        if not elf.is_file():
            raise DeviceError(f"There is no image at {elf}.", "Build it: `tinymia build`.")
        self._program = find_renode()
        self._folder = tempfile.TemporaryDirectory(prefix="tinymia-")
        # Links, since a script cannot quote a path with a space in it.
        here = Path(self._folder.name)
        for link, to in (("image.elf", elf), ("board.repl", folder / f"{name}.repl")):
            (here / link).symlink_to(to.resolve())
        (here / "board.resc").symlink_to((folder / f"{name}.resc").resolve())
        self.monitor: Monitor | None = None
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        here = Path(self._folder.name)
        self._port, monitor = _free_port(), _free_port()
        script = here / "run.resc"
        script.write_text(
            f"$bin=@{here}/image.elf\n$platform=@{here}/board.repl\n$port={self._port}\n"
            f'include @{here}/board.resc\nstart\necho "{STARTED}"\n'
        )
        command = [self._program, "--plain", "--disable-xwt"]
        command += ["--port", str(monitor), str(script)]
        self.process = ChildProcess("Renode", command, launcher=True)  # its packages have one
        self.monitor = self._reach(monitor, script.name)
        self._open()
        self._wait_until_ready()

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
        self._folder.cleanup()

    def _end(self) -> None:
        if self.monitor is not None:
            self.monitor.quit()
            self.process.wait(3.0)
            self.monitor.close()
            self.monitor = None
        super()._end()

    def _reach(self, port: int, script: str) -> Monitor:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            self.alive()
            try:
                return Monitor(port, script)
            except OSError:
                time.sleep(0.2)
            except DeviceError:
                self.process.wait(1.0)  # its own last words say more, if it ended
                self.alive()
                raise
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
