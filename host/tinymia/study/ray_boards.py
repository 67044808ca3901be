"""Boards behind bridges, asked from nodes of a Ray cluster: one actor a board, one job at a time.

A board on a port is asked from the machine that it is plugged into, by a thread. One that is behind
``rfc2217://`` or ``socket://`` can be reached from every node, so whichever has room asks it; where
that node is lost, the job is begun again on another, and what the store has is not run twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tinymia.device.port_url import is_bridge
from tinymia.errors import TinymiaError
from tinymia.study.board_locks import is_shared, port_of
from tinymia.study.board_runs import Desk, OpenDesk, Work
from tinymia.study.board_work import Reporter
from tinymia.study.executors import ENVIRONMENT
from tinymia.study.fleet import Fleet
from tinymia.study.ray_executor import AGAIN, OnRay, begun, cluster, code, of_machine

_SPACE = "tinymia"
_EVERY = 0.5  # seconds after which it is asked whether the run was stopped
_PLACED = 60.0  # seconds for a node to begin


class _Silent:
    """A reporter that nobody hears."""

    def begin(self, total: int, what: str) -> None: ...

    def finish(self, person: str) -> None: ...

    def stage(self, person: str, what: str) -> None: ...

    def advance(self, pieces: int) -> None: ...


class Seat:
    """On a node: has one board, and does its jobs."""

    def __init__(self, work: Work[Any], fleet: Fleet, number: int, folder: str, of: str) -> None:
        self._work, self._fleet, self._number = work, fleet, number
        self._folder, self._of = folder, of
        self._handle: Any = None
        self._said: list[str] = []

    def do(self, job: Any) -> tuple[TinymiaError | None, list[str]]:
        """Do a job; what went wrong, and what was said meanwhile."""
        from tinymia.study import recipe

        self._said.clear()
        try:
            begun(self._folder, self._of)
            if self._handle is None:
                how = self._fleet.interruption
                if how is not None:
                    self._fleet.interruption = replace(how, say=self._said.append)
                self._handle = self._fleet(self._number)
                recipe.check_bundle(self._handle.board, self._work.bundle)
            self._work.do(self._handle.board, job, _Silent(), threading.Event())
        except TinymiaError as error:
            return error, list(self._said)
        return None, list(self._said)

    def close(self) -> None:
        """Let go of the board."""
        if self._handle is not None:
            self._handle.close()


@dataclass
class _Far:
    """A desk at a node.

    Attributes:
        ray: connected.
        seat: the actor.
        work: on a job.
        reporter: told of jobs that are done.
        say: told what the node said.
        where: the board.
    """

    ray: Any
    seat: Any
    work: Work[Any]
    reporter: Reporter
    say: Callable[[str], None]
    where: str

    def do(self, job: Any, stop: threading.Event) -> None:
        before = self.work.finished(job)
        self.reporter.stage(job.name, f"on Ray, {self.where}")
        ref = self.seat.do.remote(job)
        while not self.ray.wait([ref], timeout=_EVERY)[0]:
            if stop.is_set():
                return
        try:
            failed, said = self.ray.get(ref)
        except self.ray.exceptions.RayTaskError:
            raise  # a programmer's mistake, with its traceback
        except self.ray.exceptions.RayError as error:
            raise of_machine(
                f"The board at {self.where} was lost {AGAIN + 1} times with the node that asked"
                " it.",
                "What is finished is kept: run the same command again.",
            ) from error
        for text in said:
            self.say(text)
        self.reporter.advance(self.work.finished(job) - before)
        if failed is not None:
            raise failed
        self.reporter.finish(job.name)

    def close(self) -> None:
        with contextlib.suppress(self.ray.exceptions.RayError):
            self.ray.get(self.seat.close.remote(), timeout=_EVERY)
        self.ray.kill(self.seat)


def placing(executor: OnRay, fleet: Fleet, reporter: Reporter) -> Callable[[], Any]:
    """Where a study's boards are asked: see :attr:`tinymia.study.board_runs.Runner.placing`."""

    @contextmanager
    def made() -> Iterator[OpenDesk]:
        far = [spec for spec in fleet.targets if is_shared(spec) and is_bridge(port_of(spec))]
        if not far:
            yield lambda _work, _number: None
            return
        with cluster(executor.workers, executor.address) as ray:

            def desk(work: Work[Any], number: int) -> Desk | None:
                spec = fleet.targets[number % len(fleet.targets)]
                return _far(ray, work, fleet, number, reporter) if spec in far else None

            yield desk

    return made


def _far(ray: Any, work: Work[Any], fleet: Fleet, number: int, reporter: Reporter) -> _Far:
    how = fleet.interruption
    sent = fleet if how is None else replace(fleet, interruption=type(how)(how.resume, how.seconds))
    where = port_of(fleet.targets[number % len(fleet.targets)])
    options = {
        # Of the cluster: no two studies have one board.
        "name": f"board {hashlib.sha256(where.encode()).hexdigest()[:16]}",
        "namespace": _SPACE,
        "num_cpus": 0,  # it waits for its board
        "scheduling_strategy": "SPREAD",
        "max_restarts": AGAIN,
        "max_task_retries": AGAIN,
        "runtime_env": {"env_vars": ENVIRONMENT},
    }
    try:
        seat = ray.remote(Seat).options(**options).remote(work, sent, number, os.getcwd(), code())
    except ValueError as error:
        raise of_machine(
            f"The board at {where} is in use by another study on this cluster.",
            "Wait for it, or name another board.",
        ) from error
    say = (lambda _: None) if how is None else how.say
    return _Far(ray, seat, work, reporter, say, where)
