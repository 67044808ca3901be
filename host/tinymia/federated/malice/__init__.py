"""Attacks of malicious devices, by name: each is a module of this room with ``ATTACK``."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path

from tinymia.errors import StudyError
from tinymia.federated.malice.base import Malice, View, Wants


@functools.cache
def attacks() -> Mapping[str, Malice]:
    """All of them: first those that look at nobody."""
    found: list[Malice] = []
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        loaded = importlib.import_module(f"tinymia.federated.malice.{module.name}")
        if hasattr(loaded, "ATTACK"):
            found.append(loaded.ATTACK)
    return {one.name: one for one in sorted(found, key=lambda one: (one.looks, one.name))}


def malice_called(name: str) -> Malice:
    """The attack of that name; raises StudyError."""
    if name in attacks():
        return attacks()[name]
    raise StudyError(
        f"There is no attack {name[:40]!r} of malicious devices.",
        f"There are: {', '.join(attacks())}; of `tinymia federate` ascent, too.",
    )


__all__ = ["Malice", "View", "Wants", "attacks", "malice_called"]
