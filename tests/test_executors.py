"""Cells in this thread, in threads and in processes: the same results, in order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinymia.errors import StudyError
from tinymia.study.executors import Here, Threads
from tinymia.study.worker_pool import AGAIN, Pool


@dataclass
class Summing:
    """Sums that depend on the order of their terms; keeps what it was asked."""

    matrix: Any
    asked: list[int] = field(default_factory=list)

    def __call__(self, cell: int) -> tuple[bytes, int]:
        self.asked.append(cell)
        if cell == 99:
            raise StudyError("Nobody has that many.", "Take fewer.")
        return (self.matrix @ (self.matrix.T * cell)).tobytes(), threading.get_ident()


def test_threads_give_the_same_bits_in_order() -> None:
    work = Summing(np.random.default_rng(0).random((128, 300), np.float32))
    here = [bits for bits, _ in Here().map(work, range(24))]
    found = list(Threads(3).map(work, range(24)))
    assert [bits for bits, _ in found] == here
    assert len({thread for _, thread in found} - {threading.get_ident()}) >= 1
    assert work.asked == list(range(24))  # each thread has work of its own, as a process has


LATE = """
from tinymia.study.executors import Here, Threads

def threads(_):
    import scipy.linalg, threadpoolctl
    return {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}

print(list({}.map(threads, [0])))
"""


@pytest.mark.parametrize("executor", ["Here()", "Threads(1)"])
def test_a_library_that_a_cell_loads_has_one_thread_too(executor: str) -> None:
    """scipy has a library of linear algebra of its own, which nobody has loaded before."""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    found = subprocess.run(
        [sys.executable, "-c", LATE.replace("{}", executor)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[{1}]"


def test_threads_work_side_by_side() -> None:
    both = threading.Barrier(2, timeout=20)
    _MEETING.append(both)
    assert list(Threads(2).map(_meet, [0, 1])) == [0, 1]


_MEETING: list[threading.Barrier] = []


def _meet(cell: int) -> int:
    _MEETING[-1].wait()
    return cell


def test_the_first_failure_is_raised_and_no_more_are_begun() -> None:
    cells = [1, 99, *range(2, 50)]
    given = Threads(1).map(Summing(np.ones((2, 2), np.float32)), cells)
    next(given)
    with pytest.raises(StudyError, match="Nobody has that many"):
        list(given)
    assert list(Threads(2).map(Summing(np.ones((2, 2))), [])) == []


@dataclass
class Dying:
    """Notes what was begun and by whom; some cells end their process, or another's, or fail."""

    folder: Path

    def __call__(self, cell: int) -> int:
        with (self.folder / "begun").open("a") as begun:
            begun.write(f"{cell}\n")
        once = self.folder / str(cell)
        if cell == 13 or (cell == 3 and not once.exists()):
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if cell == 7:
            raise StudyError("Seven is refused.", "Take eight.")
        if cell == 20:
            once.write_text(str(os.getpid()))
        if cell == 21:  # the other one ends, idle by then or not
            until = time.monotonic() + 60
            while not (other := self.folder / "20").exists() or not other.read_text():
                assert time.monotonic() < until
            os.kill(int(other.read_text()), signal.SIGKILL)
        return cell

    @property
    def begun(self) -> Counter[int]:
        return Counter(map(int, (self.folder / "begun").read_text().split()))


@contextmanager
def pool(work: Dying) -> Iterator[Pool]:
    made = Pool(multiprocessing.get_context("forkserver"), work, 2)
    try:
        yield made
    finally:
        made.close(at_once=False)
    assert not made._workers


def test_a_process_that_dies_is_replaced_and_costs_what_it_had(tmp_path: Path) -> None:
    work, cells = Dying(tmp_path), [*range(7), *range(21, 30), 20]
    with pool(work) as made:
        assert list(made.map(cells)) == cells
    assert work.begun[3] == 2
    assert {cell for cell, times in work.begun.items() if times > 1} <= {3, 20}


def test_a_cell_that_always_ends_its_process_ends_the_study(tmp_path: Path) -> None:
    work = Dying(tmp_path)
    with pool(work) as made, pytest.raises(StudyError, match="4 times with the same cell") as error:
        list(made.map([1, 13, 2]))
    assert error.value.of_machine
    assert work.begun[13] == 1 + AGAIN


def test_what_fails_in_a_process_is_raised_in_its_turn(tmp_path: Path) -> None:
    work = Dying(tmp_path)
    with pool(work) as made:
        given = made.map([*range(8), *range(40, 90)])
        assert [next(given) for _ in range(7)] == list(range(7))
        with pytest.raises(StudyError, match="Seven is refused") as error:
            next(given)
    assert error.value.hint == "Take eight."
    assert "in __call__" in str(error.value.__cause__)
    assert not made._waiting  # no more are begun
