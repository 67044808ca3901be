"""On a node of Ray: what is sent there, and whether it can be done there."""

from __future__ import annotations

import hashlib
import os
import pickle
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tinymia.errors import StudyError, TinymiaError
from tinymia.study.ray_cluster import of_machine


@cache
def code() -> str:
    """Digest of all of this package's Python, and of what the twin was compiled from."""
    from tinymia.twin.core import core

    root = Path(__file__).parents[1]
    digest = hashlib.sha256(str(core().stamp).encode())
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def stranger_to(wanted: str) -> Callable[[], str]:
    """What a node is asked first: its name, and why, if it has other code, or none; else "".

    Within a function it is sent as it is, not by the name that it has here, and so must be what
    asks it: a node with another tinymia could read nothing of what is sent further on.

    Args:
        wanted: digest of this machine's code.
    """

    def stranger() -> str:
        from socket import gethostname

        try:
            from tinymia.study.ray_nodes import code as of_node  # that node's, not the one sent

            if of_node() == wanted:
                return ""
        except Exception as error:  # whatever is wrong with it
            return f"{gethostname()} ({error})"
        return gethostname()

    return stranger


def other_tinymia(host: str) -> StudyError:
    """What is said of a node that is not like this machine."""
    return of_machine(
        f"{host} has another tinymia than this machine, or none.",
        "Install the same version on every node of the cluster.",
    )


@dataclass(frozen=True)
class Place:
    """Where a study is, and of which code; nodes must be there, too.

    Attributes:
        folder: in which the driver's relative paths begin.
        code: digest of the driver's.
        mark: a file in the study's folder; "": the study has none.
    """

    folder: str
    code: str
    mark: str = ""

    def enter(self) -> None:
        """Go there on a node of the same code; raises StudyError unless the folders are there."""
        host = socket.gethostname()
        if not Path(self.folder).is_dir():
            raise of_machine(f"{host} has no folder {self.folder}.", _SHARED)
        if self.mark and not Path(self.mark).exists():
            raise of_machine(
                f"What {host} has as {Path(self.mark).parent} is not this machine's folder.",
                _SHARED,
            )
        os.chdir(self.folder)


_SHARED = "Nodes of a cluster share the folder of the study: mount it there at the same path."


@contextmanager
def place(folder: Path | None) -> Iterator[Place]:
    """This machine's, with a mark in the study's folder by which nodes know it."""
    if folder is None:
        yield Place(os.getcwd(), code())
        return
    # Named as halves of files are, which the next command removes if this one is killed.
    mark = folder.absolute() / f".ray.{os.getpid()}-{secrets.token_hex(8)}.part"
    try:
        mark.touch()
    except OSError as error:
        raise of_machine(f"Cannot write to {folder}: {error.strerror}.", "") from error
    try:
        yield Place(os.getcwd(), code(), str(mark))
    finally:
        with suppress(OSError):
            mark.unlink()


@dataclass(frozen=True)
class Job:
    """What all cells share: the work, and where it is done."""

    work: Callable[[Any], Any]
    place: Place


_jobs: dict[str, Job] = {}
"""In a worker: the one that it works on, by the name of its reference."""


def worked(job: list[Any], cell: bytes) -> tuple[TinymiaError | None, Any]:
    """In a worker: what was wrong with a cell or None, and its result."""
    import ray

    (ref,) = job
    try:
        if ref.hex() not in _jobs:
            _jobs.clear()
            _jobs[ref.hex()] = _begun(ray.get(ref))
        return None, _jobs[ref.hex()].work(pickle.loads(cell))
    except TinymiaError as error:
        return error, None


def _begun(job: Job) -> Job:
    job.place.enter()
    return job
