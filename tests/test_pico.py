"""The Raspberry Pi Pico's image: what its boot ROM checks, and the UF2 file."""

from __future__ import annotations

import binascii
import re
import struct
import subprocess
from pathlib import Path

import pytest

from tinymia.device.bake import bake
from tinymia.device.build import BuildResult, build
from tinymia.device.elf import loaded, section_bytes, symbols
from tinymia.device.uf2 import RP2040

ROOT = Path(__file__).resolve().parents[1]
FLASH, RAM = 0x10000000, 0x20000000


@pytest.fixture(scope="module")
def image() -> BuildResult:
    return build("pico")


def reversed_bits(value: int, width: int) -> int:
    return int(f"{value:0{width}b}"[::-1], 2)


def test_the_boot_rom_finds_its_checksum(image: BuildResult) -> None:
    stage = section_bytes(image.elf, ".boot2")
    assert len(stage) == 256
    # The ROM's CRC is zlib's with the bits of every byte and of the result the other way round, and
    # not inverted at the end.
    mirrored = bytes(reversed_bits(byte, 8) for byte in stage[:252])
    expected = reversed_bits(binascii.crc32(mirrored) ^ 0xFFFFFFFF, 32)
    assert int.from_bytes(stage[252:], "little") == expected


def test_the_machine_code_is_what_its_comments_say(image: BuildResult, tmp_path: Path) -> None:
    source = (ROOT / "firmware" / "boards" / "rp2040" / "boot2.cc").read_text()
    said = re.findall(
        r"^    0x[0-9A-F]{4},(?: 0x[0-9A-F]{4},)? *// ([a-z]+\b[^:\n]*)", source, re.M
    )
    said = [text for text in said if not text.startswith("the program")]
    code = tmp_path / "boot2.bin"
    code.write_bytes(section_bytes(image.elf, ".boot2"))
    listing = subprocess.run(
        ["arm-none-eabi-objdump", "-D", "-b", "binary", "-marm", "-Mforce-thumb", str(code)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.findall(r"^ +[0-9a-f]+:\t[0-9a-f ]+\t([^@\n]*)", listing, re.M)
    assert len(said) == 19
    assert [" ".join(text.split()) for text in found[: len(said)]] == said
    # The words that the code loads follow it: two for the SSI, then where the program lies.
    assert struct.unpack_from("<3I", code.read_bytes(), 40) == (0x001F0300, 0x03000218, FLASH + 256)


def test_the_program_starts_behind_the_second_stage(image: BuildResult) -> None:
    known = symbols(image.elf)
    at, data = loaded(image.elf)[0]
    stack, reset = struct.unpack_from("<2I", data, 256)
    assert at == FLASH
    assert (stack, reset) == (known["tinymia_stack_top"], known["ResetHandler"])
    assert reset % 2 == 1
    # The lowest 256 bytes guard the stack; the RAM in one piece ends at 256 KB.
    assert known["tinymia_stack_bottom"] == RAM + 256
    assert known["tinymia_arena_end"] == RAM + 256 * 1024


def test_uf2_holds_the_baked_image_in_whole_sectors(image: BuildResult, tmp_path: Path) -> None:
    bundle = bytes(range(256)) * 40 + b"end"
    out = bake(image.elf, bundle, tmp_path / "pico.elf")
    data = out.with_suffix(".uf2").read_bytes()
    blocks = [data[i : i + 512] for i in range(0, len(data), 512)]
    flash: dict[int, bytes] = {}
    for number, block in enumerate(blocks):
        *head, family = struct.unpack("<8I", block[:32])
        assert head[:3] == [0x0A324655, 0x9E5D5157, 0x2000]
        assert head[4:] == [256, number, len(blocks)]
        assert family == RP2040 == 0xE48BFF56
        assert block[-4:] == struct.pack("<I", 0x0AB16F30)
        assert head[3] % 256 == 0
        assert head[3] not in flash
        flash[head[3]] = block[32:288]
    sectors = {address // 4096 for address in flash}
    assert len(flash) == 16 * len(sectors)
    held = {sector * 4096: bytearray(b"\xff" * 4096) for sector in sectors}
    for at, piece in loaded(out):
        for i, byte in enumerate(piece):
            held[(at + i) & ~4095][(at + i) & 4095] = byte
    for base, expected in held.items():
        assert b"".join(flash[base + i] for i in range(0, 4096, 256)) == expected
    stored = b"".join(flash[address] for address in sorted(flash) if address >= FLASH + 0x40000)
    assert stored[: len(bundle)] == bundle


def test_other_boards_get_no_uf2(tmp_path: Path) -> None:
    out = bake(build("nano33ble").elf, b"\x01" * 32, tmp_path / "nano.elf")
    assert not out.with_suffix(".uf2").exists()
    # Behind Arduino's bootloader; the binary file starts with the program, as bossac wants it.
    at, data = loaded(out)[0]
    assert at == 0x10000
    assert out.with_suffix(".bin").read_bytes()[:256] == data[:256]
