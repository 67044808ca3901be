"""The GitHub action and the GitLab snippet: their steps, run as a runner would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import synthetic_results as made
from synthetic_membership import ANSWERS, BASE, CONDITIONS, PLAIN, membership
from tinymia.study.results import RESULTS, to_json, write_json

ROOT = Path(__file__).resolve().parents[1]
ACTION = yaml.safe_load((ROOT / ".github" / "actions" / "tinymia" / "action.yml").read_text())
GITLAB = yaml.safe_load((ROOT / ".gitlab" / "tinymia.yml").read_text())[".tinymia-check"]
RULES = {
    "holds": 'figure = "cost.step"\nat_most = 5000',
    "broken": 'figure = "cost.step"\nat_most = 1000',
    "cannot-tell": 'figure = "membership.auc"\nattack = "loss"\nat_most = 0.6',
    "no-verdict": 'figure = "cost.stp"\nat_most = 1',
}
STATUS = {"holds": 0, "broken": 1, "cannot-tell": 2, "no-verdict": 64}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ci") / "audit"
    folder.mkdir()
    few = membership([c for c in CONDITIONS if c.name in (BASE, PLAIN)], ANSWERS[:1])
    write_json(folder / RESULTS, to_json(made.results(few)))
    return folder


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The real tinymia, but of audits and of pip only what they were told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    note = f'for word; do printf "%s\\n" "$word"; done >> {tmp_path}/told'
    (folder / "tinymia").write_text(
        f'#!/bin/bash\nif [ "$1" = audit ]; then {note}; else exec {sys.executable} -m tinymia'
        ' "$@"; fi\n'
    )
    (folder / "python").write_text(f"#!/bin/bash\n{note}\n")
    for program in folder.iterdir():
        program.chmod(0o755)
    return folder


def run(
    script: str, env: dict[str, str], programs: Path, cwd: Path, shell: str = "bash"
) -> subprocess.CompletedProcess[str]:
    # How GitHub calls `shell: bash`.
    options = ["--noprofile", "--norc", "-e", "-o", "pipefail"] if shell == "bash" else ["-e"]
    command = [shell, *options, "-c", script]
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    whole = os.environ | {"PYTHONPATH": str(ROOT / "host"), "PATH": path} | env
    return subprocess.run(
        command, env=whole, cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )


def step(name: str, given: dict[str, str]) -> tuple[str, dict[str, str]] | None:
    """A step's script and variables, as these inputs make them; None where it is left out."""
    inputs: dict[str, Any] = {k: v.get("default", "") for k, v in ACTION["inputs"].items()} | given
    (found,) = (one for one in ACTION["runs"]["steps"] if one["id"] == name)
    if "if" in found:
        wanted = re.fullmatch(r"inputs\.([\w-]+) != ''", found["if"])
        assert wanted is not None
        if not inputs[wanted[1]]:
            return None
    env = {}
    for key, value in found["env"].items():
        named = re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", value)
        assert named is not None
        env[key] = inputs[named[1]]
    assert "${{" not in found["run"]  # nothing of an input is text of a script
    assert found["shell"] == "bash"
    return found["run"], env


@pytest.mark.parametrize("outcome", RULES)
def test_the_action_ends_as_the_check_does(
    outcome: str, results: Path, programs: Path, tmp_path: Path
) -> None:
    policy, out, summary = (tmp_path / name for name in ("the policy.toml", "output", "summary"))
    policy.write_text(f"[[rule]]\n{RULES[outcome]}\n")
    given = {"policy": str(policy), "folder": str(results)}
    made_step = step("check", given)
    assert made_step is not None
    script, env = made_step
    files = {"GITHUB_OUTPUT": str(out), "GITHUB_STEP_SUMMARY": str(summary)}
    done = run(script, env | files, programs, tmp_path)
    assert done.returncode == STATUS[outcome], done.stderr
    assert out.read_text() == f"outcome={outcome}\n"
    assert summary.exists() is (outcome != "no-verdict")
    if outcome == "cannot-tell":
        assert (results / "check.sarif").exists()
        assert (
            run(script, env | files | {"CANNOT_TELL": "pass"}, programs, tmp_path).returncode == 0
        )


def test_the_action_installs_and_audits_where_asked(programs: Path, tmp_path: Path) -> None:
    assert step("install", {}) is None
    assert step("audit", {}) is None
    for name, given in (
        ("install", {"install": "tinymia==1; rm -rf /"}),
        ("audit", {"audit": '--data "my data.npz" --depth "" --person p1', "folder": "my audit"}),
    ):
        found = step(name, given)
        assert found is not None
        done = run(*found, programs, tmp_path)
        assert done.returncode == 0, done.stderr
    told = (tmp_path / "told").read_text().splitlines()
    assert "tinymia==1; rm -rf /" in told
    at = told.index("audit")
    assert told[at:] == [
        *("audit", "--quiet", "--out", "my audit"),
        *("--data", "my data.npz", "--depth", "", "--person", "p1"),
    ]


@pytest.mark.parametrize("shell", ["bash", "sh"])  # an image may have no other
@pytest.mark.parametrize("outcome", ["holds", "cannot-tell"])
def test_the_gitlab_job_ends_as_the_check_does(
    outcome: str, shell: str, results: Path, programs: Path, tmp_path: Path
) -> None:
    (tmp_path / "leakage.toml").write_text(f"[[rule]]\n{RULES[outcome]}\n")
    env = {k: str(v) for k, v in GITLAB["variables"].items()}
    env |= {"TINYMIA_FOLDER": str(results)}
    env |= {"TINYMIA_AUDIT": '--data "my data.npz" --depth "" --target twin:'}
    done = run("\n".join(GITLAB["script"]), env, programs, tmp_path, shell)
    assert done.returncode == STATUS[outcome], done.stderr
    assert (tmp_path / GITLAB["artifacts"]["reports"]["junit"]).exists()
    assert GITLAB["allow_failure"]["exit_codes"] == [STATUS["cannot-tell"]]
    told = (tmp_path / "told").read_text().splitlines()
    wanted = ["--data", "my data.npz", "--depth", "", "--target", "twin:"]
    assert told[-9:] == ["--quiet", "--out", str(results), *wanted]


def test_nothing_is_installed_by_a_name_that_anybody_may_own() -> None:
    assert GITLAB["variables"]["TINYMIA_INSTALL"] == ACTION["inputs"]["install"]["default"] == ""


@pytest.mark.parametrize("program", ["tinymia", "python"])
def test_the_gitlab_job_does_not_pass_where_it_never_came_to_the_check(
    program: str, programs: Path, tmp_path: Path
) -> None:
    (programs / program).write_text("#!/bin/bash\nexit 2\n")  # a wrong option
    given = {"TINYMIA_AUDIT": "--nonsense", "TINYMIA_INSTALL": "tinymia.whl"}
    env = {k: str(v) for k, v in GITLAB["variables"].items()} | given
    done = run("\n".join(GITLAB["script"]), env, programs, tmp_path)
    assert done.returncode == 1
