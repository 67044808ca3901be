"""Cells on Ray: the results of one thread, and what happens when workers and nodes are lost."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from extras import needs_ray
from quiet import Quiet
from tinymia.errors import StudyError
from tinymia.study import ray_executor, ray_nodes
from tinymia.study.executor_bench import WORKERS, Span, busy, waiting
from tinymia.study.executors import Processes
from tinymia.study.ray_boards import placing
from tinymia.study.ray_executor import OnRay


def square(cell: int) -> int:
    return cell * cell


def refuse_seven(cell: int) -> int:
    if cell == 7:
        raise StudyError("Seven is refused.", "Take eight.")
    return cell


class DyingOnce:
    """Kills its worker at one cell, the first time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, cell: int) -> int:
        mark = self.folder / "died"
        if cell == 3 and not mark.exists():
            mark.touch()
            os._exit(1)
        return cell


class Slow:
    """Notes who had which cell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, cell: int) -> int:
        import ray

        node = ray.get_runtime_context().get_node_id()
        (self.folder / f"{cell}.{node}.{time.monotonic_ns()}").touch()
        time.sleep(0.2)
        return cell


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A node of two processors, on this machine; its workers find this module."""
    needs_ray()
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
        yield cluster
        cluster.shutdown()


def test_results_are_those_of_one_thread_in_order(cluster: Any) -> None:
    given = OnRay(address=cluster.address).map(square, range(40))
    assert list(given) == [cell * cell for cell in range(40)]


def test_nothing_to_do_needs_no_cluster() -> None:
    needs_ray()
    assert list(OnRay(address="127.0.0.1:1").map(square, [])) == []


def test_the_first_failure_is_raised_as_it_was(cluster: Any) -> None:
    given = OnRay(address=cluster.address).map(refuse_seven, range(20))
    assert [next(given) for _ in range(7)] == list(range(7))
    with pytest.raises(StudyError, match="Seven is refused") as error:
        next(given)
    assert error.value.hint == "Take eight."


class Noting:
    """Notes which cells were begun; the first takes long, and the second fails at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, cell: int) -> int:
        (self.folder / str(cell)).touch()
        if cell == 1:
            raise StudyError("One is refused.")
        time.sleep(3 if cell == 0 else 0.1)
        return cell


def test_nothing_is_begun_behind_a_failure(cluster: Any, tmp_path: Path) -> None:
    given = OnRay(address=cluster.address).map(Noting(tmp_path), range(100))
    assert next(given) == 0
    with pytest.raises(StudyError, match="One is refused"):
        next(given)
    assert 1 < len(list(tmp_path.iterdir())) < 40


def test_a_worker_that_dies_is_replaced(cluster: Any, tmp_path: Path) -> None:
    assert list(OnRay(address=cluster.address).map(DyingOnce(tmp_path), range(8))) == list(range(8))
    assert (tmp_path / "died").exists()


def test_a_node_that_leaves_costs_its_running_cells(
    cluster: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leaving = cluster.add_node(num_cpus=2)
    gone = leaving.node_id
    cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    cells = list(range(48))
    found = []
    for one in OnRay(address=cluster.address).map(Slow(tmp_path), cells):
        found.append(one)
        at_work = [path.name.split(".")[1] for path in tmp_path.iterdir()]
        if leaving is not None and gone in at_work:
            cluster.remove_node(leaving, allow_graceful=False)
            leaving = None
    assert leaving is None
    assert found == cells
    assert capsys.readouterr().out == ""  # which is the command's, not Ray's
    begun = sorted(path.name.split(".")[:2] for path in tmp_path.iterdir())
    again = [cell for cell, _ in begun if sum(cell == other for other, _ in begun) > 1]
    assert len(begun) - len(cells) <= 2  # processors of that node
    assert all(any(node == gone for other, node in begun if other == cell) for cell in again)


@dataclass(frozen=True)
class Bridged:
    """Boards in the network, a fleet of them, and their work, all in one; it notes who did what."""

    folder: Path
    targets: tuple[str, ...]
    interruption: Any = None
    number: int = 0

    @property
    def board(self) -> Any:
        return self

    bundle = SimpleNamespace(to_bytes=bytes)

    def __call__(self, number: int) -> Any:
        return replace(self, number=number)

    def require_bundle(self) -> None: ...

    def info(self) -> Any:
        return SimpleNamespace(bundle_size=0, bundle_crc=0)

    def close(self) -> None:
        (self.folder / f"closed {self.number}").touch()

    def finished(self, job: Any) -> int:
        return int((self.folder / f"done {job.name}").exists())

    def do(self, board: Any, job: Any, *_: Any) -> None:
        name = job.name
        with (self.folder / name).open("a") as marks:
            marks.write(f"{board.number}\n")
        if name == "refused":
            raise StudyError("It diverged.", "Mind the rate.")
        if name == "dies" and not (self.folder / "died").exists():
            (self.folder / "died").touch()
            os._exit(1)
        other = {"left": "right", "right": "left"}.get(name, name)
        until = time.monotonic() + 60
        while not (self.folder / other).exists():  # both boards are at work at once
            assert time.monotonic() < until
            time.sleep(0.02)
        (self.folder / f"done {name}").touch()


def job(name: str) -> Any:
    return SimpleNamespace(name=name)


def always() -> bool:
    return True


def test_boards_in_the_network_are_asked_from_nodes(cluster: Any, tmp_path: Path) -> None:
    near, far = "serial:/dev/ttyACM9", "serial:socket://127.0.0.1:4001"
    fleet: Any = Bridged(tmp_path, (near, far, "serial:rfc2217://127.0.0.1:4002"))
    place = placing(OnRay(address=cluster.address), fleet, Quiet())
    stop = threading.Event()
    with place() as desk:
        assert desk(fleet, 0, always) is None  # on a port of this machine: its thread
        first, second = desk(fleet, 1, always), desk(fleet, 2, always)
        assert first is not None
        assert second is not None
        thread = threading.Thread(target=first.do, args=(job("left"), stop))
        thread.start()
        second.do(job("right"), stop)
        thread.join()
        first.do(job("dies"), stop)  # its process does, and is replaced
        with pytest.raises(StudyError, match="It diverged") as error:
            second.do(job("refused"), stop)
        assert error.value.hint == "Mind the rate."
        with pytest.raises(StudyError, match=r"socket://127.0.0.1:4001 is in use by another study"):
            desk(fleet, 1, always)
        first.close()
        second.close()
        again = desk(fleet, 1, always)  # let go of
        assert again is not None
        stop.set()
        (tmp_path / "left").unlink()
        again.do(job("right"), stop)  # ends, though nobody comes
        again.close()
    numbers = {name: (tmp_path / name).read_text().split() for name in ("dies", "refused")}
    assert numbers == {"dies": ["1", "1"], "refused": ["2"]}
    assert {path.name for path in tmp_path.glob("done *")} == {
        *("done left", "done right", "done dies"),
    }
    assert (tmp_path / "closed 2").exists()


def test_another_tinymia_on_a_node_is_refused() -> None:
    there = ray_executor._checked("another")([], 1)
    assert there == (socket.gethostname(), None)
    assert "has another tinymia" in str(ray_nodes.other_tinymia(there[0]))


def nap(_: ray_nodes.Place) -> None:
    time.sleep(0.5)


HIDING = """
import sys


class Hiding:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "tinymia":
            raise ModuleNotFoundError(name)


sys.meta_path.insert(0, Hiding())
"""


def test_a_node_without_tinymia_is_named(cluster: Any, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        node = cluster.add_node(num_cpus=8)
    cluster.wait_for_nodes()
    says = rf"{socket.gethostname()} \(tinymia\) has another tinymia.*, or none.*every node"
    try:
        with pytest.raises(StudyError, match=says) as error:
            list(OnRay(address=cluster.address).map(nap, [ray_nodes.Place("", "")] * 24))
    finally:
        cluster.remove_node(node)
    assert error.value.of_machine


def test_a_node_without_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"has no folder /not/there.*mount it"):
        ray_nodes.Place("/not/there", "").enter()
    with ray_nodes.place(tmp_path) as here:
        assert here.folder == os.getcwd()
        assert here.mark
        here.enter()
        # A folder of that name is on each node, but it is not the one of the study.
        Path(here.mark).rename(tmp_path / "moved")
        says = f"as {tmp_path} is not this machine's folder.*mount it"
        with pytest.raises(StudyError, match=says) as error:
            here.enter()
        assert error.value.of_machine
        (tmp_path / "moved").rename(here.mark)
    assert not list(tmp_path.iterdir())


def test_how_busy_workers_were() -> None:
    """One is always at work, the other comes later and waits a half of its time."""
    spans = [Span(1, t, t + 1, 0.5) for t in range(8)] + [Span(2, 3, 4, 0.5), Span(2, 5, 6, 0.5)]
    found = busy("some", spans)
    assert (found.workers, found.cells, found.cpu) == (2, 10, 0.5)
    assert found.share == pytest.approx((7 + 2) / (7 + 4))
    assert found.per_second == pytest.approx(9 / 7)
    assert found.cores == pytest.approx(0.5 * 9 / 7)


def test_workers_count_once_all_are_there() -> None:
    there = [Span(1, 0, 5, 0.0), Span(2, 4, 5, 0.0)]
    spans = [Span(1, t, t + 1, 0.5) for t in range(5, 9)] + [Span(2, 6, 8, 0.5)]
    assert busy("some", spans, there).share == pytest.approx((3 + 2) / (3 + 3))


@pytest.mark.speed
def test_sixty_four_workers_are_kept_busy() -> None:
    assert waiting(Processes(WORKERS), "processes").share >= 0.9
