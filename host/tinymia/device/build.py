"""Builds the firmware with PlatformIO, without any package registry."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tinymia.device.boards import read
from tinymia.device.checkout import (
    DEFAULT_ENV,
    files_of,
    firmware_dir,
    mirror,
    project,
    workspace,
)
from tinymia.device.chosen import CACHE_HINT, FOLDER, Chosen
from tinymia.device.elf import ImageInfo, image_info
from tinymia.device.monocypher import monocypher
from tinymia.device.process import run_to_end, tell
from tinymia.device.registry import provide
from tinymia.errors import DeviceError

COMPILER_HINT = (
    "Install the compiler: `apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi`"
    " (as root or with sudo)."
)

_ERROR_LINES = 15


class PioTimeoutError(DeviceError):
    """PlatformIO took longer than it may."""


@dataclass(frozen=True)
class BuildResult(ImageInfo):
    """An image and what it takes of the chip; see :class:`ImageInfo` for the figures.

    Attributes:
        elf: the image, in the project's workspace.
        env: the PlatformIO environment.
    """

    elf: Path
    env: str


def build(
    env: str = DEFAULT_ENV,
    *,
    chosen: Chosen | None = None,
    shared: bool = False,
    verbose: bool = False,
    firmware: Path | None = None,
    seconds: float = 300.0,
) -> BuildResult:
    """Bring an image up to date; compiles only what changed.

    Args:
        env: environment of ``platformio.ini``.
        chosen: what it is built with; None: everything. Each choice has a folder of its own.
        shared: all choices have one folder instead, so that the next one takes the place of this
            image and compiles only what differs.
        verbose: print PlatformIO's output as it comes.
        firmware: another copy of the PlatformIO project.
        seconds: time limit, waiting for another build included.

    Raises:
        DeviceError: sources, compiler or PlatformIO are missing, the code does not compile, the
            time is over, or a board needs PlatformIO's registry, which cannot be reached.
    """
    folder = firmware if firmware is not None else firmware_dir()
    native = env.endswith("native")
    _check_installed()
    seconds = max(seconds, provide(env, folder))
    extra = {"TINYMIA_MONOCYPHER": str(monocypher())} if env.startswith("secure") else {}
    if native:
        if shutil.which("g++") is None:
            raise DeviceError("g++ is not installed.", "Install it: `apt-get install g++`.")
    elif shutil.which("arm-none-eabi-g++") is None:
        raise DeviceError("The Cortex-M compiler arm-none-eabi-g++ is missing.", COMPILER_HINT)
    where = workspace(folder)
    if chosen is not None:
        where = chosen.write(where.absolute(), shared=shared)
        extra |= {FOLDER: str(where), "PLATFORMIO_BUILD_DIR": str(where / "build")}
    elf = where / "build" / env / ("program" if native else "firmware.elf")
    stamp, key = elf.with_name("tinymia.stamp"), _key(env, folder, extra)
    if verbose or not key or not elf.is_file() or not stamp.is_file() or stamp.read_text() != key:
        code, output = run_pio(
            ["run", "-e", env], folder, seconds=seconds, verbose=verbose, extra_env=extra
        )
        if code != 0:
            raise DeviceError(*_explain(env, output))
        if key == _key(env, folder, extra):  # else somebody has changed something meanwhile
            with suppress(OSError):
                stamp.write_text(key)
    return BuildResult(**vars(image_info(elf)), elf=elf, env=env)


def _key(env: str, folder: Path, extra: dict[str, str]) -> str:
    """Of all that an image is made of: PlatformIO takes seconds to find that nothing has changed.

    Empty where it is made of something that lies elsewhere, which PlatformIO must look at.
    """
    board = read(folder).get(env)
    found = {path: (folder / path).read_bytes() for path in sorted(files_of(folder))}
    if (board is not None and board.platform) or any(
        b"lib_deps" in text for path, text in found.items() if path.suffix == ".ini"
    ):
        return ""
    name = "g++" if env.endswith("native") else "arm-none-eabi-g++"
    compiler = Path(shutil.which(name) or name).resolve()
    about = compiler.stat()
    tools = [
        str(compiler),
        about.st_size,
        about.st_mtime_ns,
        version("platformio"),
        version("scons"),
    ]
    digest = hashlib.sha256(repr((tools, sorted(extra.items()))).encode())
    for named in extra.values():
        found |= {path: path.read_bytes() for path in sorted(Path(named).glob("*.[ch]"))}
    for path, content in found.items():
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def run_pio(
    arguments: Sequence[str],
    firmware: Path,
    *,
    seconds: float,
    verbose: bool = False,
    extra_env: dict[str, str] | None = None,
) -> tuple[int, str]:
    """Run PlatformIO in a project; returns its exit status and output.

    One process at a time works in a project; others wait.

    Raises:
        DeviceError: PlatformIO or SCons is not installed, or the time is over.
    """
    _check_installed()
    deadline = time.monotonic() + seconds
    where = project(firmware)
    command = [sys.executable, "-m", "platformio", "--no-ansi", *arguments, "-d", str(where)]
    with _locked(where / ".pio" / "tinymia.lock", deadline):
        if where != firmware:
            mirror(firmware, where)
        try:
            return run_to_end(
                "PlatformIO",
                command,
                seconds=max(deadline - time.monotonic(), 1.0),
                env=_environment(where) | (extra_env or {}),
                say=tell if verbose else None,
            )
        except TimeoutError:
            raise PioTimeoutError(
                f"PlatformIO did not finish within {seconds:.0f} s.",
                "Run `pio run` in the firmware folder to see where it stops; a look-up in an"
                " unreachable package registry is the usual cause.",
            ) from None


def _check_installed() -> None:
    for module, package in (("platformio", "platformio"), ("SCons", "scons")):
        if importlib.util.find_spec(module) is None:
            raise DeviceError(
                f"The Python package {package} is missing.",
                "Install the project's dependencies: `pip install -e .` in the repository.",
            )


def last_lines(output: str, pattern: str = "") -> str:
    """The last lines of output, or those from the first one that matches ``pattern`` on."""
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    first = next(
        (i for i, line in enumerate(lines) if pattern and re.search(pattern, line, re.I)), None
    )
    chosen = lines[-_ERROR_LINES:] if first is None else lines[first : first + _ERROR_LINES]
    return "\n".join(chosen)


def _environment(folder: Path) -> dict[str, str]:
    """The caller's environment with settings that keep PlatformIO off the network."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PLATFORMIO_")}
    return kept | {
        "PLATFORMIO_CORE_DIR": str(folder / ".pio" / "core"),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PLATFORMIO_SETTING_CHECK_PLATFORMIO_INTERVAL": "36500",
        "PYTHONWARNINGS": "ignore",
    }


def _explain(env: str, output: str) -> tuple[str, str]:
    if "Unknown environment" in output:
        return f"The firmware has no environment {env!r}.", last_lines(output, "unknown")
    missing_newlib = "cannot find -lc" in output or (
        "fatal error: string.h" in output or "fatal error: stdint.h" in output
    )
    if not env.endswith("native") and missing_newlib:
        return "The C library for Cortex-M (newlib) is missing.", COMPILER_HINT
    if not env.endswith("native") and re.search(r"fatal error: [a-z_]+: No such file", output):
        return (
            "A library of this board needs C++'s standard library for Cortex-M, which is missing.",
            "Install it: `apt-get install libstdc++-arm-none-eabi-newlib` (as root or with sudo).",
        )
    causes = last_lines(output, "error:|undefined reference|bin/ld:")
    return f"The firmware does not build ({env}):\n{causes}", ""


@contextmanager
def _locked(path: Path, deadline: float) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("w")
    except OSError as error:
        raise DeviceError(
            f"The firmware cannot be built in {path.parent}: {error.strerror}.",
            CACHE_HINT,
        ) from error
    with handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DeviceError(
                        "Another process has been building the firmware for too long.",
                        "Wait for it, or end it, and try again.",
                    ) from None
                time.sleep(0.1)
        yield
