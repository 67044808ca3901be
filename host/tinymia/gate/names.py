"""What somebody probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def meant(given: str, known: Iterable[str]) -> str:
    """A hint: the nearest name, else all of them."""
    names = [name for name in known if name]
    near = difflib.get_close_matches(given, names, 1)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Known: {', '.join(names)}." if names else "There is none."
