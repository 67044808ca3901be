"""`tinymia bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinymia.cli.options import (
    FilePath,
    bundle_option,
    data_option,
    json_option,
    load_bundle,
    muted,
    print_json,
    target_option,
)

if TYPE_CHECKING:
    from collections.abc import Callable


Figures = dict[str, Any]
PARTS = ("board", "twin", "attacks", "models", "executors", "store")
_BY_DEFAULT = PARTS[:-2]  # who asks for executors has 64 processes, for the store a busy disk


@click.command()
@target_option
@bundle_option
@data_option
@click.option("--person", help="Whose windows.  [default: the first who is not in the base model]")
@click.option(
    "--out",
    type=FilePath(file_okay=False),
    help="Folder for the networks that `models` makes once [default: the user's cache], or on whose"
    " disk the `store` is tried.",
)
@click.option(
    "--cycles",
    is_flag=True,
    help="`board` and `models` also estimate cycles of a Cortex-M4, by its published timings.",
)
@click.option(
    "--flash-wait-states",
    "wait_states",
    type=click.IntRange(0, 15),
    help="Of the flash that cycles are estimated for.  [default: 5, the STM32F405's at 168 MHz]",
)
@json_option
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
def command(
    target: str,
    bundle_path: Path | None,
    dataset: str,
    person: str | None,
    out: Path | None,
    cycles: bool,
    wait_states: int | None,
    as_json: bool,
    parts: tuple[str, ...],
) -> None:
    """Measure what the board costs, how fast the twin is, and how fast attacks are.

    PARTS are board (inference, each way of training, the line), twin (devices a second), attacks
    (LiRA and RMIA with their shadow devices, and the joint decoder) and models (instructions and
    RAM of MLPerf Tiny's networks and the bundle's on a simulated Cortex-M4F); without any, these.
    executors: cells a second on one processor, two and all, how busy 64 workers are kept, and what
    a cell takes of the process that hands them out, by processes, by threads and by Ray, where that
    is installed; where cells had fewer cores than workers, something else ran beside. store: how
    fast a study's folder says what is done, takes a device and gives it back.

    Instructions on a simulator are exact and repeat; cycles are a real board's, or an estimate with
    --cycles: what each instruction takes behind the one before it, by Arm's manual, and a flash
    with the STM32F4's caches. That needs gcc and a QEMU with plugins. Seconds are those of this
    machine and line: let nothing else run. The twin's peer task (64 shadow heads, 100 epochs) is
    also done by batched NumPy, in the same run, with and without the attacks.

    \b
    Examples:
      tinymia bench
      tinymia bench twin attacks
      tinymia bench models --cycles --flash-wait-states 0
      tinymia bench board --target serial:/dev/ttyACM0
    """
    from tinymia import data
    from tinymia.cli.bench_board import of_board, of_cycles, of_models
    from tinymia.cli.bench_speed import of_attacks, of_executors, of_store, of_twin
    from tinymia.data.splits import draw, model_pool
    from tinymia.device.cycles.watch import WAIT_STATES
    from tinymia.errors import TinymiaError
    from tinymia.export.provenance import people_to_audit
    from tinymia.study.cycles import check as check_cycles

    if wait_states is not None and not cycles:
        raise click.UsageError("--flash-wait-states is for an estimate of cycles: give --cycles.")
    waits = (WAIT_STATES if wait_states is None else wait_states) if cycles else None
    bundle = load_bundle(bundle_path)
    loaded = data.load(dataset)
    loaded.check_model(bundle.meta)
    wanted = [person] if person else []
    pool = model_pool(loaded, people_to_audit(loaded, bundle, wanted)[0], bundle.meta)

    def board() -> Figures:
        member = draw(pool, 1, 0).member
        windows = bundle.quantize(pool.windows.x)
        if waits is not None:
            check_cycles(target)
        found = of_board(target, bundle, windows, pool.windows.y, member)
        if waits is not None:
            found["cycles"] = of_cycles(
                target, bundle, windows[member], pool.windows.y[member], waits
            )
        return found

    measures: dict[str, Callable[[], Figures]] = {
        "board": board,
        "twin": lambda: of_twin(bundle),
        "attacks": lambda: of_attacks(bundle, loaded, pool.person),
        "models": lambda: of_models(bundle, bundle.quantize(pool.windows.x), out, waits),
        "executors": lambda: of_executors(bundle),
        "store": lambda: of_store(out),
    }
    failed: TinymiaError | None = None
    figures: Figures = {}
    for part in parts or _BY_DEFAULT:
        try:
            with muted(as_json):
                figures[part] = measures[part]()
        except TinymiaError as error:  # the other parts have figures all the same
            if failed is not None:
                click.echo(f"error: {failed}", err=True)
            failed = error
    if as_json:
        print_json(figures)
    if failed is not None:
        raise failed
