"""The data set that a study is on: read once, however many of its audits and digests ask for it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

from tinymia import data
from tinymia.data.base import Dataset
from tinymia.data.registry import get_source
from tinymia.data.source import Source


class _Place(NamedTuple):
    """Where data are: their name, its source, and of a file when it was changed and its size."""

    name: str
    source: Source | None
    stamp: tuple[int, int] | None = None
    folder: bool = False


def dataset_of(name: str) -> Dataset:
    """What :func:`tinymia.data.load` gives; nobody may change its arrays.

    A folder is read each time, since nothing says whether something in it has changed.

    Raises:
        TinymiaError: see there.
    """
    place = _place(name)
    return data.load(name) if place.folder else _read(place)


def digest_of(name: str) -> str:
    """The data set's SHA-256, that of a folder as it was first; raises TinymiaError."""
    return _digest(_place(name))


@functools.lru_cache(maxsize=1)
def _read(place: _Place) -> Dataset:
    return data.load(place.name)


@functools.cache
def _digest(place: _Place) -> str:
    return dataset_of(place.name).sha256


def _place(name: str) -> _Place:
    source = get_source(name)
    if source is not None and not source.needs_path:
        return _Place(name, source)
    before, colon, behind = name.partition(":")
    named = get_source(before) if colon else None
    path = Path(behind if named is not None else name).expanduser()
    try:
        about = path.stat() if path.is_file() else None
    except (OSError, ValueError):  # a name that no file can have: told where it is read
        about = None
    if about is None:
        return _Place(name, named, folder=True)
    return _Place(name, named, (about.st_mtime_ns, about.st_size))
