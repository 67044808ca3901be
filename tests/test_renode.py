"""What can be checked of Renode without it: scripts, platforms, and the target's own logic."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tinymia.device.boards import boards
from tinymia.device.build import build
from tinymia.device.checkout import renode_dir
from tinymia.device.connect import connect
from tinymia.device.link import BoardRestartedError
from tinymia.device.renode import RenodeTarget, find_renode
from tinymia.device.target import Target
from tinymia.device.targets import environment
from tinymia.errors import DeviceError

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "models" / "har-watch" / "har-watch.bundle"
NAMES = sorted(path.stem for path in renode_dir().glob("*.resc"))
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
    "logLevel",
    "sysbus SetHookBeforePeripheralWrite",
    "sysbus LoadELF",
    "sysbus.cpu VectorTableOffset",
}


def platform(name: str) -> dict[str, tuple[str, int | None, dict[str, str], str]]:
    """Peripherals of a .repl file: type, address, properties, where the interrupt goes."""
    found: dict[str, tuple[str, int | None, dict[str, str], str]] = {}
    current = ""
    for number, line in enumerate((renode_dir() / f"{name}.repl").read_text().splitlines(), 1):
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
    text = (renode_dir() / f"{name}.resc").read_text()
    lines = [line for line in text.splitlines() if line and line[0] not in ":#"]
    for line in lines:
        assert any(line.startswith(command + " ") for command in COMMANDS), line
    uart = "uart0" if name == "nano33ble" else OF_BOARD[name].uart.port
    assert f"connector Connect sysbus.{uart} line" in lines
    assert f"sysbus.cpu VectorTableOffset {OF_BOARD[name].flash.start:#010x}" in lines
    assert set(re.findall(r"\$\w+", "\n".join(lines))) == {"$platform", "$port", "$bin"}
    assert environment(f"renode:{name}") == OF_BOARD[name].env


# --- the target, against a stand-in that says what Renode 1.15.3 says, byte for byte ---

STAND_IN = r"""
import os, re, socket, subprocess, sys, time
mode = os.environ.get("STAND_IN", "")
arguments = sys.argv[1:]
script_path = arguments[-1]
script = open(script_path).read()
assert "--disable-xwt" in arguments and "--plain" in arguments
line = int(re.search(r"\$port=(\d+)", script)[1])
assert os.path.exists(re.search(r"\$bin=@(\S+)", script)[1])
platform = re.search(r"\$platform=@(\S+)", script)[1]
assert os.path.exists(platform)
assert os.path.exists(re.search(r"include @(\S+)", script)[1])
last = re.fullmatch(r'echo "(.+)"', script.splitlines()[-1])[1]
if mode == "dies":
    print("Cannot open assembly 'Renode.exe'", file=sys.stderr)
    sys.exit(3)
time.sleep(0.5)
server = socket.create_server(("127.0.0.1", int(arguments[arguments.index("--port") + 1])))
peer = server.accept()[0]
# It asks for options and takes nine bytes as the answer; only then it says anything.
peer.sendall(bytes([255, 253, 0, 255, 251, 1, 255, 251, 3, 255, 252, 34]))
lost = b""
while len(lost) < 9:
    data = peer.recv(9 - len(lost))
    assert data
    lost += data
peer.sendall(b"Renode, version 1.15.3.28872 (03756cb5-202409091419)\n\r\n\r(monitor) ")
peer.sendall(b"i @" + script_path.encode() + b"\n\r")
time.sleep(0.5)
if mode == "dies late":
    print("Fatal error: no memory", file=sys.stderr)
    sys.exit(4)
if mode == "refuses":  # the rest of the script is left out, and Renode goes on
    command = f"machine LoadPlatformDescription @{platform}"
    peer.sendall(f"There was an error executing command '{command}'\r\n".encode())
    peer.sendall(b"Error E04: Could not resolve type: 'UART.STM32_UART'.\r\n(stm32f4) ")
else:
    board = subprocess.Popen(
        [os.environ["NATIVE"]], env=os.environ | {"TINYMIA_PORT": str(line)},
        stdin=subprocess.DEVNULL)
    peer.sendall(b"Starting emulation...\r\n\r" + last.encode() + b"\r\r\n(stm32f4) ")
typed = b""
while True:
    try:
        byte = peer.recv(1)
    except OSError:
        byte = b""
    while not byte:
        time.sleep(1)  # a closed monitor ends nothing
    if byte != b"\n":
        peer.sendall(byte)
        typed += byte
        continue
    peer.sendall(b"\n\r")
    command, typed = typed.decode(), b""
    if command == "quit" and mode != "hangs":
        peer.sendall(b"Renode is quitting\r\n\r")
        if mode != "refuses":
            board.kill()
        sys.exit(0)
    if command == "sysbus.cpu ExecutedInstructions":
        peer.sendall(b"0x000000000BEBC202\r\n")
    elif command:
        peer.sendall(f"No such command or device: {command.split()[0]}\r\n".encode())
    peer.sendall(b"(stm32f4) ")
"""


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Starts as Renode's packages do, by a shell that waits; returns the file with the pid."""
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    pid = tmp_path / "pid"
    program = tmp_path / "renode"
    program.write_text(
        f'#!/bin/sh\n"{sys.executable}" "{tmp_path}/stand_in.py" "$@" &\n'
        f'echo $! > "{pid}"\nwait $!\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("RENODE_PATH", str(tmp_path))
    monkeypatch.setenv("NATIVE", str(build("native").elf))
    monkeypatch.setenv("TINYMIA_BUNDLE", str(BUNDLE))
    return pid


def ended(pid: Path, seconds: float = 600.0) -> bool:
    """Whether the stand-in is gone, or soon is; what init has not buried yet is gone, too."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if "\nState:\tZ" in Path(f"/proc/{int(pid.read_text())}/status").read_text():
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_the_target_starts_talks_counts_and_ends(stand_in: Path) -> None:
    with connect("renode:stm32f4", build("stm32f405").elf) as opened:
        assert opened.unit == "host-ns"  # the board's own word, here of the native firmware
        board = opened.board
        assert board.link.patience == RenodeTarget.patience > Target.patience
        board.store(np.zeros((4, 300), np.int8), np.arange(4))
        assert board.state().stored == 4
        target = opened.target
        assert isinstance(target, RenodeTarget)
        assert target.executed_instructions() == 200_000_002
        target.reconnect()
        assert target.monitor is not None
        assert target.monitor.run("nonsense here") == "No such command or device: nonsense"
        assert target.monitor.run("") == ""
        pid = target.pid
    assert not Path(f"/proc/{pid}").exists()
    assert ended(stand_in)


def test_the_board_can_be_switched_off_and_on(stand_in: Path) -> None:
    with connect("renode:stm32f4", build("stm32f405").elf) as opened:
        opened.board.store(np.zeros((4, 300), np.int8), np.arange(4))
        target = opened.target
        assert isinstance(target, RenodeTarget)
        first = target.pid
        target.power_cycle()
        assert not Path(f"/proc/{first}").exists()
        opened.board.link.port = target.serial
        with pytest.raises(BoardRestartedError):
            opened.board.state()
    assert ended(stand_in)


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("dies", r"status 3.*Cannot open assembly"),
        ("dies late", r"status 4.*Fatal error: no memory"),
        ("refuses", r"script: There was an error.*LoadPlatformDescription.*E04: Could not resolve"),
    ],
)
def test_a_start_that_fails_is_told(
    stand_in: Path, monkeypatch: pytest.MonkeyPatch, mode: str, message: str
) -> None:
    monkeypatch.setenv("STAND_IN", mode)
    elf = build("stm32f405").elf
    began = time.monotonic()
    with pytest.raises(DeviceError, match=message):
        RenodeTarget("renode:stm32f4", elf)
    assert time.monotonic() - began < 60  # and not as long as a start may take
    assert ended(stand_in)


def test_a_renode_that_does_not_quit_is_ended(
    stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "hangs")
    target = RenodeTarget("renode:stm32f4", build("stm32f405").elf)
    assert not ended(stand_in, 0.2)
    target.close()
    assert ended(stand_in)


def test_renode_does_not_outlive_a_program_that_is_killed(stand_in: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from tinymia.device.renode import RenodeTarget
target = RenodeTarget("renode:stm32f4", Path({str(build("stm32f405").elf)!r}))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=600, check=False)
    assert done.returncode == -signal.SIGKILL
    assert ended(stand_in)


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


def test_robot_finds_every_keyword() -> None:
    suite = renode_dir() / "tinymia.robot"
    command = [sys.executable, "-m", "robot", "--dryrun"]
    command += ["--output", "NONE", "--log", "NONE", "--report", "NONE", str(suite)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout
    assert f"{len(NAMES)} tests, {len(NAMES)} passed" in done.stdout


@pytest.mark.skipif(
    not (os.environ.get("RENODE_PATH") or shutil.which("renode")), reason="Renode is not installed"
)
@pytest.mark.parametrize("name", NAMES)
def test_a_real_renode_runs_the_firmware(name: str) -> None:
    from tinymia.device.connect import supply
    from tinymia.wire.settings import TrainSettings

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
