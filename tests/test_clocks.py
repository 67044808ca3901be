"""Start-up of each chip on its registers: what it runs at, whether it may, and what it counts with.

Numbers are the reference manuals' (RM) and data sheets' own, not the firmware's.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

import pytest

from chips import Started, start
from tinymia.device.boards import BoardFile, boards
from tinymia.device.build import build
from tinymia.device.elf import symbols

MHZ = 1_000_000
DIVIDERS = [1, 2, 4, 8, 16, 64, 128, 256, 512]
USARTS = {"usart1": 0x40011000, "usart2": 0x40004400, "usart3": 0x40004800}  # no L4 has usart1 here
HERE = {b.id: b for b in boards().values() if not b.platform and not b.simulated_only}
STM32 = {name: b for name, b in HERE.items() if b.chip.startswith("stm32")}


def bits(value: int, low: int, count: int) -> int:
    return value >> low & (1 << count) - 1


def prescaler(field: int, width: int) -> int:
    """HPRE has four bits, 32 is not among its values; PPRE has three."""
    top = 1 << width - 1
    return DIVIDERS[field - top + 1] if field & top else 1


@dataclass(frozen=True)
class Tree:
    """Clocks as the registers have them."""

    pll_input: float
    vco: float
    sysclk: float
    flash: float  # the bus that the flash is on
    apb1: float
    apb2: float
    q: float  # the generator's of random numbers, where the PLL feeds it
    waits: int


def tree_f4_f7(run: dict[int, int], mask: int) -> Tree:
    """RM0090 7.3.2, 7.3.3 (the F7's alike): HSI 16 MHz."""
    pll, cfgr = run[0x40023804], run[0x40023808]
    assert bits(pll, 22, 1) == 0  # from HSI
    fed = 16 * MHZ / bits(pll, 0, 6)
    vco = fed * bits(pll, 6, 9)
    sysclk = vco / (2 + 2 * bits(pll, 16, 2))
    ahb = sysclk / prescaler(bits(cfgr, 4, 4), 4)
    buses = [ahb / prescaler(bits(cfgr, low, 3), 3) for low in (10, 13)]
    return Tree(
        fed, vco, sysclk, ahb, buses[0], buses[1], vco / bits(pll, 24, 4), run[0x40023C00] & mask
    )


def tree_h7(run: dict[int, int]) -> Tree:
    """RM0433 8.7: HSI 64 MHz, PLL1's P; the generator has the oscillator of 48 MHz."""
    rcc = 0x58024400
    assert bits(run[rcc + 0x28], 0, 2) == 0  # from HSI
    fed = 64 * MHZ / bits(run[rcc + 0x28], 4, 6)
    low, high = [(1, 2), (2, 4), (4, 8), (8, 16)][bits(run[rcc + 0x2C], 2, 2)]
    assert low <= fed / MHZ <= high
    assert bits(run[rcc + 0x2C], 1, 1) == 0  # wide: 192 to 836 MHz
    assert bits(run[rcc + 0x2C], 16, 1) == 1  # P is put out
    vco = fed * (bits(run[rcc + 0x30], 0, 9) + 1)
    sysclk = vco / (bits(run[rcc + 0x30], 9, 7) + 1)
    core = sysclk / prescaler(bits(run[rcc + 0x18], 8, 4), 4)
    axi = core / prescaler(bits(run[rcc + 0x18], 0, 4), 4)
    apb = [axi / prescaler(bits(run[rcc + 0x1C], low, 3), 3) for low in (4, 8)]
    apb3 = axi / prescaler(bits(run[rcc + 0x18], 4, 3), 3)
    apb4 = axi / prescaler(bits(run[rcc + 0x20], 4, 3), 3)
    assert max(apb3, apb4) <= 50 * MHZ
    assert core == sysclk
    # Programming delay of the flash by AXI's speed (table 17, VOS3).
    assert bits(run[0x52002000], 4, 2) == (0 if axi <= 45 * MHZ else 1 if axi <= 135 * MHZ else 2)
    return Tree(fed, vco, core, axi, apb[0], apb[1], 48 * MHZ, run[0x52002000] & 15)


def tree_l4(run: dict[int, int]) -> Tree:
    """RM0351 6.4: HSI 16 MHz, the PLL's R."""
    pll, cfgr = run[0x4002100C], run[0x40021008]
    assert bits(pll, 0, 2) == 2  # from HSI
    assert bits(pll, 24, 1) == 1  # R is put out
    assert bits(pll, 20, 1) == 1  # and Q
    fed = 16 * MHZ / (bits(pll, 4, 3) + 1)
    vco = fed * bits(pll, 8, 7)
    sysclk = vco / (2 + 2 * bits(pll, 25, 2))
    ahb = sysclk / prescaler(bits(cfgr, 4, 4), 4)
    buses = [ahb / prescaler(bits(cfgr, low, 3), 3) for low in (8, 11)]
    q = vco / (2 + 2 * bits(pll, 21, 2))
    return Tree(fed, vco, sysclk, ahb, buses[0], buses[1], q, run[0x40022000] & 7)


@dataclass(frozen=True)
class Chip:
    """A chip's limits, in MHz, and how its hardware answers (see native/chip.cc)."""

    most: int
    apb1: int
    apb2: int
    waits: tuple[int, ...]  # the most of the flash's bus at 0, 1, 2, ... wait states
    pll_input: tuple[float, float]
    vco: tuple[int, int]
    answers: tuple[str, ...]
    needed: tuple[str, ...]  # bits that must be so at the switch: ADDRESS&MASK=VALUE
    oscillator: int  # what it runs at from reset
    switch: str  # the write that switches to the PLL
    reset: tuple[tuple[int, int], ...] = ()


F4_ANSWERS = (
    "40023800&1000000=1000000:40023800&2000000=2000000",  # PLLON, PLLRDY
    "40023800&1000000=1000000:40007004&4000=4000",  # PLLON, VOSRDY
    "40023808&3=2:40023808&c=8",  # SW, SWS
)
F4 = (F4_ANSWERS, ("40023800&2000000=2000000", "40007004&4000=4000"), 16, "40023808&3=2")
F7 = (
    (
        *F4_ANSWERS[::2],
        "40007000&10000=10000:40007004&10000=10000",  # ODEN, ODRDY
        "40007000&20000=20000:40007004&20000=20000",  # ODSWEN, ODSWRDY
    ),
    ("40023800&2000000=2000000", "40007004&30000=30000", "40007000&c000=c000"),
    *F4[2:],
)
H7 = (
    (
        "5802480c&7=2:58024804&2000=2000",  # the supply is chosen: ACTVOSRDY
        "58024400&1000000=1000000:58024400&2000000=2000000",  # PLL1ON, PLL1RDY
        "58024410&7=3:58024410&38=18",  # SW, SWS
    ),
    ("58024400&2000000=2000000", "58024804&2000=2000", "58024400&1000=1000"),
    64,
    "58024410&7=3",
    ((0x5802480C, 6), (0x58024400, 1), (0x5802442C, 0x01FF0000), (0x58024428, 0x02020200)),
)
L4 = (
    (
        "40021000&100=100:40021000&400=400",  # HSION, HSIRDY
        "40021000&1000000=1000000:40021000&2000000=2000000",  # PLLON, PLLRDY
        "40021008&3=3:40021008&c=c",  # SW, SWS
    ),
    ("40021000&2000400=2000400", "40007000&600=200"),
    4,
    "40021008&3=3",
    ((0x40007000, 0x200), (0x4002100C, 0x1000)),
)
F4_WAITS = (30, 60, 90, 120, 150, 168)
CHIPS = {
    # RM0090 table 10, RM0383 table 5, RM0390 table 5 (scale 1 without overdrive), RM0410 table 7,
    # RM0433 table 17 (VOS3), RM0351 table 12 (range 1); all at 2.7 V and more.
    "stm32f405": Chip(168, 42, 84, F4_WAITS, (1, 2), (100, 432), *F4, ((0x40007000, 0x4000),)),
    "stm32f407": Chip(168, 42, 84, F4_WAITS, (1, 2), (100, 432), *F4, ((0x40007000, 0x4000),)),
    "stm32f411": Chip(
        100, 50, 100, (30, 64, 90, 100), (1, 2), (100, 432), *F4, ((0x40007000, 0x8000),)
    ),
    "stm32f446": Chip(168, 45, 90, F4_WAITS, (1, 2), (100, 432), *F4, ((0x40007000, 0xC000),)),
    "stm32f767": Chip(
        216,
        54,
        108,
        (30, 60, 90, 120, 150, 180, 210, 216),
        (1, 2),
        (100, 432),
        *F7,
        ((0x40007000, 0xC000),),
    ),
    "stm32h743": Chip(200, 50, 50, (45, 90, 135, 180, 225), (2, 16), (192, 836), *H7),
    "stm32l476": Chip(80, 80, 80, (16, 32, 48, 64, 80), (4, 16), (64, 344), *L4),
}
# VOS in PWR_CR: one bit in the F405 and F407, two in the others (RM0090 5.4.1, RM0383 5.4.1).
SCALE_1 = {"stm32f405": 0x4000, "stm32f407": 0x4000, "stm32f411": 0xC000, "stm32f446": 0xC000}


def chip_of(board: BoardFile) -> str:
    return board.chip[:9]


def started(board: BoardFile, without: str = "") -> Started:
    chip = CHIPS[chip_of(board)]
    return start(board, [a for a in chip.answers if a != without], dict(chip.reset))


def parsed(condition: str) -> tuple[int, int, int]:
    place, value = condition.split("=")
    address, mask = place.split("&")
    return int(address, 16), int(mask, 16), int(value, 16)


def tree(board: BoardFile, registers: dict[int, int]) -> Tree:
    family = board.family
    if family in ("stm32f4", "stm32f7"):
        return tree_f4_f7(registers, 7 if family == "stm32f4" else 15)
    return tree_h7(registers) if family == "stm32h7" else tree_l4(registers)


def baud(board: BoardFile, run: Started, clocks: tuple[float, float]) -> float:
    """The rate with oversampling by 16: the bus's clock over BRR, in all series."""
    base = USARTS[board.uart.port]
    brr = run.at(base + (0x08 if board.family == "stm32f4" else 0x0C))
    assert 16 <= brr < 0x10000
    # No other source is chosen for it (DCKCFGR2, D2CCIP2R, CCIPR), nor oversampling by 8.
    assert run.at({"stm32f7": 0x40023890, "stm32h7": 0x58024454}.get(board.family, 0)) == 0
    assert board.family != "stm32l4" or run.at(0x40021088) & 0xFF == 0
    enable = run.at(base + (0x0C if board.family == "stm32f4" else 0x00))
    assert bits(enable, 15, 1) == 0
    assert bits(enable, 13 if board.family == "stm32f4" else 0, 1) == 1
    return clocks[board.uart.port in ("usart1", "usart6")] / brr


@pytest.mark.parametrize("name", STM32)
def test_an_stm32_runs_as_fast_as_it_counts_and_may(name: str) -> None:
    board = STM32[name]
    chip, run = CHIPS[chip_of(board)], started(board)
    found = tree(board, run.before(len(run.changes)))
    assert found.sysclk == run.core == run.ticks
    assert found.sysclk <= chip.most * MHZ
    assert chip.pll_input[0] <= found.pll_input / MHZ <= chip.pll_input[1]
    assert chip.vco[0] <= found.vco / MHZ <= chip.vco[1]
    assert found.apb1 <= chip.apb1 * MHZ
    assert found.apb2 <= chip.apb2 * MHZ
    assert found.q <= 48 * MHZ
    assert found.flash <= chip.waits[found.waits] * MHZ
    assert baud(board, run, (found.apb1, found.apb2)) == pytest.approx(board.uart.baud, rel=0.02)


@pytest.mark.parametrize("name", STM32)
def test_an_stm32_is_ready_for_its_speed_before_it_switches(name: str) -> None:
    board = STM32[name]
    chip, run = CHIPS[chip_of(board)], started(board)
    switch = run.step(*parsed(chip.switch))
    assert switch is not None
    then = run.before(switch)
    for condition in chip.needed:
        address, mask, value = parsed(condition)
        assert then.get(address, 0) & mask == value, condition
    if board.family == "stm32f4":
        assert then[0x40007000] & 0xC000 == SCALE_1[chip_of(board)]
        assert then[0x40023840] & 1 << 28  # the clock of PWR, without which VOSRDY is not read
    found = tree(board, run.before(switch + 1))
    assert found.flash <= chip.waits[found.waits] * MHZ
    assert found.apb1 <= chip.apb1 * MHZ
    assert found.apb2 <= chip.apb2 * MHZ


@pytest.mark.parametrize(
    ("name", "answer"), [(n, a) for n, b in STM32.items() for a in CHIPS[chip_of(b)].answers]
)
def test_an_stm32_that_does_not_answer_stays_at_its_oscillator(name: str, answer: str) -> None:
    board = STM32[name]
    chip, run = CHIPS[chip_of(board)], started(board, without=answer)
    assert run.core == chip.oscillator * MHZ
    address, mask, _ = parsed(chip.switch)
    assert run.at(address) & mask == 0
    clocks = (float(run.core), float(run.core))
    assert baud(board, run, clocks) == pytest.approx(board.uart.baud, rel=0.02)


@pytest.mark.parametrize("name", STM32)
def test_the_cycle_counter_counts(name: str) -> None:
    """On the M7 after its lock is opened: chip.cc ignores what is written before."""
    run = started(STM32[name])
    assert run.cycles
    if STM32[name].core == "cortex-m7":
        opened = run.step(0xE0001FB0, 0xFFFFFFFF, 0xC5ACCE55)
        counting = run.step(0xE0001000, 1, 1)
        assert opened is not None
        assert counting is not None
        assert opened < counting


def test_the_h7s_supply_is_chosen_before_anything_else() -> None:
    run = started(STM32["nucleo_h743zi"])
    assert run.changes[0] == (0x5802480C, 2)  # PWR_CR3: LDOEN (RM0433 6.8.4)
    assert run.changes[1] == (0x58024804, 1 << 13)


def test_the_h7s_supply_needs_no_ram() -> None:
    """Until it is chosen RAM must not be written: no stack, no call but the jump at its end."""
    image = build("nucleo_h743zi").elf
    command = ["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", "--disassemble=SupplyHandler"]
    out = subprocess.run([*command, str(image)], capture_output=True, text=True, check=True).stdout
    code = re.findall(r"^ *[0-9a-f]+:\t(\S+)(?:\t(.*))?$", out, re.MULTILINE)
    assert [m for m, _ in code if m in ("push", "stmdb", "bl", "blx")] == []
    assert [operands for _, operands in code if "sp" in operands] == []
    assert any("ResetHandler" in operands for _, operands in code)
    vectors = subprocess.run(
        ["arm-none-eabi-objdump", "-s", "-j", ".vectors", str(image)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    entry = re.search(r"^ 8000000 \w{8} (\w{8})", vectors, re.MULTILINE)
    assert entry is not None
    first = int.from_bytes(bytes.fromhex(entry[1]), "little")
    assert first == symbols(image)["SupplyHandler"] | 1
