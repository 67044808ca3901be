"""What a model takes on a Cortex-M4F, by the instruction: a firmware in QEMU that does no more.

The simulated board (AN386) has RAM for any network of MLPerf Tiny, which the STM32F405 has not; the
core, hence every count, is the same.
"""

from __future__ import annotations

import itertools
import shutil
import struct
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinymia.device.bake import bake
from tinymia.device.build import build
from tinymia.device.cycles.counter import Counter
from tinymia.device.cycles.estimate import Estimate
from tinymia.device.cycles.watch import Watch
from tinymia.device.server_target import ServerTarget
from tinymia.errors import DeviceError
from tinymia.wire.protocol import Status

ENVIRONMENT = "model_bench"
_SECONDS = 60.0
_HIDDEN = 3  # from the last of the readings behind which work begins to where it counts from


@dataclass(frozen=True)
class Measured:
    """One model on the simulated core.

    Attributes:
        instructions: of one inference.
        operators: instructions of each operator of the file, in its order.
        arena: bytes of RAM.
        outputs: (seeds, bytes) int8, the answers to :func:`inputs` of each seed.
        cycles: estimated, of the last seed's inference; None: not asked for.
        operator_cycles: estimated, of each operator; empty: not asked for.
    """

    instructions: int
    operators: tuple[int, ...]
    arena: int
    outputs: NDArray[np.int8]
    cycles: Estimate | None = None
    operator_cycles: tuple[int, ...] = ()


def inputs(seed: int, size: int) -> NDArray[np.int8]:
    """The window that the firmware makes of a seed: (size,) int8."""
    out = np.empty(size, np.uint8)
    for i in range(size):
        seed = (seed * 1664525 + 1013904223) & 0xFFFFFFFF
        out[i] = seed >> 24
    return out.view(np.int8)


class _Bench(ServerTarget):
    kind = "model-bench"
    unit = "instructions"
    title = "The simulator"
    program = "qemu-system-arm"

    def __init__(self, elf: Path, more: Sequence[str] = ()) -> None:
        self._more = more  # for QEMU's command line
        if shutil.which(self.program) is None:
            raise DeviceError(
                f"{self.program}, which simulates the board, is missing.",
                "Install it: `apt-get install qemu-system-arm` (as root or with sudo).",
            )
        super().__init__(self.kind, elf)

    def command(self, listener: int) -> tuple[list[str], dict[str, str]]:
        """QEMU with the firmware, which has the model in its flash."""
        uart = f"socket,id=uart,fd={listener},server=on,wait=on,nodelay=on"
        return [
            *(self.program, "-M", "mps2-an386", "-nodefaults", "-nographic"),
            *("-icount", "shift=0", "-chardev", uart, "-serial", "chardev:uart"),
            *("-kernel", str(self.elf), *self._more),
        ], {}

    def ask(self, command: int, argument: int, size: int) -> bytes:
        """One command's answer of ``size`` bytes."""
        self.serial.write(struct.pack("<BI", command, argument))
        answer, until = b"", time.monotonic() + _SECONDS
        while len(answer) < size:
            self.alive()
            if time.monotonic() > until:
                raise DeviceError("The simulated board does not answer.")
            answer += self.serial.read(size - len(answer))
            time.sleep(0.001)
        return answer


def measure(
    tflite: bytes,
    seeds: tuple[int, ...] = (1,),
    *,
    operators: bool = False,
    wait_states: int | None = None,
) -> Measured:
    """Run a model on the simulated Cortex-M4F.

    Args:
        tflite: an int8 model.
        seeds: of the windows that are asked; instructions are the mean over them.
        operators: whether each operator is measured, too.
        wait_states: of the flash, for an estimate of cycles; None: none is wanted.

    Raises:
        DeviceError: the firmware does not build, QEMU is missing, or the board refuses the model;
            cycles cannot be estimated.
    """
    built = build(ENVIRONMENT).elf
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        elf = bake(built, tflite, Path(folder) / "model.elf")
        counter = None if wait_states is None else stack.enter_context(Counter(elf, wait_states))
        watch = None if counter is None else Watch(counter)
        board = _Bench(elf, () if counter is None else counter.arguments())
        with board:
            answer = struct.unpack("<5I", board.ask(1, len(tflite), 20))
            status, arena, _, answer_bytes, count = answer
            if status != Status.OK:
                raise DeviceError(
                    f"The board refuses the model: status {status}, {arena} bytes of RAM needed."
                )
            ticks, outputs = [], []
            cycles = None
            for seed in seeds:
                if watch is not None:
                    watch.forget()
                reply = board.ask(2, seed, 4 + answer_bytes)
                ticks.append(int.from_bytes(reply[:4], "little"))
                outputs.append(np.frombuffer(reply[4:], np.int8))
                if watch is not None:
                    cycles = watch.of(ticks[-1], _HIDDEN)
            sums, estimates = [0], [0]
            for i in range(count if operators else 0):
                if watch is not None:
                    watch.forget()
                sums.append(int.from_bytes(board.ask(3, i + 1, 4), "little"))
                if watch is not None:
                    estimates.append(watch.of(sums[-1], _HIDDEN).total)
    return Measured(
        round(sum(ticks) / len(ticks)),
        tuple(b - a for a, b in itertools.pairwise(sums)),
        arena,
        np.stack(outputs),
        cycles,
        tuple(b - a for a, b in itertools.pairwise(estimates)),
    )
