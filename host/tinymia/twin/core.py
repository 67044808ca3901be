"""The compiled extension, loaded when it is first needed."""

from __future__ import annotations

import atexit
import functools
import os
from types import ModuleType

from tinymia.errors import TwinError
from tinymia.twin.stamp import repository, stamp

_REBUILD = "Run `make setup`, or `pip install -e .` in your environment; either compiles it."


def check_stamp(built: str) -> None:
    """Compare a stamp that was compiled in with the sources, where those are there.

    Raises:
        TwinError: they differ.
    """
    root = repository()
    if root is not None and stamp(root) != built:
        raise TwinError("The twin was compiled from other sources than are here now.", _REBUILD)


@functools.cache
def core() -> ModuleType:
    """The extension module ``tinymia.twin._core``.

    Raises:
        TwinError: it is not built, or from other sources than are here now.
    """
    try:
        from tinymia.twin import _core
    except ImportError as error:
        raise TwinError(f"The twin's extension cannot be loaded ({error}).", _REBUILD) from error
    check_stamp(_core.stamp)
    # A thread that is in there when the interpreter is gone would abort the process.
    atexit.register(_core.end)
    os.register_at_fork(after_in_child=_core.after_fork)
    return _core


def interrupt() -> None:
    """End what other threads compute on twins, within an epoch: there KeyboardInterrupt is raised.

    For whoever runs twins in threads and does not want their results any more. What a twin is asked
    afterwards it does; a board (``twin:``) that was at work counts as lost.
    """
    core().interrupt()
