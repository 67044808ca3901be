"""Folders of the checkout that this package was installed from."""

from __future__ import annotations

from pathlib import Path

from tinymia.errors import DeviceError

DEFAULT_ENV = "stm32f405"
"""Environment of ``platformio.ini`` that is built where none is named."""

_ROOT = Path(__file__).resolve().parents[3]
_HINT = "Install the package from a checkout: `pip install -e .` in the repository."


def firmware_dir() -> Path:
    """The PlatformIO project.

    Raises:
        DeviceError: the package was installed without its checkout.
    """
    folder = _ROOT / "firmware"
    if not (folder / "platformio.ini").is_file():
        raise DeviceError(f"The firmware's sources are not at {folder}.", _HINT)
    return folder


def renode_dir() -> Path:
    """Renode's scripts, ``hil/renode``.

    Raises:
        DeviceError: the package was installed without its checkout.
    """
    folder = _ROOT / "hil" / "renode"
    if not folder.is_dir():
        raise DeviceError(f"Renode's scripts are not at {folder}.", _HINT)
    return folder
