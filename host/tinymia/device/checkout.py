"""Where firmware, boards, scripts and models are, and where the firmware is built.

They lie in the checkout that this package runs from; without one the package holds what its wheel
ships of them (``host/native/CMakeLists.txt``).
"""

from __future__ import annotations

import filecmp
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tinymia.errors import DeviceError
from tinymia.files import cache_dir, may_write

DEFAULT_ENV = "stm32f405"
"""Environment of ``platformio.ini`` that is built where none is named."""

_PACKAGE = Path(__file__).resolve().parents[1]
_CHECKOUT = _PACKAGE.parents[1]
_SHIPPED = _PACKAGE / "shipped"
_HINT = "Install tinymia again, from its wheel or by `pip install -e .` in the repository."


def in_checkout() -> bool:
    """Whether this package lies in its repository; else it was installed from a wheel."""
    return (_CHECKOUT / "firmware" / "platformio.ini").is_file()


def _root() -> Path:
    return _CHECKOUT if in_checkout() else _SHIPPED


def firmware_dir() -> Path:
    """The PlatformIO project.

    Raises:
        DeviceError: it is not there.
    """
    folder = _root() / "firmware"
    if not (folder / "platformio.ini").is_file():
        raise DeviceError(f"The firmware's sources are not at {folder}.", _HINT)
    return folder


def project(firmware: Path | None = None) -> Path:
    """Where a PlatformIO project is built: where it lies or, where this user may not write there or
    an installed package does, in a copy in the user's cache; see :func:`mirror`.

    Args:
        firmware: the project; by default tinymia's own.

    Raises:
        DeviceError: that is not there.
    """
    folder = firmware if firmware is not None else firmware_dir()
    inside = folder / ".pio"
    places = (folder, inside, inside / "build", inside / "core")
    if not folder.is_relative_to(_SHIPPED) and all(map(may_write, places)):
        return folder
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return cache_dir() / "firmware" / name


def workspace(firmware: Path | None = None) -> Path:
    """Where PlatformIO leaves what it makes of a project; see :func:`project`."""
    return project(firmware) / ".pio"


def mirror(firmware: Path, copy: Path) -> None:
    """Bring a copy of a project up to date; files that are equal stay as they are."""
    there = set(files_of(copy)) if copy.is_dir() else set()
    wanted = set(files_of(firmware))
    for path in there - wanted:
        (copy / path).unlink()
    for path in wanted:
        if path not in there or not filecmp.cmp(firmware / path, copy / path, shallow=False):
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(firmware / path, copy / path)


def files_of(folder: Path) -> Iterator[Path]:
    """A project's own files, relative to it; none of what is made of them."""
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in (".pio", "__pycache__")]
        yield from (Path(where, name).relative_to(folder) for name in names)


def models_dir() -> Path:
    """Where the shipped models are; in an installed package nothing is to be written there."""
    return _root() / "models"


def renode_dir() -> Path:
    """Renode's scripts, ``hil/renode``.

    Raises:
        DeviceError: they are not there.
    """
    folder = _root() / "hil" / "renode"
    if not folder.is_dir():
        raise DeviceError(f"Renode's scripts are not at {folder}.", _HINT)
    return folder
