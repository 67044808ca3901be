"""A board confirms the twin bit for bit, or the audit stops and names the device."""

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
from tinymia.evidence import AnswerSettings, OutputPolicy, Run, reveal
from tinymia.export.bundle import Bundle
from tinymia.study import recipe
from tinymia.study.audit import Audit
from tinymia.study.board_runs import BoardWork, Job, Runner, ordered
from tinymia.study.confirm import Where, compare, confirmation, jobs_to_confirm
from tinymia.study.devices import Device, load_device, save_device
from tinymia.study.people import Person, plan
from tinymia.study.results import Confirmation
from tinymia.study.settings import StudySettings, is_deep
from tinymia.study.store import Store

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
DEVICE = Device(
    slots=np.arange(4),
    member=np.array([True, False, True, False]),
    answers=np.full((4, 1, 7), 1 / 7, np.float32),
    theta=np.zeros(0, np.float32),
    hash="ab" * 8,
    steps=80,
    clipped=3,
    ticks=9,
)


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
    monkeypatch.setattr(recipe, "check_bundle", lambda *_: None)


@functools.cache
def bundle() -> Bundle:
    return Bundle.load(BUNDLE)


@functools.cache
def people() -> list[Person]:
    return plan(SETTINGS, data.load("watch"), SETTINGS.people, bundle())


@functools.cache
def runs() -> tuple[Run, ...]:
    return SETTINGS.runs(bundle())


def everything() -> list[Job]:
    """All runs, and what of deep training is confirmed."""
    deep = [replace(run, epochs=2) for run in runs() if is_deep(run)]
    return [Job(person, 2, (*runs(), *deep)) for person in people()]


def runner(store: Store, kind: str, board: fakeboard.FakeBoard, partial: bool) -> Runner[Job]:
    work = BoardWork(bundle(), store, kind, "here", 1, partial=partial)
    return Runner(work, lambda *_: board, 1, Quiet(), "")


def work_of(runner: Runner[Job]) -> BoardWork:
    assert isinstance(runner.work, BoardWork)
    return runner.work


def both(folder: Path, board: fakeboard.FakeBoard) -> tuple[list[Job], BoardWork, BoardWork]:
    store = Store(folder)
    twin = runner(store, "devices", fakeboard.FakeBoard(), False)
    confirming = runner(store, "confirmed", board, True)
    jobs = jobs_to_confirm(people(), runs(), SETTINGS)
    twin.run(everything())
    confirming.run(jobs)
    return jobs, work_of(twin), work_of(confirming)


def confirmed(jobs: list[Job], twin: BoardWork, board: BoardWork) -> Confirmation:
    def device(run: Run, person: Person, repetition: int) -> Device:
        return load_device(twin.store, "devices", twin.key(run, person, repetition))

    return confirmation(people(), runs(), jobs, board, device, WHERE)


def test_a_board_that_agrees_is_counted(tmp_path: Path) -> None:
    found = confirmed(*both(tmp_path, fakeboard.FakeBoard()))
    rows = {run.name: row for run, row in zip(runs(), found.rows, strict=True)}
    assert list(rows) == [
        *("base", "plain@1", "plain@4", "clip@4", "dropout@4", "augment@4", "all@4"),
    ]
    # Two people, two repetitions on the twin, one of them on the board.
    assert (rows["plain@4"].devices, rows["plain@4"].devices_board) == (4, 2)
    assert rows["plain@4"].epochs == (4,)
    # Training of every layer is confirmed for one person and up to the second epoch of four.
    assert (rows["all@4"].people, rows["all@4"].epochs) == (("p07",), (2,))
    assert found.devices_board == 2 * 6 + 1
    assert rows["clip@4"].answers == sum(len(person.pool) for person in people())


def test_windows_are_sent_once_a_layout_and_person(tmp_path: Path) -> None:
    board = fakeboard.FakeBoard()
    runner(Store(tmp_path), "devices", board, False).run([Job(p, 2, runs()) for p in people()])
    assert sum(call.startswith("store") for call in board.calls) == 2 * 3
    # One training answers at all epochs of a recipe: base, 1 and 4 are one.
    assert board.calls.count("begin") == 2 * 2 * 5 + 2 * 0


def test_runs_of_one_layout_and_recipe_are_neighbours() -> None:
    names = [run.name for run in ordered(bundle(), runs()[::-1])]
    assert names.index("plain@1") == names.index("base") + 1
    assert names.index("plain@4") == names.index("plain@1") + 1


def test_a_small_store_gets_the_members_and_some_others(tmp_path: Path) -> None:
    board = fakeboard.FakeBoard(capacity=(600, 100))
    jobs, twin, confirming = both(tmp_path, board)
    assert "store 100" in board.calls
    found = confirmed(jobs, twin, confirming)
    row = next(r for run, r in zip(runs(), found.rows, strict=True) if run.name == "augment@4")
    assert row.answers == 2 * 100
    run = next(run for run in runs() if run.name == "augment@4")
    device = load_device(twin.store, "confirmed", confirming.key(run, people()[0], 0))
    assert int(device.member.sum()) == 80
    assert (np.diff(device.slots) > 0).all()


def test_a_store_too_small_for_the_members_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="too few for 80 members"):
        both(tmp_path, fakeboard.FakeBoard(capacity=(600, 80)))
    small = runner(Store(tmp_path / "b"), "devices", fakeboard.FakeBoard((90, 90)), False)
    with pytest.raises(StudyError, match="holds 90 windows where head is trained"):
        small.run(everything())


@pytest.mark.parametrize(
    ("spoil", "says"),
    [("hash", "has weights with the hash"), ("answer", "answers window")],
)
def test_one_wrong_bit_stops_the_audit_and_names_the_device(
    spoil: str, says: str, tmp_path: Path
) -> None:
    done = both(tmp_path, fakeboard.FakeBoard(spoil=spoil))
    with pytest.raises(StudyError) as caught:
        confirmed(*done)
    for words in ("does not confirm", "p07, repetition 1, dropout@4 behind epoch 4", says):
        assert words in caught.value.message
    assert "same source" in caught.value.hint


def test_training_that_diverges_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    bad = runner(store, "devices", fakeboard.FakeBoard(spoil="nan"), False)
    with pytest.raises(StudyError, match="diverged by epoch 4: p07, repetition 1, dropout@4"):
        bad.run(everything())
    run = next(run for run in runs() if run.name == "dropout@4")
    assert not store.has("devices", work_of(bad).key(run, people()[0], 0))


def test_a_stored_hash_that_was_changed_is_found(tmp_path: Path) -> None:
    jobs, twin, confirming = both(tmp_path, fakeboard.FakeBoard())
    run = next(run for run in runs() if run.name == "clip@4")
    key = confirming.key(run, people()[1], 0)
    device = load_device(twin.store, "confirmed", key)
    save_device(twin.store, "confirmed", key, replace(device, hash="0" * 16))
    with pytest.raises(StudyError, match="p08, repetition 1, clip@4"):
        confirmed(jobs, twin, confirming)


@pytest.mark.parametrize("policy", list(OutputPolicy))
def test_a_board_under_any_policy_is_held_against_whole_answers(policy: OutputPolicy) -> None:
    answer = AnswerSettings(policy)
    rng = np.random.default_rng(3)
    odds = rng.random((4, 1, 7)).astype(np.float32)
    whole = replace(DEVICE, answers=(odds / odds.sum(axis=2, keepdims=True)).astype(np.float32))
    where = Where(runs()[3].answering(answer), "p07", 0)
    board = replace(whole, answers=reveal(whole.answers, answer))
    assert compare(where, whole, board) == 4
    wrong = board.answers.copy()
    wrong[3] = wrong[3, :, ::-1]
    with pytest.raises(StudyError, match="window 3 "):
        compare(where, whole, replace(board, answers=wrong))


@pytest.mark.parametrize(
    "wrong", [{"clipped": 7}, {"member": ~DEVICE.member}, {"slots": DEVICE.slots + 1}]
)
def test_other_counts_or_members_are_found(wrong: dict[str, object]) -> None:
    where = Where(runs()[3], "p07", 0)
    with pytest.raises(StudyError, match="does not confirm"):
        compare(where, DEVICE, replace(DEVICE, **wrong))


def test_an_interrupted_study_goes_on_where_it_stopped(tmp_path: Path) -> None:
    jobs = [Job(person, 2, runs()) for person in people()]
    whole, broken = Store(tmp_path / "a"), Store(tmp_path / "b")
    runner(whole, "devices", fakeboard.FakeBoard(), False).run(jobs)
    with pytest.raises(DeviceError, match="line is broken"):
        runner(broken, "devices", fakeboard.FakeBoard(die_after=5), False).run(jobs)
    kept = {p: p.stat().st_mtime_ns for p in (broken.folder / "devices").iterdir()}
    assert kept
    again = runner(broken, "devices", fakeboard.FakeBoard(), False)
    again.run(jobs)
    assert (again.reporter.total, again.reporter.done) == (28, 28)  # type: ignore[attr-defined]
    assert all(p.stat().st_mtime_ns == when for p, when in kept.items())
    for path in (whole.folder / "devices").iterdir():
        assert (broken.folder / "devices" / path.name).read_bytes() == path.read_bytes()


def test_nothing_is_confirmed_where_nothing_is_asked() -> None:
    assert jobs_to_confirm(people(), runs(), replace(SETTINGS, confirm=0)) == []
    shallow = jobs_to_confirm(people(), runs(), replace(SETTINGS, deep_people=0))
    assert not [run for job in shallow for run in job.runs if is_deep(run)]


def test_who_confirms(tmp_path: Path) -> None:
    def audit(*targets: str, board_only: bool = False) -> Audit:
        return Audit(SETTINGS, BUNDLE, targets, tmp_path, board_only=board_only)

    assert audit("qemu:x").confirming == ("qemu:x",)
    assert audit("twin:").confirming == ()
    assert audit("twin:", "qemu:x").confirming == ("qemu:x",)
    with pytest.raises(StudyError, match="twin is no board"):
        audit("twin:", board_only=True)


def test_the_room_is_what_the_store_takes_when_windows_are_sent() -> None:
    """Before training begins all parameters have their memory, though biases alone be trained."""
    board = fakeboard.FakeBoard(capacity=(90, 90))
    begun = SimpleNamespace(capacity=288)
    board.begin = lambda settings: begun  # type: ignore[method-assign]
    assert recipe.capacity(board, bundle(), runs()[:1]) == 90  # type: ignore[arg-type]
