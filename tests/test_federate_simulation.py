"""A federation on Flower's simulation engine, where Ray is installed (`tinymia[simulation]`).

It is not in the extra `dev`: Ray is 75 MB, and a start of it takes seconds.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from extras import needs_flower, needs_ray
from tinymia import data
from tinymia.data.base import Dataset
from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle
from tinymia.federated import simulation
from tinymia.federated.devices import Gone
from tinymia.study.federate import BUNDLE, Where, run
from tinymia.study.federated_results import RESULTS
from tinymia.study.federation import FederationSettings

needs_flower()
SHIPPED = Bundle.load(Path(__file__).parents[1] / "models" / "har-watch" / "har-watch.bundle")
SETTINGS = FederationSettings(devices=4, rounds=2, boards=("twin:",), strategy="fedprox")
ENGINE = Where(simulation=True)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return data.load("watch")


def test_on_the_engine_the_same_tail_comes_out(dataset: Dataset, tmp_path: Path) -> None:
    needs_ray()
    run(SETTINGS, SHIPPED, dataset, tmp_path / "here")
    found = run(SETTINGS, SHIPPED, dataset, tmp_path / "there", where=ENGINE)
    assert found.finished
    assert (found.rounds[2].replied, found.confirmed) == (4, 2)
    here, there = ((tmp_path / where / BUNDLE).read_bytes() for where in ("here", "there"))
    assert here == there


def test_without_ray_one_message_before_the_rounds(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(StudyError, match=r"needs Ray.*pip install 'tinymia\[simulation\]'"):
        run(SETTINGS, SHIPPED, dataset, tmp_path, where=ENGINE)
    assert not (tmp_path / RESULTS).exists()


def test_a_node_that_is_silent_or_fails_is_gone() -> None:
    class Failed:
        error = type("Error", (), {"reason": "it ran out of memory"})

        def has_content(self) -> bool:
            return False

    gone = simulation.SimulatedTwins._read(3, None)
    assert isinstance(gone, Gone)
    assert "did not answer" in gone.why
    gone = simulation.SimulatedTwins._read(3, Failed())
    assert isinstance(gone, Gone)
    assert (gone.device, gone.why) == (3, "its node failed: it ran out of memory")
