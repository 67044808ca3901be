"""Cells in this thread, in threads and in processes: the same results, in order."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tinymia.errors import StudyError
from tinymia.study.executors import Here, Threads


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
