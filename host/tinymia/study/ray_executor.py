"""Cells on Ray: on the processors of this machine, or of a cluster that stands already.

Finished cells lie in the study's folder, written by the worker that had them, so a cluster needs
that folder at one path on every node, and the same tinymia.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from tinymia.errors import StudyError
from tinymia.study.ray_cluster import ask, cluster, of_machine, options
from tinymia.study.ray_nodes import Job, other_tinymia, place, stranger_to

Cell = TypeVar("Cell")
Result = TypeVar("Result")

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

    Attributes:
        folder: of the study, where cells leave what they found; None: they leave nothing.

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
        self.folder: Path | None = None

    def check(self) -> None:
        """Raise StudyError where nobody is at the address: before there is work for it."""
        if self.address:
            ask(self.address)

    def __repr__(self) -> str:
        return f"OnRay({self.workers}, {self.address!r})"

    def map(self, work: Callable[[Cell], Result], cells: Sequence[Cell]) -> Iterator[Result]:
        """See :class:`tinymia.study.executors.Executor`.

        Raises:
            StudyError: the address is nobody's, or a node has another tinymia or lacks the folder.
        """
        if not cells:
            return
        with cluster(self.workers, self.address) as ray, place(self.folder) as here:
            job = ray.put(Job(work, here))
            # In a list: what stands alone would be fetched anew for every cell.
            run = ray.remote(_checked(here.code)).options(
                num_cpus=1, max_retries=AGAIN, **options()
            )
            # Pickled here: a node of other code is asked what it is before it reads a cell.
            pack = ray.cloudpickle.dumps
            yield from _in_order(ray, lambda cell: run.remote([job], pack(cell)), cells)


def _in_order(ray: Any, start: Callable[[Cell], Any], cells: Sequence[Cell]) -> Iterator[Any]:
    """Results in the order of the cells; as many are under way as keep all processors busy."""
    waiting = deque(cells)
    begun: deque[Any] = deque()  # in order, finished ones too
    found: dict[Any, tuple[Exception | None, Any]] = {}
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
            ray.wait(busy, num_returns=1, timeout=_EVERY)
            ready, busy = ray.wait(busy, num_returns=len(busy), timeout=0)
            for ref in ready:
                found[ref] = _outcome(ray, ref)
                if found[ref][0] is not None:
                    waiting.clear()  # nothing behind it is begun
            while begun and begun[0] in found:
                error, value = found.pop(begun.popleft())
                if error is not None:
                    raise error
                yield value
    finally:
        for ref in busy:
            with suppress(ray.exceptions.RayError):  # what ends this comes first
                ray.cancel(ref, force=True)


def _outcome(ray: Any, ref: Any) -> tuple[Exception | None, Any]:
    """Of a cell that ended: what it raised or None, and its result."""
    try:
        stranger, outcome = ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        return error, None  # a programmer's mistake, with its traceback
    except ray.exceptions.RayError as error:
        lost = of_machine(
            f"A cell was lost {AGAIN + 1} times with its worker or node; perhaps memory ran out.",
            "What is finished is kept: run the same command again, with fewer --boards.",
        )
        lost.__cause__ = error
        return lost, None
    return (other_tinymia(stranger), None) if stranger else outcome


def _checked(wanted: str) -> Callable[[list[Any], bytes], tuple[str, Any]]:
    """What is sent: the name of a node that has other code, or "" and what was done."""
    stranger = stranger_to(wanted)

    def run(job: list[Any], cell: bytes) -> tuple[str, Any]:
        if who := stranger():
            return who, None
        from tinymia.study.ray_nodes import worked

        return "", worked(job, cell)

    return run
