"""`tinymia flash`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinymia.cli.options import (
    FilePath,
    bundle_option,
    json_option,
    load_bundle,
    note,
    only_option,
    print_json,
)
from tinymia.errors import DeviceError

if TYPE_CHECKING:
    from tinymia.device.boards import BoardFile


@click.command()
@bundle_option
@only_option
@click.option(
    "--board", required=True, help="Board that is plugged in; `tinymia boards` lists them."
)
@click.option(
    "--port",
    help="Its serial port, also behind a bridge; by default the one whose USB id is the board's.",
)
@click.option("--image", type=FilePath(), help="A baked .elf instead of --bundle.")
@click.option(
    "--with",
    "programmer",
    type=click.Choice(["openocd", "pyocd", "uf2", "bossac"]),
    help="Way onto the board; by default its own USB drive (uf2) or bootloader (bossac), where it"
    " has one; else a debug probe by OpenOCD, or by pyOCD where that alone is there.",
)
@click.option("--probe", default="", metavar="SERIAL", help="Debug probe, when there are several.")
@click.option(
    "--drive",
    type=FilePath(exists=True, file_okay=False),
    help="Folder where the board's USB drive is mounted, when it is not found.",
)
@click.option("--verbose", is_flag=True, help="Show the programmer's output.")
@json_option
def command(
    bundle_path: Path | None,
    only: str | None,
    board: str,
    port: str | None,
    image: Path | None,
    programmer: str | None,
    probe: str,
    drive: Path | None,
    verbose: bool,
    as_json: bool,
) -> None:
    """Build, bake and program a real board, wait for its handshake and verify the build id.

    It is programmed through a debug probe on this machine; --port is only asked who answers there.

    \b
    Examples:
      tinymia flash --board nucleo_f446re
      tinymia flash --board pico --port /dev/ttyUSB0       (with BOOTSEL held while plugging in)
      tinymia flash --board stm32f405 --port /dev/ttyUSB0 --image personal.elf
      tinymia flash --board nucleo_f446re --with pyocd --probe 066BFF343633464257254156
    """
    from tinymia.device.bake import bake
    from tinymia.device.boards import board as board_file
    from tinymia.device.build import build
    from tinymia.device.connect import images_dir
    from tinymia.device.elf import image_info
    from tinymia.device.flash import check_programmer, flash
    from tinymia.device.port_url import check_url, is_bridge, split_baud
    from tinymia.device.verify import port_of, verify
    from tinymia.study.needed import wanted

    if image is not None and only is not None:
        raise click.UsageError("--image is built already: --only says how to build one.")
    chosen = board_file(board)
    if port is not None and is_bridge(port):
        check_url(port)
        note(f"programming goes through a debug probe on this machine, not through {port}")
    elif port is not None and not chosen.own_usb and not Path(split_baud(port)[0]).exists():
        raise DeviceError(f"There is no port {port}.", "`tinymia devices` lists those there are.")
    if image is None:
        check_programmer(chosen, programmer or "", probe=probe, drive=drive)
        bundle = load_bundle(bundle_path)
        built = build(chosen.env, chosen=wanted(bundle, only))
        image = bake(built.elf, bundle.to_bytes(), images_dir() / f"{board}.elf")
    build_id = image_info(image).build_id
    used = flash(
        image,
        chosen,
        programmer=programmer or "",
        probe=probe,
        drive=drive,
        port=port or "",
        verbose=verbose,
    )
    if not as_json:
        click.echo(f"programmed {image} ({used})")
    # The board's own port is gone while it restarts, and may come back under another name.
    where = port_of(chosen, 10.0) if chosen.own_usb else None
    where = where or port or port_of(chosen)
    if where is None:
        raise DeviceError(
            "The board was programmed; whether it runs is not verified.", _why(chosen)
        )
    verify(where, chosen, build_id)
    if as_json:
        print_json({"image": image, "programmer": used, "build_id": build_id, "port": where})
        return
    click.echo(f"verified   build {build_id} answers on {where}")


def _why(board: BoardFile) -> str:
    from tinymia.device.serial_target import list_ports

    found = ", ".join(port.device for port in list_ports() if port.usb) or "none"
    if board.own_usb:
        return f"Its USB port does not come back (USB ports here: {found}): press its reset button."
    pins = f"{board.uart.tx} and {board.uart.rx}"
    return f"Give --port for the serial line on {pins} (USB ports here: {found})."
