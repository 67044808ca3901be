"""Instructions of an image, from binutils' disassembler."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tinymia.device.build import COMPILER_HINT
from tinymia.errors import DeviceError

_OBJDUMP = "arm-none-eabi-objdump"
_SECONDS = 120.0
_CONDITIONS = re.compile("(eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|hs|lo)$")
# "   8000abc:\tf8d3 1004 \tldr.w\tr1, [r3, #4]\t; comment"
_LINE = re.compile(r"^\s*([0-9a-f]+):\t([0-9a-f]{4}(?: [0-9a-f]{4})?)\s*\t(\S+)\s*([^;@<]*)")
_REGISTER = re.compile(r"\b(r\d+|sp|lr|pc|ip|fp|sl|sb|s\d+|d\d+)\b")
_RANGE = re.compile(r"\b([rsd])(\d+)\s*-\s*[rsd](\d+)\b")
_ALIASES = {"sb": "r9", "sl": "r10", "fp": "r11", "ip": "r12", "sp": "r13", "lr": "r14"}


def _registers(text: str) -> tuple[str, ...]:
    """Registers that a text names, in its order; ``d1`` is s2 and s3, ``r1-r3`` all between."""
    spelt = _RANGE.sub(
        lambda m: ", ".join(f"{m[1]}{i}" for i in range(int(m[2]), int(m[3]) + 1)), text
    )
    found: list[str] = []
    for name in _REGISTER.findall(spelt):
        if name[0] == "d":
            found += [f"s{2 * int(name[1:])}", f"s{2 * int(name[1:]) + 1}"]
        else:
            found.append(_ALIASES.get(name, name))
    return tuple(found)


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        address: of its first byte.
        size: 2 or 4 bytes.
        written: mnemonic as the disassembler writes it, e.g. ``ldrne.w`` or ``vadd.f32``.
        operands: the text behind it.
    """

    address: int
    size: int
    written: str
    operands: str

    @property
    def wide_across_words(self) -> bool:
        """Whether it has four bytes that lie in two words, which are fetched one by one."""
        return self.size == 4 and self.address % 4 == 2

    @cached_property
    def stem(self) -> str:
        """The mnemonic without width and type, e.g. ``ldrne`` or ``vadd``."""
        return self.written.split(".", 1)[0]

    def base(self, known: frozenset[str]) -> str:
        """The one of ``known`` mnemonics that it is, without a condition and flags.

        Raises:
            DeviceError: none of them.
        """
        stem = self.stem
        plain = _CONDITIONS.sub("", stem)
        for name in (stem, plain, stem.removesuffix("s"), plain.removesuffix("s")):
            if name in known:
                return name
        raise DeviceError(
            f"No timing of the Cortex-M4 is known here for {self.written!r} at {self.address:#x}.",
            "Cycles can be estimated for images of the Cortex-M4 only.",
        )

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """Operands, one by one; an address in brackets or a list in braces is one."""
        return tuple(
            p.strip() for p in re.split(r",\s*(?![^\[{]*[\]}])", self.operands) if p.strip()
        )

    @cached_property
    def listed(self) -> tuple[str, ...]:
        """Registers in braces, of a load or store of several; without them, none."""
        braces = re.search(r"\{([^}]*)\}", self.operands)
        return () if braces is None else _registers(braces[1])

    @cached_property
    def address_registers(self) -> frozenset[str]:
        """Registers in brackets, or the base of a load or store of several."""
        brackets = re.search(r"\[([^\]]*)\]", self.operands)
        if brackets is not None:
            return frozenset(_registers(brackets[1]))
        if "{" in self.operands:
            before = self.operands.split("{", 1)[0]
            return frozenset(_registers(before)) or frozenset({"r13"})
        return frozenset()

    @cached_property
    def offset_by_register(self) -> bool:
        """Whether the address is a sum of two registers."""
        return "[" in self.operands and len(self.address_registers) > 1

    def named(self, first: int, last: int | None = None) -> frozenset[str]:
        """Registers of its operands ``first`` up to, without, ``last``."""
        return frozenset(r for piece in self.pieces[first:last] for r in _registers(piece))


def parse(listing: str) -> dict[int, Instruction]:
    """The instructions of a listing by ``objdump -d``, by address; data in it are left out."""
    found = {}
    for line in listing.splitlines():
        match = _LINE.match(line)
        if match is None or match[3].startswith("."):
            continue
        address = int(match[1], 16)
        size = 2 * len(match[2].split())
        found[address] = Instruction(address, size, match[3].lower(), match[4].strip().lower())
    return found


def disassemble(elf: Path) -> dict[int, Instruction]:
    """All instructions of an image, by address.

    Raises:
        DeviceError: the disassembler is missing or cannot read the file.
    """
    if shutil.which(_OBJDUMP) is None:
        raise DeviceError(f"The disassembler {_OBJDUMP} is missing.", COMPILER_HINT)
    done = subprocess.run(
        [_OBJDUMP, "-d", "-z", str(elf)],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise DeviceError(f"{elf} cannot be disassembled: {done.stderr.strip()}")
    return parse(done.stdout)
