"""On which line of a TOML file something stands; ``tomllib`` itself does not say."""

from __future__ import annotations

from typing import Any

from tinymia.compat import tomllib

At = tuple[str | int, ...]
"""A way into a document: ("rule", 0, "figure")."""


def line_of(text: str, wanted: At) -> int | None:
    """The line, from 1, on which a key or table begins; None where there is none.

    Longer and longer beginnings of the document are parsed, so this knows all of TOML; a value of
    several lines ends what does not parse and begins behind what did.

    Args:
        text: a document that parses.
        wanted: what is looked for.
    """
    lines, good = text.split("\n"), 0
    for count in range(1, len(lines) + 1):
        try:
            content = tomllib.loads("\n".join(lines[:count]))
        except (ValueError, RecursionError):
            continue
        if _has(content, wanted):
            return good + 1
        good = count
    return None


def _has(content: Any, way: At) -> bool:
    for step in way:
        try:
            content = content[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True
