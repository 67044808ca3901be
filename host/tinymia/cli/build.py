"""`tinymia build`."""

from __future__ import annotations

from pathlib import Path

import click

from tinymia.cli.options import FilePath, bundle_option, load_bundle, thousands


@click.command()
@bundle_option
@click.option(
    "--board", default="stm32f405", show_default=True, help="Board; `tinymia boards` lists them."
)
@click.option("--out", type=FilePath(), help="Image file (.elf, .bin and .hex).")
@click.option("--verbose", is_flag=True, help="Show the compiler's output.")
def command(bundle_path: Path | None, board: str, out: Path | None, verbose: bool) -> None:
    """Compile the firmware with PlatformIO and bake a bundle into it.

    The image of the STM32F405 also runs on QEMU's netduinoplus2.

    \b
    Examples:
      tinymia build
      tinymia build --board nucleo_f446re --bundle mine.bundle --out firmware.elf
    """
    from tinymia.device.boards import board as board_file
    from tinymia.device.build import build
    from tinymia.device.connect import image_for

    bundle = load_bundle(bundle_path)
    env = board_file(board).env
    build(env, verbose=verbose)
    image = image_for(bundle.to_bytes(), bundle.bundle_id, out, env=env)
    built = image.build
    data = len(bundle.to_bytes())
    click.echo(f"image      {image.elf}")
    click.echo(f"build id   {built.build_id}")
    click.echo(f"bundle     {bundle.meta['name']} {bundle.bundle_id}, {thousands(data)} bytes")
    click.echo(
        f"flash      {thousands(built.flash_bytes)} bytes of code and constants, with the bundle"
        f" {thousands(built.flash_bytes + data)} of {thousands(built.flash_size)}"
    )
    click.echo(
        f"RAM        {thousands(built.ram_static_bytes)} of {thousands(built.ram_size)} bytes"
    )
