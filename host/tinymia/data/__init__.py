"""Data sets, windows and splits.

``load("watch")`` gives the shipped smartwatch recordings, ``load("mine.npz")`` one's own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tinymia.data.dataset import NPZ_LAYOUT, PersonalDataset, Windows, load_npz, save_npz
from tinymia.data.watch import load_watch
from tinymia.errors import DataError

REGISTRY: dict[str, Callable[[], PersonalDataset]] = {"watch": load_watch}

__all__ = [
    "NPZ_LAYOUT",
    "REGISTRY",
    "PersonalDataset",
    "Windows",
    "load",
    "load_npz",
    "load_watch",
    "save_npz",
]


def load(name: str | Path) -> PersonalDataset:
    """A data set by its registered name, or an .npz file of one's own.

    Raises:
        DataError: for an unknown name, or whatever is wrong with the file.
    """
    if str(name) in REGISTRY:
        return REGISTRY[str(name)]()
    if Path(name).suffix == ".npz" or Path(name).exists():
        return load_npz(name)
    raise DataError(
        f"There is no data set called {str(name)!r}.",
        f"Known: {', '.join(sorted(REGISTRY))}; or give the path of an .npz file.",
    )
