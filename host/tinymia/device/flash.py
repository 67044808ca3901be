"""Writes an image to a real board's flash, through PlatformIO and OpenOCD."""

from __future__ import annotations

import shutil
from pathlib import Path

from tinymia.device.build import DEFAULT_ENV, firmware_dir, last_lines, run_pio
from tinymia.device.elf import image_info
from tinymia.errors import DeviceError

# What OpenOCD says, what it means, and what to do.
_CAUSES = (
    (
        "LIBUSB_ERROR_ACCESS",
        "The debug probe may not be opened.",
        "Install OpenOCD's udev rules (contrib/60-openocd.rules) or run as root.",
    ),
    (
        "open failed",
        "No ST-Link debug probe was found.",
        "Plug the board's debug USB port in; `lsusb` must list an STMicroelectronics ST-LINK.",
    ),
    (
        "unable to connect to the target",
        "The debug probe does not reach the chip.",
        "Check that the board has power and that SWDIO, SWCLK and GND are wired.",
    ),
    (
        "init mode failed",
        "The debug probe does not reach the chip.",
        "Check that the board has power and that SWDIO, SWCLK and GND are wired.",
    ),
    (
        "Can't find interface/",
        "OpenOCD does not know the debug probe.",
        "Use OpenOCD 0.11 or newer.",
    ),
    (
        "Verify Failed",
        "The flash does not hold what was written.",
        "Try again; if it stays, the flash is write-protected or worn.",
    ),
)


def flash(
    image: Path, env: str = DEFAULT_ENV, *, verbose: bool = False, seconds: float = 120.0
) -> None:
    """Program, verify and restart a board.

    Args:
        image: an ELF file, baked or not.
        env: environment of ``platformio.ini`` that describes the board.
        verbose: print OpenOCD's output as it comes.
        seconds: time limit.

    Raises:
        DeviceError: no OpenOCD, no probe, no board, or the board does not take the image.
    """
    image_info(image)
    if shutil.which("openocd") is None:
        raise DeviceError(
            "OpenOCD, which programs the board, is missing.",
            "Install it: `apt-get install openocd` (as root or with sudo).",
        )
    code, output = run_pio(
        ["run", "-e", env, "-t", "nobuild", "-t", "upload"],
        firmware_dir(),
        seconds=seconds,
        verbose=verbose,
        extra_env={"TINYMIA_IMAGE": str(image.resolve())},
    )
    if code == 0:
        return
    for sign, message, hint in _CAUSES:
        if sign in output:
            raise DeviceError(message, hint)
    raise DeviceError(f"The board was not programmed:\n{last_lines(output, 'error:')}")
