"""A board confirms the twin bit for bit, or the audit stops and names the cell."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import fakeboard
from tinymia import data
from tinymia.errors import DeviceError, StudyError
from tinymia.export import depth
from tinymia.export.bundle import Bundle
from tinymia.study import runner
from tinymia.study.audit import Audit, plan
from tinymia.study.confirm import compare, confirmation, jobs_to_confirm
from tinymia.study.fleet import TWIN
from tinymia.study.journal import Journal
from tinymia.study.runner import Job, Runner, tasks_of
from tinymia.study.settings import StudySettings, UnitKey
from tinymia.wire.settings import Parameters

BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"
SETTINGS = StudySettings(
    people=("p07", "p08"),
    repetitions=2,
    epochs=(1, 4),
    defences=("clip", "dropout", "augment"),
    depths=("all",),
    deep_people=1,
    deep_epochs=2,
)
WHERE = {"main": "twin:", "board": "fake:"}


class Quiet:
    def begin(self, total: int, what: str) -> None:
        self.total, self.done = total, 0

    def stage(self, person: str, what: str) -> None:
        pass

    def finish(self, person: str) -> None:
        pass

    def advance(self, units: int) -> None:
        self.done += units


@pytest.fixture(autouse=True)
def _any_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    first = {"head": (5, Parameters.WEIGHTS), "all": (0, Parameters.WEIGHTS)}
    monkeypatch.setattr(depth, "resolve", lambda _, text: first[text])
    monkeypatch.setattr(runner, "check_bundle", lambda *_: None)


@functools.cache
def jobs_of() -> list[Job]:
    bundle = Bundle.load(BUNDLE)
    tasks = tasks_of(bundle, SETTINGS)
    return plan(SETTINGS, data.load("watch"), SETTINGS.people, bundle, tasks=tasks)


def work(jobs: list[Job], cells: object, board: fakeboard.FakeBoard, partial: bool) -> Quiet:
    quiet = Quiet()
    Runner(
        SETTINGS, Bundle.load(BUNDLE), cells, lambda _: board, 1, quiet, "", partial=partial
    ).run(jobs)
    return quiet


def both(folder: Path, board: fakeboard.FakeBoard) -> tuple[list[Job], list[Job], Journal]:
    jobs, journal = jobs_of(), Journal(folder, {"settings": {}})
    confirmed = jobs_to_confirm(jobs, SETTINGS)
    work(jobs, journal.cells, fakeboard.FakeBoard(), False)
    work(confirmed, journal.confirmed, board, True)
    return jobs, confirmed, journal


def test_a_board_that_agrees_is_counted(tmp_path: Path) -> None:
    jobs, confirmed, journal = both(tmp_path, fakeboard.FakeBoard())
    found = confirmation(jobs, confirmed, journal, WHERE)
    rows = {row["run"]: row for row in found["rows"]}
    assert list(rows) == ["base", "plain", "clip", "dropout", "augment", "plain-all"]
    # Two people, two repetitions on the twin, one of them on the board.
    assert (rows["plain"]["cells"], rows["plain"]["cells_board"]) == (4, 2)
    assert rows["plain"]["epochs"] == [1, 4]
    assert rows["plain"]["hashes"] == 4
    # Training of every layer is confirmed for one person and up to the second epoch of four.
    assert (rows["plain-all"]["people"], rows["plain-all"]["epochs"]) == (["p07"], [0, 2])
    assert found["cells_board"] == 2 * 5 + 1
    queries = sum(int((d.member | d.nonmember).sum()) for d in (j.draws[0] for j in jobs))
    assert rows["clip"]["answers"] == queries


def test_windows_are_sent_once_a_layout() -> None:
    tasks = jobs_of()[0].tasks
    assert [t.layout.raw for t in tasks] == [False, False, False, False, True, False]
    assert [t.layout.first_layer for t in tasks] == [5, 5, 5, 5, 5, 0]


def test_the_line_carries_windows_once_a_layout_and_person(tmp_path: Path) -> None:
    board = fakeboard.FakeBoard()
    work(jobs_of(), Journal(tmp_path, {"settings": {}}).cells, board, False)
    assert sum(call.startswith("store") for call in board.calls) == 2 * 3


def test_a_small_store_gets_the_members_and_some_others(tmp_path: Path) -> None:
    board = fakeboard.FakeBoard(capacity=(600, 100))
    jobs, confirmed, journal = both(tmp_path, board)
    assert "store 100" in board.calls
    found = confirmation(jobs, confirmed, journal, WHERE)
    rows = {row["run"]: row for row in found["rows"]}
    assert rows["augment"]["answers"] == 2 * 100
    unit = journal.confirmed.load(UnitKey("p07", 0, "augment"))
    assert int(unit.member.sum()) == 80
    assert (np.diff(unit.slots) > 0).all()


def test_a_store_too_small_for_the_members_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="too few for 80 members"):
        both(tmp_path, fakeboard.FakeBoard(capacity=(600, 80)))
    with pytest.raises(StudyError, match="holds 90 windows where head is trained"):
        work(
            jobs_of(),
            Journal(tmp_path / "b", {"settings": {}}).cells,
            fakeboard.FakeBoard((90, 90)),
            False,
        )


@pytest.mark.parametrize(
    ("spoil", "says"),
    [("hash", "has weights with the hash"), ("answer", "answers window")],
)
def test_one_wrong_bit_stops_the_audit_and_names_the_cell(
    spoil: str, says: str, tmp_path: Path
) -> None:
    jobs, confirmed, journal = both(tmp_path, fakeboard.FakeBoard(spoil=spoil))
    with pytest.raises(StudyError) as caught:
        confirmation(jobs, confirmed, journal, WHERE)
    for words in ("does not confirm", "p07, repetition 1, dropout", says, "behind epoch 4"):
        assert words in caught.value.message
    assert "same source" in caught.value.hint


def test_training_that_diverges_is_named(tmp_path: Path) -> None:
    cells = Journal(tmp_path, {"settings": {}}).cells
    with pytest.raises(StudyError, match="diverged by epoch 4: p07, repetition 1, dropout"):
        work(jobs_of(), cells, fakeboard.FakeBoard(spoil="nan"), False)
    assert not cells.has(UnitKey("p07", 0, "dropout"))


def test_a_stored_hash_that_was_changed_is_found(tmp_path: Path) -> None:
    from dataclasses import replace

    jobs, confirmed, journal = both(tmp_path, fakeboard.FakeBoard())
    key = UnitKey("p08", 0, "clip")
    unit = journal.confirmed.load(key)
    journal.confirmed.save(replace(unit, tail_hashes=("0" * 16,)))
    with pytest.raises(StudyError, match="p08, repetition 1, clip"):
        confirmation(jobs, confirmed, journal, WHERE)


def test_answers_under_a_policy_that_hides_classes_compare_equal(tmp_path: Path) -> None:
    from dataclasses import replace

    _, _, journal = both(tmp_path, fakeboard.FakeBoard())
    unit = journal.cells.load(UnitKey("p07", 0, "clip"))
    hidden = unit.probs.copy()
    hidden[..., 1:] = np.nan
    assert compare(replace(unit, probs=hidden), replace(unit, probs=hidden.copy())) > 0
    other = hidden.copy()
    other[0, 3, 0] = 0.5
    with pytest.raises(StudyError, match=f"window {unit.slots[3]} "):
        compare(replace(unit, probs=hidden), replace(unit, probs=other))


def test_other_counts_or_members_are_found(tmp_path: Path) -> None:
    from dataclasses import replace

    _, _, journal = both(tmp_path, fakeboard.FakeBoard())
    unit = journal.cells.load(UnitKey("p07", 0, "clip"))
    for wrong in (
        {"clipped": (7,)},
        {"member": ~unit.member},
        {"slots": unit.slots + 1},
        {"checkpoints": (9,)},
    ):
        with pytest.raises(StudyError, match="does not confirm"):
            compare(unit, replace(unit, **wrong))


def test_an_interrupted_study_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = Journal(tmp_path / "a", {"settings": {}})
    work(jobs_of(), whole.cells, fakeboard.FakeBoard(), False)
    broken = Journal(tmp_path / "b", {"settings": {}})
    with pytest.raises(DeviceError, match="line is broken"):
        work(jobs_of(), broken.cells, fakeboard.FakeBoard(die_after=9), False)
    kept = {p: p.stat().st_mtime_ns for p in broken.cells.folder.iterdir()}
    assert len(kept) == 9
    quiet = work(jobs_of(), broken.cells, fakeboard.FakeBoard(), False)
    assert (quiet.total, quiet.done) == (24, 24)
    assert all(p.stat().st_mtime_ns == when for p, when in kept.items())
    for path in whole.cells.folder.iterdir():
        assert (broken.cells.folder / path.name).read_bytes() == path.read_bytes()


def test_nothing_is_confirmed_where_nothing_is_asked() -> None:
    from dataclasses import replace

    assert jobs_to_confirm(jobs_of(), replace(SETTINGS, confirm=0)) == []
    shallow = jobs_to_confirm(jobs_of(), replace(SETTINGS, deep_people=0))
    assert not [task for job in shallow for task in job.tasks if task.run.deep]


def test_who_runs_and_who_confirms(tmp_path: Path) -> None:
    def audit(*targets: str, board_only: bool = False) -> Audit:
        return Audit(SETTINGS, BUNDLE, targets, tmp_path, board_only=board_only)

    assert (audit("qemu:x").main, audit("qemu:x").confirming) == ((TWIN,), ("qemu:x",))
    assert audit("twin:?arena=200000").main == ("twin:?arena=200000",)
    assert audit("twin:").confirming == ()
    assert audit("twin:", "qemu:x").confirming == ("qemu:x",)
    assert audit("qemu:x", board_only=True).main == ("qemu:x",)
    with pytest.raises(StudyError, match="twin is no board"):
        audit("twin:", board_only=True)


def test_the_room_is_what_the_store_takes_when_windows_are_sent() -> None:
    """Before training begins all parameters have their memory, though biases alone be trained."""
    board = fakeboard.FakeBoard(capacity=(90, 90))
    begun = SimpleNamespace(capacity=288)
    board.begin = lambda settings: begun  # type: ignore[method-assign]
    settings = replace(SETTINGS, defences=(), depths=())
    tasks = tasks_of(Bundle.load(BUNDLE), settings)
    assert runner.capacity(board, tasks, settings) == 90
