"""Board files: what each board is, read from ``firmware/boards/*.ini`` and checked.

The files are PlatformIO's own (``platformio.ini`` includes them), so that a board is described
once. :data:`KEYS` is their schema.
"""

from __future__ import annotations

import configparser
import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tinymia.device.checkout import firmware_dir
from tinymia.device.families import FAMILIES, beyond
from tinymia.errors import DeviceError

_CORES = {
    "cortex-m0plus": ("",),
    "cortex-m3": ("",),
    "cortex-m4": ("fpv4-sp-d16",),
    "cortex-m7": ("fpv5-sp-d16", "fpv5-d16"),
    "cortex-m33": ("fpv5-sp-d16",),
    "cortex-m55+nomve": ("fpv5-sp-d16",),
}
_PROTOCOLS = ("stlink", "jlink", "cmsis-dap", "sam-ba", "picotool", "none")
_USB_PORT = "usb"
_LEAST_RAM = 64 * 1024  # of arena
_LEAST_STACK = 4 * 1024
_LONGEST_ID = 23  # of a HELLO's field
_BUNDLE_ALIGNMENT = 16  # which hal.h promises
# PlatformIO's own options that a board's section may hold.
_OPTIONS = re.compile(
    r"extends|platform(_packages)?|board|framework|build_(src_)?(un)?flags|build_src_filter|"
    r"lib_deps|lib_extra_dirs|lib_ldf_mode|lib_compat_mode|extra_scripts|(monitor|upload|debug)_\w+"
)
_MOST_PARENTS = 9
_RELEASE = "-DTINYMIA_RELEASE"
_SECURE = "-DTINYMIA_SECURE"


@dataclass(frozen=True)
class Region:
    """A piece of memory: address and bytes."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.start + self.size


@dataclass(frozen=True)
class Uart:
    """The serial line: peripheral, pins (as the chip's manual calls them) and bits a second.

    The port "usb" is the chip's own, which has no pins.
    """

    port: str
    tx: str
    rx: str
    baud: int


@dataclass(frozen=True)
class Upload:
    """How an image gets onto the board.

    Attributes:
        protocol: of the debug probe; "none" for a simulated board.
        openocd: configuration files.
        pyocd: pyOCD's name of the chip.
        usb: ids, vvvv:pppp, of the probe or serial port on the board.
        drive: Board-ID in INFO_UF2.TXT of the USB drive that takes images; empty: it has none.
        bossac: USB ids of the bootloader's port, to which bossac speaks; empty: it has none.
        touch: USB ids of ports that start that drive or bootloader when opened at 1200 baud.
    """

    protocol: str
    openocd: tuple[str, ...]
    pyocd: str
    usb: tuple[str, ...]
    drive: str = ""
    bossac: tuple[str, ...] = ()
    touch: tuple[str, ...] = ()


@dataclass(frozen=True)
class BoardFile:
    """A board.

    Attributes:
        id: name of the file, and of PlatformIO's environment.
        name: in full.
        url: its page.
        family: section of ``platformio.ini`` that it extends.
        chip: the microcontroller's order code.
        core: as GCC's ``-mcpu`` calls it.
        fpu: as GCC's ``-mfpu`` calls it; empty: none, floats are computed in software.
        flash: where the program lies.
        bundle: where the bundle lies.
        ram: stack, data and arena.
        stack: bytes.
        uart: the line.
        ticks: what the board counts: "dwt" or "systick" (cycles), "fpgaio" (instructions in QEMU).
        upload: how an image gets there.
        qemu: QEMU's machine that runs the image; empty: none.
        renode: the platform in ``hil/renode`` that does; empty: none.
        platform: PlatformIO's package that builds it, from its registry; empty: this project does.
    """

    id: str
    name: str
    url: str
    family: str
    chip: str
    core: str
    fpu: str
    flash: Region
    bundle: Region
    ram: Region
    stack: int
    uart: Uart
    ticks: str
    upload: Upload
    qemu: str
    renode: str
    platform: str = ""

    @property
    def env(self) -> str:
        """PlatformIO's environment that builds its image."""
        return self.id

    @property
    def own_usb(self) -> bool:
        """Whether the serial line is the chip's own USB port."""
        return self.uart.port == _USB_PORT

    @property
    def simulated_only(self) -> bool:
        """Whether nobody can hold it in a hand."""
        return self.upload.protocol == "none"


def _any(text: str) -> bool:
    return bool(text)


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda text: re.fullmatch(pattern, text) is not None


_SIZE = r"[1-9][0-9]*[KM]?"
_REGION = rf"0x[0-9a-fA-F]{{8}} {_SIZE}"
_USB = r"[0-9a-f]{4}:[0-9a-f]{4}"
_PIN = r"P[A-K][0-9]{1,2}|P[01]\.[0-9]{2}|GP[0-9]{1,2}"

KEYS: dict[str, tuple[bool, str, Callable[[str], bool]]] = {
    "board_name": (True, "the board's full name", _any),
    "board_url": (True, "a web address", _matches(r"https://\S+")),
    "board_build.mcu": (True, "the chip's order code", _matches(r"[a-z0-9-]+")),
    "board_build.cpu": (True, f"one of {', '.join(_CORES)}", _CORES.__contains__),
    "board_build.fpu": (False, "an FPU as GCC calls it", _matches(r"fpv[45]-(sp-)?d16")),
    "board_build.ticks": (True, "dwt, systick or fpgaio", _matches("dwt|systick|fpgaio")),
    "board_memory.flash": (True, "address and size, as in 0x08000000 128K", _matches(_REGION)),
    "board_memory.bundle": (True, "address and size, as in 0x08020000 384K", _matches(_REGION)),
    "board_memory.ram": (True, "address and size, as in 0x20000000 128K", _matches(_REGION)),
    "board_memory.stack": (True, "a size, as in 8K", _matches(_SIZE)),
    "board_memory.heap": (False, "a size, as in 24K, for a framework", _matches(_SIZE)),
    "board_uart.port": (True, "a peripheral, as in usart2, or usb", _matches(r"us?art[0-9]|usb")),
    "board_uart.tx": (False, "a pin, as in PA2, P0.06 or GP0", _matches(_PIN)),
    "board_uart.rx": (False, "a pin, as in PA3, P0.08 or GP1", _matches(_PIN)),
    "board_uart.baud": (True, "bits a second", _matches(r"[1-9][0-9]{3,6}")),
    "board_upload.protocol": (False, f"one of {', '.join(_PROTOCOLS)}", _PROTOCOLS.__contains__),
    "board_upload.openocd": (False, "OpenOCD's files", _matches(r"\S+\.cfg( \S+\.cfg)*")),
    "board_upload.pyocd": (False, "pyOCD's name of the chip", _matches(r"[a-z0-9_]+")),
    "board_upload.usb": (False, "USB ids, as in 0483:374b", _matches(rf"{_USB}( {_USB})*")),
    "board_upload.drive": (False, "a Board-ID, as in RPI-RP2", _matches(r"[A-Za-z0-9_-]+")),
    "board_upload.bossac": (False, "USB ids, as in 2341:005a", _matches(rf"{_USB}( {_USB})*")),
    "board_upload.touch": (False, "USB ids, as in 2341:805a", _matches(rf"{_USB}( {_USB})*")),
    "board_simulator.qemu": (False, "a machine of QEMU", _matches(r"[a-z0-9-]+")),
    "board_simulator.renode": (False, "a platform in hil/renode", _matches(r"[a-z0-9_]+")),
}
"""Schema: each key that a board may have: must it, what it is, and whether a text is that."""


def read(firmware: Path) -> dict[str, BoardFile]:
    """Every board of a PlatformIO project.

    Args:
        firmware: its folder.

    Raises:
        DeviceError: a file breaks the schema; names file and key.
    """
    parser, files = _parsed(firmware)
    return {file.stem: _board(parser, file) for file in files}


def board_of(environment: str) -> str:
    """The board that an environment's image is for; empty: none.

    That is the one of its name, else the one that it extends, as ``release`` does.
    """
    parser, files = _parsed(firmware_dir())
    known = {file.stem for file in files}
    for _ in range(_MOST_PARENTS):
        if environment in known or not parser.has_section(f"env:{environment}"):
            break
        environment = parser.get(f"env:{environment}", "extends", fallback="").removeprefix("env:")
    return environment if environment in known else ""


def release_of(name: str) -> str:
    """The environment that builds a board's image for products; raises DeviceError without one."""
    return _variant_of(name, _RELEASE, "release build")


def secure_of(name: str) -> str:
    """The environment whose image masks its updates; raises DeviceError without one."""
    return _variant_of(name, _SECURE, "build with masks for updates")


def _variant_of(name: str, flag: str, what: str) -> str:
    parser, _ = _parsed(firmware_dir())
    for section in parser.sections():
        extends = parser.get(section, "extends", fallback="")
        if extends == f"env:{name}" and flag in parser.get(section, "build_flags", fallback=""):
            found: str = section.removeprefix("env:")  # Any on Python 3.13
            return found
    raise DeviceError(
        f"There is no {what} for the board {name}.",
        f"Add an environment that extends env:{name} with {flag} to firmware/platformio.ini.",
    )


def _parsed(firmware: Path) -> tuple[configparser.ConfigParser, list[Path]]:
    parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(";",))
    files = sorted((firmware / "boards").glob("*.ini"))
    try:
        for file in (firmware / "platformio.ini", *files):
            parser.read_string(file.read_text(encoding="utf-8"), str(file))
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        raise DeviceError(f"A board file cannot be read: {error}.") from error
    return parser, files


@lru_cache(maxsize=1)
def boards() -> dict[str, BoardFile]:
    """The boards that this project knows, by id."""
    return read(firmware_dir())


def board(name: str) -> BoardFile:
    """One board; raises DeviceError, with what was probably meant, when there is none."""
    known = boards()
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        raise DeviceError(
            f"There is no board {name!r}.",
            f"Did you mean {close[0]!r}?" if close else f"Boards: {', '.join(known)}.",
        )
    return known[name]


def _board(parser: configparser.ConfigParser, file: Path) -> BoardFile:
    section = f"env:{file.stem}"
    if not parser.has_section(section):
        raise DeviceError(f"{file} has no section [{section}].", "It is called as the file is.")
    options = _inherited(parser, section, file)
    found = {k: v.replace("%%", "%") for k, v in options.items() if k.startswith("board_")}
    for key in parser.options(section):
        if not key.startswith("board_") and _OPTIONS.fullmatch(key) is None:
            close = difflib.get_close_matches(key, ["build_flags", "lib_deps", "extends", *KEYS], 1)
            hint = (
                f"Did you mean {close[0]!r}?" if close else "Board files have few of its options."
            )
            raise DeviceError(f"{file}: {key!r} is no option of a board.", hint)
    for key, value in found.items():
        if key not in KEYS:
            close = difflib.get_close_matches(key, KEYS, 1)
            raise DeviceError(
                f"{file}: there is no key {key!r}.",
                f"Did you mean {close[0]!r}?" if close else f"Keys: {', '.join(KEYS)}.",
            )
        _, what, fits = KEYS[key]
        if not fits(value):
            raise DeviceError(f"{file}: {key} must be {what}, not {value!r}.")
    for key, (needed, what, _) in KEYS.items():
        if needed and key not in found:
            raise DeviceError(f"{file}: {key} is missing.", f"It is {what}.")
    family = section
    while family.startswith("env:"):  # a board may extend another one
        family = parser.get(family, "extends", fallback="")
    platform = options.get("platform", "")
    made = _made(file.stem, family, found, "" if "://" in platform else platform)
    _check(made, file, _size(found.get("board_memory.heap", "0")))
    return made


def _inherited(
    parser: configparser.ConfigParser, section: str, file: Path, depth: int = 0
) -> dict[str, str]:
    """Options of a section over those of the one that it extends."""
    if not parser.has_section(section) or depth > _MOST_PARENTS:
        raise DeviceError(f"{file}: there is no section [{section}] to extend.")
    options = dict(parser.items(section))
    parent = options.get("extends", "")
    return (_inherited(parser, parent, file, depth + 1) if parent else {}) | options


def _size(text: str) -> int:
    factor = {"K": 1024, "M": 1024 * 1024}.get(text[-1], 1)
    return int(text.rstrip("KM")) * factor


def _region(text: str) -> Region:
    start, size = text.split()
    return Region(int(start, 16), _size(size))


def _made(name: str, family: str, found: dict[str, str], platform: str) -> BoardFile:
    return BoardFile(
        id=name,
        name=found["board_name"],
        url=found["board_url"],
        family=family,
        chip=found["board_build.mcu"],
        core=found["board_build.cpu"],
        fpu=found.get("board_build.fpu", ""),
        flash=_region(found["board_memory.flash"]),
        bundle=_region(found["board_memory.bundle"]),
        ram=_region(found["board_memory.ram"]),
        stack=_size(found["board_memory.stack"]),
        uart=Uart(
            found["board_uart.port"],
            found.get("board_uart.tx", ""),
            found.get("board_uart.rx", ""),
            int(found["board_uart.baud"]),
        ),
        ticks=found["board_build.ticks"],
        upload=Upload(
            found.get("board_upload.protocol", "none"),
            tuple(found.get("board_upload.openocd", "").split()),
            found.get("board_upload.pyocd", ""),
            tuple(found.get("board_upload.usb", "").split()),
            found.get("board_upload.drive", ""),
            tuple(found.get("board_upload.bossac", "").split()),
            tuple(found.get("board_upload.touch", "").split()),
        ),
        qemu=found.get("board_simulator.qemu", ""),
        renode=found.get("board_simulator.renode", ""),
        platform=platform,
    )


def _check(made: BoardFile, file: Path, heap: int) -> None:
    """What no single key shows."""
    if made.fpu not in _CORES[made.core] and made.fpu:
        raise DeviceError(f"{file}: a {made.core} has no {made.fpu}.")
    if len(made.id) > _LONGEST_ID:
        raise DeviceError(f"{file}: the name is longer than {_LONGEST_ID} characters.")
    if re.fullmatch(r"\w+", made.id, re.ASCII) is None:  # it is part of a symbol's name, too
        raise DeviceError(f"{file}: the name may hold letters, digits and _ only.")
    _check_memory(made, file, heap)
    if made.family in FAMILIES:
        family, uart = FAMILIES[made.family], made.uart
        if uart.tx and uart.tx == uart.rx:
            raise DeviceError(f"{file}: board_uart.tx and board_uart.rx are the same pin.")
        wrong = family.refuses(
            made.chip, uart.port, uart.tx, uart.rx, made.ticks, uart.baud, made.qemu
        )
        if wrong:
            raise DeviceError(
                f"{file}: {wrong}.",
                f"It extends {made.family}; host/tinymia/device/families.py says what that has.",
            )
    if made.simulated_only and not made.qemu:
        raise DeviceError(f"{file}: board_upload.protocol is missing, and nothing simulates it.")
    pins_given = bool(made.uart.tx and made.uart.rx)
    if not made.simulated_only and not pins_given and not made.own_usb:
        raise DeviceError(f"{file}: board_uart.tx and board_uart.rx are missing.")
    for key in ("openocd", "pyocd"):
        if not made.simulated_only and not getattr(made.upload, key):
            raise DeviceError(f"{file}: board_upload.{key} is missing.")


def _check_memory(made: BoardFile, file: Path, heap: int) -> None:
    regions = {"flash": made.flash, "bundle": made.bundle, "ram": made.ram}
    for name, region in regions.items():
        for other, against in regions.items():
            if name < other and region.start < against.end and against.start < region.end:
                raise DeviceError(f"{file}: {name} and {other} overlap.")
    if made.stack < _LEAST_STACK:
        raise DeviceError(f"{file}: board_memory.stack: at least {_LEAST_STACK} bytes.")
    if made.ram.size < _LEAST_RAM + made.stack + heap:
        raise DeviceError(
            f"{file}: {made.ram.size} bytes of RAM are too few.",
            f"The arena alone needs {_LEAST_RAM}.",
        )
    vectors = FAMILIES[made.family].vectors if made.family in FAMILIES else 1024
    for name, region, alignment in (
        ("flash", made.flash, vectors),
        ("bundle", made.bundle, _BUNDLE_ALIGNMENT),
    ):
        if region.start % alignment:
            raise DeviceError(f"{file}: board_memory.{name} must be aligned to {alignment} bytes.")
    for name, region in regions.items():
        # RAM and flash are the chip's, the bundle lies in its flash.
        ram = made.ram if name == "ram" else Region(made.ram.start, 0)
        flash = region if name != "ram" else Region(made.flash.start, 0)
        if beyond(made.chip, (ram.start, ram.end), (flash.start, flash.end)):
            raise DeviceError(f"{file}: board_memory.{name} is more than a {made.chip} has.")
