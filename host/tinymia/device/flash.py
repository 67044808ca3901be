"""Writes an image to a real board's flash.

By a debug probe, through PlatformIO and OpenOCD or through pyOCD; or over the board's own USB cable
(:mod:`tinymia.device.usb_boot`).
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from tinymia.device.boards import BoardFile, board_of
from tinymia.device.build import PioTimeoutError, last_lines, run_pio
from tinymia.device.checkout import firmware_dir
from tinymia.device.elf import environment_of, image_info, loaded, machine_flags, symbols
from tinymia.device.process import run_to_end, tell
from tinymia.device.usb_boot import bossac, copy_to_drive, find_bossac
from tinymia.errors import DeviceError

_PROBES = ("openocd", "pyocd")
PROGRAMMERS = (*_PROBES, "uf2", "bossac")
"""Ways onto a board: two for debug probes; its USB drive; its bootloader."""

_UNLOCK = {
    "stm32": "Unlocking erases all that is on it: `openocd {files} -c init -c 'reset halt'"
    " -c '{series} unlock 0' -c exit`.",
    "nrf52": "Unlocking erases all that is on it: `openocd {files} -c init -c nrf52_recover"
    " -c exit`.",
    "": "See the chip's manual.",
}

# What OpenOCD (0.12) or pyOCD (0.36) says, what it means, and what to do.
_CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        "LIBUSB_ERROR_ACCESS|Access denied|insufficient permissions|Permission denied",
        "You may not open the debug probe.",
        "Write these lines to /etc/udev/rules.d/60-tinymia.rules, run `sudo udevadm control"
        " --reload && sudo udevadm trigger`, and plug the board in again:\n{rules}",
    ),
    (
        r"nRF52 device has AP lock engaged|APPROTECT enabled|device is secured|"
        r"[Dd]evice protected|failed to erase.*protect|Device Security Bit Set",
        "The chip is locked against being read and written.",
        "{unlock}",
    ),
    (
        r"Target type \S+ not recognized|Unknown target type",
        "pyOCD does not know the chip {chip}.",
        "Install its description: `pyocd pack install {pyocd}`.",
    ),
    (
        r"UNEXPECTED idcode|expected \d+ of \d+: 0x|Cannot identify target|"
        r"unexpected board ID",
        "The probe reaches another chip than the {chip} of a {board}.",
        "Give the --board that is plugged in; `tinymia boards` lists them.",
    ),
    (
        "open failed|unable to find a matching|No J-Link device found|no probe|"
        "No available debug probes|No connected debug probes|unable to open",
        "No debug probe ({protocol}) was found.",
        "Plug the board's debug USB port in; `lsusb` must list {usb}.",
    ),
    (
        "Enter the number of the debug probe",
        "There are several debug probes.",
        "Choose one by its serial number: --probe SERIAL (`lsusb -v` shows iSerial).",
    ),
    (
        "Verify Failed|contents differ|verify failed|Verification error",
        "The flash does not hold what was written.",
        "Try again; if it stays, the flash is write-protected or worn.",
    ),
    # A warning, which also comes before other errors.
    (
        "target voltage may be too low",
        "The board has no power.",
        "Plug its own USB cable or supply in, and try again.",
    ),
    (
        "unable to connect to the target|init mode failed|cannot read IDR|examination failed|"
        "No ACK received|Error connecting DP|not examined yet",
        "The debug probe does not reach the chip.",
        "Check that the board has power and that SWDIO, SWCLK and GND are wired; hold reset while"
        " it starts if the program there switches debugging off.",
    ),
    (
        "Can't find (interface|target|board)/",
        "OpenOCD does not know this probe or chip.",
        "Use OpenOCD 0.12 or newer.",
    ),
)


def udev_rules(board: BoardFile) -> str:
    """Lines that let every user of this machine open the board's probe and serial port."""
    return "\n".join(
        f'SUBSYSTEMS=="usb", ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}",'
        ' MODE="0666", TAG+="uaccess"'
        for vendor, product in (usb.split(":") for usb in board.upload.usb)
    )


def flash(
    image: Path,
    board: BoardFile,
    *,
    programmer: str = "",
    probe: str = "",
    drive: Path | None = None,
    port: str = "",
    verbose: bool = False,
    seconds: float = 120.0,
) -> str:
    """Program, verify and restart a board.

    Args:
        image: an ELF file, baked or not.
        board: what is plugged in.
        programmer: one of :data:`PROGRAMMERS`; by default the board's own drive or bootloader where
            it has one, else the first program for debug probes that is installed.
        probe: serial number of the debug probe, when there are several.
        drive: folder where the board's drive is mounted; by default it is found.
        port: of the program that runs on the board, for boards with a bootloader.
        verbose: print the programmer's output as it comes.
        seconds: time limit.

    Returns:
        What was used, in a few words.

    Raises:
        DeviceError: no programmer, no probe, no board, the image is for another core, or the board
            does not take it.
    """
    image_info(image)
    if not board.simulated_only:
        check_image(image, board)
    chosen = check_programmer(board, programmer, probe=probe, drive=drive)
    if chosen == "uf2":
        return f"drive {copy_to_drive(image, board, drive)}"
    if chosen == "bossac":
        return f"bossac on {bossac(image, board, port, seconds)}"
    with tempfile.TemporaryDirectory(prefix="tinymia-") as folder:
        # SCons and OpenOCD read signs such as $ and } in a path.
        plain = Path(shutil.copy(image, Path(folder) / "image.elf"))
        if chosen == "pyocd" or board.platform:
            # The registry's platforms would upload the program as it was built, without a bundle.
            code, output = _run(_command(chosen, plain, board, probe), verbose, seconds)
        else:
            code, output = _upload(plain, board, probe, verbose, seconds)
    if code != 0:
        raise explain(output, board)
    return chosen


def check_programmer(
    board: BoardFile, programmer: str = "", *, probe: str = "", drive: Path | None = None
) -> str:
    """Which way an image takes onto a board; asked before one is built.

    Args:
        board, programmer, probe, drive: see :func:`flash`.

    Returns:
        One of :data:`PROGRAMMERS`.

    Raises:
        DeviceError: the board is simulated, there is no such way onto it, or what it takes is not
            installed.
    """
    if board.simulated_only:
        raise DeviceError(
            f"{board.id} is simulated: there is nothing to flash.",
            f"Run it: --target qemu:{board.qemu}.",
        )
    return _programmer(programmer, board, probe, drive)


def _upload(
    image: Path, board: BoardFile, probe: str, verbose: bool, seconds: float
) -> tuple[int, str]:
    """By PlatformIO, which runs OpenOCD."""
    try:
        return run_pio(
            ["run", "-e", board.env, "-t", "nobuild", "-t", "upload"],
            firmware_dir(),
            seconds=seconds,
            verbose=verbose,
            extra_env={"TINYMIA_IMAGE": str(image), "TINYMIA_PROBE": probe},
        )
    except PioTimeoutError as error:
        raise DeviceError(
            f"OpenOCD did not finish within {seconds:.0f} s.",
            "Plug board and probe in anew and try again; --verbose shows where it stops.",
        ) from error


def check_image(image: Path, board: BoardFile) -> None:
    """Raise DeviceError when an image was not built for this board, its memory and core."""
    start, hard_float = machine_flags(image)
    # Frameworks pass floats in the core's registers, even where they use the FPU.
    expected = bool(board.fpu) and not board.platform
    bundle = symbols(image).get("tinymia_bundle_start")
    built_for = board_of(environment_of(image))
    regions = (board.flash, board.bundle)
    fits = start == board.flash.start and bundle == board.bundle.start and hard_float == expected
    fits = fits and all(
        any(region.start <= at and at + len(data) <= region.end for region in regions)
        for at, data in loaded(image)
    )
    if not fits or built_for != board.id:
        what = built_for if built_for not in ("", board.id) else "another " + (built_for or "board")
        raise DeviceError(
            f"{image} was built for {what}, not for {board.id} as its board file is.",
            f"Build it for this one: `tinymia build --board {board.id}`.",
        )


def explain(output: str, board: BoardFile) -> DeviceError:
    """What a programmer's output means."""
    series = next(name for name in _UNLOCK if board.chip.startswith(name))
    files = " ".join(f"-f {name}" for name in board.upload.openocd)
    facts = {
        "board": board.name,
        "chip": board.chip,
        "pyocd": board.upload.pyocd,
        "protocol": board.upload.protocol,
        "usb": " or ".join(board.upload.usb) or "it",
        "rules": udev_rules(board),
        "unlock": _UNLOCK[series].format(files=files, series=board.family + "x"),
    }
    for pattern, message, hint in _CAUSES:
        if re.search(pattern, output):
            return DeviceError(message.format(**facts), hint.format(**facts))
    return DeviceError(f"The board was not programmed:\n{last_lines(output, 'error:')}")


def _programmer(asked: str, board: BoardFile, probe: str, drive: Path | None) -> str:
    if asked and asked not in PROGRAMMERS:
        raise DeviceError(f"There is no programmer {asked!r}.", f"Known: {', '.join(PROGRAMMERS)}.")
    wanted = asked or ("uf2" if drive is not None else "")
    own = "uf2" if board.upload.drive else "bossac" if board.upload.bossac else ""
    if wanted not in ("", own, *_PROBES):
        raise DeviceError(
            f"A {board.name} does not take images by {wanted}.",
            f"Use {own} or a debug probe." if own else "Use a debug probe.",
        )
    installed = next((name for name in _PROBES if shutil.which(name) is not None), "")
    # Where bossac is missing a probe may do; where both are, bossac is what to install.
    if not wanted and own and not probe:
        return own if own == "uf2" or find_bossac() or not installed else installed
    chosen = wanted or installed
    if chosen and (chosen == own or shutil.which(chosen) is not None):
        return chosen
    if chosen == "pyocd":
        raise DeviceError("pyOCD is missing.", "Install it: `pip install pyocd`.")
    raise DeviceError(
        "OpenOCD, which programs the board, is missing.",
        "Install it: `apt-get install openocd` (as root or with sudo); or `pip install pyocd`.",
    )


def _command(programmer: str, image: Path, board: BoardFile, probe: str) -> list[str]:
    if programmer == "pyocd":
        command = ["pyocd", "load", "--no-wait", "--target", board.upload.pyocd]
        return [*command, *(["--uid", probe] if probe else []), str(image.resolve())]
    files = [part for name in board.upload.openocd for part in ("-f", name)]
    files[2:2] = ["-c", f"adapter serial {probe}"] if probe else []
    return ["openocd", *files, "-c", f"program {{{image.resolve()}}} verify reset exit"]


def _run(command: list[str], verbose: bool, seconds: float) -> tuple[int, str]:
    try:
        return run_to_end(command[0], command, seconds=seconds, say=tell if verbose else None)
    except TimeoutError:
        raise DeviceError(
            f"{command[0]} did not finish within {seconds:.0f} s.",
            "Plug the board in anew and try again.",
        ) from None
