"""Folders of the checkout that this package was installed from, and where it is built."""

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


def project(firmware: Path | None = None) -> Path:
    """Where a PlatformIO project is built: where it lies or, where this user may not write there,
    in a copy in the user's cache; see :func:`mirror`.

    Args:
        firmware: the project; by default that of the checkout.

    Raises:
        DeviceError: the package was installed without its checkout.
    """
    folder = firmware if firmware is not None else firmware_dir()
    inside = folder / ".pio"
    if all(may_write(path) for path in (folder, inside, inside / "build", inside / "core")):
        return folder
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return cache_dir() / "firmware" / name


def workspace(firmware: Path | None = None) -> Path:
    """Where PlatformIO leaves what it makes of a project; see :func:`project`."""
    return project(firmware) / ".pio"


def mirror(firmware: Path, copy: Path) -> None:
    """Bring a copy of a project up to date; files that are equal stay as they are."""
    there = set(_files(copy)) if copy.is_dir() else set()
    wanted = set(_files(firmware))
    for path in there - wanted:
        (copy / path).unlink()
    for path in wanted:
        if path not in there or not filecmp.cmp(firmware / path, copy / path, shallow=False):
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(firmware / path, copy / path)


def _files(folder: Path) -> Iterator[Path]:
    """A project's own files, relative to it."""
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in (".pio", "__pycache__")]
        yield from (Path(where, name).relative_to(folder) for name in names)


def renode_dir() -> Path:
    """Renode's scripts, ``hil/renode``.

    Raises:
        DeviceError: the package was installed without its checkout.
    """
    folder = _ROOT / "hil" / "renode"
    if not folder.is_dir():
        raise DeviceError(f"Renode's scripts are not at {folder}.", _HINT)
    return folder
