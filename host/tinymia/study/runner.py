"""Runs a study's fine-tunings on boards, several boards side by side, one thread each."""

from __future__ import annotations

import queue
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tinymia.data.splits import Draw, Pool
from tinymia.device.client import Board
from tinymia.errors import DeviceError, StudyError
from tinymia.export.bundle import Bundle
from tinymia.study.journal import Journal, Unit
from tinymia.study.settings import POLICIES, Run, StudySettings, UnitKey, training_seed


class Reporter(Protocol):
    """Where progress goes."""

    def begin(self, total: int) -> None:
        """The number of runs is known."""
        ...

    def finish(self, person: str) -> None:
        """All runs of a person are done."""
        ...

    def stage(self, person: str, what: str) -> None:
        """A board has begun something else."""
        ...

    def advance(self, units: int) -> None:
        """That many runs are finished."""
        ...


OpenBoard = Callable[[int], "BoardHandle"]
"""Opens the board of a worker, by the worker's number."""


class BoardHandle(Protocol):
    """An open board and how to let go of it."""

    board: Board

    def close(self) -> None:
        """End the session; a simulator's process ends too."""
        ...


@dataclass(frozen=True)
class Job:
    """All runs of one person: the windows cross the line once."""

    pool: Pool
    draws: tuple[Draw, ...]

    def keys(self, runs: Sequence[Run]) -> list[UnitKey]:
        """The runs of this person, in the order in which they are run."""
        return [
            UnitKey(self.pool.person, draw.repetition, run.name)
            for draw in self.draws
            for run in runs
        ]


@dataclass
class Runner:
    """A study's runs on its boards.

    Attributes:
        settings: of the study.
        bundle: what the boards must carry.
        journal: where finished runs go; what is there is not run again.
        open_board: how a worker gets its board.
        workers: boards side by side.
        reporter: told of progress.
    """

    settings: StudySettings
    bundle: Bundle
    journal: Journal
    open_board: OpenBoard
    workers: int
    reporter: Reporter

    def run(self, jobs: Sequence[Job]) -> None:
        """Run what the journal does not have.

        Raises:
            TinymiaError: the first failure of a board; runs that were finished are kept.
        """
        todo: queue.SimpleQueue[Job] = queue.SimpleQueue()
        runs = self.settings.runs()
        open_jobs = 0
        self.reporter.begin(sum(len(job.keys(runs)) for job in jobs))
        for job in jobs:
            done = sum(self.journal.has(key) for key in job.keys(runs))
            self.reporter.advance(done)
            if done < len(job.keys(runs)):
                todo.put(job)
                open_jobs += 1
        stop = threading.Event()
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                self._work(number, todo, stop)
            except BaseException as error:  # handed to the caller's thread below
                failures.append(error)
                stop.set()

        threads = [
            threading.Thread(target=work, args=(n,), name=f"board-{n}", daemon=True)
            for n in range(min(self.workers, open_jobs))
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():  # with a time-out, so that Ctrl-C gets through
                    thread.join(0.2)
        except BaseException:
            stop.set()
            for thread in threads:
                thread.join(5)
            raise
        if failures:
            raise failures[0]

    def _work(self, number: int, todo: queue.SimpleQueue[Job], stop: threading.Event) -> None:
        handle: BoardHandle | None = None
        try:
            while not stop.is_set():
                try:
                    job = todo.get_nowait()
                except queue.Empty:
                    return
                if handle is None:
                    handle = self.open_board(number)
                    check_bundle(handle.board, self.bundle)
                self._person(handle.board, job, stop)
        finally:
            if handle is not None:
                handle.close()

    def _person(self, board: Board, job: Job, stop: threading.Event) -> None:
        person = job.pool.person
        self.reporter.stage(person, "sending windows")
        board.clear()
        board.store(self.bundle.quantize(job.pool.windows.x), job.pool.windows.y)
        for draw in job.draws:
            for run in self.settings.runs():
                key = UnitKey(person, draw.repetition, run.name)
                if stop.is_set():
                    return
                if self.journal.has(key):
                    continue
                self.reporter.stage(person, f"repetition {draw.repetition + 1}, {run.name}")
                self.journal.save(self._unit(board, key, run, job.pool, draw))
                self.reporter.advance(1)
        self.reporter.finish(person)

    def _unit(self, board: Board, key: UnitKey, run: Run, pool: Pool, draw: Draw) -> Unit:
        slots = np.flatnonzero(draw.member | draw.nonmember)
        chosen = board.select(draw.member)
        if chosen != int(draw.member.sum()):
            raise DeviceError(f"The board selected {chosen} members, not {int(draw.member.sum())}.")
        seed = training_seed(self.settings, pool.person_index, draw.repetition)
        tail_hash = board.begin(self.settings.training(run.defenses, seed))
        policy, levels = POLICIES[self.settings.policy], self.settings.levels
        probs, hashes, steps, ticks, clipped = [], [], [0], [0], [0]
        epoch = 0
        for checkpoint in run.checkpoints:
            if checkpoint > epoch:
                trained = board.train(epoch, checkpoint - epoch)
                epoch, tail_hash = trained.epoch, trained.tail_hash
                steps.append(steps[-1] + trained.steps)
                ticks.append(ticks[-1] + trained.ticks)
                clipped.append(clipped[-1] + trained.clipped)
            probs.append(board.query(slots, policy, levels)[0])
            hashes.append(tail_hash)
        n = len(run.checkpoints)
        return Unit(
            key=key,
            checkpoints=run.checkpoints,
            slots=slots.astype(np.int64),
            labels=pool.windows.y[slots].astype(np.int64),
            member=draw.member[slots],
            probs=np.stack(probs),
            tail_hashes=tuple(hashes),
            steps=tuple(steps[-n:]),
            ticks=tuple(ticks[-n:]),
            clipped=tuple(clipped[-n:]),
        )


def check_bundle(board: Board, bundle: Bundle) -> None:
    """Raise unless the board carries this very bundle."""
    board.require_bundle()
    data = bundle.to_bytes()
    info = board.info()
    if info.bundle_size != len(data) or info.bundle_crc != zlib.crc32(data[32:]):
        raise StudyError(
            "The board carries another bundle than the one that is audited.",
            "Bake and flash it: `tinymia build --bundle FILE`, `tinymia flash`.",
        )
