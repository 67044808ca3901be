"""`pytest hil` on what cannot be tested: one message and a status, neither errors nor a pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
USAGE_ERROR = 4
TEST = "hil/test_board.py"


def run(*options: str | Path, test: str = TEST) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    return subprocess.run(
        [*command, *map(str, options)], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("qemu:foo", "'qemu:foo' is no target: qemu has netduinoplus2"),
        ("qemu:", "'qemu:' is no target: qemu has"),
        ("renode:foo", "'renode:foo' is no target: renode has"),
        ("renode:", "'renode:' is no target: renode has"),
        ("serial:", "'serial:' names no port"),
        ("twin", "'twin' is no target"),
        ("serial:/dev/ttyNONE", "serial:/dev/ttyNONE cannot be tested: There is no port"),
        ("serial:socket://127.0.0.1:9", "Nothing listens at socket://127.0.0.1:9"),
    ],
)
def test_a_target_that_is_not_there_is_one_message(target: str, message: str) -> None:
    done = run("--target", target)
    said = done.stdout + done.stderr
    assert done.returncode == USAGE_ERROR, said
    assert said.count(message) == 1
    assert len(said.splitlines()) <= 4, said
    assert "Traceback" not in said


def test_none_is_tested_where_one_of_several_is_missing() -> None:
    done = run("--target", "twin:", "--target", "serial:/dev/ttyNONE")
    assert done.returncode == USAGE_ERROR
    assert "passed" not in done.stdout
    # Tests that are for no target, or for none that was chosen, need no board.
    assert run("--target", "serial:/dev/ttyNONE", "--collect-only").returncode == 0


@pytest.mark.parametrize("place", ["", "missing/results.json"])
def test_where_results_cannot_go_is_said_at_once(tmp_path: Path, place: str) -> None:
    done = run("--target", "twin:", "--results", tmp_path / place)
    said = done.stdout + done.stderr
    assert done.returncode == USAGE_ERROR, said
    assert "--results" in said
    assert "Traceback" not in said
    assert "passed" not in said


def test_facts_go_into_junits_file_without_a_warning(tmp_path: Path) -> None:
    done = run(
        *("--target", "twin:", "--junitxml", tmp_path / "junit.xml"),
        *("--results", tmp_path / "results.json"),
        test=f"{TEST}::test_the_handshake_says_who_it_is",
    )
    assert done.returncode == 0, done.stdout
    assert "warning" not in done.stdout
    assert '<property name="unit" value="host-ns"' in (tmp_path / "junit.xml").read_text()
    assert '"unit": "host-ns"' in (tmp_path / "results.json").read_text()
