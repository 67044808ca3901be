"""Digests of code: what was measured by other code is measured again."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path


@functools.cache
def parts_of(module: str, packages: tuple[str, ...]) -> tuple[str, ...]:
    """A module and those of some packages that it imports, directly or not, in order of name.

    Args:
        module: full name; of a package, its ``__init__``.
        packages: full names; imports from elsewhere are not followed.
    """
    found, todo = set[str](), [module]
    while todo:
        name = todo.pop()
        if name in found or _file(name) is None:
            continue
        found.add(name)
        for node in ast.walk(ast.parse(_source(name))):
            if isinstance(node, ast.ImportFrom) and node.module:
                # What is imported may be a module itself.
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                todo += [n for n in names if any(f"{n}.".startswith(f"{p}.") for p in packages)]
    return tuple(sorted(found))


def digest_of(module: str, packages: Sequence[str] = ()) -> bytes:
    """Digest of a module with its :func:`parts_of`, 32 bytes."""
    parts = parts_of(module, tuple(packages))
    return hashlib.sha256(b"".join(_source(name) for name in parts)).digest()


@functools.cache
def _file(name: str) -> Path | None:
    """Of a module; None for what is none."""
    try:
        found = find_spec(name)
    except ModuleNotFoundError:  # what should hold it is no package
        return None
    return None if found is None or found.origin is None else Path(found.origin)


@functools.cache
def _source(name: str) -> bytes:
    path = _file(name)
    assert path is not None, name
    return path.read_bytes()
