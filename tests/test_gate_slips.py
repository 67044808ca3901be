"""`tinymia check` against whoever wants a policy to hold: nothing empty, swapped or weak does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import synthetic_results as made
from tinymia.cli.main import cli
from tinymia.experiments.epsilon import devices_for, reach
from tinymia.export.bundle import Bundle
from tinymia.gate.chapters import kinds_of
from tinymia.gate.judge import Outcome, judge, overall
from tinymia.gate.policy import read
from tinymia.study.results import RESULTS, Results, Setting, to_json, write_json

HAR_WATCH = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"
HOLDS = 'figure = "membership.auc"\nadversary = "no-shadows"\nat_most = 0.9'


def written(results: Results, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    write_json(folder / RESULTS, to_json(results))
    return folder


def check(folder: Path, text: str, *more: str | Path, head: str = "") -> Result:
    path = folder / "p.toml"
    path.write_text(f"{head}\n[[rule]]\n{text}\n")
    arguments = ["check", str(folder), "--policy", str(path), *map(str, more)]
    return CliRunner().invoke(cli, arguments)


def status(done: Result) -> int:
    """What the shell sees."""
    return getattr(done.exception, "exit_status", done.exit_code)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(made.results(epsilon=made.epsilon(), user_level=made.user_level()), tmp_path)


def finding(content: Any) -> Any:
    return content["findings"]["membership"]


def halve(content: Any) -> None:
    for leak in finding(content)["leaks"]:
        leak["auc"] = {**leak["auc"], "value": 0.5, "low": 0.49, "high": 0.51}


def swap(content: Any) -> None:
    finding(content)["strongest"] = "no-shadows"


def nobody(content: Any) -> None:
    finding(content)["counts"]["people"] = []


def unsigned(content: Any) -> None:
    del content["digest"]


def cheap(content: Any) -> None:
    for cost in content["context"]["costs"]:
        cost["step"] = 1.0


@pytest.mark.parametrize("edit", [halve, swap, nobody, cheap, unsigned])
def test_results_that_somebody_changed_are_no_verdict(
    edit: Callable[[Any], None], folder: Path
) -> None:
    assert status(check(folder, HOLDS)) == 0
    content = json.loads((folder / RESULTS).read_text())
    edit(content)
    (folder / RESULTS).write_text(json.dumps(content))
    done = check(folder, HOLDS)
    assert status(done) == 64
    assert "changed" in str(done.exception.message)  # type: ignore[union-attr]
    # Nor are they what others are held against.
    whole = written(made.results(), folder / "whole")
    margin = 'figure = "membership.auc"\nworse_by_at_most = 0.02'
    assert status(check(whole, margin, "--against", folder)) == 64


def test_times_are_no_part_of_what_was_written(folder: Path) -> None:
    content = json.loads((folder / RESULTS).read_text())
    content["timings"]["total_seconds"] += 1
    (folder / RESULTS).write_text(json.dumps(content, indent=3, sort_keys=True))
    assert status(check(folder, HOLDS)) == 0


@pytest.mark.parametrize(
    "rule",
    [
        'figure = "membership.auc"\nat_most = 1',
        'figure = "membership.tpr"\nat_most = 1.0',
        'figure = "accuracy.heldout"\nat_least = 0',
        'figure = "accuracy.gain"\nat_least = -1',
        'figure = "confirmation.devices"\nat_least = 0',
        'figure = "membership.auc"\nworse_by_at_most = 2',
    ],
)
def test_a_limit_that_every_figure_keeps_is_a_slip(rule: str, folder: Path) -> None:
    done = check(folder, rule)
    assert status(done) == 64
    assert "limits nothing" in done.exception.message  # type: ignore[union-attr]


def test_a_rule_that_meets_no_figure_holds_for_nothing(tmp_path: Path) -> None:
    results = made.results()
    without = replace(results, context=replace(results.context, costs=(), shadows=()))
    folder = written(without, tmp_path)
    for figure in ("cost.step", "cost.workspace"):
        done = check(folder, f'figure = "{figure}"\ncondition = "every"\nat_most = 5')
        assert (status(done), "no such figure" in done.output) == (2, True)
    shadows = 'figure = "audit.shadows"\ncondition = "every"\nat_least = 5'
    assert status(check(folder, shadows)) == 2


@pytest.mark.parametrize("adversary", ["no-shadows", "joint", "every"])
def test_the_base_model_gives_nobody_away_whatever_is_shipped(adversary: str, folder: Path) -> None:
    done = check(
        folder,
        f'figure = "membership.auc"\ncondition = "base"\nadversary = "{adversary}"\nat_most = 0.6',
    )
    assert (status(done), "learnt nothing" in done.output) == (2, True)


def test_nothing_is_worse_than_itself(folder: Path) -> None:
    margin = 'figure = "membership.auc"\nworse_by_at_most = 0.02'
    (folder / "same").symlink_to(folder)
    for other in (folder, folder / "same"):
        done = check(folder, margin, "--against", other)
        assert status(done) == 64
        assert "nothing is worse than itself" in done.exception.message  # type: ignore[union-attr]
    # An audit of the same that somebody else made is no slip.
    again = written(made.results(epsilon=made.epsilon()), folder / "again")
    assert status(check(folder, margin, "--against", again)) == 0


def asked(results: Results, **settings: str) -> Results:
    rows = tuple(Setting(name, value) for name, value in settings.items())
    return replace(results, context=replace(results.context, settings=rows))


LEAKS = {"membership.auc", "owner.auc", "epsilon.measured"}


@pytest.mark.parametrize(
    ("setting", "figures"),
    [
        ("shadows", LEAKS),
        ("about", LEAKS),
        ("epsilon_devices", LEAKS),
        ("members", {"membership.auc", "owner.auc", "accuracy.heldout"}),
        ("split", {"membership.auc", "owner.auc", "accuracy.heldout"}),
    ],
)
def test_an_audit_that_asks_less_is_not_less_of_a_leak(
    setting: str, figures: set[str], tmp_path: Path
) -> None:
    results = made.results(epsilon=made.epsilon(), user_level=made.user_level())
    new, old = (asked(results, **{setting: value}) for value in ("16", "256"))
    path = tmp_path / "p.toml"
    for figure in (*LEAKS, "accuracy.heldout", "cost.step"):
        # Wide enough for figures of few people that nothing pairs, too.
        margin = 50 if figure in ("cost.step", "epsilon.measured") else 0.9
        path.write_text(f'[[rule]]\nfigure = "{figure}"\nworse_by_at_most = {margin}')
        policy = read(path, kinds_of(new))
        assert overall(judge(policy, new, new)) is Outcome.HOLDS
        found = judge(policy, new, old)
        refused = (
            f"asked otherwise, so this is no change of the model: {setting} 256 before, 16 now"
        )
        assert {refused in one.why for one in found} == {figure in figures}
        wanted = Outcome.CANNOT_TELL if figure in figures else Outcome.HOLDS
        assert overall(found) is wanted, figure


def test_how_large_an_audit_must_be_is_a_rule(folder: Path) -> None:
    for figure, there in (("people", 4), ("repetitions", 10), ("shadows", 256)):
        rule = f'figure = "audit.{figure}"\nat_least = '
        assert status(check(folder, f"{rule}{there}")) == 0
        assert status(check(folder, f"{rule}{there + 1}")) == 1


def test_few_devices_cannot_keep_epsilon_below_a_limit(tmp_path: Path) -> None:
    def audit(devices: int, curve: bool = True) -> Path:
        (found,) = made.epsilon()
        rows = tuple(row if curve else replace(row, chance={}) for row in found.checked)
        design = replace(found.design, devices=devices)
        few = replace(found, design=design, checked=rows)
        return written(made.results(epsilon=(few,)), tmp_path / f"{devices}{curve}")

    def rule(limit: str, more: str = "") -> str:
        return f'figure = "epsilon.measured"\nrelation = "add"\nat_most = {limit}\n{more}'

    few, many = audit(2000), audit(20_000)
    # The bound is 4.33 in both: what is beyond stays so, however few they are.
    assert [status(check(few, rule(limit))) for limit in ("4", "5", "7")] == [1, 0, 2]
    assert status(check(many, rule("7"))) == 0
    done = check(few, rule("7"))
    assert "2,000 devices show an epsilon of 5." in done.output
    assert "--epsilon-devices" in done.output
    # A claim's whole curve is contradicted by few devices, too; a bare claim is not.
    assert status(check(few, rule('"claimed"'))) == 0
    assert status(check(audit(2000, curve=False), rule('"claimed"'))) == 2
    # Which audit is meant can be said.
    assert status(check(many, rule('"claimed"', 'at = { windows = "80" }'))) == 0
    assert status(check(many, rule('"claimed"', 'at = { windows = "3" }'))) == 2


@pytest.mark.parametrize("devices", [400, 2000, 20_000])
def test_devices_that_would_do_are_enough_and_not_too_many(devices: int) -> None:
    most = reach(devices, 1e-3, 0.95)
    assert 0 < most < reach(4 * devices, 1e-3, 0.95)
    needed = devices_for(most + 1, devices, most)
    assert reach(needed, 1e-3, 0.95) > most + 1
    assert reach(needed // 2, 1e-3, 0.95) < most + 1


def test_a_policy_says_of_what_audit_it_speaks(tmp_path: Path) -> None:
    results = asked(
        made.results(),
        dataset="watch",
        epochs="1, 5, 20, 50",
        attacks="all",
        **{"training.learning_rate": "0.2", "every_attack": "False", "people": ""},
    )
    device = replace(results.context.device, bundle_id=Bundle.load(HAR_WATCH).bundle_id)
    folder = written(
        replace(results, context=replace(results.context, device=device)), tmp_path / "audit"
    )
    (folder / "mine.bundle").write_bytes(HAR_WATCH.read_bytes())
    for wanted in (
        'bundle = "mine.bundle"',
        f'bundle = "{device.bundle_id}"',
        f'data = "{"ab" * 32}"',
        'data = "abababab"',
        'dataset = "watch"\nepochs = [1, 5, 20, 50]\nattacks = "all"\nevery_attack = false',
        "training.learning_rate = 0.20",
        'people = ""',
        "people = []",
    ):
        assert status(check(folder, HOLDS, head=f"[audit]\n{wanted}")) == 0, wanted
    for wrong, says in (
        ('bundle = "0123456789abcdef"', f"these results have {device.bundle_id}"),
        ('bundle = "none.bundle"', "Cannot read the bundle"),
        ('bundle = "p.toml"', "p.toml:2: "),
        (f'data = "{"ac" * 32}"', "with data acac"),
        ('data = "watch"', "the beginning of a SHA-256"),
        ("epochs = 50", "epochs 50, these results have 1, 5, 20, 50"),
        ('attacks = ["no-shadows"]', "these results have all"),
        ("training.learning_rate = 0.3", "training.learning_rate 0.3"),
        ("epoch = 50", "no setting 'epoch'"),
        ("epochs = 1979-05-27", "must be a text, a number"),
        ("every_attack = true", "every_attack True, these results have False"),
    ):
        done = check(folder, HOLDS, head=f"[audit]\n{wrong}")
        assert status(done) == 64, wrong
        assert says in done.exception.message  # type: ignore[union-attr]
        assert "p.toml:" in done.exception.message  # type: ignore[union-attr]
    done = check(folder, HOLDS, head="audit = 3")
    assert (status(done), "audit is a table" in done.exception.message) == (64, True)  # type: ignore[union-attr]


def test_code_review_is_shown_problems_alone(folder: Path) -> None:
    """GitHub takes every result of a SARIF file for a problem, those of kind "pass", too."""
    files = [folder / "out.sarif", folder / "out.md"]
    outputs = ["--sarif", files[0], "--markdown", files[1]]
    assert status(check(folder, HOLDS, *outputs)) == 0
    (run,) = json.loads(files[0].read_text())["runs"]
    assert run["results"] == []
    broken = 'figure = "membership.auc"\nat_most = 0.6'
    assert status(check(folder, f"{HOLDS}\n[[rule]]\n{broken}", *outputs)) == 1
    (run,) = json.loads(files[0].read_text())["runs"]
    assert [row["kind"] for row in run["results"]] == ["fail"]
    assert "at most 0.6 (plain@50" in files[1].read_text()


@pytest.mark.parametrize(
    "wrong", ["[[rule]]\nfigure = 'cost.stp'\nat_most = 1", "[audit]\nepoch = 1", None]
)
def test_without_a_verdict_none_of_an_earlier_run_is_left(wrong: str | None, folder: Path) -> None:
    files = {kind: folder / f"out.{kind}" for kind in ("junit", "sarif", "markdown")}
    outputs = [part for kind, file in files.items() for part in (f"--{kind}", str(file))]
    assert status(check(folder, HOLDS, *outputs)) == 0
    assert all(file.exists() for file in files.values())
    if wrong is None:
        (folder / RESULTS).write_text("{")
    assert status(check(folder, HOLDS, *outputs, head=wrong or "")) == 64
    assert not any(file.exists() for file in files.values())


def test_no_output_replaces_the_policy(folder: Path) -> None:
    for rule in (HOLDS, "figure = 3"):
        assert status(check(folder, rule, "--markdown", folder / "p.toml")) == 64
        assert "[[rule]]" in (folder / "p.toml").read_text()
