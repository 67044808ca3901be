"""`tinymia devices`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tinymia.cli.options import json_option, print_json, show, table

if TYPE_CHECKING:
    from tinymia.device.serial_target import PortInfo


@click.command()
@click.option("--ask/--no-ask", default=True, help="Greet what is on USB serial ports.")
@json_option
def command(ask: bool, as_json: bool) -> None:
    """List serial ports, what answers on them, and the simulators that can run here.

    A USB port says by its id which boards it may be; a board that runs tinymia says who it is, its
    firmware and protocol version and its build id. Bridges in the network are not searched for:
    `tinymia info --target serial:rfc2217://host:port` asks the board behind one.
    """
    import shutil
    from concurrent.futures import ThreadPoolExecutor

    from tinymia.device.boards import boards
    from tinymia.device.qemu import MACHINES, QemuTarget
    from tinymia.device.serial_target import list_ports

    ports = list_ports()
    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = list(pool.map(lambda port: _who(port) if ask else "not asked", ports))
    rows = []
    for port, who in zip(ports, answers, strict=True):
        may_be = ", ".join(
            b.id for b in boards().values() if port.usb in (*b.upload.usb, *b.upload.bossac)
        )
        what = f"{port.description} {port.usb}".strip() + (f": {may_be}?" if may_be else "")
        rows.append((f"serial:{port.device}", what, who))
    found = (
        "can be started" if shutil.which(QemuTarget.program) else f"{QemuTarget.program} missing"
    )
    for name, machine in MACHINES.items():
        rows.append((f"qemu:{name}", f"simulated {machine.title}", found))
    columns = ("target", "what", "who answers")
    if as_json:
        print_json([dict(zip(("target", "what", "answers"), row, strict=True)) for row in rows])
        return
    listed = table("", columns)
    for column in listed.columns:
        column.justify = "left"
    for row in rows:
        listed.add_row(*row)
    show(listed)


def _who(port: PortInfo) -> str:
    from tinymia.device.connect import connect
    from tinymia.errors import TinymiaError

    if not port.usb:
        return "not asked: no USB device"
    try:
        with connect(f"serial:{port.device}", patience=1.5, wait_for_work=False) as opened:
            i = opened.board.identity
            return (
                f"{i.board}, tinymia {i.firmware}, protocol {i.protocol}, build {i.build_id[:12]}"
            )
    except TinymiaError as error:
        return error.message
