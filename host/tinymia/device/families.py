"""What the chips of a family allow: a board file is held against it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """A family of chips, a section of ``platformio.ini``.

    Attributes:
        chips: pattern of the order codes for which the board layer knows the clocks.
        wires: for each serial port patterns of its pins, TX and RX; empty: none are named.
        ticks: what the board layer can count by.
        baud: highest rate of the line, bits a second.
        vectors: to what the vector table must be aligned, bytes: at least four for each exception,
            rounded up to a power of two (Armv7-M Architecture Reference Manual, B3.2.5).
        qemu: QEMU's machines on which its images run.
    """

    chips: str
    wires: Mapping[str, tuple[str, str]]
    ticks: str
    baud: int
    vectors: int = 512
    qemu: tuple[str, ...] = ()

    def refuses(
        self, chip: str, port: str, tx: str, rx: str, ticks: str, baud: int, qemu: str
    ) -> str:
        """The key of a board file that does not fit the family, and how; empty: all do."""
        for key, pattern, value in (
            ("board_build.mcu", self.chips, chip),
            ("board_uart.port", "|".join(self.wires), port),
            ("board_build.ticks", self.ticks, ticks),
        ):
            if re.fullmatch(pattern, value) is None:
                return f"{key}: this family has no {value}"
        patterns = self.wires[port]
        for key, pattern, other, value in (
            ("board_uart.tx", patterns[0], patterns[1], tx),
            ("board_uart.rx", patterns[1], patterns[0], rx),
        ):
            if value and re.fullmatch(pattern, value) is None:
                swapped = re.fullmatch(other, value) is not None
                end = "; are tx and rx swapped?" if swapped else ""
                return f"{key}: {port} is not on {value}{end}"
        if baud > self.baud:
            return f"board_uart.baud: at most {self.baud}"
        if qemu and qemu not in self.qemu:
            known = f"known are {', '.join(self.qemu)}" if self.qemu else "none does"
            return f"board_simulator.qemu: {qemu} does not run such images; {known}"
        return ""


# Pins of the data sheets' tables of alternate functions, those of any chip of the family, under
# the function's number that registers.h gives to the port.
_USART2 = ("PA2|PD5", "PA3|PD6")
_USART6 = ("PC6|PG14", "PC7|PG9")
_F7_H7 = {
    "usart1": ("PA9|PB6", "PA10|PB7"),
    "usart2": _USART2,
    "usart3": ("PB10|PC10|PD8", "PB11|PC11|PD9"),
    "usart6": _USART6,
}
_F4 = {
    "usart1": ("PA9|PB6|PA15", "PA10|PB7|PB3"),
    "usart2": _USART2,
    "usart3": ("PB10|PC10|PD8", "PB11|PC5|PC11|PD9"),
    "usart6": ("PC6|PG14|PA11", "PC7|PG9|PA12"),
}
_L4 = {
    "usart1": ("PA9|PB6|PG9", "PA10|PB7|PG10"),
    "usart2": _USART2,
    "usart3": ("PB10|PC4|PC10|PD8", "PB11|PC5|PC11|PD9"),
}
_NRF_PIN = r"P0\.([012]\d|3[01])|P1\.(0\d|1[0-5])"  # any
_RP_UARTS = {
    "uart0": ("GP(0|12|16|28)", "GP(1|13|17|29)"),
    "uart1": ("GP(4|8|20|24)", "GP(5|9|21|25)"),
}
_USB = {"usb": ("", "")}
_ORDER = r"[a-z]{3}\d(tr)?"  # pins, flash, package, temperature

FAMILIES: dict[str, Family] = {
    "stm32f4": Family(
        rf"stm32f4(05|07|11|46){_ORDER}",
        *(_F4, "dwt", 2_625_000),  # a 16th of USART2's clock in the F405, 42 MHz
        qemu=("netduinoplus2",),
    ),
    "stm32f7": Family(rf"stm32f767{_ORDER}", _F7_H7, "dwt", 3_000_000),
    "stm32h7": Family(rf"stm32h7(43|53){_ORDER}", _F7_H7, "dwt", 3_000_000, 1024),
    "stm32l4": Family(rf"stm32l4[78][56]{_ORDER}", _L4, "dwt", 3_000_000),
    # A faster line would need an interrupt more often than its FIFO of four bytes allows.
    "nrf52840": Family("nrf52840", {"uart0": (_NRF_PIN, _NRF_PIN)}, "dwt", 460_800),
    "rp2040": Family("rp2040", _RP_UARTS, "systick", 921_600, 256),
    "nrf52840_arduino": Family("nrf52840", _USB, "dwt", 3_000_000),
    "rp2040_arduino": Family("rp2040", _USB, "systick", 3_000_000, 256),
    "mps": Family(
        r"mps[23]-an\d+",
        *({"uart0": ("", "")}, "fpgaio", 3_000_000, 1024),
        qemu=("mps2-an385", "mps2-an500", "mps2-an505", "mps3-an547"),
    ),
}

# From the data sheets, by the first letters of an order code: the RAM of which an image takes its
# one piece, address and KB; address of the flash, and its KB where the order code does not tell.
_MEMORY: dict[str, tuple[int, int, int, int]] = {
    "stm32f4": (0x20000000, 128, 0x08000000, 0),
    "stm32f7": (0x20000000, 512, 0x08000000, 0),
    "stm32h7": (0x24000000, 512, 0x08000000, 0),
    "stm32l4": (0x20000000, 96, 0x08000000, 0),
    "nrf52840": (0x20000000, 256, 0x00000000, 1024),
    "rp2040": (0x20000000, 264, 0x10000000, 16384),
}
_FLASH_KB = {"b": 128, "c": 256, "d": 384, "e": 512, "f": 768, "g": 1024, "h": 1536, "i": 2048}


def beyond(chip: str, ram: tuple[int, int], flash: tuple[int, int]) -> str:
    """ "ram" or "flash" when a range (first address, first one behind) is not the chip's.

    Of a simulated chip, which has what it is given, nothing is said.
    """
    known = next((v for name, v in _MEMORY.items() if chip.startswith(name)), None)
    if known is None:
        return ""
    ram_at, ram_kb, flash_at, flash_kb = known
    flash_kb = flash_kb or _FLASH_KB.get(chip[10:11], 0)
    if ram[0] < ram_at or ram[1] > ram_at + ram_kb * 1024:
        return "ram"
    return "flash" if flash[0] < flash_at or flash[1] > flash_at + flash_kb * 1024 else ""
