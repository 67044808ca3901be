"""Where Monocypher's source is, which firmware with masks for updates is built from.

Debian has it as a library for the machine it is installed on, not for a Cortex-M, so it must be
compiled with the firmware. The source distribution of the PyPI package ``pymonocypher`` has its one
file as its makers publish it.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tinymia.errors import DeviceError
from tinymia.files import cache_dir, write_whole

VARIABLE = "TINYMIA_MONOCYPHER"
"""Environment variable: a folder with ``monocypher.c`` and ``monocypher.h`` of version 4."""

PACKAGE, VERSION = "pymonocypher", "4.0.3.4"
FILES = ("monocypher.c", "monocypher.h")
_SECONDS = 120
_HINT = (
    "Unpack Monocypher 4 (monocypher.org) and name the folder that holds monocypher.c in the"
    f" environment variable {VARIABLE}."
)


def monocypher() -> Path:
    """The folder with its source: the one that is named, else one that is fetched once.

    Raises:
        DeviceError: there is none there, or it cannot be fetched.
    """
    named = os.environ.get(VARIABLE, "")
    folder = Path(named) if named else cache_dir() / f"monocypher-{VERSION}"
    missing = [name for name in FILES if not (folder / name).is_file()]
    if not missing:
        return folder.absolute()
    if named:
        raise DeviceError(f"There is no {missing[0]} in {folder}.", _HINT)
    _fetch(folder)
    return folder.absolute()


def _fetch(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as there:
        command = [
            *(sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"),
            *("--no-deps", "--no-binary", PACKAGE, "-d", there, f"{PACKAGE}=={VERSION}"),
        ]
        # What reads the package's metadata is here already: nothing else need be fetched.
        if importlib.util.find_spec("setuptools") is not None:
            command.insert(4, "--no-build-isolation")
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
            archive = next(Path(there).glob("*.tar.gz"), None)
            if done.returncode or archive is None:
                said = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
                raise DeviceError(f"The source of Monocypher cannot be fetched: {said}", _HINT)
            found = _members(archive)
        except (OSError, subprocess.TimeoutExpired, tarfile.TarError) as error:
            raise DeviceError(f"The source of Monocypher cannot be fetched: {error}", _HINT) from (
                error
            )
    for name, data in found.items():
        write_whole(folder / name, data, "Monocypher's source", DeviceError)


def _members(archive: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(archive) as opened:
        for member in opened.getmembers():
            path = Path(member.name)
            if len(path.parts) == 2 and path.name in FILES:
                file = opened.extractfile(member)
                if file is not None:
                    found[path.name] = file.read()
    if set(found) != set(FILES):
        raise DeviceError(f"{archive.name} has no source of Monocypher in it.", _HINT)
    return found
