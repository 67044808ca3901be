"""A federation over Flower's gRPC: devices in processes of their own."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from extras import needs_flower
from tinymia import data
from tinymia.data.base import Dataset
from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle
from tinymia.federated import network
from tinymia.federated.terms import UpdateTerms
from tinymia.study.federate import BUNDLE, run
from tinymia.study.federation import FederationSettings

needs_flower()
SHIPPED = Bundle.load(Path(__file__).parents[1] / "models" / "har-watch" / "har-watch.bundle")
SETTINGS = FederationSettings(devices=3, rounds=3)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return data.load("watch")


@pytest.fixture
def address() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{found.getsockname()[1]}"


@contextmanager
def members(address: str, *boards: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    started = []
    for number, board in enumerate(boards):
        command = [sys.executable, "-m", "tinymia", "federate", "--devices", "3", "--rounds", "3"]
        command += ["--join", address, "--device", str(number)]
        command += ["--board", board] if board else []
        started.append(subprocess.Popen(command))
    try:
        yield started
    finally:
        for one in started:
            one.kill()
            one.wait()


def test_over_grpc_the_same_tail_comes_out(dataset: Dataset, tmp_path: Path, address: str) -> None:
    run(SETTINGS, SHIPPED, dataset, tmp_path / "here")
    with members(address, "", "twin:", "") as started:
        found = run(SETTINGS, SHIPPED, dataset, tmp_path / "there", listen=address)
        codes = [one.wait(30) for one in started]  # sent home
    assert found.finished
    assert codes == [0, 0, 0]
    here, there = ((tmp_path / where / BUNDLE).read_bytes() for where in ("here", "there"))
    assert here == there


def test_a_process_that_dies_costs_its_rounds_alone(
    dataset: Dataset, tmp_path: Path, address: str
) -> None:
    with members(address, "", "", "") as started:
        left = iter((lambda: None, started[1].kill, lambda: None))
        found = run(
            replace(SETTINGS, rounds=3),
            *(SHIPPED, dataset, tmp_path),
            listen=address,
            progress=lambda _: next(left)(),
        )
    assert [r.replied for r in found.rounds] == [0, 3, 3, 2]
    assert next(iter(found.rounds[3].gone)).startswith("it went away in the middle of the round")


def test_who_does_not_come_is_named(address: str) -> None:
    waiting = network.NetworkDevices(address, 3, 0.3)
    with pytest.raises(StudyError, match="0 of 3 devices came in 0 s; missing: 0, 1, 2"):
        waiting.wait()
    waiting.close()


@pytest.mark.parametrize(
    ("listen", "settings", "why"),
    [
        ("nowhere", SETTINGS, "'nowhere' is no address. Write HOST:PORT"),
        ("127.0.0.1:0", SETTINGS, "no address"),
        ("127.0.0.1:1", replace(SETTINGS, terms=UpdateTerms(masked=True)), "Leave out --secure"),
    ],
)
def test_what_cannot_be_listened_for(
    listen: str, settings: FederationSettings, why: str, dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match=why):
        run(settings, SHIPPED, dataset, tmp_path, listen=listen)
