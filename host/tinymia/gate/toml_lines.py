"""TOML files that people write, and on which line something stands; ``tomllib`` does not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinymia.compat import tomllib
from tinymia.errors import TinymiaError

At = tuple[str | int, ...]
"""A way into a document: ("rule", 0, "figure")."""


def document(
    path: Path,
    error: type[TinymiaError],
    *,
    unread: str = "",
    nested: str = "",
    malformed: str = "",
) -> tuple[str, dict[str, Any]]:
    """The text of a file, and what it says.

    Args:
        path: of the file.
        error: what is raised.
        unread, nested, malformed: hints, where there is no such file, tables go too deep, or it is
            no TOML.

    Raises:
        TinymiaError: of that class, naming the file.
    """
    try:
        # Some editors put a byte-order mark in front.
        text = path.read_text(encoding="utf-8-sig")
        return text, tomllib.loads(text)
    except OSError as wrong:
        raise error(f"Cannot read {path}: {wrong.strerror}.", unread) from wrong
    except RecursionError as wrong:
        raise error(f"{path} is nested too deeply.", nested) from wrong
    except ValueError as wrong:  # no TOML, no UTF-8, or a number of thousands of digits
        raise error(f"{path} is not TOML: {wrong}.", malformed) from wrong


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
