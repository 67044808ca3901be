"""A study that is killed, has no room and moves elsewhere: nothing is lost or run twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path

import pytest
from study_kills import rehearse
rehearse(Path(sys.argv[1]), 2, 20, [
    (9, "before"), (17, "half"), (0, "copy"), (13, "full"), (1, "after"), (6, "after"),
])
"""


def test_a_disturbed_study_ends_as_the_undisturbed_one(tmp_path: Path) -> None:
    """Killed before, in and behind a write, with a full disk, and copied to another place."""
    done = subprocess.run(
        # A process of its own forks: here are threads that a fork does not survive.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["undisturbed"] == 0, done.stderr
    kill = -signal.SIGKILL
    assert found["ends"] == [kill, kill, 3, kill, kill, 0], done.stderr
    assert "No space left on device" in done.stderr
    assert "make room and run the same command again" in done.stderr
    assert found["halves"] > 0  # they were there, and nothing is left of them
    assert found["cells"] == 40
    assert found["wrong"] == []
    assert found["unlike"] == []


@pytest.mark.sample(0)  # only where all cases run: a minute of both processors
def test_killed_at_random_with_its_workers(tmp_path: Path) -> None:
    """The demonstration, smaller; with ``--cells 10000 --kills 10`` it takes half an hour."""
    script = Path(__file__).with_name("study_kills.py")
    asked = ["--cells", "300", "--kills", "3", "--people", "50", "--out", str(tmp_path / "kills")]
    done = subprocess.run(
        [sys.executable, str(script), *asked],
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 finished cells lost or run twice, 0 of" in done.stdout
