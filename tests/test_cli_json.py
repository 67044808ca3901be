"""What a CI job needs of verbs: figures as JSON on standard output, and quiet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import synthetic_results
from extras import needs_flower
from tinymia.cli.main import VERBS, cli
from tinymia.device.boards import boards
from tinymia.export.bundle import Bundle

BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"


def ran(*words: str) -> Any:
    done = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert done.exit_code == 0
    return done


def printed(*words: str) -> Any:
    return json.loads(ran(*words, "--json").stdout)


def test_boards_data_and_files_are_listed() -> None:
    assert [row["id"] for row in printed("boards")] == list(boards())
    listed = printed("data")
    assert listed["people"][0] == "p01"
    assert listed["counts"][0]["recordings"] > 0
    found = printed("info", str(BUNDLE))
    assert found["bundle_id"] == Bundle.load(BUNDLE).bundle_id
    assert found["macs"] == sum(row["macs"] for row in found["operators"])
    assert {row["board"] for row in found["boards"]} <= set(boards())
    (one,) = printed("info", "--brief", str(BUNDLE.with_suffix(".tflite")))
    assert one["verdict"] == "loads"
    assert any(row["target"].startswith("qemu:") for row in printed("devices", "--no-ask"))


def test_what_only_lists_is_json_too(tmp_path: Path) -> None:
    """Flags with which a verb prints something else, and does nothing else."""
    assert {"watch", "npz"} <= {row["name"] for row in printed("data", "--sources")["sources"]}
    assert "CSV" in printed("data", "csv-folder")["help"]
    assert all(
        Path(made).is_file() for made in printed("data", "--template", f"{tmp_path}/x")["files"]
    )
    assert "[[rule]]" in printed("check", "--template")["template"]
    listed = printed("check", f"{tmp_path}/none", "--figures")
    assert "membership.auc" in {row["figure"] for row in listed}


def test_a_board_says_who_it_is_and_answers() -> None:
    found = printed("info", "--target", "twin:")
    assert found["info"]["classes"] == 7
    asked = printed("query", "--target", "twin:", "--person", "p07", "--limit", "3")
    assert [row["window"] for row in asked] == [0, 1, 2]
    for row in asked:
        odds = row["probabilities"]
        assert max(odds, key=odds.__getitem__) == row["answer"]
    hidden = printed("query", "--target", "twin:", "--person", "p07", "--policy", "top1")
    assert None in hidden[0]["probabilities"].values()


def test_fine_tuning_has_its_gain() -> None:
    found = printed("personalize", "--person", "p07", "--target", "twin:", "--epochs", "2")
    assert found["accuracy"]["members"]["windows"] == 80
    assert 0.5 < found["accuracy"]["held-out"]["after"] <= 1
    assert found["steps"] == 160


def test_a_bench_prints_figures_and_no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinymia.twin import bench

    rate = bench.throughput(Bundle.load(BUNDLE), devices=64, threads=1)
    monkeypatch.setattr(bench, "throughput", lambda *_, **__: rate)
    monkeypatch.setattr(bench, "peer_task", lambda *_, **__: bench.PeerTask("a", 1, 1.0, 2.0, 1.0))
    found = printed("bench", "twin")["twin"]
    assert found["throughput"][0]["per_second"] == rate.per_second


def test_the_store_has_its_rates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tinymia.study import store_bench

    monkeypatch.setattr(store_bench.rates, "__defaults__", (3,))
    rates = printed("bench", "store", "--out", str(tmp_path))["store"]["rates"]
    assert len(rates) == 4
    assert all(row["per_second"] > 0 for row in rates)
    assert list(tmp_path.iterdir()) == []


def test_epsilon_has_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = synthetic_results.epsilon()[0]
    monkeypatch.setattr("tinymia.study.epsilon_devices.check_claim", lambda *_, **__: finding)
    found = printed("epsilon", "--devices", "400", "--epochs", "1", "--members", "8")
    assert {row["relation"] for row in found["checked"]} == {"add", "remove", "replace"}


def test_federation_is_what_it_stores(tmp_path: Path) -> None:
    from tinymia.study.federated_results import RESULTS

    out = tmp_path / "out"
    words = ("federate", "--devices", "4", "--rounds", "1", "--windows", "8", "--out", str(out))
    needs_flower()
    assert printed(*words) == json.loads((out / RESULTS).read_text())


@pytest.mark.parametrize("quiet", [False, True])
def test_quiet_leaves_out_progress_and_notes(quiet: bool) -> None:
    words = ("query", "--target", "twin:", "--person", "p07", "--limit", "1")
    done = ran(*words, *(["--quiet"] if quiet else []))
    assert done.stdout.startswith("window,answer")
    assert ("Asking" in done.stderr) is not quiet


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_can_be_quiet(verb: str) -> None:
    assert "--quiet" in ran(verb, "--help").stdout


def inner(verb: str) -> list[list[str]]:
    """A verb, or all that it is made of."""
    command = cli.get_command(click.Context(cli), verb)
    return [[verb, name] for name in getattr(command, "commands", {})] or [[verb]]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_its_figures_as_json(verb: str) -> None:
    for words in inner(verb):
        told = ran(*words, "--help").stdout
        assert "--json" in told, words
        assert "--quiet" in told, words
        assert "Exit status: 0 done; 1 " in told or "0  all rules hold" in told, words


def test_quiet_before_a_verbs_part_holds_for_it(tmp_path: Path) -> None:
    from tinymia.cli.options import is_quiet

    CliRunner().invoke(cli, ["study", "--quiet", "show", str(tmp_path / "none.toml")])
    assert is_quiet()
    CliRunner().invoke(cli, ["study", "show", str(tmp_path / "none.toml")])
    assert not is_quiet()


def test_an_import_and_a_shorter_bundle(tmp_path: Path) -> None:
    out = tmp_path / "a.bundle"
    tflite = str(BUNDLE.with_suffix(".tflite"))
    found = printed("import", tflite, "--labels", "a,b,c,d,e,f,g", "--out", str(out))
    assert found["bundle_id"] == Bundle.load(out).bundle_id
    assert found["checked"]["differing"] == 0
    assert found["macs"] > 43_000
    short = printed("import", str(out), "--train", "head", "--out", str(tmp_path / "b.bundle"))
    assert short["parameters"] == 455 < found["parameters"]


def test_forgetting_has_its_cost(tmp_path: Path) -> None:
    words = ("forget", "--person", "p07", "--target", "twin:", "--epochs", "2", "--members", "8")
    found = printed(*words, "--train", "last:2")
    assert found["forgotten"] == 1
    assert found["cost"] > 0
    assert found["place_by_difference"] is None


def test_what_a_release_build_is_provided_with(tmp_path: Path) -> None:
    kept = tmp_path / "kept.bundle"
    words = ("export", "--budget-epsilon", "4", "--answers", "rounded", "--levels", "10")
    made = printed(*words, "--updates", "5", "--out", str(kept))
    assert made["bundle_id"] == Bundle.load(kept).bundle_id
    assert made["answers"] == {"policy": "rounded", "levels": 10}
    assert made["budget"]["steps"] > 0
    assert made["updates"]["updates"] == 5
