"""How a bundle's sections lie in the file, whatever they hold.

The bytes on disk and in flash are the same. All integers are little endian::

    header   char magic[8] = "TMIABNDL"; u16 version; u16 sections; u32 total_size;
             u32 crc32 (zlib, of bytes [32, total_size)); u8 reserved[12] = 0
    table    sections x { char kind[4]; u32 offset; u32 size; u32 reserved = 0 }
    bodies   16-byte aligned, ascending, zero padded; total_size is a multiple of 16
"""

from __future__ import annotations

import struct
import zlib

from tinymia.errors import BundleError
from tinymia.export.answers import REBUILD as _REBUILD

MAGIC = b"TMIABNDL"
VERSION = 2
HEADER = struct.Struct("<8sHHII12s")
ENTRY = struct.Struct("<4sIII")
ALIGN = 16
KINDS = ("MODL", "LAYR", "SHAP", "BUDG", "POLI", "GARD", "CLSF", "SHAR", "REFS", "META")
# A bundle lives in a microcontroller's flash; a larger count or size is damage, not a model.
MAX_SECTIONS = 16
MAX_BYTES = 64 * 1024 * 1024


def _aligned(size: int) -> int:
    return (size + ALIGN - 1) // ALIGN * ALIGN


def pack_sections(bodies: list[tuple[str, bytes]], version: int = VERSION) -> bytes:
    """Lay out sections behind a header; no check of what they hold."""
    offset = HEADER.size + ENTRY.size * len(bodies)
    table, payload = b"", b""
    for kind, body in bodies:
        table += ENTRY.pack(kind.encode("ascii"), offset, len(body), 0)
        padded = body + bytes(_aligned(len(body)) - len(body))
        payload += padded
        offset += len(padded)
    rest = table + payload
    total = HEADER.size + len(rest)
    return HEADER.pack(MAGIC, version, len(bodies), total, zlib.crc32(rest), bytes(12)) + rest


def split_sections(data: bytes) -> dict[str, bytes]:
    """Check header, checksum and table; return the body of each section.

    Raises:
        BundleError: with what to do, for each way in which the file can be wrong.
    """
    if len(data) < HEADER.size:
        raise BundleError(
            f"The bundle is truncated: {len(data)} bytes, shorter than its header.", _REBUILD
        )
    magic, version, count, total, crc, reserved = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise BundleError("This is not a tinymia bundle.", "Give a .bundle file.")
    if version > VERSION:
        raise BundleError(
            f"The bundle has format version {version}; this tinymia reads {VERSION}.",
            "Update tinymia.",
        )
    if version < VERSION:
        raise BundleError(
            f"The bundle has the old format version {version}; this tinymia reads {VERSION}.",
            "Export it again with `tinymia train`.",
        )
    if version != VERSION or any(reserved) or not 1 <= count <= MAX_SECTIONS:
        raise BundleError("The bundle's header is damaged.", _REBUILD)
    if len(data) < total:
        raise BundleError(
            f"The bundle is truncated: {len(data)} of {total} bytes are there.", _REBUILD
        )
    if len(data) > total or total % ALIGN or total > MAX_BYTES:
        raise BundleError(
            f"The bundle's size is wrong: {len(data)} bytes, its header says {total}.", _REBUILD
        )
    if zlib.crc32(data[HEADER.size :]) != crc:
        raise BundleError("The bundle is damaged: its checksum does not match.", _REBUILD)
    return _walk_table(data, count, total)


def _walk_table(data: bytes, count: int, total: int) -> dict[str, bytes]:
    end = HEADER.size + ENTRY.size * count
    if end > total:
        raise BundleError("The bundle's section table runs past its end.", _REBUILD)
    sections: dict[str, bytes] = {}
    for i in range(count):
        raw_kind, offset, size, reserved = ENTRY.unpack_from(data, HEADER.size + ENTRY.size * i)
        kind = raw_kind.decode("ascii", errors="replace")
        if kind not in KINDS or kind in sections:
            raise BundleError(f"The bundle has an unknown or double section {kind!r}.", _REBUILD)
        if offset % ALIGN or offset < end or offset + size > total or reserved:
            raise BundleError(f"The bundle's section {kind} lies outside the file.", _REBUILD)
        sections[kind] = data[offset : offset + size]
        end = _aligned(offset + size)
        if any(data[offset + size : end]):
            raise BundleError(f"The padding after the section {kind} is not zero.", _REBUILD)
    return sections
