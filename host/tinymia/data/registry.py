"""All sources of data: every module of ``tinymia.data.sources`` adds its ``SOURCES``.

Other packages add theirs by the entry points ``tinymia.data_sources``, see :mod:`tinymia.plugins`.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
from pathlib import Path

import tinymia.data.sources
from tinymia.data.base import Dataset
from tinymia.data.source import Source
from tinymia.errors import DataError
from tinymia.plugins import Plugins

GROUP = "tinymia.data_sources"
"""Entry points of other packages: a source's name, and the source."""
_HOW = "`tinymia data --sources` lists what can be given; `tinymia data NAME` explains one."


@functools.cache
def _own() -> tuple[Source, ...]:
    found: list[Source] = []
    for module in pkgutil.iter_modules(tinymia.data.sources.__path__):
        loaded = importlib.import_module(f"tinymia.data.sources.{module.name}")
        found += getattr(loaded, "SOURCES", ())
    names = [source.name for source in found]
    assert len(set(names)) == len(names), f"two sources of one name among {names}"
    return tuple(found)


@functools.cache
def plugins() -> Plugins[Source]:
    """Sources of other packages, and those that were registered."""
    own = [source.name for source in _own()]
    return Plugins(GROUP, "data source", own, lambda source: source.name, _flaw)


def _flaw(source: Source) -> str:
    return "" if isinstance(source, Source) else "it is no tinymia.data.Source"


def add(source: Source) -> str:
    """Add a source to this process, see :meth:`tinymia.plugins.Plugins.add`."""
    name = plugins().add(source)
    all_sources.cache_clear()
    return name


@functools.cache
def all_sources() -> tuple[Source, ...]:
    """Every source, those first that are found without a path, then by name."""
    found = [*_own(), *plugins()]
    return tuple(sorted(found, key=lambda s: (s.needs_path, s.name != "watch", s.name)))


def get_source(name: str) -> Source | None:
    """The source of that name; None: there is none."""
    return next((source for source in all_sources() if source.name == name), None)


def load(name: str | Path) -> Dataset:
    """A data set: a source's name, NAME:PATH, or a file or folder that says itself what it is.

    Raises:
        DataError: for an unknown name, or whatever is wrong with the file.
        PluginError: another package has the source, and it cannot be used.
    """
    source, path = found(name)
    return source.load(path)


def found(name: str | Path) -> tuple[Source, Path | None]:
    """Which source loads a data set, and from where; see :func:`load`."""
    text = str(name)
    source = get_source(text)
    plugins().check(text.partition(":")[0])
    if source is not None:
        if source.needs_path:
            raise DataError(
                f"{text} needs a path: {text}:PATH.", f"Where to get it:\n{source.help}"
            )
        return source, None
    before, colon, behind = text.partition(":")
    source = get_source(before) if colon else None
    if source is not None:
        return source, Path(behind).expanduser()
    return _by_looks(Path(text))


def _by_looks(path: Path) -> tuple[Source, Path]:
    try:
        there = path.exists()
        claiming = [source for source in all_sources() if source.claims(path)]
    except (OSError, ValueError) as error:  # a name that no file can have
        raise DataError(f"{str(path)!r} is no path: {error}.", _HOW) from error
    if claiming:
        return claiming[0], path
    known = [source.name for source in all_sources()]
    if there:
        raise DataError(
            f"It is not clear what {path} is.",
            f"Say it: NAME:{path}, with NAME one of {', '.join(known)}. {_HOW}",
        )
    close = difflib.get_close_matches(str(path), known, 1)
    raise DataError(
        f"There is no data set called {str(path)!r}, and no such file.",
        (f"Did you mean {close[0]!r}? " if close else "")
        + f"Known: {', '.join(known)}; or give a file or folder of your own. {_HOW}",
    )
