"""What is already measured, on disk, named by what it is of: whole files, each of which says so.

A name is the digest of everything that the content depends on. So a study can grow (what is new is
run, what is there is read), several studies can share a folder, and nothing foreign can be read.

Files, and no database of what is done: a cell is done when its file has its name, one step on every
file system; worker processes write side by side without waiting for each other; a killed process
leaves nothing to recover; a folder is copied or merged as it is, also while it grows; a bad disk
damages single cells; and names are asked for fast enough (`tinymia bench store`). A database beside
the arrays would be a second truth, which a copy can tear from the first.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import StudyError
from tinymia.files import npz, write_whole

VERSION = 1
_FOLDER = "store"
_LOCK = ".tinymia.lock"
_PARTS = ".*.[0-9]*.part"
"""As :func:`tinymia.files.write_whole` names them."""
Arrays = Mapping[str, NDArray[Any]]


class Store:
    """Arrays by kind and key, a file each.

    Files are renamed when they are whole, but not forced onto the disk: after a loss of power one
    may be damaged, which reading it says.

    Args:
        folder: of the study; what is measured lies in a folder of its own in it.

    Raises:
        StudyError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / _FOLDER

    def has(self, kind: str, key: str) -> bool:
        """Whether this is there; raises StudyError when the folder cannot be asked."""
        path = self._path(kind, key)
        try:
            return path.exists()
        except OSError as error:
            raise StudyError(f"Cannot read {path}: {error.strerror}.") from error

    def save(self, kind: str, key: str, arrays: Arrays) -> None:
        """Store arrays under a name, whole or not at all.

        Raises:
            StudyError: the disk does not take it; what was stored before is as it was.
        """
        path = self._path(kind, key)
        mark = json.dumps({"version": VERSION, "kind": kind, "key": key})
        content = {**arrays, "_of": np.frombuffer(mark.encode(), np.uint8)}
        try:
            write_whole(path, npz(content, compressed=False), error=StudyError)
        except StudyError as error:
            error.hint = "What is finished is kept: make room and run the same command again."
            raise

    def load(
        self, kind: str, key: str, wanted: Collection[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """What was stored under a name.

        Args:
            kind, key: the name.
            wanted: of its arrays, those that are to be read as far as they are there; None: all.

        Raises:
            StudyError: it is not there, damaged, or of something else than its name says.
        """
        path = self._path(kind, key)
        try:
            with np.load(path, allow_pickle=False) as content:
                mark = json.loads(content["_of"].tobytes())
                there = (name for name in content.files if name != "_of")
                found = {name: content[name] for name in there if wanted is None or name in wanted}
        except (
            OSError,
            EOFError,
            KeyError,
            TypeError,
            ValueError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise StudyError(
                f"The stored file {path} is damaged.", "Delete it and run the command again."
            ) from error
        if mark != {"version": VERSION, "kind": kind, "key": key}:
            raise StudyError(
                f"The stored file {path} is of something else than its name says.",
                "Delete it and run the command again.",
            )
        return found

    def clear(self) -> None:
        """Remove everything that was stored, and nothing else; raises StudyError."""
        try:
            for path in sorted(self.folder.glob("*/*")):
                if path.suffix in (".npz", ".part"):
                    path.unlink()
        except OSError as error:
            raise StudyError(f"Cannot empty {self.folder}: {error.strerror}.") from error

    def _path(self, kind: str, key: str) -> Path:
        return self.folder / kind / f"{key}.npz"


class Lock:
    """A folder that one process at a time works in; use as a context manager.

    Args:
        folder: made when it is not there, and removed where nothing came into it.

    Raises:
        StudyError: on entering, when another process works there, or it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Lock:
        from filelock import FileLock, Timeout

        whole = self.folder.absolute()
        self._made = [path for path in (whole, *whole.parents) if not path.exists()]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.folder.resolve() / _LOCK)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise StudyError(
                f"{self.folder} is in use: another command works there now.",
                "Wait for it, or choose another --out.",
            ) from None
        except OSError as error:
            raise StudyError(
                f"Cannot write to {self.folder}: {error.strerror}.", "Choose another --out."
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            # Who asked for what cannot be leaves nothing; a folder that fills meanwhile stays.
            with contextlib.suppress(OSError):
                if self._made and all(path.name == _LOCK for path in self.folder.iterdir()):
                    (self.folder / _LOCK).unlink()
                    for path in self._made:
                        path.rmdir()
        finally:
            self._lock.release()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[Store]:
    """The store of a folder that nobody else works in meanwhile; raises StudyError."""
    with Lock(folder):
        store = Store(folder)
        sweep(folder, store.folder)
        yield store


def sweep(folder: Path, deep: Path) -> None:
    """Remove halves of files that a killed process left, in a folder and in those of another.

    For who has the lock: nobody else writes there.

    Raises:
        StudyError: they cannot be removed.
    """
    try:
        for path in (*folder.glob(_PARTS), *deep.glob(f"*/{_PARTS}")):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StudyError(f"Cannot tidy {folder}: {error.strerror}.") from error
