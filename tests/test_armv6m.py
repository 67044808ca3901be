"""Armv6-M code, as a Cortex-M0+ runs it, on a simulated M3 that refuses unaligned accesses, too."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from test_cores import BUNDLE, JOBS, exchange, facts, results, ticks
from tinymia.device.build import build
from tinymia.device.connect import connect, image_for, supply
from tinymia.device.target import Target
from tinymia.device.targets import open_target

MACHINE = "qemu:mps2-an385"
ENV = "armv6m_mps2_an385"


@pytest.fixture(scope="module")
def board() -> Iterator[Target]:
    """The self-test as Armv6-M code."""
    with open_target(MACHINE, elf=build(f"selftest_{ENV}").elf) as target:
        yield target


def restart(target: Target) -> tuple[int, ...]:
    """The board's record of the fault that has restarted it: cause, program counter, status."""
    assert exchange(target, b"", 1) == b"\0"
    return facts(target)[9:]


def test_inference_and_training_give_the_bits_of_the_twin(tmp_path: Path) -> None:
    data = BUNDLE.to_bytes()
    with connect("twin:", supply("twin:", data, "armv6m")) as opened:
        expected = results(opened.board)
    image = image_for(data, "armv6m", tmp_path / "armv6m.elf", target=MACHINE, env=ENV)
    attributes = subprocess.run(
        ["arm-none-eabi-readelf", "-A", str(image.elf)], capture_output=True, text=True, check=True
    ).stdout
    assert "Tag_CPU_arch: v6S-M" in attributes
    assert "Tag_THUMB_ISA_use: Thumb-1" in attributes
    with connect(MACHINE, image.elf) as opened:
        assert opened.board.identity.board == ENV
        found = results(opened.board)
    for job, got, want in zip([None, *JOBS], found, expected, strict=True):
        assert got == want, job


def test_an_unaligned_access_faults_as_on_a_cortex_m0plus(board: Target) -> None:
    board.serial.write(b"\x08")
    cause, pc, status = restart(board)
    assert (cause, pc != 0, status) == (3, True, 0)
    # The Cortex-M3's own image allows it.
    with open_target(MACHINE, elf=build("selftest_mps2_an385").elf) as target:
        assert exchange(target, b"\x08", 4) == b"\x22\x33\x44\x55"


def test_instructions_are_counted_exactly(board: Target) -> None:
    around = {ticks(board, n) - 2 * n for n in [*range(1, 60), 1000, 1001, 1_000_000]}
    assert len(around) == 1
    quiet = ticks(board, 5_000_000)
    assert ticks(board, 5_000_000, then=b"z" * 2000) == quiet


@pytest.mark.parametrize(("command", "has_pc"), [(b"\x03", True), (b"\x05", False)])
def test_a_fault_restarts_the_board_and_is_remembered_once(
    board: Target, command: bytes, has_pc: bool
) -> None:
    board.serial.write(command)
    cause, pc, status = restart(board)
    assert (cause, pc != 0, status) == (3, has_pc, 0)
    board.serial.write(b"\x04")
    assert restart(board)[0] == 0
