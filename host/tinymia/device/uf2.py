"""Images as UF2 files, which a board's boot ROM takes from a copy onto its USB drive.

Format: https://github.com/microsoft/uf2, blocks of 512 bytes that carry 256 bytes of flash each.
"""

from __future__ import annotations

import struct
from pathlib import Path

from tinymia.device.elf import loaded

RP2040 = 0xE48BFF56
"""Family id: what the RP2040's boot ROM accepts (datasheet 2.8.4.2)."""

_FIRST, _SECOND, _LAST = 0x0A324655, 0x9E5D5157, 0x0AB16F30
_HAS_FAMILY = 0x2000
_PAGE = 256
_SECTOR = 4096


def uf2(elf: Path, family: int = RP2040) -> bytes:
    """The UF2 file of an image.

    Each sector of flash that the image touches is given whole, its gaps as erased flash: the boot
    ROM may leave out pages of any other (erratum RP2040-E14).

    Args:
        elf: the image.
        family: of the chip.

    Raises:
        DeviceError: ``elf`` cannot be read.
    """
    sectors: dict[int, bytearray] = {}
    for address, data in loaded(elf):
        for at in range(address, address + len(data)):
            base = at - at % _SECTOR
            sector = sectors.setdefault(base, bytearray(b"\xff" * _SECTOR))
            sector[at - base] = data[at - address]
    pages = [
        (base + offset, bytes(sectors[base][offset : offset + _PAGE]))
        for base in sorted(sectors)
        for offset in range(0, _SECTOR, _PAGE)
    ]
    return b"".join(
        struct.pack("<8I", _FIRST, _SECOND, _HAS_FAMILY, address, _PAGE, i, len(pages), family)
        + page.ljust(476, b"\0")
        + struct.pack("<I", _LAST)
        for i, (address, page) in enumerate(pages)
    )
