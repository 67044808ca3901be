"""`tinymia boards`."""

from __future__ import annotations

from pathlib import Path

import click

from tinymia.cli.options import FilePath, json_option, note, print_json, progress, show, table


@click.command()
@click.option(
    "--results",
    multiple=True,
    type=FilePath(),
    help="What `pytest hil --results FILE` wrote; can be given again. Adds who ran what.",
)
@click.option(
    "--write",
    "readme",
    type=FilePath(),
    help="Put the table between its marks in this Markdown file.",
)
@json_option
def command(results: tuple[Path, ...], readme: Path | None, as_json: bool) -> None:
    """List the boards; with --results build them all and say what was run on each.

    A result counts only if the image that was tested is the one that is built now.

    \b
    Examples:
      tinymia boards
      pytest hil --target qemu:netduinoplus2 --results hil.json
      tinymia boards --results hil.json --write firmware/boards/README.md
    """
    from tinymia.device.boards import boards

    known = boards()
    if not results and as_json:
        print_json(list(known.values()))
        return
    if not results:
        listed = table(
            "", ("board", "core", "RAM", "flash", "serial line", "simulated by", "needs")
        )
        for column in listed.columns:
            column.justify = "left"
        for b in known.values():
            where = ["QEMU"] * bool(b.qemu) + ["Renode"] * bool(b.renode)
            pins = f"{b.uart.port} {b.uart.tx}/{b.uart.rx}" if b.uart.tx else b.uart.port
            listed.add_row(
                b.id,
                b.core.removeprefix("cortex-") + ("" if b.fpu else ", no FPU"),
                f"{b.ram.size // 1024} KB",
                f"{(b.flash.size + b.bundle.size) // 1024} KB",
                "USB" if b.own_usb else f"{pins}, {b.uart.baud} baud",
                ", ".join(where),
                "PlatformIO's registry" if b.platform else "",
            )
        show(listed)
        return
    from tinymia.study import boards as study

    found = [target for path in results for target in study.load_results(path)]
    with progress("Building", len(known), "boards") as advance:
        rows = study.survey(known, found, advance)
    made = study.markdown(rows)
    if as_json:
        print_json(rows)
    if readme is not None:
        study.write_between_marks(readme, made)
        if not as_json:
            click.echo(f"table      {readme}")
    elif not as_json:
        click.echo(made)
    for row in rows:
        if row.built is None:
            note(f"{row.board.id} does not build here: {row.why_not}")
    for target in sorted(study.stale(known, rows, found)):
        note(f"{target} ran another image than today's; run it again")
