"""A study's data are read once, and again where they have changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tinymia import data
from tinymia.errors import DataError
from tinymia.study import datasets, series
from tinymia.study.datasets import dataset_of, digest_of


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of what was read; the content is made up."""
    asked: list[str] = []

    def load(name: str) -> SimpleNamespace:
        asked.append(name)
        return SimpleNamespace(sha256=f"{name} {len(asked)}")

    monkeypatch.setattr(data, "load", load)
    for cache in (datasets._read, datasets._digest):
        cache.cache_clear()
    yield asked
    for cache in (datasets._read, datasets._digest):
        cache.cache_clear()


def test_it_is_read_once(loads: list[str]) -> None:
    assert dataset_of("watch") is dataset_of("watch")
    assert digest_of("watch") == "watch 1"
    assert loads == ["watch"]


def test_a_file_is_read_again_when_it_has_changed(loads: list[str], tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    path.write_bytes(b"1")
    first = dataset_of(str(path))
    assert dataset_of(str(path)) is first
    path.write_bytes(b"12")
    os.utime(path, (1, 1))
    assert dataset_of(str(path)) is not first
    assert digest_of(f"npz:{path}") != digest_of(str(path))


def test_of_a_folder_nobody_knows(loads: list[str], tmp_path: Path) -> None:
    assert dataset_of(str(tmp_path)) is not dataset_of(str(tmp_path))
    assert digest_of(str(tmp_path)) == digest_of(str(tmp_path))  # cases of one study are alike


def test_what_is_no_name_is_told_as_ever() -> None:
    with pytest.raises(DataError):
        dataset_of("wach")


def test_audits_and_studies_ask_here() -> None:
    from tinymia.gate import audits
    from tinymia.study import audit

    assert audit.dataset_of is audits.dataset_of is dataset_of
    assert series.digest_of is digest_of
