"""The main job on a small study: twin, simulated boards, attacks, interruptions and mistakes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import results_schema
from commandline import tinymia
from tinymia import data
from tinymia.attacks import joint
from tinymia.errors import StudyError
from tinymia.evidence import AnswerSettings, OutputPolicy, Run, reveal
from tinymia.export.bundle import Bundle
from tinymia.report.render import OUTPUTS as PAGE
from tinymia.study.audit import OUTPUTS, Audit
from tinymia.study.people import plan
from tinymia.study.settings import StudySettings, names, training_seed
from tinymia.study.training import TrainingOptions

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "models" / "har-watch" / "har-watch.bundle"
CHEAP = (
    *("--shadows", "16", "--dear-shadows", "16", "--about", "16"),
    *("--epsilon-devices", "0", "--no-flash"),
)
QUICK = (
    *("--person", "p07", "--person", "p08", "--repetitions", "2", "--epochs", "1,3"),
    *("--defence", "clip,clip+smooth,augment,dp", "--noise", "1.4", "--depth", "last:2"),
    *("--deep-people", "1", "--deep-epochs", "2", "--also-policy", "label", *CHEAP),
)
RUNS = ("base", "plain@1", "plain@3", "clip@3", "clip+smooth@3", "augment@3", "dp@3", "last:2@3")


def command(out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "tinymia", "audit", "--out", str(out), *QUICK, *more]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": f"{ROOT / 'host'}:{ROOT / 'tests'}"}
    return subprocess.run(
        arguments, capture_output=True, text=True, check=False, env=env, timeout=600
    )


def results(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "results.json").read_text())
    content.pop("timings")
    content["context"].pop("command")  # it names the folder
    content.pop("digest")  # of that, too
    return content


def stored(out: Path, kind: str) -> dict[str, int]:
    """When each file was written."""
    return {p.name: p.stat().st_mtime_ns for p in (out / "store" / kind).glob("*.npz")}


# An audit whose simulators are killed when the third device is confirmed, however busy the machine.
KILLED = """
import os, signal
from processes import called, descendants
from tinymia.cli.main import main
from tinymia.study import board_work

save, done = board_work.save_device, []

def kept(*device):
    save(*device)
    done.append(device)
    if len(done) == 3:
        for pid in descendants(os.getpid()):
            if called(pid, "qemu-system"):
                os.kill(pid, signal.SIGKILL)

board_work.save_device = kept
main()
"""


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
    """Of an audit that has made its devices and attacked them, but of which no board knows."""
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "store" / "confirmed")
    (tmp_path / "results.json").unlink()
    made = stored(tmp_path, "devices")
    asked = command(tmp_path, "--boards", "1")
    done = run(sys.executable, "-c", KILLED, *asked[3:])
    assert done.returncode == 1, done.stderr
    errors = done.stderr
    assert "The simulator" in errors
    assert "Traceback" not in errors
    kept = stored(tmp_path, "devices") | stored(tmp_path, "confirmed")
    assert kept == made | stored(tmp_path, "confirmed")
    assert len(stored(tmp_path, "confirmed")) == 3 < 2 * len(RUNS) - 1
    assert not (tmp_path / "results.json").exists()

    again = run(*command(tmp_path))
    assert again.returncode == 0, again.stderr
    after = stored(tmp_path, "devices") | stored(tmp_path, "confirmed")
    assert kept.items() <= after.items()
    assert results(tmp_path) == results(undisturbed)


def test_a_study_grows_and_runs_only_what_is_new(tmp_path: Path) -> None:
    """Another defence, repetition and attack: what was there is read; the end is that of a study
    made so from the beginning."""
    few = ("--target", "twin:", "--person", "p07", "--epochs", "1")
    few = (*few, "--depth", "", "--also-policy", "", *CHEAP)
    grown, whole = tmp_path / "grown", tmp_path / "whole"
    script = ["audit", *few, "--out"]
    more = ("--defence", "clip,l2", "--repetitions", "2")
    few = ("--attacks", "calibrated-loss,loss")
    for asked in (("--defence", "clip", "--repetitions", "1", *few), (*more, *few), more):
        before = stored(grown, "devices")
        done = tinymia(*script, str(grown), *asked)
        assert done.code == 0, done.err
        assert before.items() <= stored(grown, "devices").items()
        if asked[-2:] == few:
            finding = results(grown)["findings"]["membership"]
            assert {leak["attack"] for leak in finding["leaks"]} == {"calibrated-loss", "loss"}
            assert {row["used"] for row in results(grown)["context"]["shadows"]} == {0}
    done = tinymia(*script, str(whole), *more)
    assert done.code == 0, done.err
    assert results(grown) == results(whole)
    again = [stored(grown, kind) for kind in ("devices", "scores", "controls")]
    done = tinymia(*script, str(grown), *more, *few)
    assert done.code == 0, done.err
    assert [stored(grown, kind) for kind in ("devices", "scores", "controls")] == again
    chosen, every = (results(out)["findings"]["membership"]["leaks"] for out in (grown, whole))
    assert chosen == [leak for leak in every if leak["attack"] in ("calibrated-loss", "loss")]


def test_twin_and_board_give_the_same_study(undisturbed: Path, tmp_path: Path) -> None:
    """Everything on the board, and everything on the twin without a board."""
    few = ("--person", "p07", "--repetitions", "1", "--epochs", "1,3", "--defence", "clip,dp")
    few = (*few, "--noise", "1.4", "--depth", "", "--also-policy", "", *CHEAP)
    script = [sys.executable, "-m", "tinymia", "audit", *few, "--out"]
    done = run(*script, str(tmp_path / "board"), "--board-only")
    assert done.returncode == 0, done.stderr
    done = run(*script, str(tmp_path / "twin"), "--target", "twin:")
    assert done.returncode == 0, done.stderr
    board, twin = results(tmp_path / "board"), results(tmp_path / "twin")
    assert board["hashes"] == twin["hashes"]
    found = [r["findings"]["membership"] for r in (board, twin)]
    assert found[0]["accuracy"] == found[1]["accuracy"]
    # Attacks that ask for other views of a window do not run on what a board stored. The ridge
    # decoder reads them where there are some, if its left-out error is less so: under noise, where
    # neither way tells anything, a toss-up.
    toss_ups = {("dp@3", attack.info.name) for attack in joint.ATTACKS}
    leaks = [
        {cell: k for k in f["leaks"] if (cell := (k["condition"], k["attack"])) not in toss_ups}
        for f in found
    ]
    assert len(leaks[0]) > 40
    assert leaks[0].items() <= leaks[1].items()
    first = {k: v for k, v in results(undisturbed)["hashes"].items() if "/p07/0" in k}
    assert board["hashes"].items() <= first.items()
    assert board["context"]["confirmation"]["main"] == "qemu:netduinoplus2"
    assert twin["context"]["confirmation"]["devices_board"] == 0
    steps = [{c["condition"]: c["step"] for c in r["context"]["costs"]} for r in (board, twin)]
    assert steps[0]["clip@3"] > 2000
    assert steps[1]["clip@3"] is None
    assert "Nothing of this study was" in (tmp_path / "twin" / "report.html").read_text()


def test_the_results_name_what_the_board_confirmed(undisturbed: Path) -> None:
    found = results(undisturbed)
    rows = dict(zip(RUNS, found["context"]["confirmation"]["rows"], strict=True))
    assert [c["name"] for c in found["findings"]["membership"]["conditions"]] == list(RUNS)
    assert all(row["devices"] == 4 for row in rows.values())
    assert {name: row["devices_board"] for name, row in rows.items()} == {
        name: 1 if name == "last:2@3" else 2 for name in RUNS
    }
    assert rows["plain@3"]["epochs"] == [3]
    assert rows["last:2@3"]["epochs"] == [2]
    page = (undisturbed / "report.html").read_text()
    assert "equal in every bit" in page
    assert "again on stm32f405 (qemu:netduinoplus2)" in page


def test_results_are_valid_by_the_published_schema(undisturbed: Path) -> None:
    results_schema.check(json.loads((undisturbed / "results.json").read_text()))


def test_every_adversary_is_tried_under_every_policy(undisturbed: Path) -> None:
    found = results(undisturbed)["findings"]["membership"]
    assert found["answers"] == ["full", "label"]
    tried = {(k["condition"], k["attack"], k["answer"]) for k in found["leaks"]}
    for row in found["adversaries"]:
        assert all(row["attack"]), row
        assert not row["usual"], row  # nothing was left out
        for attack, answer in zip(row["attack"], found["answers"], strict=True):
            for name in RUNS[1:]:
                deep = name == "last:2@3" and row["adversary"] == "flash"
                assert deep or (name, attack, answer) in tried, (name, attack, answer)


def test_who_asks_for_labels_sees_the_same_under_every_policy(undisturbed: Path) -> None:
    """Scored once, such an attack stands under each policy with the same figure."""
    leaks = results(undisturbed)["findings"]["membership"]["leaks"]
    for attack in ("joint-boundaries", "label-only-boundary", "joint-closer-weights"):
        found = [k for k in leaks if k["attack"] == attack and k["condition"] == "plain@3"]
        assert {k["answer"] for k in found} == {"full", "label"}
        assert len({tuple(k["auc"][part] for part in ("value", "low", "high")) for k in found}) == 1


def test_a_memorised_window_is_found(undisturbed: Path) -> None:
    controls = results(undisturbed)["findings"]["membership"]["controls"]
    (row,) = [c for c in controls if c["name"] == "memorised"]
    assert row["holds"]
    assert row["figure"]["value"] > 0.999  # its shadow devices learnt one window each, too


def test_a_wrong_bit_in_a_confirmed_run_stops_the_audit(undisturbed: Path, tmp_path: Path) -> None:
    from tinymia.study.devices import load_device, save_device
    from tinymia.study.store import Store

    copy = tmp_path / "copy"
    shutil.copytree(undisturbed, copy)
    store = Store(copy)
    key = sorted(stored(copy, "confirmed"))[0].removesuffix(".npz")
    device = load_device(store, "confirmed", key)
    wrong = f"{int(device.hash, 16) ^ 1:016x}"
    save_device(store, "confirmed", key, replace(device, hash=wrong))
    done = run(*command(copy))
    assert done.returncode == 1
    assert "does not confirm the twin" in done.stderr
    assert wrong in done.stderr


def test_the_split_is_stored_and_proves_itself(undisturbed: Path) -> None:
    from tinymia.data.splits import assert_disjoint, draw, model_pool

    kept = json.loads((undisturbed / "splits.json").read_text())
    dataset, meta = data.load("watch"), Bundle.load(BUNDLE).meta
    pools = {p["person"]: model_pool(dataset, p["person"], meta) for p in kept["pools"]}
    assert [pool.to_json() for pool in pools.values()] == kept["pools"]
    assert len(kept["draws"]) == 4
    for entry in kept["draws"]:
        pool = pools[entry["person"]]
        drawn = draw(pool, entry["seed"], entry["repetition"], len(entry["member"]))
        assert drawn.to_json() == entry
        assert assert_disjoint(pool, drawn).shared_samples == 0


def test_results_name_everything_they_depend_on(undisturbed: Path) -> None:
    found = results(undisturbed)
    device = found["context"]["device"]
    assert device["bundle_id"] == Bundle.load(BUNDLE).bundle_id
    assert len(device["build_id"]) == 40
    assert device["unit"] == "instructions"
    costs = {c["condition"]: c for c in found["context"]["costs"]}
    assert 2000 < costs["clip+smooth@3"]["step"] <= 7300
    assert set(costs) == set(RUNS)
    assert device["payload_fraction"] >= 0.95
    assert len(found["hashes"]) == 4 * len(RUNS)
    assert found["context"]["privacy"][0]["epsilon"] > 0
    assert len({v for k, v in found["hashes"].items() if k.startswith("base")}) == 1


def test_a_damaged_device_is_named(undisturbed: Path, tmp_path: Path) -> None:
    shutil.copytree(undisturbed, tmp_path / "copy")
    device = next((tmp_path / "copy" / "store" / "devices").glob("*.npz"))
    device.write_bytes(device.read_bytes()[:100])
    done = run(*command(tmp_path / "copy"))
    assert done.returncode == 1
    assert device.name in done.stderr
    assert "Delete it" in done.stderr


def test_fresh_removes_what_an_audit_wrote_and_nothing_else(tmp_path: Path) -> None:
    from tinymia.study.audit import _clear
    from tinymia.study.store import Store

    store = Store(tmp_path)
    store.save("devices", "k", {"a": np.arange(3)})
    mine = tmp_path / "notes.txt"
    for path in (mine, *(tmp_path / name for name in (*OUTPUTS, *PAGE))):
        path.write_text("{}")
    _clear(Audit(StudySettings(), BUNDLE, ("twin:",), tmp_path, outputs=tuple(PAGE)), store)
    assert not store.has("devices", "k")
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == [mine.name]


@pytest.mark.parametrize(
    "wrong",
    [
        {"repetitions": 0},
        {"epochs": (5, 1)},
        {"epochs": ()},
        {"values": {"clip": {"norm": 0.0}}},
        {"values": {"clip": {"norn": 1.0}}},
        {"values": {"smooth": {"mass": 1.0}}},
        {"defences": ("clip+clip",)},
        {"confirm": -1},
        {"deep_epochs": 0},
        {"members": 0},
        {"policy": "everything"},
        {"policies": ("labels",)},
        {"split": "random"},
        {"seed": -1},
        {"people": ("p07", "p07")},
        {"repetitions": 65536},
        {"epochs": (65536,)},
        {"shadows": 3},
        {"epsilon_devices": 7},
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


def runs_of(**settings: Any) -> dict[str, Run]:
    return {run.name: run for run in StudySettings(**settings).runs(Bundle.load(BUNDLE))}


@pytest.mark.parametrize(
    "other",
    [
        {"training": TrainingOptions(momentum=0.5)},
        {"training": TrainingOptions(learning_rate=0.1)},
        {"values": {"augment": {"shift": 6}}},
        {"values": {"dp": {"noise": (1.0, 3.0)}}},
        {"members": 84},
        {"policy": "rounded"},
    ],
)
def test_every_setting_of_training_and_answers_is_part_of_a_runs_key(other: dict[str, Any]) -> None:
    """A device with another setting is another device."""
    plain = {run.key for run in runs_of().values()}
    assert {run.key for run in runs_of(**other).values()} != plain
    assert {run.key for run in runs_of(values={"clip": {"norm": 1.0}}).values()} == plain


def test_conditions_that_are_the_same_are_one() -> None:
    found = runs_of(defences=("clip+smooth", "smooth+clip", "clip"), depths=("last:4", "all"))
    assert list(found)[5:] == ["clip+smooth@50", "clip@50", "all@50"]
    assert len({run.key for run in found.values()}) == len(found)
    assert "head@50" not in runs_of(depths=("last:1", "head"))


def test_two_strengths_of_a_defence_have_two_names() -> None:
    settings = StudySettings(defences=("dp", "dp+smooth", "clip"))
    found = names(settings.variants())
    assert found == [
        ("dp-1.3", "DP-SGD, noise 1.3"),
        ("dp-3", "DP-SGD, noise 3"),
        ("smooth+dp-1.3", "label smoothing + DP-SGD, noise 1.3"),
        ("smooth+dp-3", "label smoothing + DP-SGD, noise 3"),
        ("clip", "clipping"),
    ]


def test_a_run_is_compared_with_plain_fine_tuning_under_its_own_policy() -> None:
    run = runs_of()["clip@50"].answering(AnswerSettings(OutputPolicy.LABEL))
    assert run.reference is not None
    assert run.reference.answer.policy is OutputPolicy.LABEL
    assert run.reference.name == "plain@50"


def test_answers_on_the_host_are_those_of_a_board() -> None:
    """Rounding, the top class and the label, made of whole answers, in every bit."""
    from tinymia.device.connect import connect
    from tinymia.study.recipe import POLICIES

    bundle = Bundle.load(BUNDLE)
    (person,) = plan(StudySettings(repetitions=1), data.load("watch"), ["p07"], bundle)
    with connect("twin:", bundle.to_bytes()) as opened:
        whole = opened.board.ask(person.windows[:60])[0]
        for policy in OutputPolicy:
            for levels in (1, 2, 7) if policy is OutputPolicy.TOPK else (1, 100, 65535):
                said = opened.board.ask(person.windows[:60], POLICIES[policy], levels)[0]
                ours = reveal(whole, AnswerSettings(policy, levels))
                assert said.tobytes() == ours.tobytes() or (
                    np.array_equal(np.isnan(said), np.isnan(ours))
                    and np.array_equal(np.nan_to_num(said), np.nan_to_num(ours))
                )


def test_windows_have_the_length_of_the_model() -> None:
    dataset, base = data.load("watch"), Bundle.load(BUNDLE)
    window = base.meta["window"] | {"length": 100}
    bundle = replace(base, meta=base.meta | {"window": window})
    (person,) = plan(StudySettings(repetitions=1), dataset, ["p07"], bundle, 200)
    assert person.pool.windows.length == 100
    assert person.pool.gap >= 50
    assert len(person.pool) <= 200


def test_an_audit_that_cannot_end_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(StudyError):
        Audit(StudySettings(), BUNDLE, ("qemu:x",), tmp_path, boards=-1)


def test_a_board_with_another_build_is_not_mixed_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from types import SimpleNamespace

    from tinymia.study import fleet

    closed: list[bool] = []
    other = SimpleNamespace(
        target=SimpleNamespace(unit="cycles", close=lambda: closed.append(True)),
        board=SimpleNamespace(identity=SimpleNamespace(build_id="b" * 40, unit="cycles")),
    )
    monkeypatch.setenv("TINYMIA_CACHE", str(tmp_path))
    monkeypatch.setattr(fleet, "connect", lambda *_, **__: other)
    opener = fleet.Fleet(("serial:a",), Bundle.load(BUNDLE), build_id="a" * 40, unit="cycles")
    with pytest.raises(StudyError, match="runs build"):
        opener(0)
    assert closed


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
    audit += ["--repetitions", "1", "--epochs", "1", "--target", "twin:", "--also-policy", ""]
    audit += [*CHEAP, "--defence", "clip", "--depth", ""]
    done = run(*audit)
    assert done.returncode == 0, done.stderr
    found = results(out)["findings"]["membership"]
    assert {row["verdict"] for row in found["paired"]} == {"not measured"}
    # Nobody else's windows are there, so nobody can train on them.
    assert not [k for k in found["leaks"] if k["attack"].endswith("-others")]
    assert "nobody here was found to be among those" in (out / "report.html").read_text()


def test_seeds_differ_between_people_and_repetitions() -> None:
    seeds = {training_seed(1, p, r) for p in range(10) for r in range(50)}
    assert len(seeds) == 500
    settings = StudySettings(repetitions=2)
    people = plan(settings, data.load("watch"), ["p07", "p08"], Bundle.load(BUNDLE))
    assert [person.name for person in people] == ["p07", "p08"]
    assert not (people[0].draws[0].member == people[0].draws[1].member).all()
