"""Building and baking images; the same sources give the same image wherever they lie."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from images import read_memory
from processes import called, descendants, gone, until
from tinymia.device import build as build_module
from tinymia.device import checkout
from tinymia.device.bake import bake
from tinymia.device.build import BuildResult, build
from tinymia.device.checkout import firmware_dir
from tinymia.device.elf import image_info, section_bytes, symbols
from tinymia.errors import DeviceError

BUNDLE_AT = 0x08040000


@pytest.fixture(scope="module")
def image() -> BuildResult:
    return build("selftest")


def copy_of_the_project(folder: Path) -> Path:
    return Path(
        shutil.copytree(
            firmware_dir(), folder, ignore=shutil.ignore_patterns(".pio", "__pycache__")
        )
    )


def test_the_firmware_fits_the_chip() -> None:
    result = build()
    assert result.env == "stm32f405"
    assert result.flash_size == 1024 * 1024
    assert result.ram_size == 128 * 1024
    assert result.bundle_capacity == 768 * 1024
    assert 1000 < result.flash_bytes <= result.flash_size - result.bundle_capacity
    # Stack and receive ring alone are 16 KB; the rest is the arena's, but for what the alignment
    # of sections takes.
    assert result.ram_static_bytes >= 16 * 1024
    assert result.arena_bytes >= 64 * 1024
    at, lost = 0x20000000, 0
    with result.elf.open("rb") as file:
        sections = [s.header for s in ELFFile(file).iter_sections() if s["sh_flags"] & 3 == 3]
    for section in sorted(sections, key=lambda s: s["sh_addr"]):
        gap = section["sh_addr"] - at
        assert 0 <= gap < section["sh_addralign"]
        at, lost = section["sh_addr"] + section["sh_size"], lost + gap
    assert at == 0x20000000 + result.ram_size
    assert result.ram_size - result.ram_static_bytes - result.arena_bytes == lost
    assert len(result.build_id) == 40


def test_sections_lie_where_the_chip_needs_them(image: BuildResult) -> None:
    known = symbols(image.elf)
    vectors = section_bytes(image.elf, ".vectors")
    assert int.from_bytes(vectors[:4], "little") == known["tinymia_stack_top"] == 0x20002000
    assert int.from_bytes(vectors[4:8], "little") == known["ResetHandler"]
    assert known["tinymia_arena_end"] == 0x20020000
    assert known["tinymia_arena_start"] % 16 == 0
    assert read_memory(image.elf, BUNDLE_AT, 16) == b"\xff" * 16
    note = read_memory(image.elf, known["tinymia_build_id_note"] + 16, 20)
    assert note.hex() == image.build_id


def test_building_again_changes_nothing(image: BuildResult) -> None:
    before = image.elf.stat().st_mtime_ns
    assert build("selftest") == image
    assert image.elf.stat().st_mtime_ns == before


def test_platformio_is_asked_only_where_something_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, image: BuildResult
) -> None:
    asked: list[Path] = []

    def run_pio(_: object, folder: Path, **__: object) -> tuple[int, str]:
        asked.append(folder)
        return 0, ""

    monkeypatch.setattr(build_module, "run_pio", run_pio)
    assert build("selftest") == image
    assert not asked
    copy = copy_of_the_project(tmp_path / "copy")
    made = copy / ".pio" / "build" / "selftest" / "firmware.elf"
    made.parent.mkdir(parents=True)
    shutil.copy(image.elf, made)

    def asks() -> bool:
        asked.clear()
        build("selftest", firmware=copy)
        return bool(asked)

    assert [asks(), asks()] == [True, False]
    changed = copy / "lib" / "learncore" / "src" / "fmath.h"
    text = changed.read_bytes()
    changed.write_bytes(text + b"\n")
    assert [asks(), asks()] == [True, False]
    changed.write_bytes(text)
    assert [asks(), asks()] == [True, False]
    (copy / "boards" / "own.ini").write_text("[env:own]\nextends = env:stm32f405\n")
    assert [asks(), asks()] == [True, False]
    (copy / "boards" / "new.h").touch()
    assert [asks(), asks()] == [True, False]
    (copy / "boards" / "new.h").unlink()
    assert [asks(), asks()] == [True, False]
    monkeypatch.setattr(build_module, "version", lambda _: "0")
    assert [asks(), asks()] == [True, False]
    # What lies elsewhere may change without a word.
    with (copy / "platformio.ini").open("a") as ini:
        ini.write("[env:x]\nlib_deps = symlink:///elsewhere\n")
    assert [asks(), asks()] == [True, True]


def test_the_build_id_does_not_depend_on_the_folder(image: BuildResult, tmp_path: Path) -> None:
    copy = copy_of_the_project(tmp_path / "a rather longer name than the other one")
    other = build("selftest", firmware=copy)
    assert other.elf != image.elf
    assert other.build_id == image.build_id
    assert other.elf.read_bytes() == image.elf.read_bytes()
    # And it does depend on the program.
    source = copy / "boards" / "selftest" / "main.cc"
    source.write_text(source.read_text().replace("0xA5", "0xA6"), encoding="utf-8")
    assert build("selftest", firmware=copy).build_id != image.build_id

    source.write_text("int main() { return undeclared; }\n", encoding="utf-8")
    with pytest.raises(DeviceError, match=r"does not build.*\n.*'?undeclared'? was not declared"):
        build("selftest", firmware=copy)


def test_a_baked_bundle_is_in_flash_and_nothing_else_changed(
    image: BuildResult, tmp_path: Path
) -> None:
    bundle = bytes(range(256)) * 401
    baked = bake(image.elf, bundle, tmp_path / "sub" / "baked.elf")
    assert section_bytes(baked, ".bundle") == bundle
    assert read_memory(baked, BUNDLE_AT, len(bundle)) == bundle
    info = image_info(baked)
    assert info.build_id == image.build_id
    assert info.flash_bytes == image.flash_bytes
    for name in (".vectors", ".text"):
        assert section_bytes(baked, name) == section_bytes(image.elf, name)

    flat = baked.with_suffix(".bin").read_bytes()
    assert flat[0x40000:] == bundle
    vectors = section_bytes(image.elf, ".vectors")
    assert flat[: len(vectors)] == vectors
    assert flat[0x1FFFF] == 0xFF
    assert baked.with_suffix(".hex").read_text().startswith(":02000004")

    # Another bundle can take its place, a shorter one too.
    again = bake(baked, bundle[:32], tmp_path / "again.elf")
    assert section_bytes(again, ".bundle") == bundle[:32]
    assert again.read_bytes() == bake(image.elf, bundle[:32], tmp_path / "b.elf").read_bytes()


def test_no_flat_file_where_the_bundle_lies_in_another_memory(
    image: BuildResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies between could be gigabytes."""
    near = replace(image_info(image.elf), flash_size=0x20000)
    monkeypatch.setattr("tinymia.device.bake.image_info", lambda _: near)
    baked = bake(image.elf, bytes(32), tmp_path / "baked.elf")
    assert baked.with_suffix(".hex").is_file()
    assert not baked.with_suffix(".bin").exists()


def test_the_largest_bundle_fits_and_a_larger_one_is_refused(
    image: BuildResult, tmp_path: Path
) -> None:
    capacity = image.bundle_capacity
    baked = bake(image.elf, b"\x01" * capacity, tmp_path / "full.elf")
    assert len(section_bytes(baked, ".bundle")) == capacity
    out = tmp_path / "big.elf"
    with pytest.raises(DeviceError, match=f"{capacity + 1} bytes.*{capacity} for it"):
        bake(image.elf, b"\x01" * (capacity + 1), out)
    assert not out.exists()


def test_baking_needs_an_image(image: BuildResult, tmp_path: Path) -> None:
    out = tmp_path / "out.elf"
    with pytest.raises(DeviceError, match="empty"):
        bake(image.elf, b"", out)
    with pytest.raises(DeviceError, match="Cannot read the image"):
        bake(tmp_path / "none.elf", b"x", out)
    (tmp_path / "text").write_text("no image")
    with pytest.raises(DeviceError, match="not an ELF image"):
        bake(tmp_path / "text", b"x", out)
    with pytest.raises(DeviceError, match=r"no section \.bundle"):
        bake(Path("/bin/sh"), b"x", out)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="apt-get install gcc-arm-none-eabi libnewlib"):
        build()
    with pytest.raises(DeviceError, match=r"apt-get install g\+\+"):
        build("asan_native")
    monkeypatch.undo()
    with pytest.raises(DeviceError, match="no environment 'nosuch'"):
        build("nosuch")
    monkeypatch.setattr(checkout, "_CHECKOUT", tmp_path)
    with pytest.raises(DeviceError, match="pip install -e"):
        build()


def test_a_build_waits_for_another_but_not_for_ever(tmp_path: Path) -> None:
    copy = copy_of_the_project(tmp_path / "copy")
    (copy / ".pio").mkdir()
    with (copy / ".pio" / "tinymia.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(DeviceError, match="Another process"):
            build("selftest", firmware=copy, seconds=0.3)


HANGING = """
import subprocess, time
subprocess.Popen(["sleep", "600"])  # a compiler, as it were
time.sleep(600)
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_build_outlives_the_program(ending: signal.Signals, tmp_path: Path) -> None:
    copy = copy_of_the_project(tmp_path / "copy")
    (copy / "platform" / "builder" / "main.py").write_text(HANGING)
    program = (
        "import pathlib, signal\n"
        # A job in the background of a shell ignores it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tinymia.device.build import build\n"
        f"build('selftest', firmware=pathlib.Path({str(copy)!r}))\n"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=env, stderr=subprocess.DEVNULL
    ) as process:
        assert until(lambda: any(called(pid, "sleep\x00600") for pid in descendants(process.pid)))
        children = descendants(process.pid)
        assert len(children) >= 3  # PlatformIO, SCons, the sleep
        process.send_signal(ending)
    assert process.returncode == -ending
    assert until(lambda: all(gone(pid) for pid in children))


def test_a_build_that_hangs_is_ended(tmp_path: Path) -> None:
    copy = copy_of_the_project(tmp_path / "copy")
    (copy / "platform" / "builder" / "main.py").write_text("import time\ntime.sleep(60)\n")
    with pytest.raises(DeviceError, match="did not finish within 3 s"):
        build("selftest", firmware=copy, seconds=3)
