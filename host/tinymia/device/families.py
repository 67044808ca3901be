"""What the chips of a family allow: a board file is held against it."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """A family of chips, a section of ``platformio.ini``.

    Attributes:
        chips: pattern of order codes.
        ports: pattern of serial ports.
        pins: pattern of their pins; empty: none are named.
        ticks: what the board layer can count by.
        baud: highest rate of the line, bits a second.
        vectors: to what the vector table must be aligned, bytes: at least four for each exception,
            rounded up to a power of two (Armv7-M Architecture Reference Manual, B3.2.5).
    """

    chips: str
    ports: str
    pins: str
    ticks: str
    baud: int
    vectors: int = 512

    def refuses(self, chip: str, port: str, pins: tuple[str, ...], ticks: str, baud: int) -> str:
        """The key of a board file that does not fit the family, and how; empty: all do."""
        for key, pattern, value in (
            ("board_build.mcu", self.chips, chip),
            ("board_uart.port", self.ports, port),
            ("board_build.ticks", self.ticks, ticks),
            *(("board_uart.tx and rx", self.pins, pin) for pin in pins),
        ):
            if re.fullmatch(pattern, value) is None:
                return f"{key}: this family has no {value}"
        return f"board_uart.baud: at most {self.baud}" if baud > self.baud else ""


_STM32_PIN = r"P[A-K](1[0-5]|[0-9])"
_NRF = r"nrf52840"
_RP = r"rp2040"

FAMILIES: dict[str, Family] = {
    "stm32f4": Family(r"stm32f4\w+", "usart[1236]", _STM32_PIN, "dwt", 3_000_000),
    "stm32f7": Family(r"stm32f7\w+", "usart[1236]", _STM32_PIN, "dwt", 3_000_000),
    "stm32h7": Family(r"stm32h7\w+", "usart[1236]", _STM32_PIN, "dwt", 3_000_000, 1024),
    "stm32l4": Family(r"stm32l4\w+", "usart[123]", _STM32_PIN, "dwt", 3_000_000),
    # A faster line would need an interrupt more often than its FIFO of four bytes allows.
    "nrf52840": Family(_NRF, "uart0", r"P(0\.(0\d|[12]\d|3[01])|1\.(0\d|1[0-5]))", "dwt", 460_800),
    "rp2040": Family(_RP, "uart[01]", r"GP([12]?\d)", "systick", 921_600, 256),
    "nrf52840_arduino": Family(_NRF, "usb", "", "dwt", 3_000_000),
    "rp2040_arduino": Family(_RP, "usb", "", "systick", 3_000_000, 256),
    "mps": Family(r"mps[23]-an\d+", "uart0", "", "fpgaio", 3_000_000, 1024),
}

# From the data sheets: RAM and flash, address and KB.
_MEMORY: dict[str, tuple[int, int, int, int]] = {
    "stm32f405rg": (0x20000000, 128, 0x08000000, 1024),
    "stm32f407vg": (0x20000000, 128, 0x08000000, 1024),
    "stm32f411ce": (0x20000000, 128, 0x08000000, 512),
    "stm32f446re": (0x20000000, 128, 0x08000000, 512),
    "stm32f767zi": (0x20000000, 512, 0x08000000, 2048),
    "stm32h743zi": (0x24000000, 512, 0x08000000, 2048),
    "stm32l476rg": (0x20000000, 96, 0x08000000, 1024),
    "nrf52840": (0x20000000, 256, 0x00000000, 1024),
    "rp2040": (0x20000000, 264, 0x10000000, 16384),
}


def beyond(chip: str, ram: tuple[int, int], flash: tuple[int, int]) -> str:
    """ "ram" or "flash" when a range (first address, first one behind) is not the chip's.

    Of a chip that is not known here, nothing is said.
    """
    known = next((v for name, v in _MEMORY.items() if chip.startswith(name)), None)
    if known is None:
        return ""
    ram_at, ram_kb, flash_at, flash_kb = known
    if ram[0] < ram_at or ram[1] > ram_at + ram_kb * 1024:
        return "ram"
    return "flash" if flash[0] < flash_at or flash[1] > flash_at + flash_kb * 1024 else ""
