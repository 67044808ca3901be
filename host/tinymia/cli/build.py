"""`tinymia build`."""

from __future__ import annotations

from pathlib import Path

import click

from tinymia.cli.options import (
    FilePath,
    bundle_option,
    json_option,
    load_bundle,
    only_option,
    print_json,
    thousands,
)
from tinymia.cli.values import listed


@click.command()
@bundle_option
@click.option(
    "--board", default="stm32f405", show_default=True, help="Board; `tinymia boards` lists them."
)
@only_option
@click.option(
    "--defence",
    "defences",
    metavar="NAME,...",
    callback=listed,
    help="With --only: the defences that it trains with, none for none; what others need is left"
    " out.  [default: all]",
)
@click.option(
    "--release",
    is_flag=True,
    help="A build for products: it tells no data and no weights, and trains under a privacy budget"
    " only. By default it has what the bundle and training its head need.",
)
@click.option(
    "--secure",
    is_flag=True,
    help="A build that can hide its updates behind masks (`tinymia federate --secure`); fetches the"
    " library Monocypher.",
)
@click.option("--out", type=FilePath(dir_okay=False), help="Image file (.elf, .bin and .hex).")
@click.option("--verbose", is_flag=True, help="Show the compiler's output.")
@json_option
def command(
    bundle_path: Path | None,
    board: str,
    only: str | None,
    defences: tuple[str, ...] | None,
    release: bool,
    secure: bool,
    out: Path | None,
    verbose: bool,
    as_json: bool,
) -> None:
    """Compile the firmware with PlatformIO and bake a bundle into it.

    The image of the STM32F405 also runs on QEMU's netduinoplus2.

    \b
    Examples:
      tinymia build
      tinymia build --only head
      tinymia build --only head --defence clip,smooth,dp
      tinymia build --board nucleo_f446re --bundle mine.bundle --out firmware.elf
      tinymia build --release --bundle private.bundle --only last:2
    """
    from tinymia.device.boards import board as board_file
    from tinymia.device.boards import release_of, secure_of
    from tinymia.device.connect import image_for
    from tinymia.study.needed import EVERYTHING, NOTHING, least, wanted

    if release and secure:
        raise click.UsageError("A build is one for products (--release) or one with --secure.")
    bundle = load_bundle(bundle_path)
    env = board_file(board).env
    if release or secure:
        env = release_of(board) if release else secure_of(board)
    only = only or (least(bundle) if release else EVERYTHING)
    if defences is not None and only == EVERYTHING:
        raise click.UsageError("--defence leaves out others only with --only, as head.")
    names = None if defences is None else [n for n in defences if n != NOTHING]
    chosen = wanted(bundle, only, names)
    raw = bundle.to_bytes()
    image = image_for(raw, bundle.bundle_id, out, env=env, chosen=chosen, verbose=verbose)
    built = image.build
    if as_json:
        print_json(
            {
                "image": image.elf,
                "build_id": built.build_id,
                "bundle": bundle.meta["name"],
                "bundle_id": bundle.bundle_id,
                "bundle_bytes": len(raw),
                "flash_bytes": built.flash_bytes,
                "flash_size": built.flash_size,
                "ram_static_bytes": built.ram_static_bytes,
                "ram_size": built.ram_size,
            }
        )
        return
    click.echo(f"image      {image.elf}")
    click.echo(f"build id   {built.build_id}")
    click.echo(f"bundle     {bundle.meta['name']} {bundle.bundle_id}, {thousands(len(raw))} bytes")
    if chosen is not None:
        click.echo(f"built for  {_what(len(chosen.operators), only)}; all else is left out")
    click.echo(
        f"flash      {thousands(built.flash_bytes)} bytes of code and constants, with the bundle"
        f" {thousands(built.flash_bytes + len(raw))} of {thousands(built.flash_size)}"
    )
    click.echo(
        f"RAM        {thousands(built.ram_static_bytes)} of {thousands(built.ram_size)} bytes"
    )


def _what(operators: int, only: str) -> str:
    from tinymia.export.depth import depth_title
    from tinymia.study.needed import NOTHING

    trains = "no training" if only == NOTHING else f"training {depth_title(only)}"
    return f"this bundle: {operators} kinds of operators, {trains}"
