"""Bytes of firmware images, read and changed where they are loaded."""

from __future__ import annotations

from pathlib import Path

from elftools.elf.elffile import ELFFile


def _file_offset(path: Path, address: int, size: int) -> int:
    with path.open("rb") as file:
        for segment in ELFFile(file).iter_segments():
            inside = address - int(segment["p_vaddr"])
            if segment["p_type"] == "PT_LOAD" and 0 <= inside <= segment["p_filesz"] - size:
                return int(segment["p_offset"]) + inside
    raise AssertionError(f"{path} holds no {size} bytes at address 0x{address:08x}")


def read_memory(path: Path, address: int, size: int) -> bytes:
    """Bytes that the image loads at ``address`` (its run-time address)."""
    start = _file_offset(path, address, size)
    return path.read_bytes()[start : start + size]


def patch_memory(path: Path, address: int, data: bytes, out: Path) -> Path:
    """A copy of the image with ``data`` at ``address``; the build id stays as it is."""
    start = _file_offset(path, address, len(data))
    image = bytearray(path.read_bytes())
    image[start : start + len(data)] = data
    out.write_bytes(image)
    return out
