"""What all tests of the host share."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sys
from collections import defaultdict
from pathlib import Path

import pytest

# Whoever runs the tests may have been told to ignore a hang-up (nohup), which children inherit.
with contextlib.suppress(ValueError):  # not in the main thread
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # So has a shell script that runs them in the background told them of Ctrl-C.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

# Else each start of the program compiles all its sources anew, for longer than many a test takes.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Thirty images, their copies and the wheels have most of what is compiled in common.
_CCACHE = shutil.which("ccache", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
if _CCACHE:
    os.environ.setdefault("CMAKE_CXX_COMPILER_LAUNCHER", _CCACHE)
    os.environ.setdefault("CCACHE_NOHASHDIR", "1")

# These take longest: what begins last, ends last.
FIRST = (
    "tests/test_study.py",
    "tests/test_boards.py",
    "tests/test_engine.py",
    "tests/test_interpreter_malformed.py",
    "hil/test_defences.py",
    "tests/test_cli.py",
    "tests/test_chosen.py",
    "tests/test_cores.py",
    "tests/test_layers.py",
    "tests/test_epsilon_experiment.py",
    "tests/test_white_box.py",
    "tests/test_wheel.py",
    "hil/test_soak.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a test marked ``sample(n)`` run n cases, others each day; with no seed, all of them.

    The seed stands in TINYMIA_SAMPLE, which ``make test`` sets (SEED=N repeats a run).
    """
    rank = {file: number for number, file in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(rank)))
    seed = os.environ.get("TINYMIA_SAMPLE")
    if not seed:
        return
    cases = defaultdict[str, list[pytest.Item]](list)
    for item in items:
        if item.get_closest_marker("sample") is not None:
            cases[item.nodeid.partition("[")[0]].append(item)
    left = set[pytest.Item]()
    for name, of in cases.items():
        mark = of[0].get_closest_marker("sample")
        assert mark is not None
        rng = random.Random(f"{seed} {name}")
        left.update(rng.sample(of, max(0, len(of) - int(mark.args[0]))))
    if left:
        config.hook.pytest_deselected(items=sorted(left, key=lambda item: item.nodeid))
        items[:] = [item for item in items if item not in left]
