"""Simulators share the processors of this machine evenly, each on one of its own."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tinymia.device.process import ChildProcess

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"),
    reason="needs Linux, where a program says on which processor it runs",
)

Start = Callable[[bool], ChildProcess]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a process; other programs' simulators are not seen."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    children = []

    def one(pinned: bool) -> ChildProcess:
        children.append(ChildProcess("it", ["sleep", "60"], pinned=pinned))
        return children[-1]

    yield one
    for child in children:
        child.end()


def where(child: ChildProcess) -> set[int]:
    return os.sched_getaffinity(child.pid)


def test_each_has_one_processor_and_all_are_used_evenly(start: Start) -> None:
    ours = os.sched_getaffinity(0)
    places = [where(start(True)) for _ in range(2 * len(ours))]
    assert all(len(place) == 1 for place in places)
    assert Counter(place.pop() for place in places) == dict.fromkeys(ours, 2)


def test_who_ends_makes_room(start: Start) -> None:
    first = start(True)
    place = where(first)
    for _ in range(len(os.sched_getaffinity(0)) - 1):
        assert where(start(True)) != place
    first.end()
    assert where(start(True)) == place


def test_others_run_where_they_like(start: Start) -> None:
    start(True)
    assert where(start(False)) == os.sched_getaffinity(0)


def test_without_a_lock_it_runs_anywhere(start: Start, tmp_path: Path) -> None:
    for processor in os.sched_getaffinity(0):
        for turn in range(8):
            (tmp_path / f"tinymia-{os.getuid()}-processor-{processor}-{turn}").mkdir()
    assert where(start(True)) == os.sched_getaffinity(0)
