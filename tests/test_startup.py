"""Start-up of the nRF52840 and RP2040 on registers in the host's memory; what bootloaders leave."""

from __future__ import annotations

import pytest

from chips import Started, start
from test_cores import exchange, facts
from tinymia.device.boards import board
from tinymia.device.build import build
from tinymia.device.targets import open_target

MHZ = 1_000_000

# --- nRF52840 ---

NORDIC = ["nrf52840_dk", "nano33ble"]
CRYSTAL_RUNS = "40000000&1=1:40000100&1=1"  # TASKS_HFCLKSTART, EVENTS_HFCLKSTARTED
# Product Specification, UARTE, register BAUDRATE.
RATES = {
    9600: 0x00275000,
    19200: 0x004EA000,
    38400: 0x009D0000,
    57600: 0x00EB0000,
    115200: 0x01D60000,
    230400: 0x03B00000,
    460800: 0x07400000,
}
BAUDRATE, ENABLE, STARTRX = 0x40002524, 0x40002500, 0x40002000


@pytest.mark.parametrize("name", NORDIC)
def test_an_nrf52840_runs_from_its_crystal_and_counts_its_cycles(name: str) -> None:
    run = start(board(name), [CRYSTAL_RUNS], {})
    assert run.core == run.ticks == 64 * MHZ
    assert run.cycles
    crystal, receiving = run.step(0x40000100, 1, 1), run.step(STARTRX, 1, 1)
    assert crystal is not None
    assert receiving is not None
    assert crystal < receiving
    assert run.before(receiving)[ENABLE] == 8
    # PSEL: port and pin, connected.
    tx, rx = (int(pin[1]) << 5 | int(pin[3:]) for pin in (board(name).uart.tx, board(name).uart.rx))
    assert (run.at(0x4000250C), run.at(0x40002514)) == (tx, rx)


@pytest.mark.parametrize("rate", RATES)
def test_an_nrf52840s_baud_rates_are_the_manuals(rate: int) -> None:
    found = start(board("nrf52840_dk"), [CRYSTAL_RUNS], {}, baud=rate).at(BAUDRATE)
    assert found == RATES[rate]
    assert found * 16 * MHZ / 2**32 == pytest.approx(rate, rel=0.02)


@pytest.mark.parametrize("rate", [921600, 1000000, 115201])
def test_an_nrf52840_is_not_built_for_other_rates(rate: int) -> None:
    with pytest.raises(AssertionError, match=r"board_uart.baud of an nRF52840 must be"):
        start(board("nrf52840_dk"), [CRYSTAL_RUNS], {}, baud=rate)


# --- RP2040 ---

RESETS, DONE = 0x4000C000, 0x4000C008
XOSC_CTRL, XOSC_STATUS, XOSC_STARTUP = 0x40024000, 0x40024004, 0x4002400C
PLL_CS, PLL_PWR, PLL_FBDIV, PLL_PRIM = 0x40028000, 0x40028004, 0x40028008, 0x4002800C
REF_CTRL, REF_SELECTED = 0x40008030, 0x40008038
SYS_CTRL, SYS_SELECTED, PERI_CTRL = 0x4000803C, 0x40008044, 0x40008048
LOCKED = 1 << 31


def pico() -> Started:
    """After a restart by software: the system clock may still come from the PLL."""
    answers = [
        f"{RESETS:x}&{1 << bit:x}={held << bit:x}:{DONE:x}&{1 << bit:x}={(1 - held) << bit:x}"
        for bit in (5, 8, 12, 22)
        for held in (0, 1)
    ]
    answers += [
        f"{XOSC_CTRL:x}&fff000=fab000:{XOSC_STATUS:x}&{LOCKED:x}={LOCKED:x}",
        f"{REF_CTRL:x}&3=2:{REF_SELECTED:x}&f=4",
        f"{SYS_CTRL:x}&1=0:{SYS_SELECTED:x}&3=1",
        f"{SYS_CTRL:x}&1=1:{SYS_SELECTED:x}&3=2",
        f"{PLL_PWR:x}&21=0:{PLL_CS:x}&{LOCKED:x}={LOCKED:x}",  # PD, VCOPD
    ]
    held = {RESETS: 0x01FFFFFF, PLL_PWR: 0x2D, PLL_CS: 1, SYS_CTRL: 1, SYS_SELECTED: 2}
    return start(board("pico"), answers, held)


def test_an_rp2040_runs_at_what_it_counts() -> None:
    run = pico()
    crystal = 12 * MHZ
    vco = crystal / (run.at(PLL_CS) & 63) * run.at(PLL_FBDIV)
    assert 750 * MHZ <= vco <= 1600 * MHZ  # datasheet 2.18.2
    dividers = run.at(PLL_PRIM) >> 16 & 7, run.at(PLL_PRIM) >> 12 & 7
    assert 1 <= dividers[1] <= dividers[0]
    clock = vco / dividers[0] / dividers[1]
    assert clock == run.core == run.ticks
    assert clock <= 133 * MHZ
    assert run.at(XOSC_STARTUP) * 256 / crystal >= 1e-3
    assert run.at(PERI_CTRL) == 1 << 11  # on, from the system clock
    uart = 0x40034000
    divisor = run.at(uart + 0x24) + run.at(uart + 0x28) / 64
    assert clock / 16 / divisor == pytest.approx(board("pico").uart.baud, rel=0.02)
    assert run.at(uart + 0x30) == 0x301


def test_an_rp2040_leaves_the_pll_before_and_comes_back_when_it_has_locked() -> None:
    run = pico()
    touched, back = run.step(RESETS, 1 << 12, 0), run.step(SYS_SELECTED, 2, 2)
    assert touched is not None
    assert back is not None
    assert run.before(touched)[SYS_SELECTED] == 1
    then = run.before(back)
    assert then[PLL_CS] & LOCKED
    assert then[PLL_PWR] & 0x29 == 0  # nothing that is needed is powered down
    assert then[PLL_PRIM] == run.at(PLL_PRIM)


# --- all ---


@pytest.mark.parametrize(
    ("env", "machine"),
    [("selftest", "qemu:netduinoplus2"), ("selftest_armv6m_mps2_an385", "qemu:mps2-an385")],
)
def test_a_systick_that_a_bootloader_left_on_does_no_harm(env: str, machine: str) -> None:
    with open_target(machine, elf=build(env).elf) as target:
        assert exchange(target, b"\x09", 1) == b"\0"  # it starts once
        assert facts(target)[9:] == (0, 0, 0)  # and not because of a fault
        assert exchange(target, b"abc", 3) == b"abc"
