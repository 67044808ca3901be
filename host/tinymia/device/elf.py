"""Firmware images as ELF files: sizes, symbols and sections."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinymia.errors import DeviceError

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

BUNDLE_SECTION = ".bundle"
_ARENA_SECTION = ".arena"
_ENVIRONMENT_MARK = "tinymia_environment_is_"  # a symbol of the linker, see firmware/platform


@dataclass(frozen=True)
class ImageInfo:
    """What an image takes of the chip, in bytes.

    Attributes:
        flash_bytes: program and constants (without a bundle).
        flash_size: of the chip, program and bundle regions together; 0 for a host build.
        ram_static_bytes: stack, data and bss, that is all but the arena.
        ram_size: of the chip's main SRAM; 0 for a host build.
        arena_bytes: RAM that is left for models, samples and training.
        bundle_capacity: flash that is reserved for a bundle.
        build_id: GNU build id, hexadecimal.
    """

    flash_bytes: int
    flash_size: int
    ram_static_bytes: int
    ram_size: int
    arena_bytes: int
    bundle_capacity: int
    build_id: str


@contextmanager
def _opened(path: Path) -> Iterator[ELFFile]:
    from elftools.common.exceptions import ELFError
    from elftools.construct import ConstructError
    from elftools.elf.elffile import ELFFile

    # It parses as it goes, so that a damaged file may show only in the body.
    try:
        data = path.read_bytes()
        elf = ELFFile(io.BytesIO(data))
        _check_length(path, elf, len(data))
        yield elf
    except OSError as error:
        raise DeviceError(f"Cannot read the image {path}: {error.strerror}.") from error
    except (ELFError, ConstructError, UnicodeDecodeError) as error:
        raise DeviceError(f"{path} is not an ELF image ({error}).") from error


def _check_length(path: Path, elf: ELFFile, size: int) -> None:
    """Raise DeviceError when the file ends before what its header tells of."""
    header = elf.header
    ends = [
        header["e_phoff"] + header["e_phnum"] * header["e_phentsize"],
        header["e_shoff"] + header["e_shnum"] * header["e_shentsize"],
    ]
    if max(ends) <= size:
        ends += [s["p_offset"] + s["p_filesz"] for s in elf.iter_segments()]
        ends += [
            s["sh_offset"] + s["sh_size"]
            for s in elf.iter_sections()
            if s["sh_type"] != "SHT_NOBITS"
        ]
    if max(ends) > size:
        raise DeviceError(
            f"{path} is cut off: it has {size} bytes of {max(ends)}.", "Build or copy it again."
        )


def symbols(path: Path) -> dict[str, int]:
    """Addresses of all named symbols (C++ names stay mangled); function bits are kept."""
    from elftools.elf.sections import SymbolTableSection

    with _opened(path) as elf:
        table = elf.get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            raise DeviceError(f"{path} has no symbols: it was stripped.")
        return {s.name: int(s["st_value"]) for s in table.iter_symbols() if s.name}


def function_range(path: Path, name: str) -> tuple[int, int]:
    """Addresses of a function: its first byte, and the first one behind it.

    Raises:
        DeviceError: the image has no such function.
    """
    from elftools.elf.sections import SymbolTableSection

    with _opened(path) as elf:
        table = elf.get_section_by_name(".symtab")
        found = table.get_symbol_by_name(name) if isinstance(table, SymbolTableSection) else None
        if not found:
            raise DeviceError(f"{path} is no image of this firmware: it has no function {name}.")
        first = int(found[0]["st_value"]) & ~1
        return first, first + int(found[0]["st_size"])


def section_bytes(path: Path, name: str) -> bytes:
    """Contents of one section."""
    with _opened(path) as elf:
        section = elf.get_section_by_name(name)
        if section is None:
            raise DeviceError(f"{path} has no section {name}: it is not an image of this firmware.")
        return bytes(section.data())


def has_section(path: Path, name: str) -> bool:
    """Whether an image has a section of this name."""
    with _opened(path) as elf:
        return elf.get_section_by_name(name) is not None


def loaded(path: Path) -> list[tuple[int, bytes]]:
    """What a programmer writes: address (in flash) and bytes of each piece."""
    with _opened(path) as elf:
        pieces = [
            (int(segment["p_paddr"]), bytes(segment.data()))
            for segment in elf.iter_segments()
            if segment["p_type"] == "PT_LOAD" and segment["p_filesz"] > 0
        ]
    if not pieces:
        raise DeviceError(f"{path} is no image of this firmware: it loads nothing.")
    return pieces


def flash_range(path: Path) -> tuple[int, int]:
    """Addresses that an image takes in the flash: the first, and the first one behind it."""
    pieces = loaded(path)
    return min(at for at, _ in pieces), max(at + len(data) for at, data in pieces)


def image_info(path: Path) -> ImageInfo:
    """Sizes and build id of an image.

    Raises:
        DeviceError: the file is missing, no ELF, or has no build id.
    """
    from elftools.elf.sections import NoteSection

    with _opened(path) as elf:
        note = elf.get_section_by_name(".note.gnu.build-id")
        notes = list(note.iter_notes()) if isinstance(note, NoteSection) else []
        if not notes:
            raise DeviceError(f"{path} has no build id.", "Build it again with `tinymia build`.")
        build_id = str(notes[0]["n_desc"])
        sizes = {s.name: int(s["sh_size"]) for s in elf.iter_sections()}
        writable = sum(
            int(s["sh_size"])
            for s in elf.iter_sections()
            if s["sh_flags"] & 0x2 and s["sh_flags"] & 0x1 and s.name != _ARENA_SECTION
        )
        bundle = elf.get_section_by_name(BUNDLE_SECTION)
        bundle_at = None if bundle is None else int(bundle["sh_addr"])
        flash = sum(
            int(s["p_filesz"])
            for s in elf.iter_segments()
            if s["p_type"] == "PT_LOAD" and s["p_paddr"] != bundle_at
        )
    known = symbols(path)
    capacity = known.get("tinymia_bundle_capacity", 0)
    return ImageInfo(
        flash_bytes=flash,
        flash_size=known.get("tinymia_program_capacity", -capacity) + capacity,
        ram_static_bytes=writable,
        ram_size=known.get("tinymia_ram_size", 0),
        arena_bytes=sizes.get(_ARENA_SECTION, 0),
        bundle_capacity=capacity,
        build_id=build_id,
    )


def environment_of(path: Path) -> str:
    """The environment of ``platformio.ini`` that built an image; empty: it does not say."""
    marks = (n for n in symbols(path) if n.startswith(_ENVIRONMENT_MARK))
    return next(marks, "").removeprefix(_ENVIRONMENT_MARK)


def machine_flags(path: Path) -> tuple[int, bool]:
    """Where an image starts in the flash, and whether it passes floats in the FPU's registers.

    The latter is the ABI flag of the header (ELF for the Arm Architecture, 5.2.1).
    """
    if not has_section(path, BUNDLE_SECTION):
        raise DeviceError(f"{path} is no image of this firmware: it has no room for a bundle.")
    with _opened(path) as elf:
        return min(at for at, _ in loaded(path)), bool(int(elf.header["e_flags"]) & 0x400)


def flat(path: Path) -> bytes:
    """An image as it lies in the flash, from its first byte on; gaps as erased flash."""
    pieces = loaded(path)
    start = min(at for at, _ in pieces)
    made = bytearray(b"\xff" * (max(at + len(data) for at, data in pieces) - start))
    for at, data in pieces:
        made[at - start : at - start + len(data)] = data
    return bytes(made)
