"""From counts to an estimate of cycles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tinymia.device.cycles.counter import Counts
from tinymia.device.cycles.disassembly import Instruction
from tinymia.device.cycles.timing import cycles
from tinymia.errors import DeviceError


@dataclass(frozen=True)
class Estimate:
    """What a piece of work takes; all but the instructions is an estimate.

    Attributes:
        instructions: exact.
        core: estimated cycles of a Cortex-M4 whose memory never waits.
        waited: estimated cycles that the flash adds, at the wait states that were counted with.
    """

    instructions: int
    core: int
    waited: int

    @property
    def total(self) -> int:
        """Estimated cycles, those of the flash included."""
        return self.core + self.waited


def estimate(counted: Iterable[Counts], code: Mapping[int, Instruction]) -> Estimate:
    """Sum up counts of one image.

    Args:
        counted: what ran.
        code: the image's instructions by address.

    Raises:
        DeviceError: something ran that is not in the image, or is none of the Cortex-M4's.
    """
    known: dict[tuple[int, int], int] = {}
    instructions = core = waited = 0
    for counts in counted:
        core += counts.unaligned
        waited += counts.code_stalls + counts.data_stalls
        for before, here, times in counts.edges.tolist():
            taking = known.get((before, here))
            if taking is None:
                if here not in code:
                    raise DeviceError(
                        f"The simulator ran code at {here:#x}, where the image has none."
                    )
                taking = known[before, here] = cycles(code.get(before), code[here])
            core += taking * times
            instructions += times
    return Estimate(instructions, core, waited)
