"""Cells on Ray: on the processors of this machine, or of a cluster that stands already.

Finished cells lie in the study's folder, written by the worker that had them, so a cluster needs
that folder at one path on every node, and the same tinymia.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from tinymia.errors import StudyError, TinymiaError
from tinymia.study.executors import ENVIRONMENT

Cell = TypeVar("Cell")
Result = TypeVar("Result")

_PORT = 6379
_PATIENCE = 5.0  # seconds for an address to answer
_AHEAD = 4  # cells a processor that are handed out at once
_EVERY = 2.0  # seconds after which the cluster is asked how large it is
AGAIN = 8
"""Times that a cell is begun anew whose worker or node was lost."""


class OnRay:
    """Cells side by side on Ray; results and journal are those of processes.

    A worker that dies is replaced, and a node that leaves costs the cells that it had under way:
    these are begun again elsewhere.

    Args:
        workers: where no cluster is given: 0: one a processor that this process may use.
        address: of a cluster, ``host:port`` or ``ray://host:port``; "": one is started here.

    Raises:
        StudyError: Ray is not installed.
    """

    def __init__(self, workers: int = 0, address: str = "") -> None:
        if importlib.util.find_spec("ray") is None:
            raise StudyError(
                "Ray is not installed.",
                "Install it: pip install 'tinymia[ray]', on every node of a cluster.",
            )
        self.workers = workers or len(os.sched_getaffinity(0))
        self.address = address

    def __repr__(self) -> str:
        return f"OnRay({self.workers}, {self.address!r})"

    def map(self, work: Callable[[Cell], Result], cells: Sequence[Cell]) -> Iterator[Result]:
        """See :class:`tinymia.study.executors.Executor`.

        Raises:
            StudyError: the address is nobody's, or a node has another tinymia or lacks the folder.
        """
        if not cells:
            return
        with cluster(self.workers, self.address) as ray:
            job = ray.put(_Job(work, os.getcwd(), code()))
            # In a list: what stands alone would be fetched anew for every cell.
            run = ray.remote(_run).options(
                num_cpus=1, max_retries=AGAIN, runtime_env={"env_vars": ENVIRONMENT}
            )
            yield from _in_order(ray, lambda cell: run.remote([job], cell), cells)


@dataclass(frozen=True)
class _Job:
    """What all cells share.

    Attributes:
        work: on a cell.
        folder: in which relative paths begin.
        code: digest of the driver's.
    """

    work: Callable[[Any], Any]
    folder: str
    code: str


def _in_order(ray: Any, start: Callable[[Cell], Any], cells: Sequence[Cell]) -> Iterator[Any]:
    """Results in the order of the cells; as many are under way as keep all processors busy."""
    waiting = deque(cells)
    begun: deque[Any] = deque()  # in order, finished ones too
    busy: list[Any] = []
    most, asked = 0, -_EVERY
    try:
        while waiting or begun:
            if time.monotonic() - asked >= _EVERY:  # nodes come and go
                most = max(1, _AHEAD * int(ray.cluster_resources().get("CPU", 1)))
                asked = time.monotonic()
            while waiting and len(busy) < most:
                begun.append(start(waiting.popleft()))
                busy.append(begun[-1])
            if busy:
                ray.wait(busy, num_returns=1, timeout=_EVERY)
                _, busy = ray.wait(busy, num_returns=len(busy), timeout=0)
            still = set(busy)
            while begun and begun[0] not in still:
                yield _result(ray, begun.popleft())
    finally:
        for ref in busy:
            ray.cancel(ref, force=True)


def _result(ray: Any, ref: Any) -> Any:
    try:
        failed, value = ray.get(ref)
    except ray.exceptions.RayTaskError:
        raise  # a programmer's mistake, with its traceback
    except ray.exceptions.RayError as error:
        raise of_machine(
            f"A cell was lost {AGAIN + 1} times with its worker or node; perhaps memory ran out.",
            "What is finished is kept: run the same command again, with fewer --boards.",
        ) from error
    if failed:
        raise value
    return value


_jobs: dict[str, _Job] = {}
"""In a worker: the one that it works on, by the name of its reference."""


def _run(job: list[Any], cell: Any) -> tuple[bool, Any]:
    """In a worker: work on a cell; whether it failed, and its result or error."""
    import ray

    (ref,) = job
    try:
        if ref.hex() not in _jobs:
            _jobs.clear()
            _jobs[ref.hex()] = _begun(ray.get(ref))
        return False, _jobs[ref.hex()].work(cell)
    except TinymiaError as error:
        return True, error


def _begun(job: _Job) -> _Job:
    begun(job.folder, job.code)
    return job


def begun(folder: str, wanted: str) -> None:
    """Go to the study's folder on a node; raises StudyError unless all is as on the driver.

    Args:
        folder: in which the driver's relative paths begin.
        wanted: digest of its code.
    """
    if wanted != code():
        raise of_machine(
            f"{socket.gethostname()} has another tinymia than this machine.",
            "Install the same version on every node of the cluster.",
        )
    if not Path(folder).is_dir():
        raise of_machine(
            f"{socket.gethostname()} has no folder {folder}.",
            "Nodes of a cluster share the folder of the study: mount it there at the same path.",
        )
    os.chdir(folder)


@cache
def code() -> str:
    """Digest of all of this package's Python, and of what the twin was compiled from."""
    from tinymia.twin.core import core

    root = Path(__file__).parents[1]
    digest = hashlib.sha256(str(core().stamp).encode())
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


@contextmanager
def cluster(workers: int, address: str) -> Iterator[Any]:
    """Ray, connected; a cluster that was started here ends with it."""
    # Its own hints are for who starts it by hand; it also reports on its use unless told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if address:
        _ask(address)
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    own = {} if address else {"num_cpus": workers, "include_dashboard": False}
    there = ray.is_initialized()
    try:
        if not there:
            begin: Callable[..., Any] = ray.init
            begin(address=address or "local", **own, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _nobody(address or "this machine") from error
    except Exception as error:  # Ray has no class for a machine that is too slow or too full
        raise of_machine(
            f"Ray does not start: {str(error).partition('. ')[0].rstrip('.')}.",
            "Let less run beside it, or give --executor processes.",
        ) from error
    if _kept is not None and not there:
        _kept.callback(ray.shutdown)
    try:
        yield ray
    finally:
        if not there and _kept is None:
            ray.shutdown()


_kept: ExitStack | None = None


@contextmanager
def kept() -> Iterator[None]:
    """What is connected within stays so until the end: to start Ray takes seconds each time."""
    global _kept  # noqa: PLW0603  # there is one Ray in a process
    if _kept is not None:
        yield
        return
    with ExitStack() as stack:
        _kept = stack
        try:
            yield
        finally:
            _kept = None


def _ask(address: str) -> None:
    """Raise StudyError unless somebody listens there: Ray itself would try for a minute."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:
        host, port = port, str(_PORT)
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE):
            return
    except (OSError, ValueError, OverflowError) as error:
        raise _nobody(address) from error


def _nobody(address: str) -> StudyError:
    return of_machine(
        f"There is no Ray at {address}.",
        f"Start it there with `ray start --head`, and give --address HOST:{_PORT}; without"
        " --address it is started on this machine.",
    )


def of_machine(message: str, hint: str) -> StudyError:
    """What ends a study, since it is the same for all of its cases."""
    error = StudyError(message, hint)
    error.of_machine = True
    return error
