"""What a source of data says of itself; one file of ``tinymia.data.sources`` each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinymia.data.base import Dataset


def _nothing(_: Path) -> bool:
    return False


@dataclass(frozen=True)
class Source:
    """A source of data.

    Attributes:
        name: what ``--data`` calls it, alone or as NAME:PATH.
        summary: what it is, in a line.
        help: its layout, and where a user gets it; nothing is fetched.
        load: reads it. Of a source that is found without one, the path is None unless given.
        needs_path: whether a path must be given.
        claims: whether a file or folder that is named without the source's name is of this kind.
            No two sources may claim the same.
    """

    name: str
    summary: str
    help: str
    load: Callable[[Path | None], Dataset]
    needs_path: bool = True
    claims: Callable[[Path], bool] = _nothing
