"""The adapter of `pytest hil`: a test that steers one which is dead or stuck fails, and soon."""

from __future__ import annotations

import importlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

HIL = Path(__file__).resolve().parents[1] / "hil"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(HIL))
    return importlib.import_module("proxy")


@pytest.fixture
def adapter(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    ours, boards = socket.socketpair()
    with ours, boards:
        monkeypatch.setattr(module, "_ANSWERS", 30.0, raising=False)
        made = module.Proxy(SimpleNamespace(serial=boards))
        monkeypatch.setattr(module, "_ANSWERS", 0.5, raising=False)
        with made:
            yield made


def test_it_answers(adapter: Any) -> None:
    adapter.unplug()
    adapter.plug()
    assert set(adapter.injected().values()) <= {0}


@pytest.mark.parametrize(
    ("how", "says"), [(signal.SIGSTOP, "gave no answer for"), (signal.SIGKILL, "ended with -9")]
)
def test_one_that_does_not_answer_is_told(how: signal.Signals, says: str, adapter: Any) -> None:
    os.kill(adapter._process.pid, how)
    with pytest.raises(RuntimeError, match=says):
        adapter.unplug()
