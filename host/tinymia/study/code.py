"""Which code numbers hang on, so that stored ones count for as long as that is the same."""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path


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
                for other in _imported(name)
                if any(other.startswith(f"{room}.") for room in rooms)
            ]
    return tuple(sorted(found))


def _imported(module: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source(module))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            # What is imported from a package may be a module of it.
            whole = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name for name in whole if _is_module(name))


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
