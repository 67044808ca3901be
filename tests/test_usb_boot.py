"""Flashing over a board's own USB cable: fake drives, a fake bossac, what is said without them."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tinymia.cli.flash import command as flash_command
from tinymia.device import flash as flash_module
from tinymia.device import usb_boot, verify
from tinymia.device.bake import bake
from tinymia.device.boards import board
from tinymia.device.build import build
from tinymia.device.elf import loaded
from tinymia.device.flash import flash
from tinymia.device.serial_target import PortInfo
from tinymia.device.uf2 import uf2
from tinymia.errors import DeviceError

APP, BOOT, PICO = "2341:805a", "2341:005a", "2e8a:00c0"


@pytest.fixture(scope="module")
def pico(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bake(build("pico").elf, b"\x01" * 5000, tmp_path_factory.mktemp("p") / "pico.elf")


@pytest.fixture(scope="module")
def pico_usb(pico: Path) -> Path:
    """The same image as of the board that PlatformIO's registry would be needed for."""
    out = pico.with_name("pico_usb.elf")
    names = "tinymia_environment_is_pico=tinymia_environment_is_pico_usb"
    subprocess.run(["arm-none-eabi-objcopy", "--redefine-sym", names, pico, out], check=True)
    return out


@pytest.fixture(scope="module")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bake(build("nano33ble").elf, b"\x02" * 5000, tmp_path_factory.mktemp("n") / "nano.elf")


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without boards, drives and programmers; returns the folder of its programs."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(usb_boot, "MOUNTS", (str(tmp_path / "media" / "*" / "*"),))
    monkeypatch.setattr(usb_boot, "_LABELS", tmp_path / "by-label")
    monkeypatch.setattr(usb_boot, "_APPEARS", 1.0)
    ports(monkeypatch, lambda: [])
    return tmp_path / "bin"


def ports(monkeypatch: pytest.MonkeyPatch, found: Callable[[], list[PortInfo]]) -> None:
    for module in (usb_boot, verify):
        monkeypatch.setattr(module, "list_ports", found)


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def mounted(tmp_path: Path, name: str = "RPI-RP2", says: str = "RPI-RP2") -> Path:
    drive = tmp_path / "media" / "someone" / name
    drive.mkdir(parents=True)
    info = f"UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: {says}\r\n"
    (drive / "INFO_UF2.TXT").write_text(info)
    return drive


def boot_rom(drive: Path, size: int) -> threading.Thread:
    """Takes the last block and restarts, as the chip's boot ROM: the drive is gone."""

    def run() -> None:
        deadline = time.monotonic() + 600.0
        file = drive / "tinymia.uf2"
        while time.monotonic() < deadline and not (file.is_file() and file.stat().st_size == size):
            time.sleep(0.01)
        (drive / "INFO_UF2.TXT").unlink()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_the_image_goes_to_the_boards_drive_and_no_other(pico: Path, tmp_path: Path) -> None:
    expected = uf2(pico)
    other = mounted(tmp_path, "RP2350", "RP2350")
    (tmp_path / "media" / "someone" / "stick").mkdir()
    drive = mounted(tmp_path)
    rom = boot_rom(drive, len(expected))
    assert flash(pico, board("pico")) == f"drive {drive}"
    rom.join()
    assert (drive / "tinymia.uf2").read_bytes() == expected
    assert [file.name for file in other.iterdir()] == ["INFO_UF2.TXT"]


def test_what_is_wrong_with_a_drive_is_named(pico: Path, tmp_path: Path) -> None:
    made = board("pico")
    with pytest.raises(DeviceError, match="no drive RPI-RP2") as raised:
        flash(pico, made)
    assert "Hold BOOTSEL" in raised.value.hint
    assert "--with openocd" in raised.value.hint

    (tmp_path / "by-label" / "RPI-RP2").mkdir(parents=True)
    with pytest.raises(DeviceError, match="not mounted") as raised:
        flash(pico, made)
    assert "udisksctl mount" in raised.value.hint

    drive, second = mounted(tmp_path), mounted(tmp_path, "RPI-RP21")
    with pytest.raises(DeviceError, match="2 drives") as raised:
        flash(pico, made)
    assert "--drive" in raised.value.hint
    with pytest.raises(DeviceError, match="is not the drive of a Raspberry Pi Pico"):
        flash(pico, made, drive=tmp_path)
    with pytest.raises(DeviceError, match="does not restart"):
        usb_boot.copy_to_drive(pico, made, drive, seconds=0.2)
    (second / "tinymia.uf2").mkdir()
    with pytest.raises(DeviceError, match="cannot be copied"):
        flash(pico, made, drive=second)


def test_a_program_with_usb_is_asked_to_make_way(
    pico: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched = []

    def touch(port: str) -> None:
        touched.append(port)
        boot_rom(mounted(tmp_path), len(uf2(pico)))

    monkeypatch.setattr(usb_boot, "touch", touch)
    there = [PortInfo("/dev/ttyACM3", "", PICO), PortInfo("/dev/ttyUSB0", "", "0403:6001")]
    ports(monkeypatch, lambda: there)
    flash(pico, board("pico"))
    assert touched == ["/dev/ttyACM3"]

    there.append(PortInfo("/dev/ttyACM4", "", PICO))
    with pytest.raises(DeviceError, match="Several boards may be meant: /dev/ttyACM3, /dev/tty"):
        flash(pico, board("pico"))


def test_a_touch_is_1200_baud() -> None:
    master, slave = pty.openpty()
    usb_boot.touch(os.ttyname(slave))
    assert termios.tcgetattr(master)[4:6] == [termios.B1200] * 2
    os.close(master)
    os.close(slave)
    with pytest.raises(DeviceError, match="cannot be opened"):
        usb_boot.touch("/dev/ttyNONE")


def test_bossac_gets_the_image_through_the_bootloader(
    nano: Path, machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = [PortInfo("/dev/ttyACM1", "", APP)]
    ports(monkeypatch, lambda: there)
    monkeypatch.setattr(
        usb_boot, "touch", lambda port: there.__setitem__(0, PortInfo("/dev/ttyACM2", "", BOOT))
    )
    program(machine, "bossac", f'echo "$@" > {tmp_path}/log; cp "$6" {tmp_path}/image')
    assert flash(nano, board("nano33ble")) == "bossac on /dev/ttyACM2"
    said = (tmp_path / "log").read_text().split()
    assert said[:5] == ["--port=ttyACM2", "-U", "-i", "-e", "-w"]
    assert said[6:] == ["-R"]
    written = (tmp_path / "image").read_bytes()
    assert len(written) == len(nano.with_suffix(".bin").read_bytes())
    expected = bytearray(b"\xff" * len(written))
    for at, piece in loaded(nano):
        expected = expected[: at - 0x10000] + piece + expected[at - 0x10000 + len(piece) :]
    assert written == expected

    program(machine, "bossac", "echo Device unsupported; exit 1")
    with pytest.raises(DeviceError, match="does not know the nrf52840") as raised:
        flash(nano, board("nano33ble"))
    assert "Arduino" in raised.value.hint
    program(machine, "bossac", "echo SAM-BA operation failed >&2; exit 1")
    with pytest.raises(DeviceError, match="SAM-BA operation failed"):
        flash(nano, board("nano33ble"))
    program(machine, "bossac", "exec sleep 9")
    with pytest.raises(DeviceError, match="did not finish"):
        flash(nano, board("nano33ble"), seconds=0.2)
    there.append(PortInfo("/dev/ttyACM7", "", BOOT))
    with pytest.raises(DeviceError, match="2 bootloaders"):
        flash(nano, board("nano33ble"))
    there.clear()
    with pytest.raises(DeviceError, match="No bootloader") as raised:
        flash(nano, board("nano33ble"))
    assert "reset button twice" in raised.value.hint


def test_bossac_of_the_arduino_ide_is_found(tmp_path: Path) -> None:
    assert usb_boot.find_bossac() == ""
    folder = tmp_path / "home/.arduino15/packages/arduino/tools/bossac/1.9.1-arduino2"
    folder.mkdir(parents=True)
    program(folder, "bossac", "")
    assert usb_boot.find_bossac() == str(folder / "bossac")


def test_a_probe_is_used_where_it_is_asked_for_or_nothing_else_is_there(
    pico: Path, nano: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flash_module.shutil, "which", lambda name: None)
    with pytest.raises(DeviceError, match="bossac, which programs the board, is missing"):
        flash(nano, board("nano33ble"))
    with pytest.raises(DeviceError, match="OpenOCD, which programs the board, is missing"):
        flash(pico, board("pico"), programmer="openocd")
    monkeypatch.undo()
    ran: list[list[str]] = []
    monkeypatch.setattr(
        flash_module, "run_pio", lambda args, *a, **k: (ran.append(args), (0, ""))[1]
    )
    monkeypatch.setattr(usb_boot, "find_bossac", lambda: "")
    monkeypatch.setattr(flash_module, "find_bossac", lambda: "")
    program(machine, "openocd", "")
    monkeypatch.setenv("PATH", f"{machine}:/usr/bin:/bin")
    assert flash(nano, board("nano33ble")) == "openocd"
    assert flash(pico, board("pico"), programmer="openocd") == "openocd"
    assert flash(pico, board("pico"), probe="123") == "openocd"
    assert [args[2] for args in ran] == ["nano33ble", "pico", "pico"]
    with pytest.raises(DeviceError, match="bossac, which programs the board, is missing"):
        flash(nano, board("nano33ble"), programmer="bossac")
    with pytest.raises(DeviceError, match="does not take images by bossac") as raised:
        flash(pico, board("pico"), programmer="bossac")
    assert "uf2" in raised.value.hint
    with pytest.raises(DeviceError, match="does not take images by uf2"):
        flash(nano, board("nano33ble"), drive=machine)


def test_a_frameworks_board_gets_the_baked_image_from_openocd_itself(
    pico_usb: Path, machine: Path, tmp_path: Path
) -> None:
    program(machine, "openocd", f'for a in "$@"; do echo "$a" >> {tmp_path}/log; done')
    made = board("pico_usb")
    assert flash(pico_usb, made, programmer="openocd", probe="E66") == "openocd"
    *said, last = (tmp_path / "log").read_text().splitlines()
    assert said == [
        *("-f", "interface/cmsis-dap.cfg", "-c", "adapter serial E66"),
        *("-f", "target/rp2040.cfg", "-c"),
    ]
    assert re.fullmatch(r"program \{/[\w./-]+\} verify reset exit", last)


def test_images_of_the_other_kind_are_refused(nano: Path) -> None:
    made = board("nano33ble")
    with pytest.raises(DeviceError, match="another nano33ble"):
        flash(nano, replace(made, platform="nordicnrf52"))
    moved = replace(made.bundle, start=made.bundle.start + 0x1000)
    with pytest.raises(DeviceError, match="another nano33ble"):
        flash(nano, replace(made, bundle=moved))
    with pytest.raises(DeviceError, match="no image of this firmware"):
        flash(build("native").elf, made)


def test_flash_waits_for_the_board_and_verifies(
    pico: Path, pico_usb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = str(tmp_path / "ttyUSB0")
    Path(line).touch()
    verified: list[tuple[str, str]] = []
    monkeypatch.setattr(
        verify, "verify", lambda port, made, build_id: verified.append((port, made.id))
    )
    gone_until = time.monotonic() + 1.0
    back = [PortInfo("/dev/ttyACM9", "", PICO)]
    ports(monkeypatch, lambda: back if time.monotonic() > gone_until else [])
    for name, image, more, port in (
        ("pico_usb", pico_usb, [], "/dev/ttyACM9"),
        ("pico", pico, ["--port", line], line),
    ):
        drive = mounted(tmp_path, name)
        boot_rom(drive, len(uf2(image)))
        arguments = ["--board", name, "--image", str(image), "--drive", str(drive), *more]
        done = CliRunner().invoke(flash_command, arguments)
        assert done.exit_code == 0, done.output
        assert f"verified   build {build('pico').build_id} answers on {port}" in done.output
    assert verified == [("/dev/ttyACM9", "pico_usb"), (line, "pico")]
