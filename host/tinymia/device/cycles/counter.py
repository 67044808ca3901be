"""Counts what a simulator executes, by a plugin of QEMU that is compiled when it is wanted."""

from __future__ import annotations

import hashlib
import re
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinymia.device.elf import flash_range, function_range
from tinymia.errors import DeviceError
from tinymia.files import cache_dir, write_whole

QEMU = "qemu-system-arm"
TICKS = "_ZN7tinymia3hal5TicksEv"  # hal::Ticks()
_SOURCE = Path(__file__).with_name("counter.c")
_HEAD = struct.Struct("<5Q")
_EDGE = np.dtype([("before", "<u4"), ("here", "<u4"), ("times", "<u8")])


@dataclass(frozen=True, eq=False)
class Counts:
    """What ran between two readings of the timer.

    Attributes:
        edges: (n,) of ``before``, ``here`` (addresses) and ``times`` that ``here`` ran after it.
        unaligned: further bus accesses of loads that were not aligned.
        code_stalls: cycles that lines of code were waited for.
        data_stalls: the same of constants in the flash.
    """

    edges: NDArray[np.void]
    unaligned: int
    code_stalls: int
    data_stalls: int


class Counter:
    """The plugin for one image, and what it has counted so far; use as a context manager.

    Args:
        elf: the image that will run.
        wait_states: of the flash.

    Raises:
        DeviceError: the host's C compiler or QEMU is missing, or QEMU takes no plugins.
    """

    def __init__(self, elf: Path, wait_states: int = 0) -> None:
        self.elf = elf
        self.wait_states = wait_states
        self._plugin = plugin()
        self._folder = tempfile.TemporaryDirectory()
        self._out = Path(self._folder.name) / "counts"
        self._read = 0

    def arguments(self) -> list[str]:
        """What QEMU's command line takes for it."""
        ticks, flash = function_range(self.elf, TICKS), flash_range(self.elf)
        given = {
            "out": str(self._out),
            "ticks": f"{ticks[0]:x}-{ticks[1]:x}",
            "flash": f"{flash[0]:x}-{flash[1]:x}",
            "waits": str(self.wait_states),
        }
        joined = ",".join(f"{name}={value.replace(',', ',,')}" for name, value in given.items())
        return ["-plugin", f"{str(self._plugin).replace(',', ',,')},{joined}"]

    def take(self) -> list[Counts]:
        """What was counted since the last call, one for each two readings of the timer.

        The first is what ran before the first reading. Of work that looks at the timer again and
        again every second one is work, the others are what lies between (``Stopwatch::Skip``).
        """
        try:
            with self._out.open("rb") as file:
                file.seek(self._read)
                data = file.read()
        except OSError as error:
            raise DeviceError(f"QEMU's plugin has counted nothing: {error.strerror}.") from error
        found, at = [], 0
        while at < len(data):
            edges, _, unaligned, code, constants = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            table = np.frombuffer(data, _EDGE, edges, at)
            at += table.nbytes
            found.append(Counts(table, unaligned, code, constants))
        self._read += at
        return found

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def plugin() -> Path:
    """The compiled plugin, in the user's cache.

    Raises:
        DeviceError: see :class:`Counter`.
    """
    if shutil.which(QEMU) is None:
        raise DeviceError(
            f"{QEMU}, which simulates the board, is missing.",
            "Install it: `apt-get install qemu-system-arm` (as root or with sudo).",
        )
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise DeviceError(
            "Estimating cycles takes a C compiler, for a plugin of QEMU; there is none.",
            "Install one: `apt-get install gcc` (as root or with sudo).",
        )
    asked = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"version (\d+)", asked.stdout)
    # QEMU 9 takes plugins of interface 2 and above, older ones those of 0 and 1.
    interface = 2 if version is not None and int(version[1]) >= 9 else 1
    source = _SOURCE.read_bytes()
    digest = hashlib.sha256(source + b"%d" % interface).hexdigest()[:16]
    made = cache_dir() / "qemu" / f"counter-{digest}.so"
    if not made.is_file():
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "counter.so"
            done = subprocess.run(
                [
                    *(compiler, "-std=c11", "-O2", "-shared", "-fPIC", "-fvisibility=hidden"),
                    *(f"-DPLUGIN_VERSION={interface}", str(_SOURCE), "-o", str(out)),
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise DeviceError(f"The plugin of QEMU does not compile:\n{done.stderr.strip()}")
            write_whole(made, out.read_bytes(), "the plugin of QEMU", DeviceError)
    _check(made)
    return made


def _check(made: Path) -> None:
    """That this QEMU loads it: without a machine it ends at once, and says what it dislikes."""
    command = [QEMU, "-plugin", f"{made},out=/dev/null,ticks=1-2", "-M", "none", "-nodefaults"]
    done = subprocess.run(
        [*command, "-display", "none", "-S", "-monitor", "stdio"],
        input="quit\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise DeviceError(
            f"{QEMU} takes no plugins: {said[-1] if said else 'it says nothing'}",
            "Cycles are estimated by one: use a QEMU that was built with them (Debian's is).",
        )
