"""What can be checked of Renode without it: scripts, platforms, and the target's own logic."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from tinymia.device.boards import boards
from tinymia.device.build import build
from tinymia.device.connect import connect
from tinymia.device.renode import RenodeTarget, find_renode, scripts_dir
from tinymia.device.targets import environment
from tinymia.errors import DeviceError

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "models" / "har-watch" / "har-watch.bundle"
NAMES = sorted(path.stem for path in scripts_dir().glob("*.resc"))
OF_BOARD = {board.renode: board for board in boards().values() if board.renode}

# Types and properties of Renode's models (their constructors), as far as the platforms use them.
MODELS = {
    "Memory.MappedMemory": {"size"},
    "IRQControllers.NVIC": {"priorityMask", "systickFrequency"},
    "CPU.CortexM": {"cpuType", "PerformanceInMips", "nvic"},
    "UART.STM32_UART": {"frequency"},
    "UART.STM32F7_USART": {"frequency", "lowPowerMode"},
    "UART.NRF52840_UART": {"easyDMA"},
    "Timers.STM32_Timer": {"frequency", "initialLimit"},
    "Timers.NRF52840_Timer": {"numberOfEvents"},
    "Miscellaneous.NRF52840_RNG": set(),
}
ENTRY = re.compile(r"(\w+): ([\w.]+) @ sysbus(?: <?(0x[0-9A-F]+)(?:, \+0x[0-9A-F]+>)?)?")
COMMANDS = {
    "using",
    "mach create",
    "machine LoadPlatformDescription",
    "emulation SetGlobalQuantum",
    "emulation SetGlobalSerialExecution",
    "emulation SetSeed",
    "emulation CreateServerSocketTerminal",
    "connector Connect",
    "sysbus LoadELF",
    "sysbus.cpu VectorTableOffset",
}


def platform(name: str) -> dict[str, tuple[str, int | None, dict[str, str], str]]:
    """Peripherals of a .repl file: type, address, properties, where the interrupt goes."""
    found: dict[str, tuple[str, int | None, dict[str, str], str]] = {}
    current = ""
    for number, line in enumerate((scripts_dir() / f"{name}.repl").read_text().splitlines(), 1):
        text = line.split("//")[0].rstrip()
        if not text or (current == "sysbus" and line.startswith(" ")):
            assert not text or re.fullmatch(
                r"    init:|        SilenceRange <0x[0-9A-F]{8}, 0x[0-9A-F]{8}>", text
            ), (name, number)
            continue
        if text == "sysbus:":
            current = "sysbus"
            continue
        if not text.startswith(" "):
            match = ENTRY.fullmatch(text)
            assert match, (name, number, text)
            current = match[1]
            at = int(match[3], 16) if match[3] else None
            found[current] = (match[2], at, {}, "")
            continue
        kind, at, properties, _irq = found[current]
        arrow = re.fullmatch(r"    (?:IRQ )?-> (\w+@\d+)", text)
        if arrow:
            found[current] = (kind, at, properties, arrow[1])
            continue
        match = re.fullmatch(r'    (\w+): ("[\w-]+"|0x[0-9A-F]+|\d+|true|false|\w+)', text)
        assert match, (name, number, text)
        assert match[1] in MODELS[kind], (name, number, match[1])
        properties[match[1]] = match[2]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_platform_has_the_memory_of_its_board(name: str) -> None:
    board, found = OF_BOARD[name], platform(name)
    assert all(kind in MODELS for kind, *_ in found.values())
    memory = [(at, int(p["size"], 16)) for k, at, p, _ in found.values() if "Mapped" in k]
    for region in (board.flash, board.bundle, board.ram):
        assert any(
            at is not None and at <= region.start and region.end <= at + size for at, size in memory
        ), region
    assert found["cpu"][2]["cpuType"] == f'"{board.core}"'


@pytest.mark.parametrize("name", NAMES)
def test_peripherals_lie_where_the_firmware_looks_for_them(name: str) -> None:
    board, found = OF_BOARD[name], platform(name)
    uart = "uart0" if name == "nano33ble" else board.uart.port
    kind, at, _, irq = found[uart]
    expected = {
        "usart1": (0x40011000, 37),
        "usart3": (0x40004800, 39),
        "uart0": (0x40002000, 2),
    }[uart]
    assert (at, irq) == (expected[0], f"nvic@{expected[1]}")
    folder = ROOT / "firmware" / "boards" / ("nrf52840" if uart == "uart0" else "stm32")
    registers = (folder / "registers.h").read_text().lower()
    assert f"{expected[0]:#010x}" in registers
    assert kind.startswith("UART.")
    timer = found.get("timer2") or found["timer0"]
    assert timer[1] is not None
    assert f"{timer[1]:#010x}" in registers


@pytest.mark.parametrize("name", NAMES)
def test_a_script_says_what_renode_understands(name: str) -> None:
    text = (scripts_dir() / f"{name}.resc").read_text()
    lines = [line for line in text.splitlines() if line and line[0] not in ":#"]
    for line in lines:
        assert any(line.startswith(command + " ") for command in COMMANDS), line
    uart = "uart0" if name == "nano33ble" else OF_BOARD[name].uart.port
    assert f"connector Connect sysbus.{uart} line" in lines
    assert f"sysbus.cpu VectorTableOffset {OF_BOARD[name].flash.start:#010x}" in lines
    assert set(re.findall(r"\$\w+", "\n".join(lines))) == {"$platform", "$port", "$bin"}
    assert environment(f"renode:{name}") == OF_BOARD[name].env


# --- the target's own logic, against a stand-in that behaves as Renode's monitor does ---

STAND_IN = r"""
import os, re, socket, subprocess, sys, time
mode = os.environ.get("STAND_IN", "")
arguments = sys.argv[1:]
port = int(arguments[arguments.index("--port") + 1])
script = open(arguments[-1]).read()
assert "--disable-xwt" in arguments and "--plain" in arguments
line = int(re.search(r"\$port=(\d+)", script)[1])
assert os.path.exists(re.search(r"\$bin=@(\S+)", script)[1])
assert os.path.exists(re.search(r"include @(\S+)", script)[1])
if mode == "dies":
    print("There was an error executing command", file=sys.stderr)
    sys.exit(3)
time.sleep(0.5)
board = subprocess.Popen(
    [os.environ["NATIVE"]], env=os.environ | {"TINYMIA_PORT": str(line)}, stdin=subprocess.DEVNULL)
server = socket.create_server(("127.0.0.1", port))
peer = server.accept()[0]
peer.sendall(b"\xff\xfd\x1f\xff\xfb\x03Renode, version 1.15.3\r\n\x1b[33;1m(monitor) \x1b[0m")
first, kept = True, b""
while True:
    data = peer.recv(100)
    if not data:
        break
    if first:
        data, first = data[3:], False  # the start of the first line is lost
        peer.sendall(b"\r\n(monitor) ")
    kept += data
    while b"\n" in kept:
        command, _, kept = kept.partition(b"\n")
        if command.strip() == b"quit":
            board.kill()
            sys.exit(0)
        peer.sendall(command + b"\r\n")
        if b"ExecutedInstructions" in command:
            peer.sendall(b"0x000000000BEBC202\r\n")
        peer.sendall(b"(stm32f4) ")
board.kill()
"""


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    program = tmp_path / "renode"
    program.write_text(f"#!{sys.executable}\n{STAND_IN}")
    program.chmod(0o755)
    monkeypatch.setenv("RENODE_PATH", str(tmp_path))
    monkeypatch.setenv("NATIVE", str(build("native").elf))
    monkeypatch.setenv("TINYMIA_BUNDLE", str(BUNDLE))
    return program


def test_the_target_starts_talks_counts_and_ends(stand_in: Path) -> None:
    with connect("renode:stm32f4", build("stm32f405").elf) as opened:
        assert opened.unit == "host-ns"  # the board's own word, here of the native firmware
        board = opened.board
        board.store(np.zeros((4, 300), np.int8), np.arange(4))
        assert board.state().stored == 4
        target = opened.target
        assert isinstance(target, RenodeTarget)
        assert target.executed_instructions() == 200_000_002
        target.reconnect()
        pid = target.pid
    assert not Path(f"/proc/{pid}").exists()


def test_a_script_that_fails_is_told(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN", "dies")
    with pytest.raises(DeviceError, match=r"status 3.*error executing command"):
        RenodeTarget("renode:stm32f4", build("stm32f405").elf)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    elf = build("stm32f405").elf
    with pytest.raises(DeviceError, match="no board 'stm32h7'"):
        RenodeTarget("renode:stm32h7", elf)
    monkeypatch.setenv("RENODE_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(DeviceError, match="RENODE_PATH is"):
        RenodeTarget("renode:stm32f4", elf)
    monkeypatch.delenv("RENODE_PATH")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="Renode, which simulates"):
        find_renode()


@pytest.mark.skipif(
    not (os.environ.get("RENODE_PATH") or shutil.which("renode")), reason="Renode is not installed"
)
@pytest.mark.parametrize("name", NAMES)
def test_a_real_renode_runs_the_firmware(name: str) -> None:
    from tinymia.device.connect import supply
    from tinymia.device.settings import TrainSettings

    data = BUNDLE.read_bytes()
    windows = np.random.default_rng(3).integers(-128, 128, (12, 300)).astype(np.int8)
    hashes = []
    for target in ("twin:", f"renode:{name}"):
        with connect(target, supply(target, data, "renode")) as opened:
            opened.board.store(windows, np.arange(12) % 7)
            opened.board.select(np.ones(12, np.bool_))
            opened.board.begin(TrainSettings(clip_norm=1.0, seed=2))
            hashes.append(opened.board.train(0, 3).tail_hash)
    assert hashes[0] == hashes[1]
