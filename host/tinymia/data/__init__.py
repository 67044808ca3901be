"""Data sets, windows and splits.

``load("watch")`` gives the shipped smartwatch recordings, ``load("mine.npz")`` one's own; all that
can be given is in ``all_sources()``.
"""

from __future__ import annotations

from tinymia.data.base import Dataset, Pool, Windows
from tinymia.data.dataset import PersonalDataset
from tinymia.data.examples import ExampleSet
from tinymia.data.registry import all_sources, get_source, load
from tinymia.data.source import Source
from tinymia.data.sources.npz import load_npz, save_npz
from tinymia.data.sources.watch import load_watch

__all__ = [
    "Dataset",
    "ExampleSet",
    "PersonalDataset",
    "Pool",
    "Source",
    "Windows",
    "all_sources",
    "get_source",
    "load",
    "load_npz",
    "load_watch",
    "save_npz",
]
