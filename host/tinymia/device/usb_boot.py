"""Images over a board's own USB cable: onto its boot ROM's drive, or by bossac to its bootloader.

Neither needs a debug probe. A board whose program has a USB port is brought there by opening that
port at 1200 baud, which Arduino's cores, and others, take for the wish.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import serial

from tinymia.device.boards import BoardFile
from tinymia.device.build import last_lines
from tinymia.device.checkout import workspace
from tinymia.device.elf import flat
from tinymia.device.process import run_to_end
from tinymia.device.serial_target import list_ports
from tinymia.device.uf2 import uf2
from tinymia.errors import DeviceError

_T = TypeVar("_T")

MOUNTS = ("/run/media/*/*", "/media/*/*", "/media/*", "/mnt/*", "/Volumes/*")
"""Where systems mount USB drives."""

_INFO = "INFO_UF2.TXT"
_LABELS = Path("/dev/disk/by-label")
_APPEARS = 15.0  # seconds: a restart, and the desktop that mounts a drive


def board_id(drive: Path) -> str:
    """What a drive calls its board; empty when it is no drive of a UF2 bootloader."""
    try:
        lines = (drive / _INFO).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return ""
    said = [line.partition(":")[2].strip() for line in lines if line.startswith("Board-ID:")]
    return said[0] if said else ""


def drives(wanted: str) -> list[Path]:
    """Mounted drives of boards with this Board-ID."""
    found = {path for pattern in MOUNTS for path in Path("/").glob(pattern.lstrip("/"))}
    return sorted(path for path in found if board_id(path) == wanted)


def copy_to_drive(
    image: Path, board: BoardFile, drive: Path | None = None, seconds: float = _APPEARS
) -> Path:
    """Copy an image onto the board's drive and wait until the board takes it and restarts.

    Args:
        image: an ELF file.
        board: what is plugged in.
        drive: where it is mounted; by default the one drive that says it is such a board.
        seconds: to wait for a drive after a touch, and for the restart.

    Returns:
        The drive.

    Raises:
        DeviceError: no drive, several, another board's, a full or read-only one, or the board does
            not restart.
    """
    if drive is None:
        drive = _the_drive(board, seconds)
    elif board_id(drive) != board.upload.drive:
        raise DeviceError(
            f"{drive} is not the drive of a {board.name}: its {_INFO} does not say"
            f" {board.upload.drive}.",
            _how_to_start(board),
        )
    data = uf2(image)
    try:
        with (drive / "tinymia.uf2").open("wb") as file:
            file.write(data)
            file.flush()
            # The board restarts at the last block, and the drive may be gone before this returns.
            with suppress(OSError):
                os.fsync(file.fileno())
    except OSError as error:
        raise DeviceError(
            f"The image cannot be copied to {drive} ({error.strerror}).",
            "Plug the board in anew, with BOOTSEL held, and try again.",
        ) from error
    if not _await(lambda: board_id(drive) == "", seconds):
        raise DeviceError(
            f"The board does not restart after the copy to {drive}.",
            "Unplug it, plug it in again with BOOTSEL held, and try again.",
        )
    return drive


def bossac(image: Path, board: BoardFile, port: str = "", seconds: float = 120.0) -> str:
    """Give an image to the board's bootloader.

    Args:
        image: an ELF file.
        board: what is plugged in.
        port: of the program that runs there, when several boards are plugged in.
        seconds: that writing may take.

    Returns:
        The bootloader's port.

    Raises:
        DeviceError: no bossac, no board, or it does not take the image.
    """
    program = find_bossac()
    if not program:
        raise DeviceError("bossac, which programs the board, is missing.", _BOSSAC)
    where = _bootloader(board, port)
    with tempfile.TemporaryDirectory() as name:
        raw = Path(name) / "image.bin"
        raw.write_bytes(flat(image))
        # bossac puts /dev/ before a name.
        line = f"--port={where.removeprefix('/dev/')}"
        try:
            status, said = run_to_end(
                "bossac",
                [program, line, "-U", "-i", "-e", "-w", str(raw), "-R"],
                seconds=seconds,
            )
        except TimeoutError:
            raise DeviceError(
                f"bossac did not finish within {seconds:.0f} s.", _how_to_start(board)
            ) from None
    if status != 0:
        said = last_lines(said)
        if "nsupported" in said:
            raise DeviceError(f"{program} does not know the {board.chip}.", _BOSSAC)
        raise DeviceError(f"bossac did not program the board:\n{said}", _how_to_start(board))
    return where


_BOSSAC = (
    "It must be Arduino's own (1.9.1-arduino), for others do not know the chip: it comes with the"
    " Mbed boards of the Arduino IDE, where it is found; or put it on PATH. A debug probe does, too"
    " (--with openocd)."
)


def find_bossac() -> str:
    """Path of bossac: on PATH, of the Arduino IDE, or of PlatformIO; empty: there is none."""
    on_path = shutil.which("bossac")
    if on_path:
        return on_path
    arduino = Path.home() / ".arduino15" / "packages" / "arduino" / "tools" / "bossac"
    packages = workspace() / "core" / "packages"
    found = [*sorted(arduino.glob("*arduino*/bossac")), *packages.glob("tool-bossac*/bossac")]
    return str(found[-1]) if found else ""


def touch(port: str) -> None:
    """Ask the program behind a USB port to start its bootloader: open at 1200 baud, and hang up.

    Raises:
        DeviceError: the port cannot be opened.
    """
    try:
        with serial.Serial(port, 1200) as line, suppress(OSError):
            line.dtr = False  # a pseudo-terminal has none
    except (OSError, ValueError) as error:
        raise DeviceError(
            f"{port} cannot be opened: {error}.", "Close other programs that use it."
        ) from error


def _the_drive(board: BoardFile, seconds: float) -> Path:
    wanted = board.upload.drive
    found = drives(wanted)
    if not found and _touched(board, ""):
        _await(lambda: bool(drives(wanted)), seconds)
        found = drives(wanted)
    if len(found) > 1:
        raise DeviceError(
            f"There are {len(found)} drives {wanted}: {', '.join(map(str, found))}.",
            "Choose one: --drive FOLDER.",
        )
    if found:
        return found[0]
    if (_LABELS / wanted).exists():
        raise DeviceError(
            f"The board's drive {wanted} is plugged in, but not mounted.",
            f"Mount it, `udisksctl mount -b {_LABELS / wanted}`, or name its folder: --drive"
            " FOLDER.",
        )
    raise DeviceError(f"There is no drive {wanted} of a {board.name}.", _how_to_start(board))


def _bootloader(board: BoardFile, port: str) -> str:
    found = _ports(board.upload.bossac)
    if not found and _touched(board, port):
        found = _await(lambda: _ports(board.upload.bossac), _APPEARS) or []
    if len(found) > 1:
        raise DeviceError(
            f"There are {len(found)} bootloaders: {', '.join(found)}.",
            "Leave only the board that is meant plugged in.",
        )
    if not found:
        raise DeviceError(f"No bootloader of a {board.name} is there.", _how_to_start(board))
    return found[0]


def _touched(board: BoardFile, port: str) -> bool:
    """Whether a program was there that could be asked to make way."""
    found = _ports(board.upload.touch)
    if port in found:
        found = [port]
    if len(found) > 1:
        raise DeviceError(
            f"Several boards may be meant: {', '.join(found)}.",
            "Leave only one plugged in.",
        )
    if not found:
        return False
    touch(found[0])
    return True


def _ports(usb: Sequence[str]) -> list[str]:
    return [port.device for port in list_ports() if port.usb in usb]


def _await(found: Callable[[], _T], seconds: float) -> _T:
    deadline = time.monotonic() + seconds
    while not (answer := found()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


def _how_to_start(board: BoardFile) -> str:
    probe = " Or choose a debug probe: --with openocd."
    if board.upload.drive:
        return (
            "Hold BOOTSEL while you plug the board in: the drive appears. Name its folder where it"
            " is mounted in an unusual place: --drive FOLDER." + probe
        )
    return (
        "Press the reset button twice, so that the bootloader starts, and give the command again."
        + probe
    )
