"""Boards behind bridges, asked from nodes of a Ray cluster: one actor a board, one job at a time.

A board on a port is asked from the machine that it is plugged into, by a thread. One that is behind
``rfc2217://`` or ``socket://`` can be reached from every node, so whichever has room asks it; where
that node is lost, the job is begun again on another, and what the store has is not run twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tinymia.device.port_url import is_bridge
from tinymia.errors import TinymiaError
from tinymia.study.board_locks import NoLongerWanted, Wanted, is_shared, port_of
from tinymia.study.board_runs import Desk, OpenDesk, Work
from tinymia.study.board_work import Reporter
from tinymia.study.fleet import Fleet
from tinymia.study.ray_cluster import cluster, of_machine, options
from tinymia.study.ray_executor import AGAIN, OnRay
from tinymia.study.ray_nodes import Place, other_tinymia, place, stranger_to

_SPACE = "tinymia"
_EVERY = 0.5  # seconds after which it is asked whether the run was stopped


class _Silent:
    """A reporter that nobody hears."""

    def begin(self, total: int, what: str) -> None: ...

    def finish(self, person: str) -> None: ...

    def stage(self, person: str, what: str) -> None: ...

    def advance(self, pieces: int) -> None: ...


class Seat:
    """On a node: has one board, and does its jobs."""

    def __init__(self, work: Work[Any], fleet: Fleet, number: int, where: Place) -> None:
        self._work, self._fleet, self._number, self._place = work, fleet, number, where
        self._handle: Any = None
        self._said: list[str] = []

    def open(self) -> tuple[TinymiaError | None, list[str]]:
        """Open the board, unless it is; what went wrong, and what was said meanwhile."""
        from tinymia.study import recipe

        if self._handle is not None:
            return None, []
        self._said.clear()
        try:
            self._place.enter()
            how = self._fleet.interruption
            if how is not None:
                self._fleet.interruption = replace(how, say=self._said.append)
            handle = self._fleet(self._number)
            try:
                recipe.check_bundle(handle.board, self._work.bundle)
            except BaseException:
                handle.close()
                raise
            self._handle = handle
        except TinymiaError as error:
            return error, list(self._said)
        return None, list(self._said)

    def do(self, job: Any) -> tuple[TinymiaError | None, list[str]]:
        """Do a job, on a board that is opened anew if this is another node than before."""
        failed, said = self.open()
        if failed is not None:
            return failed, said
        self._said.clear()
        try:
            self._work.do(self._handle.board, job, _Silent(), threading.Event())
        except TinymiaError as error:
            failed = error
        return failed, said + self._said

    def close(self) -> tuple[None, list[str]]:
        """Let go of the board."""
        if self._handle is not None:
            self._handle.close()
        return None, []


def _chair(wanted: str) -> type[Any]:
    """What is sent: a seat with what it needs to find out whether the node can have it."""
    stranger = stranger_to(wanted)

    class Chair:
        def __init__(self, sent: bytes) -> None:
            self.sent = sent
            self.seat: Any = None

        def call(self, what: str, *given: Any) -> tuple[str, Any]:
            """The name of a node that has other code, or "" and what was done."""
            if who := stranger():
                return who, None
            if self.seat is None:
                import pickle

                self.seat = pickle.loads(self.sent)
            return "", getattr(self.seat, what)(*given)

    return Chair


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

    def open(self, wanted: Wanted) -> None:
        """Have the board opened; raises NoLongerWanted where that took longer than it was."""
        if not self._call(wanted, "open"):
            raise NoLongerWanted

    def do(self, job: Any, stop: threading.Event) -> None:
        before = self.work.finished(job)
        self.reporter.stage(job.name, f"on Ray, {self.where}")
        try:
            ended = self._call(lambda: not stop.is_set(), "do", job)
        finally:
            self.reporter.advance(self.work.finished(job) - before)
        if ended:
            self.reporter.finish(job.name)

    def _call(self, wanted: Wanted, *given: Any) -> bool:
        """Have something done; whether it ended before it was no longer wanted."""
        ref = self.seat.call.remote(*given)
        while not self.ray.wait([ref], timeout=_EVERY)[0]:
            if not wanted():
                return False
        try:
            stranger, outcome = self.ray.get(ref)
        except self.ray.exceptions.RayTaskError:
            raise  # a programmer's mistake, with its traceback
        except self.ray.exceptions.RayError as error:
            raise of_machine(
                f"The board at {self.where} was lost {AGAIN + 1} times with the node that asked"
                " it.",
                "What is finished is kept: run the same command again.",
            ) from error
        if stranger:
            raise other_tinymia(stranger)
        failed, said = outcome
        for text in said:
            self.say(text)
        if failed is not None:
            raise failed
        return True

    def close(self) -> None:
        with contextlib.suppress(self.ray.exceptions.RayError):
            self.ray.get(self.seat.call.remote("close"), timeout=_EVERY)
        self.ray.kill(self.seat)


def placing(executor: OnRay, fleet: Fleet, reporter: Reporter) -> Callable[[], Any]:
    """Where a study's boards are asked: see :attr:`tinymia.study.board_runs.Runner.placing`."""

    @contextmanager
    def made() -> Iterator[OpenDesk]:
        far = [spec for spec in fleet.targets if is_shared(spec) and is_bridge(port_of(spec))]
        if not far:
            yield lambda _work, _number, _wanted: None
            return
        with cluster(executor.workers, executor.address) as ray, place(executor.folder) as here:

            def desk(work: Work[Any], number: int, wanted: Wanted) -> Desk | None:
                if fleet.targets[number % len(fleet.targets)] not in far:
                    return None
                opened = _far(ray, work, fleet, number, reporter, here)
                try:
                    opened.open(wanted)
                except BaseException:
                    opened.close()
                    raise
                return opened

            yield desk

    return made


def _far(
    ray: Any, work: Work[Any], fleet: Fleet, number: int, reporter: Reporter, here: Place
) -> _Far:
    how = fleet.interruption
    sent = fleet if how is None else replace(fleet, interruption=type(how)(how.resume, how.seconds))
    where = port_of(fleet.targets[number % len(fleet.targets)])
    named = {
        # Of the cluster: no two studies have one board.
        "name": f"board {hashlib.sha256(where.encode()).hexdigest()[:16]}",
        "namespace": _SPACE,
        "num_cpus": 0,  # it waits for its board
        "scheduling_strategy": "SPREAD",
        "max_restarts": AGAIN,
        "max_task_retries": AGAIN,
        **options(),
    }
    packed = ray.cloudpickle.dumps(Seat(work, sent, number, here))
    try:
        seat = ray.remote(_chair(here.code)).options(**named).remote(packed)
    except ValueError as error:
        raise of_machine(
            f"The board at {where} is in use by another study on this cluster.",
            "Wait for it, or name another board.",
        ) from error
    say = (lambda _: None) if how is None else how.say
    return _Far(ray, seat, work, reporter, say, where)
