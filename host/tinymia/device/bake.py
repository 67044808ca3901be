"""Puts a bundle into a firmware image, without compiling anything."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from tinymia.device.build import COMPILER_HINT
from tinymia.device.elf import (
    BUNDLE_SECTION,
    has_section,
    image_info,
    section_bytes,
)
from tinymia.device.uf2 import uf2
from tinymia.errors import DeviceError
from tinymia.files import write_whole

_OBJCOPY = "arm-none-eabi-objcopy"
_RP2040_SECTION = ".boot2"


def bake(elf: Path, bundle: bytes, out: Path) -> Path:
    """Write a copy of the image that holds ``bundle``; the build id stays that of the program.

    Beside ``out`` (an ELF file) the same image is written as ``.hex`` and, where program and bundle
    lie in one memory, as ``.bin`` (from the start of the flash, gaps as erased flash) for
    programmers that want those, and for an RP2040 as ``.uf2``.

    Args:
        elf: an image of this firmware, with or without a bundle.
        bundle: the whole bundle file.
        out: the new ELF file.

    Raises:
        DeviceError: the bundle does not fit the flash, ``elf`` is no image of this firmware, the
            binary tools are missing, or the file cannot be written.
    """
    section_bytes(elf, BUNDLE_SECTION)
    info = image_info(elf)
    if len(bundle) > info.bundle_capacity:
        raise DeviceError(
            f"The bundle takes {len(bundle)} bytes of flash; the board has"
            f" {info.bundle_capacity} for it.",
            _smaller(bundle, info.bundle_capacity),
        )
    if not bundle:
        raise DeviceError("The bundle is empty.")
    if shutil.which(_OBJCOPY) is None:
        raise DeviceError(f"{_OBJCOPY} is missing.", COMPILER_HINT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bundle").write_bytes(bundle)
        baked = folder / "image.elf"
        _objcopy("--update-section", f"{BUNDLE_SECTION}={folder / 'bundle'}", str(elf), str(baked))
        _objcopy("-O", "binary", "--gap-fill", "0xff", str(baked), str(folder / "image.bin"))
        _objcopy("-O", "ihex", str(baked), str(folder / "image.hex"))
        if (
            section_bytes(baked, BUNDLE_SECTION) != bundle
            or image_info(baked).build_id != info.build_id
        ):
            raise DeviceError(f"{_OBJCOPY} wrote a damaged image.", COMPILER_HINT)
        one_memory = (folder / "image.bin").stat().st_size <= info.flash_size
        for suffix in (".bin", ".hex") if one_memory else (".hex",):
            data = (folder / f"image{suffix}").read_bytes()
            write_whole(out.with_suffix(suffix), data, "the image", DeviceError)
        if has_section(baked, _RP2040_SECTION):
            write_whole(out.with_suffix(".uf2"), uf2(baked), "the image", DeviceError)
        return write_whole(out, baked.read_bytes(), "the image", DeviceError)


def _smaller(bundle: bytes, capacity: int) -> str:
    """What to do about a bundle that is too large."""
    try:
        (count,) = struct.unpack_from("<H", bundle, 10)
        rows = [struct.unpack_from("<4sIII", bundle, 32 + 16 * i) for i in range(count)]
    except struct.error:
        rows = []
    layers = sum(size for kind, _, size, _ in rows if kind == b"LAYR")
    if len(bundle) - layers < capacity:
        return (
            f"{layers} of them are float32 layers for training: leave out those before the last"
            " with `tinymia import FILE --train head`, or use a smaller model."
        )
    return "Use a smaller model."


def _objcopy(*arguments: str) -> None:
    done = subprocess.run(
        [_OBJCOPY, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode != 0:
        raise DeviceError(f"The bundle cannot be put into the image: {done.stderr.strip()}")
