"""Who is at the address of a Ray cluster, and what is said where that is nobody or not Ray."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from extras import needs_ray
from tinymia.errors import StudyError
from tinymia.study import ray_cluster, ray_executor
from tinymia.study.ray_executor import OnRay


def square(cell: int) -> int:
    return cell * cell


def test_ray_is_started_once_and_a_machine_that_cannot_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []

    def init(**_: Any) -> None:
        said.append("begins")

    here = SimpleNamespace(
        init=init,
        is_initialized=lambda: said[-1:] == ["begins"],
        shutdown=lambda: said.append("ends"),
    )
    monkeypatch.setitem(sys.modules, "ray", here)
    for _ in range(2):
        with ray_cluster.cluster(1, ""):
            pass
    assert said == ["begins", "ends"] * 2
    said.clear()
    with ray_cluster.kept():
        for _ in range(2):
            with ray_cluster.kept(), ray_cluster.cluster(1, "") as found:
                assert found is here
        assert said == ["begins"]
    assert said == ["begins", "ends"]

    def fails(**_: Any) -> None:
        raise Exception("The node timed out. And so on.")  # as Ray does

    here.init = fails
    says = r"Ray does not start: The node timed out\. Let less run"
    with pytest.raises(StudyError, match=says), ray_cluster.cluster(1, ""):
        pass


@pytest.fixture
def nobody() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("way", ["", "ray://"])
def test_an_address_where_no_ray_is(way: str, nobody: str) -> None:
    needs_ray()
    with pytest.raises(StudyError, match=f"There is no Ray at {way}{nobody}.*ray start --head"):
        next(OnRay(address=way + nobody).map(square, [1]))


class Other:
    """A program that listens, answers whatever comes in its way, and keeps the line open."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.heard = b""

    def __enter__(self) -> str:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        return f"127.0.0.1:{self.listening.getsockname()[1]}"

    def _serve(self) -> None:
        self.line, _ = self.listening.accept()
        self.heard = self.line.recv(64)
        self.line.sendall(self.answer)

    def __exit__(self, *_: object) -> None:
        self.thread.join()
        self.line.close()
        self.listening.close()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
@pytest.mark.parametrize("way", ["", "ray://"])
def test_an_address_where_something_else_is(
    answer: bytes, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray would ask a minute or twenty for what this is."""
    monkeypatch.setattr(ray_cluster, "_ANSWER", 0.3)
    says = "is not Ray.*`ray start --head` names"
    with Other(answer) as there, pytest.raises(StudyError, match=says) as error:
        ray_cluster.ask(way + there)
    assert error.value.of_machine


def test_an_address_in_full() -> None:
    settings = bytes((0, 0, 6, 4, 0, 0, 0, 0, 0)) + bytes(6)
    other = Other(settings)
    with other as there:
        assert ray_cluster.ask(f"ray://{there}") == f"ray://{there}"
    assert other.heard.startswith(b"PRI * HTTP/2.0")
    for address, whole in (("no such host", ":6379"), ("ray://no such host", ":10001")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ray_cluster.socket, "create_connection", lambda *_, **__: other_end())
            assert ray_cluster.ask(address) == address + whole


def other_end() -> socket.socket:
    near, far = socket.socketpair()
    far.sendall(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
    HELD.append(far)
    return near


HELD: list[socket.socket] = []

VERSIONS = """Version mismatch: The cluster was started with:
    Ray: 2.40.0
    Python: 3.11.7
This process on node 10.0.0.1 was started with:
    Ray: 2.55.1
    Python: 3.12.1
"""


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (VERSIONS, "At h:1 is Ray 2.40.0 on Python 3.11.7, here Ray 2.55.1 on Python 3.12.1"),
        ("Nowhere to be found. See\nmore", "The Ray at h:1 does not take this machine: Nowhere to"),
    ],
)
def test_a_cluster_that_refuses_says_why(
    said: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**_: Any) -> None:
        raise RuntimeError(said)

    here = SimpleNamespace(init=init, is_initialized=lambda: False)
    monkeypatch.setitem(sys.modules, "ray", here)
    monkeypatch.setattr(ray_cluster, "ask", lambda address: address)
    with pytest.raises(StudyError, match=says) as error, ray_cluster.cluster(1, "h:1"):
        pass
    assert error.value.of_machine


def test_who_is_at_the_address_is_asked_before_anything_runs(nobody: str, tmp_path: Path) -> None:
    from tinymia.cli.audit import command

    needs_ray()
    flags = ["--executor", "ray", "--address", nobody, "--target", "twin:"]
    with pytest.raises(StudyError, match="There is no Ray at"):
        CliRunner().invoke(
            command, [*flags, "--out", str(tmp_path / "out")], catch_exceptions=False
        )
    assert not (tmp_path / "out").exists()


def test_signals_and_environment_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray takes TERM for itself; what it starts here has a worker's environment."""
    seen: list[str | None] = []

    def init(**_: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: None)
        seen.append(os.environ.get("OMP_NUM_THREADS"))

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    here = SimpleNamespace(init=init, is_initialized=lambda: False, shutdown=lambda: None)
    monkeypatch.setitem(sys.modules, "ray", here)
    monkeypatch.setattr(ray_cluster, "ask", lambda address: address)
    before = signal.getsignal(signal.SIGTERM)
    for address, found in (("", "1"), ("h:1", None)):
        with ray_cluster.cluster(1, address):
            assert signal.getsignal(signal.SIGTERM) is before
            assert ("runtime_env" in ray_cluster.options()) == bool(address)
        assert seen.pop() == found
        assert "OMP_NUM_THREADS" not in os.environ


@pytest.mark.parametrize("address", ["host:port", "host:99999999", "no such host:1"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(StudyError, match="There is no Ray at"):
        ray_cluster.ask(address)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--executor", "thread"], "There is no executor 'thread'"),
        (["--address", "here:1"], "Only Ray has an address"),
    ],
)
def test_flags_that_do_not_fit(flags: list[str], says: str) -> None:
    from tinymia.cli.audit import command

    with pytest.raises(StudyError, match=says):
        CliRunner().invoke(command, flags, catch_exceptions=False, standalone_mode=False)


def test_without_ray_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_executor.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(StudyError, match=r"Ray is not installed.*tinymia\[ray\]"):
        OnRay()
