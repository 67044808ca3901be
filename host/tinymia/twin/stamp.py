"""A hash of the C++ sources behind the extension: compiled in, and compared when it is imported.

Run as a program it writes the header that holds the hash (``stamp.h``).
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

_FOLDERS = ("firmware/lib/learncore/src", "firmware/lib/link/src", "firmware/src", "host/native")
_SUFFIXES = (".cc", ".h", ".txt")


def repository() -> Path | None:
    """The repository this package lies in; None when it is installed elsewhere."""
    root = Path(__file__).resolve().parents[3]
    return root if all((root / folder).is_dir() for folder in _FOLDERS) else None


def sources(root: Path) -> list[Path]:
    """Every file that the extension is made of, sorted."""
    return sorted(
        path
        for folder in _FOLDERS
        for path in (root / folder).rglob("*")
        if path.suffix in _SUFFIXES and "build" not in path.relative_to(root).parts
    )


def stamp(root: Path) -> str:
    """SHA-1 over names and contents, in hexadecimal (20 bytes, as a firmware's build id)."""
    digest = hashlib.sha1(usedforsecurity=False)
    for path in sources(root):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def header(value: str) -> str:
    """The C++ header with a stamp in it."""
    numbers = ", ".join(f"0x{byte:02x}" for byte in bytes.fromhex(value))
    return (
        "#pragma once\n#include <stdint.h>\nnamespace twin {\n"
        f'constexpr char kStamp[] = "{value}";\n'
        f"constexpr uint8_t kStampBytes[] = {{{numbers}}};\n"
        "}  // namespace twin\n"
    )


if __name__ == "__main__":
    _root, _out = Path(sys.argv[1]), Path(sys.argv[2])
    _text = header(stamp(_root))
    if not _out.exists() or _out.read_text() != _text:
        _out.write_text(_text)
