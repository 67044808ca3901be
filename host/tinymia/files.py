"""Files that are written whole or not at all, and where they may go."""

from __future__ import annotations

import io
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tinymia.errors import DataError, TinymiaError


def write_whole(
    path: str | Path, data: bytes, what: str = "", error: type[TinymiaError] = DataError
) -> Path:
    """Write a file, and its folder, so that no reader ever sees half of it, and none is left.

    What is there already is replaced; a device or a pipe is written to.

    Args:
        path: where it goes; a link is followed.
        data: its content.
        what: it is, for the message ("the bundle").
        error: what is raised.

    Returns:
        The path.

    Raises:
        TinymiaError: of that class, naming the file: the disk is full, the folder read-only, ...
    """
    target = Path(path)
    final = Path(os.path.realpath(target))
    # Of this call alone: another thread, process or machine may write the same.
    part = final.with_name(f".{final.name}.{os.getpid()}-{secrets.token_hex(8)}.part")
    try:
        if final.exists() and not final.is_file() and not final.is_dir():
            final.write_bytes(data)
            return target
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(data)
            part.replace(final)
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise
    except OSError as failure:
        named = f"{what} {target}" if what else str(target)
        refused = error(f"Cannot write {named}: {failure.strerror}.")
        refused.of_machine = True
        raise refused from failure
    return target


def check_place(path: str | Path, what: str, error: type[TinymiaError] = DataError) -> None:
    """Say that a file cannot go to a place before the work that it would hold is done.

    Raises:
        TinymiaError: of class ``error``: a folder is there, or there may be none.
    """
    target = Path(path)
    if target.is_dir():
        raise error(f"Cannot write {what} {target}: Is a directory.", "Name a file.")
    if not may_write(target.parent):
        raise error(f"Cannot write {what} {target}: its folder cannot be.", "Choose another place.")


def plain_json(text: str | bytes) -> Any:
    """JSON as its standard has it; raises ValueError, for NaN and endless nesting as well."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no number of JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def cache_dir() -> Path:
    """The folder of this user for what can be made again; it need not exist yet.

    ``TINYMIA_CACHE`` names it, else it is ``tinymia`` in ``XDG_CACHE_HOME`` or ``~/.cache``.
    """
    named = os.environ.get("TINYMIA_CACHE")
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "tinymia"


def may_write(folder: Path) -> bool:
    """Whether this user may make files in a folder, or make the folder where there is none yet."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def npz(arrays: Mapping[str, Any], *, compressed: bool = True) -> bytes:
    """The bytes of an .npz file; equal arrays make equal bytes.

    Made in memory: NumPy's own writer leaves half of one on a full disk or after Ctrl-C, and an
    archive whose destructor complains a second time.
    """
    import numpy as np

    out = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(out, **arrays)
    return out.getvalue()
