"""`tinymia info`."""

from __future__ import annotations

from pathlib import Path

import click

from tinymia.cli.options import (
    bundle_option,
    connection,
    load_bundle,
    show,
    table,
    target_option,
    thousands,
)


@click.command()
@target_option
@bundle_option
def command(target: str, bundle_path: Path | None) -> None:
    """Ask a board who it is, what it carries and where its memory goes.

    \b
    Examples:
      tinymia info
      tinymia info --target serial:/dev/ttyACM0
    """
    with connection(target, load_bundle(bundle_path)) as opened:
        board = opened.board
        who = board.identity
        rows = [
            ("board", who.board),
            ("firmware", f"{who.firmware}, protocol {who.protocol}"),
            ("build id", who.build_id),
            ("counts", opened.unit),
        ]
        greeting = board.greeting
        if greeting.fault_cause:
            rows.append(
                ("last fault", f"exception {greeting.fault_cause} at {greeting.fault_pc:#010x}")
            )
        board.require_bundle()
        info = board.info()
        state = board.state() if info.has_tail else None
        rows += [
            ("bundle", f"{thousands(info.bundle_size)} bytes, CRC {info.bundle_crc:08x}"),
            ("input", f"{info.input_bytes} int8 values"),
            ("output", f"{info.output_bytes} int8 values, {info.classes} classes"),
            ("arena", f"{thousands(info.arena_used)} of {thousands(info.arena_size)} bytes"),
            ("  model", f"{thousands(info.model_arena)} bytes"),
            ("  tail and gradient", f"{thousands(info.tail_arena)} bytes"),
            (
                "  sample store",
                f"{thousands(info.store_arena)} bytes, {info.store_capacity} windows",
            ),
            ("stack", f"{thousands(info.stack_used)} of {thousands(info.stack_size)} bytes used"),
        ]
        if state is not None:
            rows.append(
                (
                    "training",
                    f"epoch {state.epoch}, {state.members} members of {state.stored} stored,"
                    f" tail {state.tail_hash:016x}",
                )
            )
        listed = table("", ("", ""))
        listed.show_header = False
        listed.columns[1].justify = "left"
        for row in rows:
            listed.add_row(*row)
        show(listed)
