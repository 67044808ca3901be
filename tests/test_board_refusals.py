"""The firmware refuses what it cannot run, stays up, and says why; on the simulated board."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinymia.device import protocol
from tinymia.device.bake import bake
from tinymia.device.build import build
from tinymia.device.client import BoardRefusedError
from tinymia.device.connect import connect
from tinymia.device.elf import patch_memory, symbols
from tinymia.device.protocol import Status
from tinymia.errors import BundleError, DeviceError, StudyError
from tinymia.export.bundle import Bundle, pack_sections, split_sections
from tinymia.study.runner import check_bundle

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "models" / "har-watch" / "har-watch.bundle"
TARGET = "qemu:netduinoplus2"


@pytest.fixture(scope="module")
def elf() -> Path:
    return build().elf


@pytest.fixture(scope="module")
def good() -> bytes:
    return BUNDLE.read_bytes()


def refused(elf: Path, blob: bytes, where: Path) -> BoardRefusedError:
    """What the board says of a bundle; it must answer other requests all the same."""
    with connect(TARGET, bake(elf, blob, where / "image.elf")) as opened:
        with pytest.raises(BoardRefusedError) as refusal:
            opened.board.require_bundle()
        with pytest.raises(BoardRefusedError) as again:
            opened.board.state()
        assert again.value.status == refusal.value.status
        assert list(opened.board.echo([b"alive"])) == [b"alive"]
    return refusal.value


def with_checksum(data: bytearray) -> bytes:
    data[16:20] = struct.pack("<I", zlib.crc32(bytes(data[32:])))
    return bytes(data)


def test_an_image_without_a_bundle_says_so(elf: Path) -> None:
    with connect(TARGET, elf) as opened, pytest.raises(BoardRefusedError, match="no bundle"):
        opened.board.require_bundle()


def test_a_truncated_bundle(elf: Path, good: bytes, tmp_path: Path) -> None:
    # On the board what is cut off reads as empty flash, so the checksum tells.
    assert refused(elf, good[:-64], tmp_path).status == Status.BUNDLE_CHECKSUM
    with pytest.raises(BundleError, match="truncated"):
        Bundle.from_bytes(good[:-64])


def test_a_bundle_that_claims_more_than_the_flash(elf: Path, good: bytes, tmp_path: Path) -> None:
    data = bytearray(good)
    data[12:16] = struct.pack("<I", 2**30)
    error = refused(elf, bytes(data), tmp_path)
    assert error.status == Status.BUNDLE_TRUNCATED
    assert str(2**30) in error.message


def flip(data: bytearray) -> bytes:
    data[len(data) // 2] ^= 4
    return bytes(data)


def newer(data: bytearray) -> bytes:
    data[8] = 9
    return bytes(data)


def no_model(data: bytearray) -> bytes:
    data[32:36] = b"ELSE"
    return with_checksum(data)


def overlap(data: bytearray) -> bytes:
    data[36:40] = struct.pack("<I", 16)
    return with_checksum(data)


def nan_tail(data: bytearray) -> bytes:
    tail = split_sections(bytes(data))["TAIL"]
    at = bytes(data).index(tail) + 8
    data[at : at + 4] = struct.pack("<f", float("nan"))
    return with_checksum(data)


def broken_model(data: bytearray) -> bytes:
    sections = split_sections(bytes(data))
    model = bytearray(sections["MODL"])
    model[4:8] = b"ELSE"
    return pack_sections([("MODL", bytes(model)), ("TAIL", sections["TAIL"])])


def other_tail(data: bytearray) -> bytes:
    sections = split_sections(bytes(data))
    tail = struct.pack("<II", 7, 63) + bytes(4 * (7 * 63 + 7))
    return pack_sections([("MODL", sections["MODL"]), ("TAIL", tail)])


@pytest.mark.parametrize(
    ("damage", "status", "says"),
    [
        (flip, Status.BUNDLE_CHECKSUM, "damaged"),
        (newer, Status.BUNDLE_VERSION, "format version 9"),
        (no_model, Status.BUNDLE_MALFORMED, "malformed"),
        (overlap, Status.BUNDLE_MALFORMED, "malformed"),
        (nan_tail, Status.BUNDLE_MALFORMED, "malformed"),
        (broken_model, Status.MODEL_MALFORMED, "not a valid .tflite"),
        (other_tail, Status.TAIL_MISMATCH, "takes 63 inputs, the backbone gives 64"),
    ],
)
def test_damaged_bundles(
    damage: Callable[[bytearray], bytes],
    status: Status,
    says: str,
    elf: Path,
    good: bytes,
    tmp_path: Path,
) -> None:
    error = refused(elf, damage(bytearray(good)), tmp_path)
    assert (error.status, says in error.message) == (status, True), error.message


def test_a_bundle_that_does_not_fit_the_arena(elf: Path, tmp_path: Path) -> None:
    from tensorflow import keras

    from tinymia.export.convert import to_int8

    wide = keras.Sequential(
        [
            keras.layers.Input((50, 1, 6), batch_size=1),
            keras.layers.Conv2D(1100, 1),
            keras.layers.DepthwiseConv2D((3, 1), padding="same"),
            keras.layers.AveragePooling2D((50, 1)),
            keras.layers.Flatten(),
        ]
    )
    rng = np.random.default_rng(0)
    model = to_int8(wide, rng.normal(size=(20, 50, 1, 6)).astype(np.float32))
    error = refused(elf, pack_sections([("MODL", model)]), tmp_path)
    assert error.status == Status.ARENA_TOO_SMALL
    assert error.a > 110_000 > error.b
    assert f"needs {error.a} bytes of arena, the board has {error.b}" in error.message


def test_a_bundle_that_does_not_fit_the_flash(elf: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="bytes of flash"):
        bake(elf, bytes(2**20), tmp_path / "image.elf")


@pytest.mark.parametrize(("version", "says"), [(0, "older"), (99, "newer")])
def test_a_board_of_another_protocol(
    version: int, says: str, elf: Path, good: bytes, tmp_path: Path
) -> None:
    image = bake(elf, good, tmp_path / "image.elf")
    address = symbols(image)["tinymia_protocol_version"]
    patched = patch_memory(image, address, struct.pack("<H", version), tmp_path / "other.elf")
    with pytest.raises(DeviceError, match=f"{says} protocol: version {version}"):
        connect(TARGET, patched)


def test_a_board_with_another_bundle(elf: Path, good: bytes, tmp_path: Path) -> None:
    sections = split_sections(good)
    other = pack_sections([("MODL", sections["MODL"]), ("TAIL", sections["TAIL"])])
    image = bake(elf, other, tmp_path / "image.elf")
    with connect(TARGET, image) as opened, pytest.raises(StudyError, match="another bundle"):
        check_bundle(opened.board, Bundle.from_bytes(good))


def test_nothing_that_speaks_answers(elf: Path) -> None:
    from tinymia.device.link import Link, LinkLostError

    class Deaf:
        def read(self, size: int) -> bytes:
            return b""

        def write(self, data: bytes) -> int:
            return len(data)

    with pytest.raises(LinkLostError, match="No tinymia firmware answers"):
        Link(Deaf(), patience=0.3).hello()
    assert protocol.VERSION >= 1
