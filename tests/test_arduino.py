"""Boards on a framework: their files, the board layer on a stand-in, life without a registry."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from tinymia.device import registry
from tinymia.device.boards import BoardFile, board, boards
from tinymia.device.build import build
from tinymia.device.checkout import firmware_dir
from tinymia.device.connect import connect
from tinymia.device.targets import open_target
from tinymia.errors import DeviceError
from tinymia.study import boards as study
from tinymia.wire.settings import TrainSettings

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "models" / "har-watch" / "har-watch.bundle"
FRAMEWORK = [b.id for b in boards().values() if b.platform]
# Regions FLASH and RAM of the linker scripts of Arduino's Mbed core 4.5, and what its Mbed OS
# gives to the main thread's stack (MBED_CONF_RTOS_MAIN_THREAD_STACK_SIZE).
CORE = {
    "nano33ble": (0x10000, 0xF0000, 0x20000200, 0x3FE00, 32768),
    "pico": (0x10000000, 2048 * 1024, 0x20000000, 256 * 1024, 32768),
}


def option(made: BoardFile, key: str) -> str:
    text = (firmware_dir() / "boards" / f"{made.id}.ini").read_text()
    found = re.search(rf"^{key} = (.*)$", text, re.M)
    assert found
    return found[1]


def test_two_boards_have_usb_by_a_framework() -> None:
    assert FRAMEWORK == ["nano33ble_usb", "pico_usb"]
    assert [board(name).own_usb for name in FRAMEWORK] == [True, True]
    assert not any(b.own_usb for b in boards().values() if not b.platform)


@pytest.mark.parametrize("name", FRAMEWORK)
def test_memory_is_that_of_the_frameworks_linker_script(name: str) -> None:
    made = board(name)
    flash, flash_size, ram, ram_size, stack = CORE[option(made, "board")]
    assert made.flash.start == flash
    assert made.flash.end <= made.bundle.start
    assert made.bundle.end <= flash + flash_size
    assert (made.ram.start, made.ram.size, made.stack) == (ram, ram_size, stack)
    # The same chip, the same bits: nothing but the board layer and what starts it differs.
    bare = board(name.removesuffix("_usb"))
    assert (made.chip, made.core, made.fpu, made.ticks) == (
        bare.chip,
        bare.core,
        bare.fpu,
        bare.ticks,
    )


def test_the_default_build_needs_no_registry() -> None:
    text = (firmware_dir() / "platformio.ini").read_text()
    default = re.search(r"^default_envs = (.*)$", text, re.M)
    assert default
    assert not set(re.split(r"[ ,]+", default[1])) & set(FRAMEWORK)
    for flag in ("-ffp-contract=off", "-fno-math-errno", "-O2"):
        assert flag in text[text.index("[arduino]") : text.index("[nrf52840_arduino]")]


# --- without the registry ---


def test_without_the_registry_a_build_says_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_installed", lambda board, core: False)
    monkeypatch.setattr(registry, "reachable", lambda urls: False)
    for name in FRAMEWORK:
        with pytest.raises(DeviceError, match="needs PlatformIO's registry") as raised:
            build(name)
        assert f"{name.removesuffix('_usb')} needs no registry" in raised.value.hint
    known = {name: board(name) for name in FRAMEWORK}
    table = study.markdown(study.survey(known, []))
    assert table.count("| no: needs PlatformIO's registry | never |") == 2


def test_other_boards_never_ask_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(urls: list[str]) -> bool:
        raise AssertionError(urls)

    monkeypatch.setattr(registry, "reachable", ask)
    for made in boards().values():
        if not made.platform:
            assert registry.provide(made.env, firmware_dir()) == 0.0
    assert registry.provide("selftest", firmware_dir()) == 0.0


def test_what_is_installed_is_not_asked_for_and_a_download_gets_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = tmp_path / "firmware"
    copy.mkdir()
    (copy / "boards").symlink_to(firmware_dir() / "boards")
    (copy / "platformio.ini").symlink_to(firmware_dir() / "platformio.ini")
    monkeypatch.setattr(registry, "reachable", lambda urls: True)
    assert registry.provide("pico_usb", copy) > 600
    monkeypatch.setattr(registry, "reachable", lambda urls: False)
    (copy / ".pio" / "core" / "platforms" / "raspberrypi").mkdir(parents=True)
    with pytest.raises(DeviceError, match="registry"):
        registry.provide("pico_usb", copy)
    (copy / ".pio" / "core" / "packages" / "framework-arduino-mbed").mkdir(parents=True)
    assert registry.provide("pico_usb", copy) == 0.0


def test_any_answer_counts_and_silence_does_not_hang() -> None:
    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Refuse) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert registry.reachable([f"http://127.0.0.1:{server.server_port}"])
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        start = time.monotonic()
        assert not registry.reachable([f"http://127.0.0.1:{port}"], seconds=0.5)
        assert time.monotonic() - start < 60  # and not as long as the socket's own patience
    assert not registry.reachable([f"http://127.0.0.1:{port}", "nonsense"], seconds=0.5)


# --- the board layer ---


@pytest.fixture(scope="module")
def program() -> Path:
    return build("arduino_native").elf


@pytest.fixture
def port(program: Path, tmp_path: Path) -> Iterator[str]:
    """The stand-in's USB port."""
    link = tmp_path / "ttyACM0"
    environment = os.environ | {"TINYMIA_PORT_LINK": str(link), "TINYMIA_BUNDLE": str(BUNDLE)}
    with subprocess.Popen([str(program)], env=environment) as process:
        try:
            deadline = time.monotonic() + 600.0
            while not link.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            yield f"serial:{link}"
            assert process.poll() is None, "the firmware ended"
        finally:
            process.kill()


def test_the_board_layer_trains_to_the_twins_bits(port: str) -> None:
    data = BUNDLE.read_bytes()
    windows = np.random.default_rng(2).integers(-128, 128, (60, 300)).astype(np.int8)
    found = []
    for target, load in (("twin:", data), (port, None)):
        with connect(target, load) as opened:
            if target != "twin:":
                assert opened.board.identity.board == "arduino"
            opened.board.store(windows, np.arange(60) % 7)
            opened.board.select(np.arange(60) % 2 == 0)
            opened.board.begin(TrainSettings(clip_norm=1.0, label_smoothing=0.1, seed=4))
            trained = opened.board.train(0, 3)
            answers, _ = opened.board.query(np.arange(60))
            found.append((trained.tail_hash, answers.tobytes()))
    assert found[0] == found[1]


def test_no_answer_waits_for_the_next_one_whatever_its_length(port: str) -> None:
    # A host passes a full packet on when another one follows, or one that is not full.
    with connect(port) as opened:
        for size in range(1, 200):
            block = bytes([size]) * size
            assert list(opened.board.echo([block])) == [block]
        assert opened.board.link.stats.resent == 0
        block = bytes(range(250)) * 4
        assert list(opened.board.echo([block] * 50)) == [block] * 50
        assert opened.board.link.stats.resent == 0


def test_what_nobody_is_there_to_read_is_dropped_and_the_firmware_goes_on(port: str) -> None:
    # At the start nobody had the port open: the greeting is not kept for whoever comes later.
    with open_target(port) as target:
        time.sleep(0.3)
        assert target.serial.read(100) == b""
    with connect(port) as opened:
        opened.board.store(np.zeros((4, 300), np.int8), np.zeros(4, np.int64))
        opened.target.serial.write(b"name%help%" * 20)  # closed with answers under way
    with connect(port) as opened:
        assert opened.board.state().stored == 4
