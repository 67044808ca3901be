"""Which code numbers hang on, so that stored ones count for as long as that is the same."""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
import os
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any


@functools.cache
def parts_of(module: str, *rooms: str) -> tuple[str, ...]:
    """A module and what it imports of some rooms, directly or not, in order of name.

    Args:
        module: its name.
        rooms: packages whose modules are followed; others' are left out.
    """
    found, todo = set[str](), [module]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += [
                other
                for other, sure in _imported(name)
                if any(other.startswith(f"{room}.") for room in rooms)
                # Last: to look for a module in a package imports that, which may take seconds.
                and (sure or _is_module(other))
            ]
    return tuple(sorted(found))


@functools.cache
def _imported(module: str) -> tuple[tuple[str, bool], ...]:
    return tuple(_named_in(module))


def _named_in(module: str) -> Iterator[tuple[str, bool]]:
    """Names, and whether each is surely a module's."""
    known = {name.partition(".")[0] for name in (__name__, module)}
    for node in ast.walk(ast.parse(source(module))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, True
            # Looking into another package imports it, which may be slow, or not installed.
            if node.module.partition(".")[0] not in known:
                continue
            # What is imported from a package may be a module of it.
            yield from ((f"{node.module}.{alias.name}", False) for alias in node.names)


@functools.cache
def _is_module(name: str) -> bool:
    package = name.rpartition(".")[0]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        return False
    return importlib.util.find_spec(name) is not None


@functools.cache
def source(module: str) -> bytes:
    """The file of a module."""
    spec = importlib.util.find_spec(module)
    assert spec is not None, module
    return Path(str(spec.origin)).read_bytes()


def code_behind(item: Any, *rooms: str) -> bytes:
    """The code that an object's numbers hang on: of its class and of the functions that it holds.

    Of a class of this program, its module with what that imports of some rooms; of another
    package's, all of that package as well; of one that was typed into a session, its text.
    """
    found: dict[str, bytes] = {}
    for part in _parts(item):
        module = part.__module__
        top = module.partition(".")[0]
        if _file(module) is None:
            found[f"{module}.{part.__qualname__}"] = _typed(part)
            continue
        found |= {name: source(name) for name in parts_of(module, *rooms)}
        if top != __name__.partition(".")[0]:
            found[top] = _whole(top)
    return b"".join(found[name] for name in sorted(found))


def _parts(item: Any) -> Iterator[Any]:
    yield type(item)
    if is_dataclass(item):
        for value in (getattr(item, field.name) for field in fields(item)):
            if inspect.isfunction(value):
                yield value
            elif is_dataclass(value) and not isinstance(value, type):
                yield from _parts(value)


@functools.cache
def _file(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # __main__ has none
        return None
    at = None if spec is None or not spec.has_location else spec.origin
    return None if at is None else Path(at)


def _typed(part: Any) -> bytes:
    try:
        return inspect.getsource(part).encode()
    except (OSError, TypeError):
        return os.urandom(16)  # not known: it is never taken for what was stored


@functools.cache
def _whole(package: str) -> bytes:
    at = _file(package)
    if at is None:  # a namespace, of which no file is known to be the whole
        return os.urandom(16)
    paths = sorted(at.parent.rglob("*.py")) if at.name == "__init__.py" else [at]
    return b"".join(path.read_bytes() for path in paths)
