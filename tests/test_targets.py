"""Simulated and real targets: what they measure, how they fail, and that they end."""

from __future__ import annotations

import os
import pty
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import serial

from processes import gone, until
from tinymia.device import server_target, targets
from tinymia.device.bake import bake
from tinymia.device.build import build
from tinymia.device.serial_target import list_ports
from tinymia.device.target import Target
from tinymia.device.targets import needs_image, open_target, takes_bundle
from tinymia.errors import DeviceError

QEMU = "qemu:netduinoplus2"
FACTS = [
    "tick_source",
    "clock",
    "stack_size",
    "stack_used",
    "arena",
    "arena_size",
    "bundle",
    "bundle_size",
    "overruns",
    "cause",
    "pc",
    "status",
]


@pytest.fixture(scope="module")
def elf() -> Path:
    return build("selftest").elf


@pytest.fixture
def board(elf: Path) -> Iterator[Target]:
    with open_target(QEMU, elf=elf) as target:
        yield target


def read(target: Target, size: int, seconds: float = 120.0) -> bytes:
    target.serial.timeout = seconds
    data: bytes = target.serial.read(size)
    return data


def exchange(target: Target, request: bytes, size: int) -> bytes:
    target.serial.write(request)
    return read(target, size)


def facts(target: Target) -> dict[str, Any]:
    answer = exchange(target, b"\x02", 68)
    numbers = dict(zip(FACTS, struct.unpack("<12I", answer[:48]), strict=True))
    return numbers | {"build_id": answer[48:].hex()}


def ticks(target: Target, turns: int, then: bytes = b"") -> int:
    answer = exchange(target, b"\x01" + struct.pack("<I", turns) + then, 4 + len(then))
    assert answer[4:] == then
    return int.from_bytes(answer[:4], "little")


# --- kinds of targets ---

TOASTER = """
from tinymia.device.target import Target

class Toaster(Target):
    usage = "toaster:SLICES"

    def alive(self): ...
    def reconnect(self, seconds=10.0): ...

NOTHING = 3
"""


@pytest.fixture
def another_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An installed package that names targets of its own."""
    info = tmp_path / "toaster-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toaster\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[tinymia.targets]\ntoaster = toaster_board:Toaster\nnothing = toaster_board:NOTHING\n"
        "gone = toaster_board:Gone\n"
    )
    (tmp_path / "toaster_board.py").write_text(TOASTER)
    monkeypatch.syspath_prepend(str(tmp_path))
    targets._registered.cache_clear()
    yield
    targets._registered.cache_clear()
    targets._loaded.cache_clear()


@pytest.mark.usefixtures("another_package")
def test_a_package_of_ones_own_can_bring_a_target() -> None:
    with open_target("toaster:2") as target:
        assert (target.spec, type(target).__name__) == ("toaster:2", "Toaster")
    assert not needs_image("toaster:2")
    assert not takes_bundle("toaster:2")
    for name, says in (("nothing", "no class of targets"), ("gone", "cannot be loaded")):
        with pytest.raises(DeviceError, match=f"target {name}.*{says}"):
            open_target(f"{name}:")


def test_an_installation_that_is_older_than_the_sources_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(targets, "entry_points", lambda group: ())
    targets._registered.cache_clear()
    with pytest.raises(DeviceError, match="make setup"):
        open_target("twin:")
    targets._registered.cache_clear()


# --- the simulated board ---


def test_qemu_starts_and_echoes(elf: Path) -> None:
    with open_target(QEMU, elf=elf) as target:
        assert exchange(target, b"hello", 5) == b"hello"
        assert (target.unit, target.simulated) == ("instructions", True)
        data = bytes(range(32, 256)) * 40
        assert exchange(target, data, len(data)) == data


def test_the_board_knows_itself(board: Target, elf: Path) -> None:
    image = build("selftest")
    known = facts(board)
    assert known["tick_source"] == 1
    assert known["build_id"] == image.build_id
    assert known["stack_size"] == 8192
    assert 32 <= known["stack_used"] < 1024
    assert known["arena_size"] == image.arena_bytes
    assert known["arena"] + known["arena_size"] == 0x20020000
    assert (known["bundle"], known["bundle_size"]) == (0x08040000, image.bundle_capacity)
    assert (known["overruns"], known["cause"]) == (0, 0)


def test_instructions_are_counted_exactly(elf: Path) -> None:
    turns = (1, 2, 3, 1000, 1001, 10_000_000)
    seen = []
    for _ in range(2):
        with open_target(QEMU, elf=elf) as target:
            seen.append([ticks(target, n) for n in turns])
    assert seen[0] == seen[1]
    # Two instructions a turn, and the same few around them.
    assert {count - 2 * n for count, n in zip(seen[0], turns, strict=True)} == {seen[0][0] - 2}
    assert 0 < seen[0][0] - 2 < 20


def test_neither_traffic_nor_waiting_is_counted(board: Target) -> None:
    quiet = ticks(board, 5_000_000)
    time.sleep(0.3)
    assert ticks(board, 5_000_000) == quiet
    # Bytes arrive while the board computes: it serves an interrupt for each.
    assert ticks(board, 5_000_000, then=b"z" * 3000) == quiet


def test_bytes_beyond_the_ring_are_counted(board: Target) -> None:
    # The board takes nothing out of its ring until 808 bytes are lost.
    board.serial.write(b"\x06" + struct.pack("<I", 808) + b"z" * 9000)
    assert read(board, 8192) == b"z" * 8192
    assert facts(board)["overruns"] == 808


def test_a_baked_bundle_changes_no_instruction(elf: Path, board: Target, tmp_path: Path) -> None:
    baked = bake(elf, bytes(100_000), tmp_path / "baked.elf")
    with open_target(QEMU, elf=baked) as target:
        assert facts(target) == facts(board)
        assert ticks(target, 1000) == ticks(board, 1000)


@pytest.mark.parametrize(
    ("command", "cause", "has_pc"), [(b"\x03", 3, True), (b"\x04", 0, False), (b"\x05", 3, False)]
)
def test_a_fault_restarts_the_board_and_is_remembered_once(
    board: Target, command: bytes, cause: int, has_pc: bool
) -> None:
    assert exchange(board, command, 1) == b"\0"
    known = facts(board)
    assert known["cause"] == cause
    assert (0x08000000 <= known["pc"] < 0x08040000) == has_pc
    assert (known["status"] != 0) == (cause != 0)
    assert exchange(board, b"\x04", 1) == b"\0"
    assert facts(board)["cause"] == 0


def test_the_line_can_be_opened_again(board: Target) -> None:
    before = ticks(board, 1)
    board.reconnect()
    assert ticks(board, 1) == before


def test_the_native_build_is_a_target_too() -> None:
    assert takes_bundle("native:")
    with open_target("native:", elf=build("selftest_native").elf) as target:
        assert exchange(target, b"hello", 5) == b"hello"
        assert facts(target)["tick_source"] == 2
        target.reconnect()
        assert exchange(target, b"\x04again", 6) == b"\0again"
        assert exchange(target, b"again", 5) == b"again"


# --- it always ends ---


def test_closing_ends_the_simulator(elf: Path) -> None:
    with open_target(QEMU, elf=elf) as target:
        pid = target.pid  # type: ignore[attr-defined]
        assert not gone(pid)
    assert gone(pid)
    target.close()


def test_a_dead_simulator_is_reported(board: Target) -> None:
    board.alive()
    os.kill(board.pid, signal.SIGKILL)  # type: ignore[attr-defined]

    def noticed() -> bool:
        # The process is a zombie until the last of its threads is gone.
        try:
            board.alive()
        except DeviceError as error:
            return "The simulator ended by signal 9" in error.message
        return False

    assert until(noticed)
    with pytest.raises(DeviceError, match="The simulator ended"):
        board.reconnect()


def test_a_thread_that_ends_leaves_its_board_running(elf: Path) -> None:
    opened: list[Target] = []
    thread = threading.Thread(target=lambda: opened.append(open_target(QEMU, elf=elf)))
    thread.start()
    thread.join()
    with opened[0] as target:
        time.sleep(0.2)
        target.alive()
        assert exchange(target, b"hello", 5) == b"hello"


@pytest.mark.parametrize(
    ("ending", "setpriv"),
    [
        *((e, True) for e in ("return", signal.SIGINT, signal.SIGTERM, signal.SIGHUP)),
        *((signal.SIGKILL, setpriv) for setpriv in (True, False)),
    ],
    ids=str,
)
def test_no_simulator_outlives_the_program(
    elf: Path, ending: str | signal.Signals, setpriv: bool
) -> None:
    program = (
        "import pathlib, shutil, signal, sys, time\n"
        "which = shutil.which\n"
        f"shutil.which = lambda name: which(name) if {setpriv} or name != 'setpriv' else None\n"
        # A job in the background of a shell ignores it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tinymia.device.targets import open_target\n"
        f"target = open_target({QEMU!r}, elf=pathlib.Path({str(elf)!r}))\n"
        "print(target.pid, flush=True)\n"
        f"time.sleep({0 if ending == 'return' else 60})\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        pid = int(process.stdout.readline())
        if isinstance(ending, signal.Signals):
            assert not gone(pid)
            process.send_signal(ending)
        process.wait(timeout=600)
    assert until(lambda: gone(pid))


# --- what can be wrong ---


@pytest.mark.parametrize("spec", ["", "qemu", "renodo:x", "/dev/ttyACM0"])
def test_an_unknown_target_lists_what_exists(spec: str) -> None:
    with pytest.raises(DeviceError, match=r"qemu:netduinoplus2.*serial:/dev/ttyACM0"):
        open_target(spec)
    assert not needs_image(spec) or spec == "qemu"


def test_what_qemu_needs_is_named(
    elf: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(DeviceError, match=r"no simulated board 'uno'.*netduinoplus2"):
        open_target("qemu:uno", elf=elf)
    with pytest.raises(DeviceError, match=r"no image at .*tinymia build"):
        open_target(QEMU, elf=tmp_path / "none.elf")
    (tmp_path / "text.elf").write_text("no image")
    monkeypatch.setattr(server_target, "READY_SECONDS", 0.5)
    with pytest.raises(DeviceError, match=r"does not start|The simulator ended"):
        open_target(QEMU, elf=tmp_path / "text.elf")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="apt-get install qemu-system-arm"):
        open_target(QEMU, elf=elf)


def test_a_simulator_that_cannot_start_says_why(
    elf: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "qemu-system-arm"
    fake.write_text("#!/bin/sh\necho 'qemu: no memory left' >&2\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(DeviceError, match="ended with status 3: qemu: no memory left"):
        open_target(QEMU, elf=elf)


def test_a_missing_port_is_named() -> None:
    with pytest.raises(DeviceError, match=r"There is no port /dev/ttyNOSUCH9\..*Ports of this"):
        open_target("serial:/dev/ttyNOSUCH9")
    with pytest.raises(DeviceError, match="names no port"):
        open_target("serial:")
    with pytest.raises(DeviceError, match="'fast' is no baud rate"):
        open_target("serial:/dev/ttyNOSUCH9?baud=fast")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("serial:/dev/ptmx?baud=99999999999999", "no baud rate.*Write serial:"),
        ("serial:/dev/ptmx?baud=" + "9" * 5000, "no baud rate"),
        ("serial:/dev/ptmx?baud=\u0665", "no baud rate"),
        ("serial:loop://", "no line behind loop://.*path or a bridge"),
        ("serial:loop://?logging=x", "loop://.*cannot be opened.*tinymia devices"),
        ("serial:/dev/null", "/dev/null is no serial port.*Ports of this machine"),
        ("serial:/tmp", "/tmp is no serial port"),
        ("serial:socket://127.0.0.1", "no address of a bridge.*serial:socket://"),
        ("serial:socket://127.0.0.1:99999", "no address of a bridge"),
        ("serial:socket://:abc", "no address of a bridge"),
        ("native:foo", "'foo' says nothing.*Write native:"),
    ],
)
def test_a_wrong_target_is_one_message(spec: str, says: str, elf: Path) -> None:
    with pytest.raises(DeviceError, match=says) as error:
        open_target(spec, elf=elf)
    assert "\n" not in str(error.value)


def test_a_forbidden_port_names_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied: '/dev/ttyACM0'")

    monkeypatch.setattr(serial, "Serial", refuse)
    with pytest.raises(DeviceError, match="dialout"):
        open_target("serial:/dev/ttyACM0")


def test_a_port_in_use_is_named() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    name = os.ttyname(slave)
    with open_target(f"serial:{name}?baud=921600") as target:
        assert target.serial.baudrate == 921600
        os.write(master, b"from the board")
        assert read(target, 14) == b"from the board"
        assert (target.unit, target.simulated) == ("", False)
        with pytest.raises(DeviceError, match=f"Another program uses {name}"):
            open_target(f"serial:{name}")
        target.reconnect()
        target.serial.write(b"to the board")
        assert os.read(master, 99) == b"to the board"
        target.alive()
        os.close(slave)
        os.close(master)
        with pytest.raises(DeviceError, match="is gone"):
            target.alive()
        with pytest.raises(DeviceError, match="no port"):
            target.reconnect(seconds=0.3)


def test_a_board_behind_a_socket(elf: Path, board: Target) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with open_target(f"serial:socket://127.0.0.1:{port}") as target:
            peer, _ = server.accept()
            with peer:
                target.serial.write(b"x" * 10)
                assert peer.recv(99) == b"x" * 10
                target.alive()
    with pytest.raises(DeviceError, match=rf"Nothing listens at socket://127\.0\.0\.1:{port}"):
        open_target(f"serial:socket://127.0.0.1:{port}")
    with pytest.raises(DeviceError, match=r"rfc2217://127\.0\.0\.1"):
        open_target(f"serial:rfc2217://127.0.0.1:{port}")


def test_ports_are_listed() -> None:
    for port in list_ports():
        assert stat.S_ISCHR(Path(port.device).stat().st_mode)
