"""`tinymia flash`."""

from __future__ import annotations

from pathlib import Path

import click

from tinymia.cli.options import bundle_option, load_bundle


@click.command()
@bundle_option
@click.option(
    "--board", default="stm32f405", show_default=True, help="stm32f405 or stm32f4_discovery."
)
@click.option("--port", help="Serial port on which the board must answer afterwards.")
@click.option("--image", type=click.Path(path_type=Path), help="A baked .elf instead of --bundle.")
@click.option("--verbose", is_flag=True, help="Show the programmer's output.")
def command(
    bundle_path: Path | None, board: str, port: str | None, image: Path | None, verbose: bool
) -> None:
    """Build, bake and program a real board through PlatformIO and OpenOCD, and verify it.

    With --port the board must then answer with the build id that was written.

    \b
    Examples:
      tinymia flash --port /dev/ttyUSB0
      tinymia flash --board stm32f4_discovery --image personal.elf
    """
    from tinymia.device.bake import bake
    from tinymia.device.build import build
    from tinymia.device.connect import connect, images_dir
    from tinymia.device.elf import image_info
    from tinymia.device.flash import flash
    from tinymia.errors import DeviceError

    if image is None:
        bundle = load_bundle(bundle_path)
        built = build(board)
        image = bake(built.elf, bundle.to_bytes(), images_dir() / f"{board}.elf")
    build_id = image_info(image).build_id
    flash(image, board, verbose=verbose)
    click.echo(f"programmed {image}")
    if port is None:
        click.echo(f"build id   {build_id} (not asked for: give --port to verify it)")
        return
    with connect(f"serial:{port}") as opened:
        found = opened.board.identity.build_id
    if found != build_id:
        raise DeviceError(
            f"The board on {port} runs build {found}, not {build_id}.",
            "Is this the port of the board that was programmed?",
        )
    click.echo(f"verified   build {found} answers on {port}")
