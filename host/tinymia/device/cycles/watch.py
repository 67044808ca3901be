"""A simulated Cortex-M4 whose work is counted, and held against its own timer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinymia.device.boards import boards
from tinymia.device.client import Board
from tinymia.device.cycles.counter import Counter
from tinymia.device.cycles.disassembly import disassemble
from tinymia.device.cycles.estimate import Estimate, estimate
from tinymia.device.qemu import QemuTarget
from tinymia.device.targets import check_spec, environment, kind_of
from tinymia.errors import DeviceError

CORE = "cortex-m4"
WAIT_STATES = 5
"""Of the STM32F405's flash at 168 MHz and 2.7 to 3.6 V (RM0090 table 10)."""


def check_target(spec: str) -> None:
    """That cycles can be estimated for a target.

    Raises:
        DeviceError: it is no Cortex-M4 in QEMU.
    """
    check_spec(spec)
    board = boards().get(environment(spec)) if kind_of(spec) is QemuTarget else None
    if board is None or board.core != CORE:
        raise DeviceError(
            f"Cycles are estimated for a Cortex-M4 in QEMU only, which {spec} is not.",
            "Use --target qemu:netduinoplus2; a real board counts its cycles itself.",
        )


class Watch:
    """What counted work took.

    Args:
        counter: whose image runs.
    """

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._code = disassemble(counter.elf)

    def forget(self) -> None:
        """Drop what was counted so far."""
        self._counter.take()

    def of(self, ticks: int, hidden: int = 0) -> Estimate:
        """What the work took that the board just answered, and was the only one since the last.

        Args:
            ticks: what the board's timer says of it.
            hidden: instructions of the readings that the timer does not show.

        Raises:
            DeviceError: the counts are not those of the timer, or cannot be read.
        """
        found = estimate(self._counter.take()[1::2], self._code)
        if found.instructions != ticks + hidden:
            raise DeviceError(
                f"QEMU ran {found.instructions - hidden:,} instructions where the board's timer"
                f" says {ticks:,}.",
                "Cycles cannot be estimated from such counts: report it, with QEMU's version.",
            )
        return found


@contextmanager
def watched(spec: str, elf: Path, wait_states: int) -> Iterator[tuple[Board, Watch]]:
    """A simulated board with a bundle in its image, and what its work takes.

    Raises:
        DeviceError: see :func:`check_target` and :class:`~tinymia.device.cycles.counter.Counter`.
    """
    check_target(spec)
    with Counter(elf, wait_states) as counter, QemuTarget(spec, elf, counter.arguments()) as target:
        board = Board(target.serial, patience=target.patience, watch=target.alive)
        yield board, Watch(counter)
