"""TOML files that people write, and on which line something stands; ``tomllib`` does not say."""

from __future__ import annotations

import re
from contextlib import suppress
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
    text = ""
    try:
        # Some editors put a byte-order mark in front.
        text = path.read_text(encoding="utf-8-sig")
        return text, tomllib.loads(text)
    except OSError as wrong:
        raise error(f"Cannot read {path}: {wrong.strerror}.", unread) from wrong
    except RecursionError as wrong:
        raise error(f"{path} is nested too deeply.", nested) from wrong
    except ValueError as wrong:  # no TOML, no UTF-8, or a number of thousands of digits
        said = re.search(r"at line (\d+)", str(wrong))
        # Its "at end of document" says nothing: what is not closed began before.
        line = int(said[1]) if said else _parsing(text) + 1
        place = f"{path}:{line}" if text else f"{path}"
        raise error(f"{place} is not TOML: {wrong}.", malformed) from wrong


def _parsing(text: str) -> int:
    """How many of a text's first lines are a document."""
    lines = text.split("\n")
    for count in range(len(lines), 0, -1):
        with suppress(ValueError, RecursionError):
            tomllib.loads("\n".join(lines[:count]))
            return count
    return 0


def where(path: Path, text: str, way: At) -> str:
    """File and line of something in a document."""
    line = line_of(text, way)
    return f"{path}:{line}" if line else f"{path}"


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
