"""What the fuzzers start with, and all that they ever found: the firmware bears it.

`make fuzz SECONDS=60` searches for more; see tests/fuzz/fuzz.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent / "fuzz"))

import fuzz


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_the_firmware_bears_what_was_found(target: str) -> None:
    inputs = fuzz.kept(target)
    assert len(inputs) >= 3
    done = subprocess.run(
        [str(fuzz.replay()), *map(str, inputs)],
        env=fuzz.environment(target),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_board_of_the_fuzzers_does_what_it_is_asked(tmp_path: Path) -> None:
    """Or they would search in what is refused at once."""
    from tinymia.device.connect import connect

    with connect("twin:?arena=32768", fuzz.BUNDLE.read_bytes()) as opened:
        info = opened.board.info()
        assert (info.input_bytes, info.classes, info.has_tail) == (24, 3, 1)
    broken = tmp_path / "broken"
    broken.write_bytes(b"")
    env = fuzz.environment("line") | {"TINYMIA_FUZZ_BUNDLE": str(tmp_path / "none")}
    done = subprocess.run(
        [str(fuzz.replay()), str(fuzz.kept("line")[0])], env=env, check=False, capture_output=True
    )
    assert done.returncode == 2
