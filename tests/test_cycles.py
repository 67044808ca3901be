"""Estimated cycles: Arm's timing rules, and counts that are those of the board's own timer."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from corelib import ROOT
from tinymia.cli import bench_board
from tinymia.cli.main import cli
from tinymia.device import model_bench
from tinymia.device.connect import DEFAULT_TARGET, image_for
from tinymia.device.cycles import counter as counting
from tinymia.device.cycles import disassembly, watch
from tinymia.device.cycles.counter import Counter, plugin
from tinymia.device.cycles.disassembly import Instruction, disassemble, parse
from tinymia.device.cycles.timing import DIVISION, KNOWN, cycles
from tinymia.errors import DeviceError
from tinymia.export.bundle import Bundle

# Cycles of code that runs from its first line to its last. "TRM": Arm 100166 says so in as many
# words; else it follows from a line of its tables.
STRAIGHT = [
    ("ldr r0, [r1]; ldr r1, [r2]", 3),  # TRM
    ("ldr r0, [r1, r2]; str r0, [r3, #20]", 3),  # TRM
    ("ldr r0, [r1, r2]; str r1, [r3, r2]", 3),  # TRM
    ("ldr r0, [r1, r5]; ldr r1, [r2]; ldr r2, [r3, #4]", 4),  # TRM
    ("ldr r0, [r1]; ldr r2, [r0]", 4),  # the address needs what is loaded
    ("ldrd r0, r1, [r2]", 3),  # TRM
    ("ldm r0, {r1, r2, r3}", 4),  # TRM
    ("ldr r4, [r5]; ldm r0, {r1, r2, r3}", 6),  # TRM: several are not pipelined
    ("ldm r0, {r1, r2, r3}; ldr r4, [r5]", 6),
    ("push {r4, r5, lr}; pop {r4, r5}", 7),
    ("str r0, [r1, #4]", 1),  # TRM
    ("str r0, [r1, r2]", 2),
    ("str r0, [r1]; ldr r2, [r3]", 3),  # TRM: nothing is pipelined behind a store
    ("add r1, r2, r3; ldr r0, [r1]", 4),  # TRM: a stall while the address is written
    ("add r1, r2, r3; nop; ldr r0, [r1]", 4),
    ("add r1, r2, r3; str r1, [r4]", 2),  # data, not the address
    ("cmp r1, r2; ldr r0, [r1]", 3),
    ("smull r1, r2, r3, r4; ldr r0, [r2]", 4),
    ("ldr r0, [r1], #4; ldr r2, [r1], #4", 3),
    ("smlad r0, r1, r2, r0; smlad r0, r3, r4, r0; mul r0, r0, r1", 3),
    ("sdiv r0, r1, r2", DIVISION),
    ("cmp r0, #0; it eq; moveq r0, r1", 2),  # folded into the 16 bits before it
    ("cmp.w r0, #0; it eq; moveq r0, r1", 3),
    ("vadd.f32 s0, s1, s2; vmul.f32 s3, s4, s5", 2),
    ("vadd.f32 s0, s1, s2; vmul.f32 s3, s0, s5", 3),  # TRM: a cycle longer if consumed at once
    ("vmul.f32 s0, s1, s2; vmla.f32 s0, s4, s5", 4),  # TRM: addends are needed a cycle later
    ("vmul.f32 s0, s1, s2; vmla.f32 s3, s0, s5", 5),
    ("vfma.f32 s0, s1, s2; vfma.f32 s3, s4, s5", 6),
    ("vdiv.f32 s0, s1, s2", 14),
    ("vsqrt.f32 s0, s1; vadd.f32 s2, s0, s0", 16),
    ("vldr s0, [r0]; vldr s1, [r0, #4]", 3),
    ("vldr d0, [r0]", 3),
    ("vldmia r0!, {s0-s3}", 5),
    ("vpush {d8, d9}", 5),
    ("vmov s0, r0; vmov r1, s0", 2),
    ("vmov r0, r1, s2, s3", 2),
    ("vcmp.f32 s0, s1; vmrs APSR_nzcv, fpscr", 2),
]


def assembled(source: str, folder: Path) -> dict[int, Instruction]:
    (folder / "code.s").write_text(f".syntax unified\n.thumb\n{source}\n")
    flags = ["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16"]
    subprocess.run(
        ["arm-none-eabi-as", *flags, str(folder / "code.s"), "-o", str(folder / "code.o")],
        check=True,
    )
    return disassemble(folder / "code.o")


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """Cycles of each of STRAIGHT; one run of the assembler for all, each behind a breakpoint."""
    source = "\n".join("bkpt 0\n" + text.replace(";", "\n") for text, _ in STRAIGHT)
    code = assembled(source, tmp_path_factory.mktemp("straight"))
    sums: list[int] = []
    before = None
    for instruction in code.values():
        if instruction.stem == "bkpt":
            sums.append(0)
            before = None
        else:
            sums[-1] += cycles(before, instruction)
            before = instruction
    return sums


@pytest.mark.parametrize("index", range(len(STRAIGHT)), ids=[text for text, _ in STRAIGHT])
def test_rules_of_the_manual(straight: list[int], index: int) -> None:
    assert straight[index] == STRAIGHT[index][1]


def run(code: dict[int, Instruction], path: list[int]) -> int:
    """Cycles of instructions by their number in the code."""
    listed = list(code.values())
    done = [listed[i] for i in path]
    return sum(cycles(b, h) for b, h in zip([None, *done], done, strict=False))


def test_a_delay_loop_takes_three_cycles_a_turn(tmp_path: Path) -> None:
    """As TI says of this loop, its SysCtlDelay for this core."""
    code = assembled("1: subs r0, r0, #1\nbne 1b\nbx lr", tmp_path)
    assert run(code, [0, 1] * 11) - run(code, [0, 1]) == 30


def test_branches_take_what_was_measured(tmp_path: Path) -> None:
    """Sample b of https://compendium.i-0.nl/docs/control-flow/branch_timing: 16 cycles, and what it
    says of branches to an instruction of 32 bits that lies across words: one more."""
    body = "mov r2, r0\nmovs r0, #1\n1: {}\nsubs r1, #1\ncmp r1, #0\nbne 1b\nbx lr"
    turns = [0, 1, *[2, 3, 4, 5] * 3]
    assert run(assembled(body.format("add r0, r2"), tmp_path), turns) == 16
    aligned = assembled(body.format("mul.w r0, r0, r2"), tmp_path)
    across = assembled("nop\n" + body.format("mul.w r0, r0, r2"), tmp_path)
    del across[0]
    assert run(aligned, turns) == 16
    assert run(across, turns) == 18


def test_calls_and_returns(tmp_path: Path) -> None:
    code = assembled("bl 1f\nnop\n1: push {r4, lr}\npop {r4, pc}", tmp_path)
    # The call 1 + 1; three to push two, three to pop them, three to go on where they say; one.
    assert run(code, [0, 2, 3, 1]) == 2 + 3 + 3 + 3 + 1


def test_what_is_not_the_cores_is_named() -> None:
    with pytest.raises(DeviceError, match=r"'vmlaq\.f32' at 0x8000100"):
        cycles(None, Instruction(0x8000100, 4, "vmlaq.f32", "q0, q1, q2"))


def test_a_listing_is_read_without_its_data() -> None:
    listing = (
        " 8000abc:\tf8d3 1004 \tldr.w\tr1, [r3, #4]\t@ 0x12\n"
        " 8000ac0:\t00001234 \t.word\t0x00001234\n"
        " 8000ac4:\tbf00      \tnop\n"
    )
    code = parse(listing)
    assert [(i.address, i.size, i.written) for i in code.values()] == [
        (0x8000ABC, 4, "ldr.w"),
        (0x8000AC4, 2, "nop"),
    ]
    assert code[0x8000ABC].operands == "r1, [r3, #4]"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(ROOT / "models" / "har-watch" / "har-watch.bundle")


@pytest.fixture(scope="module")
def image(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("image") / "image.elf"
    return image_for(bundle.to_bytes(), "cycles", out).elf


def test_every_instruction_of_the_firmware_has_a_timing(image: Path) -> None:
    assert {i.base(KNOWN) for i in disassemble(image).values() if i.stem != "udf"}


def test_counts_are_those_of_the_boards_timer(bundle: Bundle, image: Path) -> None:
    window = np.random.default_rng(3).integers(-128, 128, (1, *bundle.input_shape), np.int8)
    found = {}
    for waits in (0, 5, 5, 9):
        with watch.watched(DEFAULT_TARGET, image, waits) as (board, watched):
            watched.forget()
            ticks = board.ask(window)[1]
            one = watched.of(ticks)
            assert one.instructions == ticks
            assert found.setdefault(waits, one) == one  # it repeats
    assert found[0].waited == 0 < found[5].waited < found[9].waited
    assert found[0].core == found[5].core == found[9].core
    assert 1.2 < found[0].core / found[0].instructions < 2.2


def test_counts_that_differ_are_no_estimate(image: Path, bundle: Bundle) -> None:
    window = np.zeros((1, *bundle.input_shape), np.int8)
    with watch.watched(DEFAULT_TARGET, image, 0) as (board, watched):
        watched.forget()
        ticks = board.ask(window)[1]
        with pytest.raises(DeviceError, match="where the board's timer says"):
            watched.of(ticks + 1)


def test_the_model_bench_counts_what_its_timer_says(bundle: Bundle) -> None:
    plain = model_bench.measure(bundle.model, (1,))
    found = model_bench.measure(bundle.model, (1,), wait_states=5)
    assert plain.cycles is None
    assert found.cycles is not None  # it has been held against the timer
    assert found.instructions == plain.instructions < found.cycles.core < found.cycles.total


def test_the_bench_says_that_it_estimates(
    bundle: Bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    windows = np.random.default_rng(4).integers(-128, 128, (16, *bundle.input_shape), np.int8)
    bench_board.of_cycles(DEFAULT_TARGET, bundle, windows, np.arange(16) % len(bundle.labels), 3)
    text = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "Cycles, an estimate" in text
    assert "estimated cycles" in text
    assert "(Cortex-M4, 0 wait states)" in text
    assert "(Cortex-M4, 3 wait states)" in text
    assert "training step, all layers, clipping" in text


def test_info_estimates_each_operator() -> None:
    model = str(ROOT / "models" / "har-watch" / "har-watch.bundle")
    done = CliRunner().invoke(cli, ["info", model, "--profile", "--cycles"], env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    assert "estimated cycles" in done.output
    assert "Cycles are estimated: Cortex-M4, 0 wait states." in done.output
    rows = re.findall(r"^(?:all|\d CONV_2D|\d AVERAGE).*?([\d,]+)\s*$", done.output, re.MULTILINE)
    *each, total = [int(row.replace(",", "")) for row in rows]
    assert abs(total - sum(each)) < 100  # the reshape, which does nothing
    assert total > 58_000
    refused = CliRunner().invoke(cli, ["info", model, "--cycles"])
    assert refused.exit_code == 2
    assert "give both" in refused.output


@pytest.mark.parametrize("target", ["qemu:mps2-an500", "twin:", "native:"])
def test_other_targets_are_refused(target: str) -> None:
    with pytest.raises(DeviceError, match=r"for a Cortex-M4 in QEMU only"):
        watch.check_target(target)


def test_the_bench_refuses_them_first() -> None:
    done = CliRunner().invoke(cli, ["bench", "board", "--cycles", "--target", "twin:"])
    assert done.exit_code != 0
    assert "Training" not in done.output
    assert isinstance(done.exception, DeviceError) or "in QEMU only" in done.output


def test_wait_states_need_cycles() -> None:
    done = CliRunner().invoke(cli, ["bench", "models", "--flash-wait-states", "5"])
    assert done.exit_code == 2
    assert "give --cycles" in done.output


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.which
    monkeypatch.setattr(shutil, "which", lambda n: None if n in ("gcc", "cc") else real(n))
    with pytest.raises(DeviceError, match="takes a C compiler") as caught:
        plugin()
    assert "apt-get install gcc" in caught.value.hint


def test_without_a_disassembler(monkeypatch: pytest.MonkeyPatch, image: Path) -> None:
    monkeypatch.setattr(disassembly, "_OBJDUMP", "no-such-objdump")
    with pytest.raises(DeviceError, match="no-such-objdump is missing"):
        disassemble(image)


def test_a_qemu_without_plugins_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "qemu"
    fake.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "QEMU emulator version 8.2.2" && exit\n'
        'echo "qemu-system-arm: -plugin: invalid option" >&2; exit 1\n'
    )
    fake.chmod(0o755)
    monkeypatch.setattr(counting, "QEMU", str(fake))
    with pytest.raises(DeviceError, match=r"takes no plugins: .*invalid option"):
        plugin()


def test_nothing_counted_is_said(image: Path) -> None:
    with Counter(image) as counter, pytest.raises(DeviceError, match="has counted nothing"):
        counter.take()
