"""`tinymia devices`."""

from __future__ import annotations

import click

from tinymia.cli.options import show, table


@click.command()
@click.option("--ask/--no-ask", default=True, help="Greet what is on USB serial ports.")
def command(ask: bool) -> None:
    """List serial ports, what answers on them, and the simulators that can run here."""
    import shutil

    from tinymia.device.connect import connect
    from tinymia.device.targets import MACHINES, QemuTarget, list_ports
    from tinymia.errors import TinymiaError

    listed = table("", ("target", "what", "who answers"))
    for column in listed.columns:
        column.justify = "left"
    for port in list_ports():
        who = "not asked"
        if ask and port.usb:
            try:
                with connect(f"serial:{port.device}", patience=1.5) as opened:
                    i = opened.board.identity
                    who = (
                        f"{i.board}, tinymia {i.firmware}, protocol {i.protocol}, {i.build_id[:12]}"
                    )
            except TinymiaError as error:
                who = error.message
        listed.add_row(f"serial:{port.device}", f"{port.description} {port.usb}".strip(), who)
    found = (
        "can be started" if shutil.which(QemuTarget.program) else f"{QemuTarget.program} missing"
    )
    for name, machine in MACHINES.items():
        listed.add_row(f"qemu:{name}", f"simulated {machine.title}", found)
    show(listed)
