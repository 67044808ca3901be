"""Runs a board's start-up on registers in the host's memory and tells what it did to them."""

from __future__ import annotations

import configparser
import re
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tinymia.device.boards import BoardFile

ROOT = Path(__file__).resolve().parents[1]
FIRMWARE = ROOT / "firmware"
_PROGRAMS = tempfile.TemporaryDirectory(prefix="tinymia-chips-")  # gone when the tests end


@dataclass(frozen=True)
class Started:
    """What a start-up did.

    Attributes:
        changes: of registers, by board layer and hardware, in their order: address and value.
        reset: what registers held before.
        core: the clock that the firmware counts with.
        ticks: how many it says to count a second.
        cycles: whether they are the core's cycles.
    """

    changes: tuple[tuple[int, int], ...]
    reset: dict[int, int]
    core: int
    ticks: int
    cycles: bool

    def at(self, address: int) -> int:
        """What a register holds in the end."""
        return self.before(len(self.changes)).get(address, 0)

    def before(self, step: int) -> dict[int, int]:
        """What registers held before a change."""
        return self.reset | dict(self.changes[:step])

    def step(self, address: int, mask: int, value: int) -> int | None:
        """The first change that makes a register's bits so."""
        return next(
            (i for i, (a, v) in enumerate(self.changes) if a == address and v & mask == value), None
        )


def folder(board: BoardFile) -> str:
    """The board layer's."""
    return "stm32" if board.chip.startswith("stm32") else board.chip


def defines(board: BoardFile) -> list[str]:
    """The macros that the family's section and platform/builder give."""
    parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(";",))
    parser.read(FIRMWARE / "platformio.ini")
    found = re.findall(r"-D\S+", parser[board.family].get("build_flags", ""))
    found += [f"-DTINYMIA_{m.upper()}" for m in re.findall(r"^stm32[a-z]\d{3}", board.chip)]
    if board.uart.port[-1].isdigit():
        found.append(f"-DTINYMIA_UART={board.uart.port[-1]}")
    for wire, pin in (("TX", board.uart.tx), ("RX", board.uart.rx)):
        place = re.fullmatch(r"(?:P([A-K]|\d\.)|GP)(\d+)", pin)
        assert place is not None
        port = place[1] or "A"
        number = ord(port) - ord("A") if port.isalpha() else int(port[0])
        found += [f"-DTINYMIA_{wire}_PORT={number}", f"-DTINYMIA_{wire}_PIN={int(place[2])}"]
    return found


@cache
def _program(board: BoardFile, baud: int) -> Path:
    layer = FIRMWARE / "boards" / folder(board)
    boards = FIRMWARE / "boards" / "cortex_m"
    sources = [*sorted(layer.glob("*.cc")), boards / "receive.cc", ROOT / "tests/native/chip.cc"]
    program = Path(_PROGRAMS.name) / f"{board.id}-{baud}"
    # Assembly, barriers and masks all of it, is left out. Pointers do not fit into registers here.
    flags = ["-std=c++17", "-w", "-fpermissive", "-D__asm=", "-Dvolatile(...)="]
    flags += [f"-I{path}" for path in (layer, boards, FIRMWARE / "src")]
    flags += [*defines(board), f"-DTINYMIA_BAUD={baud}", '-DTINYMIA_BOARD="x"']
    wanted = [str(s) for s in sources if s.name != "boot2.cc"]
    done = subprocess.run(
        ["g++", *flags, *wanted, "-o", str(program)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return program


def start(
    board: BoardFile, answers: Iterable[str], reset: dict[int, int], baud: int | None = None
) -> Started:
    """Starts a board whose hardware gives these answers (see native/chip.cc)."""
    values = [f"{address:x}={value:x}" for address, value in reset.items()]
    program = _program(board, baud or board.uart.baud)
    out = subprocess.run(
        [str(program), *answers, *values], capture_output=True, text=True, check=True, timeout=600
    ).stdout
    changes, facts = [], {}
    for line in out.splitlines():
        name, value = line.split()
        if name in ("core", "ticks", "cycles"):
            facts[name] = int(value)
        else:
            changes.append((int(name, 16), int(value, 16)))
    return Started(tuple(changes), reset, facts["core"], facts["ticks"], bool(facts["cycles"]))
