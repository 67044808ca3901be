"""Board files: each is right, each mistake is named, and a new board is one new file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tinymia.device.boards import KEYS, board, boards, read
from tinymia.device.build import build
from tinymia.device.checkout import firmware_dir
from tinymia.device.connect import connect, supply
from tinymia.device.elf import machine_flags, symbols
from tinymia.errors import DeviceError, StudyError
from tinymia.study import boards as study
from tinymia.wire.settings import TrainSettings

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "models" / "har-watch" / "har-watch.bundle"
WANTED = {
    "stm32f4_discovery",
    "blackpill_f411ce",
    "nucleo_f446re",
    "nucleo_f767zi",
    "nucleo_h743zi",
    "nucleo_l476rg",
    "nano33ble",
    "nrf52840_dk",
    "pico",
}
# Pins on which a chip offers a USART, with the function number that registers.h gives it.
PINS = {
    ("usart1", "PA9", "PA10"),
    ("usart1", "PB6", "PB7"),
    ("usart2", "PA2", "PA3"),
    ("usart3", "PD8", "PD9"),
}


def test_all_boards_are_there_and_pass_the_schema() -> None:
    assert set(boards()) >= WANTED
    assert {b.core for b in boards().values()} >= {"cortex-m0plus", "cortex-m4", "cortex-m7"}


@pytest.mark.sample(4)
@pytest.mark.parametrize("name", [b.id for b in boards().values() if not b.platform])
def test_an_image_is_what_the_board_file_says(name: str) -> None:
    made = board(name)
    image = build(made.env)
    known = symbols(image.elf)
    assert known["tinymia_ram_start"] == made.ram.start
    assert known["tinymia_ram_size"] == made.ram.size
    assert known["tinymia_bundle_start"] == made.bundle.start
    assert known["tinymia_bundle_capacity"] == made.bundle.size
    assert known["tinymia_stack_top"] - known["tinymia_stack_bottom"] == made.stack
    assert machine_flags(image.elf) == (made.flash.start, bool(made.fpu))
    assert image.flash_bytes <= made.flash.size
    assert image.arena_bytes >= 64 * 1024
    assert image.bundle_capacity >= len(BUNDLE.read_bytes())


def test_the_board_with_the_least_memory_has_room_for_an_arena() -> None:
    """Whatever the sample above draws: this is the first that the firmware outgrows."""
    known = [made for made in boards().values() if not made.platform]
    least = min(known, key=lambda made: made.ram.size - made.stack)
    assert build(least.env).arena_bytes >= 64 * 1024


@pytest.mark.parametrize(
    "name", [n for n in sorted(WANTED) if boards()[n].chip.startswith("stm32")]
)
def test_pins_are_the_chips(name: str) -> None:
    made = board(name)
    assert (made.uart.port, made.uart.tx, made.uart.rx) in PINS


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ["nucleo_f446re", "blackpill_f411ce", "stm32f4_discovery"])
def test_images_of_other_stm32f4_run_in_qemu_to_the_twins_bits(name: str) -> None:
    data = BUNDLE.read_bytes()
    windows = np.random.default_rng(1).integers(-128, 128, (10, 300)).astype(np.int8)
    hashes = []
    for target in ("twin:", f"qemu:{name}"):
        with connect(target, supply(target, data, "boards")) as opened:
            if target != "twin:":
                assert opened.board.identity.board == name
            opened.board.store(windows, np.arange(10) % 7)
            opened.board.select(np.ones(10, np.bool_))
            opened.board.begin(TrainSettings(clip_norm=1.0, seed=8))
            hashes.append(opened.board.train(0, 3).tail_hash)
    assert hashes[0] == hashes[1]


@pytest.fixture
def firmware(tmp_path: Path) -> Path:
    """A copy of the board files."""
    copy = tmp_path / "firmware"
    (copy / "boards").mkdir(parents=True)
    shutil.copy(firmware_dir() / "platformio.ini", copy)
    for file in (firmware_dir() / "boards").glob("*.ini"):
        shutil.copy(file, copy / "boards")
    return copy


MISTAKES = {
    "board_uart.port = usart2": ("board_uart.prot = usart2", r"Did you mean 'board_uart.port'"),
    "board_build.mcu = stm32f446ret6": ("", r"board_build.mcu is missing"),
    "board_memory.ram = 0x20000000 128K": ("board_memory.ram = 128K", r"address and size"),
    "board_memory.bundle = 0x08040000 256K": (
        "board_memory.bundle = 0x0803F000 256K",
        r"bundle and flash overlap",
    ),
    "board_uart.tx = PA2": ("board_uart.tx = A2", r"a pin, as in"),
    "extends = stm32f4": ("extends = stm32f5", r"no section \[stm32f5\]"),
    "[env:nucleo_f446re]": ("[env:nucleo]", r"no section \[env:nucleo_f446re\]"),
    "board_upload.pyocd = stm32f446retx": ("board_upload.pyocd = A B", r"pyOCD's name"),
    "board_name = ST Nucleo-F446RE": (
        "board_name = x\nboard_build.fpu = fpv5-d16",
        r"cortex-m4 has no fpv5-d16",
    ),
    "board_uart.rx = PA3": ("board_uart.baud = 12", r"bits a second"),
}
# What fits the schema, but not the chip.
UNFIT = [
    ("board_build.mcu = stm32f446ret6", "board_build.mcu = stm32f767zit6", "has no stm32f767zit6"),
    ("board_build.mcu = stm32f446ret6", "board_build.mcu = stm32f446re", "has no stm32f446re"),
    ("board_uart.tx = PA2", "board_uart.tx = P0.06", "board_uart.tx: usart2 is not on P0.06"),
    ("board_uart.tx = PA2", "board_uart.tx = PB77", "board_uart.tx: usart2 is not on PB77"),
    ("board_uart.rx = PA3", "board_uart.rx = PA10", "board_uart.rx: usart2 is not on PA10"),
    ("tx = PA2\nboard_uart.rx = PA3", "tx = PA3\nboard_uart.rx = PA2", "tx and rx swapped?"),
    ("qemu = netduinoplus2", "qemu = netduinoplus3", "board_simulator.qemu: netduinoplus3 does"),
    ("mcu = stm32f446ret6", "mcu = stm32f446rct6", "bundle is more than a stm32f446rct6 has"),
    ("board_uart.tx = PA2", "board_uart.tx = PA3", "the same pin"),
    ("board_uart.port = usart2", "board_uart.port = uart5", "has no uart5"),
    ("board_uart.rx = PA3", "board_uart.rx = PA3\nboard_uart.baud = 9999999", "at most 2625000"),
    ("board_uart.rx = PA3", "board_uart.rx = PA3\nboard_build.ticks = fpgaio", "has no fpgaio"),
    ("board_uart.rx = PA3", "board_uart.rx = PA3\nboard_memory.stack = 16", "at least 4096"),
    ("0x08040000 256K", "0x08040003 256K", "bundle must be aligned to 16"),
    ("0x08040000 256K", "0x08040000 96M", "bundle is more than a stm32f446ret6 has"),
    ("0x08000000 256K", "0x08000010 64K", "flash must be aligned to 512"),
    ("0x20000000 128K", "0x20000000 2M", "ram is more than a stm32f446ret6 has"),
    ("extends = stm32f4", "extends = stm32f4\nbuild_flag = -O3", "Did you mean 'build_flags'"),
    ("board_upload.pyocd = stm32f446retx", "", "board_upload.pyocd is missing"),
]


@pytest.mark.parametrize(("line", "wrong", "message"), UNFIT, ids=lambda text: str(text)[-30:])
def test_what_does_not_fit_the_chip_is_named(
    line: str, wrong: str, message: str, firmware: Path
) -> None:
    file = firmware / "boards" / "nucleo_f446re.ini"
    text = file.read_text()
    assert line in text
    file.write_text(text.replace(line, wrong))
    with pytest.raises(DeviceError) as raised:
        read(firmware)
    assert message in str(raised.value)
    assert "nucleo_f446re.ini" in raised.value.message


@pytest.mark.parametrize(
    ("name", "message"),
    [("a_name_that_is_far_too_long", "longer than 23"), ("nucleo-f446", "letters, digits and _")],
)
def test_a_boards_name_fits_the_handshake_and_the_linker(
    name: str, message: str, firmware: Path
) -> None:
    text = (firmware / "boards" / "nucleo_f446re.ini").read_text()
    file = firmware / "boards" / f"{name}.ini"
    file.write_text(text.replace("env:nucleo_f446re", f"env:{name}"))
    with pytest.raises(DeviceError, match=message):
        read(firmware)


@pytest.mark.parametrize("line", MISTAKES)
def test_each_mistake_names_file_and_key(line: str, firmware: Path) -> None:
    file = firmware / "boards" / "nucleo_f446re.ini"
    text = file.read_text()
    assert line in text
    wrong, message = MISTAKES[line]
    file.write_text(text.replace(line, wrong))
    with pytest.raises(DeviceError, match=message) as raised:
        read(firmware)
    assert "nucleo_f446re.ini" in raised.value.message


def test_every_key_of_the_schema_is_used_and_an_unknown_board_is_guessed() -> None:
    text = (firmware_dir() / "platformio.ini").read_text()
    text += "".join(f.read_text() for f in (firmware_dir() / "boards").glob("*.ini"))
    assert [key for key in KEYS if f"{key} =" not in text] == []
    with pytest.raises(DeviceError, match="Did you mean 'nucleo_f446re'"):
        board("nucleo_f464re")


def test_a_new_board_of_a_known_family_is_one_new_file(tmp_path: Path) -> None:
    copy = tmp_path / "firmware"
    shutil.copytree(firmware_dir(), copy, ignore=shutil.ignore_patterns(".pio"))
    (copy / "boards" / "olimex_h405.ini").write_text(
        "[env:olimex_h405]\n"
        "extends = stm32f4\n"
        "board_name = Olimex STM32-H405\n"
        "board_url = https://www.olimex.com\n"
        "board_build.mcu = stm32f405rgt6\n"
        "board_memory.flash = 0x08000000 256K\n"
        "board_memory.bundle = 0x08040000 768K\n"
        "board_memory.ram = 0x20000000 128K\n"
        "board_uart.port = usart3\n"
        "board_uart.tx = PB10\n"
        "board_uart.rx = PB11\n"
        "board_upload.pyocd = stm32f405rgtx\n"
    )
    made = read(copy)["olimex_h405"]
    image = build(made.env, firmware=copy)
    assert symbols(image.elf)["tinymia_ram_size"] == made.ram.size


def test_the_readmes_table_takes_only_what_ran_on_this_image(tmp_path: Path) -> None:
    known = {"stm32f405": board("stm32f405"), "nucleo_l476rg": board("nucleo_l476rg")}
    run = {
        "target": "qemu:netduinoplus2",
        "board": "stm32f405",
        "build_id": build("stm32f405").build_id,
        "unit": "instructions",
        "inference": 79009.0,
        "step": 4498.4,
        "passed": 80,
        "failed": 0,
        "skipped": 0,
    }
    old = {**run, "build_id": "00" * 20, "target": "qemu:old"}
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"schema": 1, "targets": [run, old]}))
    found = study.load_results(path)
    rows = study.survey(known, found)
    table = study.markdown(rows)
    assert (
        "| `qemu:netduinoplus2` | 80 passed | 79,009 instructions | 4,498 instructions |" in table
    )
    assert "qemu:old" not in table
    assert study.stale(known, rows, found) == {"qemu:old"}
    assert next(line for line in table.splitlines() if "l476" in line).count("never") == 1
    readme = tmp_path / "README.md"
    readme.write_text(f"a\n{study.START}\nold\n{study.END}\nb\n")
    study.write_between_marks(readme, table)
    assert readme.read_text() == f"a\n{study.START}\n{table}\n{study.END}\nb\n"
    readme.write_text("nothing")
    with pytest.raises(StudyError, match="no marks"):
        study.write_between_marks(readme, table)
    path.write_text("{}")
    with pytest.raises(StudyError, match="cannot be read"):
        study.load_results(path)
