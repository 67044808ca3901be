"""Boards in QEMU."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinymia.device.boards import boards
from tinymia.device.checkout import DEFAULT_ENV
from tinymia.device.server_target import ServerTarget
from tinymia.errors import DeviceError


@dataclass(frozen=True)
class Machine:
    """A board that QEMU simulates.

    Attributes:
        env: environment of ``platformio.ini`` whose image runs on it.
        title: what it is.
        qemu: QEMU's name of the machine; empty: as it is called here.
        line: number of the machine's serial line that is the firmware's.
    """

    env: str
    title: str
    qemu: str = ""
    line: int = 0


MACHINES = {
    "netduinoplus2": Machine(DEFAULT_ENV, "STM32F405 (Cortex-M4F)"),
    "mps2-an385": Machine("mps2_an385", "Arm MPS2 (Cortex-M3, no FPU)"),
    "mps2-an500": Machine("mps2_an500", "Arm MPS2 (Cortex-M7)"),
    "mps2-an505": Machine("mps2_an505", "Arm MPS2 (Cortex-M33)"),
    "mps3-an547": Machine("mps3_an547", "Arm MPS3 (Cortex-M55, without Helium)"),
}
"""Simulated boards by QEMU's name."""

_SERIAL_LINES = {"usart1": 0, "usart2": 1, "usart3": 2, "usart6": 5}


def machine_called(name: str) -> Machine | None:
    """A simulated board, by QEMU's name or by that of a board file whose image QEMU runs."""
    if name in MACHINES:
        return MACHINES[name]
    board = boards().get(name)
    if board is None or not board.qemu:
        return None
    return Machine(board.env, board.name, board.qemu, _SERIAL_LINES.get(board.uart.port, 0))


class QemuTarget(ServerTarget):
    """A board in QEMU, counting instructions (``-icount shift=0``)."""

    kind = "qemu"
    usage = "qemu:netduinoplus2"
    unit = "instructions"
    title = "The simulator"
    program = "qemu-system-arm"

    @classmethod
    def environment(cls, rest: str) -> str:
        """That of the machine."""
        machine = machine_called(rest)
        return machine.env if machine is not None else DEFAULT_ENV

    @classmethod
    def check(cls, spec: str) -> None:
        """That there is such a board, and QEMU."""
        name = spec.partition(":")[2]
        if machine_called(name) is None:
            raise DeviceError(
                f"There is no simulated board {name!r}.",
                f"Simulated boards: {', '.join(MACHINES)}; `tinymia boards` lists others that QEMU"
                " runs.",
            )
        if shutil.which(cls.program) is None:
            raise DeviceError(
                f"{cls.program}, which simulates the board, is missing.",
                "Install it: `apt-get install qemu-system-arm` (as root or with sudo).",
            )

    def __init__(self, spec: str, elf: Path, more: Sequence[str] = ()) -> None:
        self.check(spec)
        self._more = more  # for QEMU's command line
        name = spec.partition(":")[2]
        machine = machine_called(name)
        assert machine is not None
        self._machine = machine.qemu or name
        self._line = machine.line
        super().__init__(spec, elf)

    def command(self, listener: int) -> tuple[list[str], dict[str, str]]:
        """QEMU without a monitor or any device that is not the board's."""
        uart = f"socket,id=uart,fd={listener},server=on,wait=on,nodelay=on"
        return [
            *(self.program, "-M", self._machine, "-nodefaults", "-nographic"),
            *("-icount", "shift=0", "-chardev", uart),
            *("-serial", "null") * self._line,
            *("-serial", "chardev:uart"),
            *("-kernel", str(self.elf), *self._more),
        ], {}
