"""A study keeps what is finished, goes on after an interruption, and gives the same results."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinymia import data
from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle
from tinymia.export.personal import personalized_bundle
from tinymia.report import csvs
from tinymia.study.audit import Audit, people_to_audit, plan
from tinymia.study.journal import OUTPUTS, Journal, Unit
from tinymia.study.settings import StudySettings, UnitKey, training_seed
from tinymia.study.training import TrainingOptions
from tinymia.wire.settings import Parameters

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "models" / "har-watch" / "har-watch.bundle"
QUICK = (
    *("--person", "p07", "--person", "p08", "--repetitions", "2", "--epochs", "1,3"),
    *("--defence", "clip,clip+smooth,augment,dp", "--noise", "1.4", "--depth", "last:2"),
    *("--deep-people", "1", "--deep-epochs", "2"),
)
RUNS = ("base", "plain", "clip", "clip+smooth", "dp-1.4", "augment", "plain-last2")


def command(out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "tinymia", "audit", "--out", str(out), *QUICK, *more]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT / "host")}
    return subprocess.run(
        arguments, capture_output=True, text=True, check=False, env=env, timeout=300
    )


def results(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "results.json").read_text())
    content.pop("timings")
    content["context"].pop("command")  # it names the folder
    return content


def children(pid: int) -> list[int]:
    """Process ids of the simulators that this process started."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            name = (entry / "comm").read_text().strip()
        except (OSError, IndexError):
            continue
        if int(words[1]) == pid and name.startswith("qemu-system"):
            found.append(int(entry.name))
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    done = run(*command(out))
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout
    return out


def test_killing_the_simulator_loses_nothing_that_is_finished(
    undisturbed: Path, tmp_path: Path
) -> None:
    env = os.environ | {"PYTHONPATH": str(ROOT / "host")}
    process = subprocess.Popen(
        command(tmp_path, "--boards", "1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "confirmed").glob("*.npz"))) < 3:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for pid in children(process.pid):
        os.kill(pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "The simulator" in errors
    assert "Traceback" not in errors
    kept = {p: p.stat().st_mtime_ns for p in tmp_path.glob("c*/*.npz")}
    assert len(list((tmp_path / "cells").glob("*.npz"))) == 4 * len(RUNS)
    assert 3 <= len(list((tmp_path / "confirmed").glob("*.npz"))) < 2 * len(RUNS) - 1
    assert not (tmp_path / "results.json").exists()

    again = run(*command(tmp_path))
    assert again.returncode == 0, again.stderr
    assert all(p.stat().st_mtime_ns == when for p, when in kept.items())
    assert results(tmp_path) == results(undisturbed)


def test_twin_and_board_give_the_same_study(undisturbed: Path, tmp_path: Path) -> None:
    """Everything on the board, and everything on the twin without a board."""
    few = ("--person", "p07", "--repetitions", "1", "--epochs", "1,3", "--defence", "clip,dp")
    few = (*few, "--noise", "1.4", "--depth", "")
    script = [sys.executable, "-m", "tinymia", "audit", *few, "--out"]
    done = run(*script, str(tmp_path / "board"), "--board-only")
    assert done.returncode == 0, done.stderr
    done = run(*script, str(tmp_path / "twin"), "--target", "twin:")
    assert done.returncode == 0, done.stderr
    board, twin = results(tmp_path / "board"), results(tmp_path / "twin")
    for part in ("leakage", "accuracy", "paired", "roc", "tail_hashes"):
        assert board[part] == twin[part], part
    first = {k: v for k, v in results(undisturbed)["tail_hashes"].items() if "/p07/0" in k}
    assert board["tail_hashes"].items() <= first.items()
    assert board["confirmation"]["main"] == "qemu:netduinoplus2"
    assert twin["confirmation"]["cells_board"] == 0
    assert "train_steps" in board["context"]["device"]
    assert "train_steps" not in twin["context"]["device"]
    assert "Nothing of this study was" in (tmp_path / "twin" / "report.html").read_text()


def test_the_report_names_what_the_board_confirmed(undisturbed: Path) -> None:
    found = results(undisturbed)["confirmation"]
    rows = {row["run"]: row for row in found["rows"]}
    assert sorted(rows) == sorted(RUNS)
    assert all(row["cells"] == 4 for row in rows.values())
    assert {name: row["cells_board"] for name, row in rows.items()} == {
        name: 1 if name == "plain-last2" else 2 for name in RUNS
    }
    assert rows["plain"]["epochs"] == [1, 3]
    assert rows["plain-last2"]["epochs"] == [0, 2]
    page = (undisturbed / "report.html").read_text()
    assert "equal in every bit" in page
    assert "again on stm32f405 (qemu:netduinoplus2)" in page


def test_a_wrong_bit_in_a_confirmed_run_stops_the_audit(undisturbed: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(undisturbed, copy)
    marker = json.loads((copy / "study.json").read_text())
    journal = Journal(copy, {k: v for k, v in marker.items() if k != "fingerprint"})
    key = UnitKey("p08", 0, "clip")
    stored = journal.confirmed.load(key)
    wrong = f"{int(stored.tail_hashes[0], 16) ^ 1:016x}"
    journal.confirmed.save(replace(stored, tail_hashes=(wrong,)))
    done = run(*command(copy))
    assert done.returncode == 1
    assert "does not confirm the twin: p08, repetition 1, clip" in done.stderr
    assert wrong in done.stderr


def test_the_split_is_stored_and_proves_itself(undisturbed: Path) -> None:
    from tinymia.data.splits import Draw, Pool, assert_disjoint

    stored = json.loads((undisturbed / "splits.json").read_text())
    dataset = data.load("watch")
    pools = {p["person"]: Pool.from_json(p, dataset) for p in stored["pools"]}
    assert len(stored["draws"]) == 4
    for entry in stored["draws"]:
        drawn = Draw.from_json(entry)
        assert assert_disjoint(pools[drawn.person], drawn).shared_samples == 0


def test_results_name_everything_they_depend_on(undisturbed: Path) -> None:
    found = results(undisturbed)
    device = found["context"]["device"]
    assert device["bundle_id"] == Bundle.load(BUNDLE).bundle_id
    assert len(device["build_id"]) == 40
    assert device["unit"] == "instructions"
    assert 2000 < device["train_steps"]["clip+smooth"] <= 7300
    assert set(device["train_steps"]) == set(RUNS) - {"base"}
    assert device["payload_fraction"] >= 0.95
    assert len(found["tail_hashes"]) == 4 * (len(RUNS) + 1)
    assert found["context"]["privacy"]["dp-1.4@3"]["epsilon"] > 0
    assert len({v for k, v in found["tail_hashes"].items() if k.startswith("base")}) == 1


def test_another_study_in_the_same_folder_is_refused(undisturbed: Path) -> None:
    done = run(*command(undisturbed, "--seed", "2"))
    assert done.returncode == 1
    assert "another study (different: settings.seed)" in done.stderr
    assert "--fresh" in done.stderr


def test_a_damaged_cell_is_named(undisturbed: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(undisturbed, tmp_path / "copy")
    cell = next((tmp_path / "copy" / "cells").glob("p07-000-plain*"))
    cell.write_bytes(cell.read_bytes()[:100])
    done = run(*command(tmp_path / "copy"))
    assert done.returncode == 1
    assert cell.name in done.stderr
    assert "Delete this file" in done.stderr


def unit(key: UnitKey) -> Unit:
    probs = np.full((1, 4, 7), 1 / 7, np.float32)
    slots, member = np.arange(4), np.array([True, False, True, False])
    return Unit(key, (5,), slots, slots % 7, member, probs, ("ab",), (80,), (9,), (0,))


def test_the_journal_gives_back_what_it_took(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"settings": {"a": 1}, "build": "x"})
    key = UnitKey("p01", 2, "clip+smooth")
    assert not journal.cells.has(key)
    journal.cells.save(unit(key))
    assert journal.cells.has(key)
    assert not journal.confirmed.has(key)
    loaded = journal.cells.load(key)
    assert loaded.probs.tobytes() == unit(key).probs.tobytes()
    assert (loaded.tail_hashes, loaded.steps, loaded.checkpoints) == (("ab",), (80,), (5,))
    Journal(tmp_path, {"settings": {"a": 1}, "build": "x"})
    with pytest.raises(StudyError, match=r"settings\.a"):
        Journal(tmp_path, {"settings": {"a": 2}, "build": "x"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"repetitions": 0},
        {"epochs": (5, 1)},
        {"epochs": ()},
        {"values": {"clip": {"norm": 0.0}}},
        {"values": {"smooth": {"mass": 1.0}}},
        {"defences": ("clip", "clip")},
        {"depths": ("all", "all")},
        {"confirm": -1},
        {"deep_epochs": 0},
        {"members": 0},
        {"policy": "everything"},
        {"split": "random"},
        {"seed": -1},
        {"people": ("p07", "p07")},
        {"repetitions": 65536},
        {"epochs": (65536,)},
    ],
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(StudyError):
        StudySettings(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": float("nan")},
        {"batch": 0},
        {"momentum": 1.0},
        {"beta2": -0.1},
        {"optimizer": "lion"},
        {"schedule": "step"},
        {"train": "tail"},
    ],
)
def test_training_options_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(StudyError):
        TrainingOptions(**wrong)


def test_every_setting_is_part_of_the_fingerprint() -> None:
    """A study with another setting is another study."""
    plain = StudySettings().to_json()
    for other in (
        {"training": TrainingOptions(momentum=0.5)},
        {"values": {"augment": {"shift": 6}}},
        {"values": {"dp": {"noise": (1.0,)}}},
        {"defences": ("clip",)},
        {"depths": ("all",)},
        {"confirm": 2},
        {"deep_epochs": 2},
        {"deep_people": 3},
    ):
        assert StudySettings(**other).to_json() != plain, other
    assert StudySettings(values={"clip": {"norm": 1.0}}).to_json() == plain


def test_runs_of_another_depth_have_a_base_of_their_own() -> None:
    runs = {run.name: run for run in StudySettings(epochs=(2, 9), deep_epochs=3).runs()}
    assert runs["plain"].checkpoints == (2, 9)
    assert runs["plain-all"].checkpoints == (0, 3, 9)
    assert runs["plain-all"].reported == (9,)
    deep = StudySettings(training=TrainingOptions(train="all"), epochs=(2, 9), deep_epochs=3)
    runs = {run.name: run for run in deep.runs()}
    assert "plain-all" not in runs
    assert (runs["plain"].checkpoints, runs["clip"].checkpoints) == ((2, 3, 9), (3, 9))


def test_nobody_of_the_base_model_is_audited() -> None:
    dataset, bundle = data.load("watch"), Bundle.load(BUNDLE)
    public = bundle.meta["provenance"]["public_people"]
    assert not set(people_to_audit(dataset, bundle, ())) & set(public)
    with pytest.raises(StudyError, match="base model was trained on"):
        people_to_audit(dataset, bundle, public[:1])
    with pytest.raises(StudyError, match="nobody called"):
        people_to_audit(dataset, bundle, ("p99",))


def test_nobody_is_audited_on_a_bundle_that_was_personalised_for_them() -> None:
    dataset, base = data.load("watch"), Bundle.load(BUNDLE)
    assert base.tail is not None
    theta = np.concatenate([base.tail.weights.ravel(), base.tail.bias])
    note = {"person": "p07", "dataset_sha256": dataset.sha256}
    head = len(base.layers) - 1
    bundle = personalized_bundle(base, head, Parameters.WEIGHTS, theta, note)
    assert people_to_audit(dataset, bundle, ()) == ["p08", "p09", "p10"]
    with pytest.raises(StudyError, match="trained on p07"):
        people_to_audit(dataset, bundle, ("p07",))


def test_windows_have_the_length_of_the_model() -> None:
    dataset, base = data.load("watch"), Bundle.load(BUNDLE)
    meta = base.meta | {"window": base.meta["window"] | {"length": 100}}
    (job,) = plan(StudySettings(repetitions=1), dataset, ["p07"], replace(base, meta=meta), 200)
    assert job.pool.windows.length == 100
    assert job.pool.gap >= 50
    assert len(job.pool) <= 200


@pytest.mark.parametrize("wrong", [{"boards": -1}, {"settings": StudySettings(policy="label")}])
def test_an_audit_that_cannot_end_does_not_begin(wrong: dict[str, Any], tmp_path: Path) -> None:
    audit = {"settings": StudySettings(), "targets": ("qemu:x",), "out": tmp_path} | wrong
    with pytest.raises(StudyError):
        Audit(bundle_path=BUNDLE, **audit)


def test_a_run_with_other_members_is_not_reported(undisturbed: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(undisturbed, copy)
    cells = copy / "cells"
    shutil.copy(cells / "p07-001-plain.npz", cells / "p07-000-plain.npz")
    done = run(*command(copy))
    assert done.returncode == 1
    assert "p07-000-plain" in done.stderr
    assert "other members" in done.stderr


def test_fresh_removes_what_an_audit_wrote_and_nothing_else(tmp_path: Path) -> None:
    assert set(csvs.FILES) < set(OUTPUTS)
    journal = Journal(tmp_path, {"settings": {"a": 1}})
    key = UnitKey("p01", 0, "plain")
    journal.cells.save(unit(key))
    journal.confirmed.save(unit(key))
    mine = (tmp_path / "notes.txt", tmp_path / "cells" / "notes.txt")
    for path in (*mine, *(tmp_path / name for name in OUTPUTS)):
        path.write_text("{}")
    journal = Journal(tmp_path, {"settings": {"a": 2}}, fresh=True)
    assert not journal.cells.has(key)
    assert not journal.confirmed.has(key)
    assert not [name for name in OUTPUTS if (tmp_path / name).exists()]
    assert all(path.exists() for path in mine)


def test_costs_without_a_study_are_measured_again(tmp_path: Path) -> None:
    (tmp_path / "costs.json").write_text('{"train_step": 1}')
    Journal(tmp_path, {"settings": {"a": 1}})
    assert not (tmp_path / "costs.json").exists()


def test_a_marker_that_is_no_object_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("[]")
    with pytest.raises(StudyError, match="damaged"):
        Journal(tmp_path, {"settings": {"a": 1}})


@pytest.mark.parametrize("person", ["a/b", "../up", "[/x]", "Anna Ö."])
def test_any_name_of_a_person_is_a_file_name(person: str, tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"settings": {}})
    key = UnitKey(person, 0, "plain")
    journal.cells.save(unit(key))
    assert journal.cells.load(key).key == key
    assert len(list((tmp_path / "cells").iterdir())) == 1
    with pytest.raises(StudyError, match="Cannot read"):
        journal.cells.has(UnitKey("x" * 300, 0, "plain"))


def test_a_board_with_another_build_is_not_mixed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from tinymia.study import fleet

    closed: list[bool] = []
    other = SimpleNamespace(
        board=SimpleNamespace(identity=SimpleNamespace(build_id="b" * 40)),
        unit="cycles",
        close=lambda: closed.append(True),
    )
    monkeypatch.setattr(fleet, "connect", lambda *_, **__: other)
    opener = fleet.Fleet(("serial:a",), Bundle.load(BUNDLE), None, "a" * 40, "cycles")
    with pytest.raises(StudyError, match="runs build"):
        opener(0)
    assert closed


def test_an_audit_of_the_top_class_alone(tmp_path: Path) -> None:
    few = ("--person", "p07", "--person", "p08", "--repetitions", "1", "--epochs", "1")
    few = (*few, "--defence", "clip", "--depth", "", "--policy", "top1", "--out", str(tmp_path))
    done = run(sys.executable, "-m", "tinymia", "audit", *few)
    assert done.returncode == 0, done.stderr
    assert results(tmp_path)["headline"] == "confidence"


def test_one_person_with_an_odd_name_gets_no_verdict(tmp_path: Path) -> None:
    dataset = data.load("watch")
    own = [i for i, p in enumerate(dataset.person) if p == "p07"]
    one = replace(
        dataset,
        signals=tuple(dataset.signals[i] for i in own),
        labels=dataset.labels[own],
        person=np.array(["[/x]/.."] * len(own)),
        recording_id=dataset.recording_id[own],
        arm=dataset.arm[own],
    )
    source = tmp_path / "one.npz"
    data.save_npz(one, source)
    out = tmp_path / "out"
    audit = [sys.executable, "-m", "tinymia", "audit", "--data", str(source), "--out", str(out)]
    audit += ["--repetitions", "1", "--epochs", "1", "--target", "twin:"]
    done = run(*audit)
    assert done.returncode == 0, done.stderr
    answer = " ".join(results(out)["answer"])
    assert "distinguishab" not in answer
    assert "no interval" in answer
    assert "could not be checked" in (out / "report.html").read_text()

    data.save_npz(replace(one, labels=one.labels[::-1].copy()), source)
    done = run(*audit)
    assert done.returncode == 1
    assert "different: dataset_sha256" in done.stderr


def test_seeds_differ_between_people_and_repetitions() -> None:
    settings = StudySettings()
    seeds = {training_seed(settings, p, r) for p in range(10) for r in range(50)}
    assert len(seeds) == 500
    people = ["p07", "p08"]
    jobs = plan(StudySettings(repetitions=2), data.load("watch"), people, Bundle.load(BUNDLE))
    assert [job.pool.person for job in jobs] == people
    assert not (jobs[0].draws[0].member == jobs[0].draws[1].member).all()
