"""Estimated cycles beside those that others measured on a real Cortex-M4.

The code is theirs, in assembly but for CoreMark, so that the compiler makes no difference:

    git clone https://github.com/Ko-/aes-armcortexm
    git clone https://github.com/Emill/X25519-Cortex-M4
    git clone https://github.com/Emill/P256-Cortex-M4
    git clone https://github.com/eembc/coremark
    python tests/cycle_check/check.py aes-armcortexm X25519-Cortex-M4 P256-Cortex-M4 coremark
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinymia.device.cycles.counter import QEMU, Counter
from tinymia.device.cycles.disassembly import disassemble
from tinymia.device.cycles.estimate import estimate

HERE = Path(__file__).parent
CPU = ["-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"]
FLAGS = [*CPU, "-O2", "-ffreestanding", "-nostdlib", "-fno-tree-loop-distribute-patterns", "-w"]


def call(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True)


def prefixed(source: Path, prefix: str, out: Path) -> Path:
    """Assemble a file; its global names get a prefix (mapping symbols must keep theirs)."""
    call("arm-none-eabi-gcc", *CPU, "-c", "-x", "assembler", source, "-o", out)
    listing = ["arm-none-eabi-nm", "-g", "--defined-only", str(out)]
    listed = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
    for name in (line.split()[-1] for line in listed.splitlines()):
        call("arm-none-eabi-objcopy", "--redefine-sym", f"{name}={prefix}{name}", out)
    return out


def from_keil(text: str, defined: dict[str, int]) -> str:
    """Assembly for Arm's assembler as GNU's takes it, as far as the file that is here needs it."""
    out, taken = [".syntax unified", ".thumb", ".text"], [True]
    for raw in text.splitlines():
        line = raw.split(";")[0].rstrip()
        word = line.split()
        if not word or re.match(r"\s*(gbla|area|frame|end$)", line) or "seta" in word:
            continue
        if word[0] == "if":
            name, _, value = word[1:4]
            taken.append(taken[-1] and defined[name] == int(value))
        elif word[0] == "else":
            taken[-1] = taken[-2] and not taken[-1]
        elif word[0] in ("endif", "endp"):
            taken = taken[:-1] if word[0] == "endif" else taken
        elif taken[-1]:
            line = re.sub(r"^(\w+) proc", r".type \1, %function\n\1:", line)
            line = re.sub(r"^(\w+)$", r"\1:", line)
            line = line.replace("export", ".global").replace("align ", ".balign ")
            line = re.sub(r"%([bf])(\d+)", r"\2\1", line)
            out.append(
                re.sub(r"\bd(\d+)\[([01])\]", lambda m: f"s{2 * int(m[1]) + int(m[2])}", line)
            )
    return "\n".join(out) + "\n"


def aes(code: Path, work: Path) -> list[object]:
    return [
        HERE / "aes.c",
        prefixed(code / "aes128" / "aes.s", "", work / "aes.o"),
        prefixed(code / "aes128ctr" / "aes_128_ctr.s", "ctr_", work / "ctr.o"),
        prefixed(code / "aes128ctrbs" / "aes_128_ctr_bs.s", "bs_", work / "bs.o"),
    ]


def x25519(code: Path, work: Path) -> list[object]:
    text = (code / "curve25519-m4f-ptrswap-keil.s").read_text()
    (work / "fpu.s").write_text(from_keil(text, {"use_mul_for_sqr": 0, "has_fpu": 1}))
    return [
        HERE / "x25519.c",
        prefixed(code / "x25519-cortex-m4-gcc.s", "", work / "x25519.o"),
        prefixed(work / "fpu.s", "fpu_", work / "fpu.o"),
    ]


def p256(code: Path, work: Path) -> list[object]:
    parts = ("p256-cortex-m4.c", "p256-cortex-m4-asm-gcc.S")
    return [HERE / "p256.c", *(code / part for part in parts), f"-I{code}"]


def coremark(code: Path, work: Path) -> list[object]:
    for file in [*code.glob("core*.[ch]"), code / "barebones" / "core_portme.h"]:
        (work / file.name).write_text(file.read_text().replace("#include <stdio.h>", ""))
    settings = ("HAS_FLOAT=0", "HAS_TIME_H=0", "USE_CLOCK=0", "PERFORMANCE_RUN=1")
    return [
        *(HERE / "coremark.c", *work.glob("core_*.c")),
        *(f"-I{work}", "-O3", '-DFLAGS_STR=""', "-DMAIN_HAS_NOARGC=1", "-DITERATIONS=0"),
        *(f"-D{setting}" for setting in settings),
        *("-include", "stdint.h", "-include", "stddef.h"),
    ]


@dataclass(frozen=True)
class Check:
    """A program, and what each of its measured parts takes: name, published cycles, how often."""

    parts: Callable[[Path, Path], list[object]]
    published: tuple[tuple[str, float | None, int], ...]


CHECKS = {
    "aes-armcortexm": Check(
        aes,
        (
            ("AES-128 key expansion", 254.9, 1),
            ("AES-128, a block", 644.7, 1),
            ("AES-128-CTR, a block", 537.9, 256),
            ("AES-128 key expansion, bitsliced", 1033.8, 1),
            ("AES-128-CTR, bitsliced, a block", 1619.6, 256),
        ),
    ),
    "X25519-Cortex-M4": Check(
        x25519, (("X25519", 548_873, 1), ("X25519 with FPU registers", 476_275, 1))
    ),
    "P256-Cortex-M4": Check(
        p256,
        (
            ("P-256 key generation", 327_000, 1),
            ("P-256 ECDSA, signing", 375_000, 1),
            ("P-256 ECDH", 906_000, 1),
        ),
    ),
    "coremark": Check(coremark, (("CoreMark, an iteration", None, 10),)),
}


def main(folders: list[str]) -> None:
    print(f"{'':34}{'instructions':>14}{'estimate':>12}{'published':>12}{'deviation':>11}  5 waits")
    for folder in map(Path, folders):
        check = CHECKS[folder.name]
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            elf = work / "check.elf"
            parts = check.parts(folder, work)
            script = ["-T", HERE / "memory.ld", f"-I{HERE}", "-lgcc", "-o", elf]
            call("arm-none-eabi-gcc", *FLAGS, HERE / "start.c", *parts, *script)
            code = disassemble(elf)
            found = []
            for waits in (0, 5):
                with Counter(elf, waits) as counter:
                    machine = ["-M", "mps2-an386", "-display", "none", "-icount", "shift=0"]
                    call(QEMU, *machine, "-semihosting", "-kernel", elf, *counter.arguments())
                    found.append([estimate([one], code) for one in counter.take()[1::2]])
        for (title, known, times), plain, waited in zip(check.published, *found, strict=False):
            taken = plain.total / times
            said = "" if known is None else f"{known:12,.0f}{100 * (taken / known - 1):+9.1f} %"
            more = 100 * (waited.total / plain.total - 1)
            counted = plain.instructions / times
            print(f"{title:34}{counted:14,.0f}{taken:12,.0f}{said:23}{more:+8.1f} %")


if __name__ == "__main__":
    main(sys.argv[1:])
