"""`tinymia info`."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinymia.cli.options import (
    FilePath,
    bundle_option,
    connection,
    json_option,
    load_bundle,
    print_json,
    show,
    table,
    target_option,
    thousands,
)
from tinymia.wire.protocol import Policy, SecretSource

if TYPE_CHECKING:
    from tinymia.export.layers import Layers
    from tinymia.wire.protocol import InfoResponse


@click.command()
@click.argument("files", nargs=-1, type=FilePath())
@click.option(
    "--brief",
    is_flag=True,
    help="Of many FILES, or all in a folder: a line each, whether it loads or why not, and how many"
    " do.",
)
@click.option(
    "--profile",
    "profiled",
    is_flag=True,
    help="Of a file: run it on a simulated Cortex-M4F and count each operator's instructions.",
)
@click.option(
    "--cycles",
    is_flag=True,
    help="With --profile: also estimate each operator's cycles (Cortex-M4, no wait states).",
)
@target_option
@bundle_option
@json_option
def command(
    files: tuple[Path, ...],
    brief: bool,
    profiled: bool,
    cycles: bool,
    target: str,
    bundle_path: Path | None,
    as_json: bool,
) -> None:
    """Show what a file, a .tflite, a bundle or a personalised one, takes: operators, memory, boards
    that it fits. Without one ask a board who it is, what it carries and where its memory goes.

    \b
    Examples:
      tinymia info kws.tflite
      tinymia info kws.tflite --profile --cycles
      tinymia info --brief models/ more.tflite
      tinymia info
      tinymia info --target serial:/dev/ttyACM0
    """
    if cycles and not profiled:
        raise click.UsageError("--cycles estimates what --profile counts: give both.")
    if brief:
        if profiled or not files:
            raise click.UsageError("--brief takes FILES or folders, and no --profile.")
        from tinymia.cli.share import show_share

        show_share(files, as_json)
        return
    if len(files) > 1:
        raise click.UsageError("Several files take --brief: a line each.")
    if files:
        from tinymia.cli.model_facts import show_file

        show_file(files[0], profiled, cycles, as_json)
        return
    if profiled:
        raise click.UsageError("--profile needs a file: what to run.")
    bundle = load_bundle(bundle_path)
    # Who names no bundle asks what is on the board.
    with connection(target, bundle, any_bundle=bundle_path is None) as opened:
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
        if as_json:
            print_json({"who": who, "counts": opened.unit, "info": info, "training": state})
            return
        rows += [
            ("bundle", f"{thousands(info.bundle_size)} bytes, CRC {info.bundle_crc:08x}"),
            ("input", f"{info.input_bytes} int8 values"),
            ("output", f"{info.output_bytes} int8 values, {info.classes} classes"),
            ("arena", f"{thousands(info.arena_used)} of {thousands(info.arena_size)} bytes"),
            ("  model", f"{thousands(info.model_arena)} bytes"),
            (
                "  training",
                f"{thousands(info.tail_arena)} bytes for {thousands(info.trained_parameters)}"
                f" parameters from layer {info.first_layer} on",
            ),
            (
                "  sample store",
                f"{thousands(info.store_arena)} bytes, {info.store_capacity} windows of"
                f" {info.slot_bytes} bytes",
            ),
            ("stack", f"{thousands(info.stack_used)} of {thousands(info.stack_size)} bytes used"),
        ]
        rows += _privacy(info)
        # Of a board that carries another bundle than this one nothing more is known.
        if info.bundle_crc == zlib.crc32(bundle.to_bytes()[32:]) and bundle.tail is not None:
            rows += _layers(bundle.layers)
        if state is not None:
            known = (
                f", {state.members} members of {state.stored} stored, tail {state.tail_hash:016x}"
            )
            # A release build tells no more than the epoch.
            known = "" if info.secret_source == SecretSource.CHIP else known
            rows.append(("training", f"epoch {state.epoch}{known}"))
        listed = table("", ("", ""))
        listed.show_header = False
        listed.columns[1].justify = "left"
        for row in rows:
            listed.add_row(*row)
        show(listed)


def _privacy(info: InfoResponse) -> list[tuple[str, str]]:
    release = info.secret_source == SecretSource.CHIP
    source = "the chip" if release else "the seed: gives nobody privacy, for audits only"
    levels = f", {info.answer_levels} levels" if info.answer_levels else ""
    answers = f"{Policy(info.answer_policy).name.lower()}{levels}"
    rows = [
        ("DP noise", f"drawn from {source}"),
        (
            "answers",
            f"{answers} only, about fresh windows"
            if release
            else f"under any policy, about stored windows, too; a release build: {answers} only",
        ),
    ]
    if info.budget_steps:
        rows.append(
            (
                "budget",
                f"{thousands(info.budget_left)} of {thousands(info.budget_steps)} steps left, noise"
                f" multiplier at least {info.budget_noise:.4g}, at most {info.budget_rate:.1%} of"
                " the expected members a step",
            )
        )
    return rows


def _layers(layers: Layers) -> list[tuple[str, str]]:
    starts = layers.boundaries()
    return [
        ("layers" if i == 0 else "", layers.describe(i) + ("" if i in starts else ", no start"))
        for i in range(len(layers))
    ]
