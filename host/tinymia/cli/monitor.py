"""`tinymia monitor`."""

from __future__ import annotations

from pathlib import Path

import click

from tinymia.cli.options import bundle_option, load_bundle, target_option


@click.command()
@target_option
@bundle_option
@click.option(
    "--listen",
    type=click.IntRange(0, 65535),
    help="TCP port on which to pass the line on, so that another command can use the board.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(target: str, bundle_path: Path | None, listen: int | None, as_json: bool) -> None:
    """Show what crosses a board's line: every frame decoded, text, and what is damaged.

    Without --listen it shows what the board says by itself. With it the line is passed on unchanged
    to whoever connects, and both directions are shown. Ctrl-C ends it.

    \b
    Examples:
      tinymia monitor --target serial:/dev/ttyACM0
      tinymia monitor --listen 4000                    # in one terminal, and in another:
      tinymia query --target serial:socket://127.0.0.1:4000 --person p07
    """
    from tinymia.device.connect import supply
    from tinymia.device.tap import tap
    from tinymia.device.targets import open_target

    bundle = load_bundle(bundle_path)
    load = supply(target, bundle.to_bytes(), bundle.bundle_id)
    elf = load if isinstance(load, Path) else None
    with open_target(target, elf=elf, bundle=load if isinstance(load, bytes) else b"") as opened:
        try:
            tap(opened, listen, click.echo, as_json=as_json)
        except KeyboardInterrupt:
            click.get_current_context().exit(130)
