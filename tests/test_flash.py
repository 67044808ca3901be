"""An image reaches its board alone, by programs that are called as they want to be."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tinymia.cli.flash import command
from tinymia.device import flash as flash_module
from tinymia.device.bake import bake
from tinymia.device.boards import board, board_of, boards
from tinymia.device.build import BuildResult, build
from tinymia.device.elf import environment_of, flat, image_info, loaded, machine_flags, symbols
from tinymia.device.flash import check_image, flash
from tinymia.device.targets import open_target
from tinymia.device.verify import verify
from tinymia.errors import DeviceError


@pytest.fixture(scope="module")
def image() -> BuildResult:
    return build("selftest")


def stub(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", ["stm32f405", "nucleo_f446re", "blackpill_f411ce", "pico"])
def test_an_image_is_taken_by_its_board_alone(name: str) -> None:
    elf = build(name).elf
    assert environment_of(elf) == name
    check_image(elf, board(name))
    for other in set(boards()) - {name}:
        with pytest.raises(DeviceError, match=f"was built for {name}, not for {other}"):
            check_image(elf, board(other))


def test_variants_are_their_boards(image: BuildResult) -> None:
    check_image(image.elf, board("stm32f405"))
    assert [board_of(name) for name in ("release", "stm32f405", "native", "x")] == [
        "stm32f405",
        "stm32f405",
        "",
        "",
    ]


def test_an_image_that_is_cut_off_is_refused(image: BuildResult, tmp_path: Path) -> None:
    whole = image.elf.read_bytes()
    part = tmp_path / "part.elf"
    for length in [*range(0, 400, 7), *range(400, len(whole), 9973), len(whole) - 1]:
        part.write_bytes(whole[:length])
        for read in (image_info, symbols):
            with pytest.raises(DeviceError, match=r"cut off|not an ELF image"):
                read(part)
    part.write_bytes(whole)
    assert image_info(part).build_id == image.build_id


def test_an_image_that_is_damaged_is_refused(image: BuildResult, tmp_path: Path) -> None:
    whole = image.elf.read_bytes()
    headers = int.from_bytes(whole[28:32], "little")
    damaged = tmp_path / "damaged.elf"

    def rewritten(field: int, value: int) -> Path:
        """With a field of every program header."""
        made = bytearray(whole)
        for at in range(headers, headers + 32 * made[44], 32):
            made[at + field : at + field + 4] = value.to_bytes(4, "little")
        damaged.write_bytes(made)
        return damaged

    for read in (loaded, flat, machine_flags):
        with pytest.raises(DeviceError, match="it loads nothing"):
            read(rewritten(16, 0))  # p_filesz
    # A piece at the very end of the address space, the others where they belong.
    made = bytearray(whole)
    last = headers + 32 * (made[44] - 1)
    made[last + 12 : last + 16] = (0xF0000000).to_bytes(4, "little")  # p_paddr
    damaged.write_bytes(made)
    with pytest.raises(DeviceError, match=r"built for another stm32f405"):
        check_image(damaged, board("stm32f405"))


def test_another_build_on_the_right_board_is_noticed() -> None:
    built = build("native")
    here = replace(board("stm32f405"), id="native")
    with open_target("native:", elf=built.elf) as target:
        port = f"socket://127.0.0.1:{target._port}"  # type: ignore[attr-defined]
        target.serial.close()
        with pytest.raises(DeviceError, match=f"runs build {built.build_id}, not {'00' * 20}"):
            verify(port, here, "00" * 20)
        verify(port, here, built.build_id)


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("Error: open failed", "No debug probe .stlink."),
        ("Error: libusb_open() failed with LIBUSB_ERROR_ACCESS\nError: open failed", "udev"),
        ("Error: init mode failed (unable to connect to the target)", "does not reach the chip"),
        ("Warn : target voltage may be too low\nError: init mode failed", "no power"),
        ("Warn : target voltage may be too low\n** Verify Failed **", "not hold what was written"),
        ("Error: something new", "Error: something new"),
    ],
)
def test_flashing_explains_what_openocd_says(
    image: BuildResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, meaning: str
) -> None:
    monkeypatch.setattr(flash_module, "firmware_dir", lambda: image.elf.parents[3])
    stub(tmp_path / "bin", "openocd", f"cat >&2 <<'END'\n{said}\nEND\nexit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    with pytest.raises(DeviceError, match=meaning):
        flash(image.elf, board("stm32f405"))


def test_flashing_programs_the_given_image(
    image: BuildResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    baked = bake(image.elf, b"bundle", tmp_path / "with $space}" / "baked.elf")
    log = tmp_path / "log"
    script = f'for a in "$@"; do echo "$a" >> "{log}"; f="$a"; done\n'
    script += f'f="${{f#program {{}}"; cp "${{f%\\}} verify*}}" "{tmp_path}/taken"'
    stub(tmp_path / "bin", "openocd", script)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    flash(baked, board("stm32f405"))
    arguments = log.read_text().splitlines()
    assert arguments[:4] == ["-f", "interface/stlink.cfg", "-f", "target/stm32f4x.cfg"]
    assert arguments[4] == "-c"
    program = re.fullmatch(r"program \{([\w./-]+)\} verify reset exit", arguments[5])
    assert program is not None
    assert (tmp_path / "taken").read_bytes() == baked.read_bytes()

    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(DeviceError, match="apt-get install openocd"):
        flash(baked, board("stm32f405"))


def test_pyocd_gets_chip_and_probe(
    image: BuildResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    stub(tmp_path / "bin", "pyocd", f'echo "$@" > "{log}"')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    flash(image.elf, board("stm32f405"), programmer="pyocd", probe="0123")
    said = log.read_text()
    assert said.startswith("load --no-wait --target stm32f405rgtx --uid 0123 ")
    stub(tmp_path / "bin", "pyocd", "echo Target type stm32f405rgtx not recognized. >&2; exit 1")
    with pytest.raises(DeviceError, match=r"pyocd pack install stm32f405rgtx"):
        flash(image.elf, board("stm32f405"), programmer="pyocd")


def test_a_programmer_that_hangs_is_named(
    image: BuildResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stub(tmp_path / "bin", "openocd", "sleep 60")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    with pytest.raises(DeviceError, match="OpenOCD did not finish within 5 s"):
        flash(image.elf, board("stm32f405"), seconds=5)


def test_what_is_not_verified_is_no_success(
    image: BuildResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stub(tmp_path / "bin", "openocd", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setattr("tinymia.device.verify.list_ports", list)
    arguments = ["--board", "stm32f405", "--image", str(image.elf)]
    done = CliRunner().invoke(command, arguments)
    assert "programmed; whether it runs is not verified" in str(done.exception)
    assert "Give --port for the serial line on PA9 and PA10" in str(done.exception)
    done = CliRunner().invoke(command, [*arguments, "--port", str(tmp_path / "none")])
    assert "There is no port" in str(done.exception)
    assert "programmed" not in done.output
    (tmp_path / "tty").touch()
    done = CliRunner().invoke(command, [*arguments, "--port", f"{tmp_path}/tty?baud=9600"])
    assert "There is no port" not in str(done.exception)
    assert "programmed" in done.output
