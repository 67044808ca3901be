"""What an experiment's stored cells hang on."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

import tinymia
from tinymia.study import code
from tinymia.study.code import parts_of
from tinymia.study.experimenting import ROOMS

HERE = "tinymia.experiments"


@pytest.mark.parametrize(
    ("experiment", "part"),
    [
        ("poisoning", f"{HERE}.poisoning.rounds"),  # imported as a name of its package
        ("reconstruction", f"{HERE}.gradients.lattice"),
        ("inversion", f"{HERE}.stealing.copying"),
        ("property", f"{HERE}.asking"),
        ("stealing", "tinymia.attacks.softmax"),
    ],
)
def test_an_experiments_code_is_what_it_builds_on(experiment: str, part: str) -> None:
    found = parts_of(f"{HERE}.{experiment}", *ROOMS)
    assert part in found
    others = {"inversion", "poisoning"} - {experiment}
    assert not [name for name in found if name.split(".")[2] in others]


def test_imports_are_of_the_kind_that_is_looked_for() -> None:
    for room in ROOMS:
        folder = Path(str(tinymia.__file__)).parent / room.partition(".")[2]
        for path in folder.rglob("*.py"):
            if path.stem != "registry":  # finds attacks, and none of them uses it
                assert not re.search(r"^\s*(from \.|import tinymia)", path.read_text(), re.M)


def test_an_optional_package_is_not_needed_to_know_the_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec

    def looked(name: str, package: str | None = None) -> Any:
        assert name.partition(".")[0] != "art", "it may not be installed"
        return find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", looked)
    for cached in (code.parts_of, code._imported, code._is_module):
        cached.cache_clear()
    found = code.parts_of("tinymia.experiments.stealing", "tinymia.experiments")
    assert "tinymia.experiments.peers.neighbours" in found
