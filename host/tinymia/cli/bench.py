"""`tinymia bench`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinymia.cli.options import (
    FilePath,
    bundle_option,
    connection,
    data_option,
    json_option,
    load_bundle,
    muted,
    print_json,
    progress,
    show,
    table,
    target_option,
    thousands,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from tinymia.data.base import Dataset
    from tinymia.export.bundle import Bundle

# Other projects' figures for a 64 to 7 head on a Cortex-M4F, from their own code at -O2, in
# instructions. They were measured once and are not measured here.
_PEERS_SHAPE = (7, 64)
_PEERS = (
    ("AIfES 2.2, no clipping", 55_219),
    ("a plain fused loop, clipping", 7_255),
)
Figures = dict[str, Any]
PARTS = ("board", "twin", "attacks", "models", "executors")
_BY_DEFAULT = PARTS[:-1]  # who asks for executors has 64 processes


@click.command()
@target_option
@bundle_option
@data_option
@click.option("--person", help="Whose windows.  [default: the first who is not in the base model]")
@click.option(
    "--out",
    type=FilePath(file_okay=False),
    help="Folder for the networks that `models` makes once.  [default: the user's cache]",
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
    executors: cells a second on one processor and on all, and how busy 64 workers are kept, by
    processes and by Ray, where that is installed.

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
    from tinymia.data.splits import draw, model_pool
    from tinymia.errors import TinymiaError
    from tinymia.export.provenance import people_to_audit
    from tinymia.study.cycles import check as check_cycles

    if wait_states is not None and not cycles:
        raise click.UsageError("--flash-wait-states is for an estimate of cycles: give --cycles.")
    waits = (5 if wait_states is None else wait_states) if cycles else None
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
        found = _board(target, bundle, windows, pool.windows.y, member)
        if waits is not None:
            found["cycles"] = _cycles(
                target, bundle, windows[member], pool.windows.y[member], waits
            )
        return found

    measures: dict[str, Callable[[], Figures]] = {
        "board": board,
        "twin": lambda: _twin(bundle),
        "attacks": lambda: _attacks(bundle, loaded, pool.person),
        "models": lambda: _models(bundle, bundle.quantize(pool.windows.x), out, waits),
        "executors": lambda: _executors(bundle),
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


def _estimated(waits: int) -> str:
    return f"estimated cycles (Cortex-M4, {waits} wait states)"


def _cycles(
    target: str,
    bundle: Bundle,
    windows: NDArray[np.int8],
    labels: NDArray[np.integer[Any]],
    waits: int,
) -> Any:
    from tinymia.study import cycles

    with progress("Cycles", cycles.WORK) as advance:
        costs = cycles.board_cycles(target, bundle, windows, labels, waits, advance)
    columns = ["", "instructions", _estimated(0), *([_estimated(waits)] if waits else [])]
    listed = table("\nCycles, an estimate; training in batches of 8, an example", columns)
    for cost in costs:
        values = [cost.instructions, cost.core, *([cost.total] if waits else [])]
        listed.add_row(cost.name, *(thousands(value) for value in values))
    show(listed)
    return costs


def _board(
    target: str,
    bundle: Bundle,
    windows: NDArray[np.int8],
    labels: NDArray[np.integer[Any]],
    member: NDArray[np.bool_],
) -> Figures:
    from tinymia.study import bench

    with connection(target, bundle) as opened, progress("Training", bench.count(bundle)) as advance:
        board, unit = opened.board, opened.unit
        board.layout(len(bundle.layers) - 1)
        rest = bench.board_cost(board, windows, labels)
        options = bench.option_costs(board, bundle, windows[member], labels[member], advance)
        info = board.info(fresh=True)
        title = f"{board.identity.board} on {target}"
    listed = table(title, ("", "value", "unit"))
    rows = [
        ("inference, window to probabilities", rest.inference, unit),
        ("answer from the sample store", rest.answer, unit),
        ("windows to the sample store", rest.windows_a_second, "windows/s"),
        ("  of the line's bytes, payload", 100 * rest.payload, "%"),
        ("echo, each way", rest.echo / 1000, "kB/s"),
        ("shortest round trip", 1000 * rest.round_trip, "ms"),
        ("RAM: arena", info.arena_size, "bytes"),
        ("  of which the int8 model", info.model_arena, "bytes"),
        ("RAM: stack that was used", info.stack_used, "bytes"),
        *[(f"flash: {title}", size, "bytes") for title, size in _flash(target, bundle)],
        ("flash: bundle", info.bundle_size, "bytes"),
    ]
    for name, value, what in rows:
        listed.add_row(name, thousands(value) if value >= 1000 else f"{value:.3g}", what)
    listed.columns[2].justify = "left"
    show(listed)

    batches = [f"batch {batch}" for batch in bench.BATCHES]
    columns = ("", *batches, "more than plain", "parameters", "bytes of RAM")
    listed = table(f"\nTraining: {unit} an example, order and update included", columns)
    listed.columns[0].no_wrap = True
    plain = options[0].steps.get(bench.BATCHES[-1])
    for option in options:
        steps = [option.steps.get(batch) for batch in bench.BATCHES]
        more = "" if steps[-1] is None or plain is None else f"{steps[-1] - plain:+,.0f}"
        cells = ["does not fit" if s is None else thousands(s) for s in steps]
        sizes = ["" if s is None else thousands(s) for s in (option.trained, option.workspace)]
        listed.add_row(option.name, *cells, more, *sizes)
    same_head = bundle.tail is not None and bundle.tail.shape == _PEERS_SHAPE
    if unit == "instructions" and same_head:
        for name, steps_there in _PEERS:
            listed.add_row(f"({name})", thousands(steps_there))
    show(listed)
    if unit == "instructions" and same_head:
        show("In brackets: other projects, measured once on a Cortex-M4F, not in this run.")
    return {
        "unit": unit,
        "costs": [{"of": name.strip(), "value": value, "unit": of} for name, value, of in rows],
        "training": options,
    }


def _flash(target: str, bundle: Bundle) -> list[tuple[str, int]]:
    """Bytes of code and constants of the image that a target runs, if it runs one, and of those
    for this bundle alone."""
    from tinymia.device.qemu import QemuTarget
    from tinymia.device.targets import environment, kind_of
    from tinymia.study.needed import flash_costs

    return flash_costs(bundle, environment(target)) if kind_of(target) is QemuTarget else []


def _twin(bundle: Bundle) -> Figures:
    from tinymia.twin import available_isas
    from tinymia.twin import bench as twin

    isas = available_isas()
    widest = [isa for isa in ("avx512", "avx2", "neon") if isa in isas] or list(isas)[:1]
    runs = [(isa, 1) for isa in widest] + [("auto", None)]
    with progress("Twin", len(isas) + 2 + len(runs)) as advance:
        rows = []
        for isa in isas:
            rows.append(twin.throughput(bundle, isa=isa, threads=1))
            advance(1)
        rows.append(twin.throughput(bundle, threads=None))
        advance(1)
        trained = twin.ways(bundle)
        advance(1)
        peers = []
        for isa, threads in runs:
            peers.append(twin.peer_task(bundle, isa=isa, threads=threads))
            advance(1)
    show(
        f"\nTwin: devices that fine-tune the head for {twin.EPOCHS} epochs over {twin.MEMBERS} of"
        f" {twin.EXAMPLES} windows,\nbatch {twin.BATCH}, clipping"
    )
    listed = table("", ("", "devices/s", "threads", "more RAM for ten times as many"))
    for row in rows:
        lanes = f"{row.isa}, {isas[row.isa]} lane{'s' if isas[row.isa] > 1 else ''}"
        listed.add_row(
            lanes, thousands(row.per_second), str(row.threads), f"{thousands(row.growth_kb)} kB"
        )
    show(listed)
    show(
        f"\nThe same on one thread of {trained[0].isa}, seconds of a processor, by what is trained"
    )
    listed = table("", ("", "ms a device", "hours for 1,000,000"))
    for way in trained:
        listed.add_row(way.name, f"{1000 * way.cpu:.3f}", f"{way.a_million:.3g}")
    show(listed)
    show(
        f"\nPeer task: {twin.PEER_HEADS} shadow heads, {twin.PEER_MEMBERS} of {twin.PEER_EXAMPLES}"
        f" members, {twin.PEER_EPOCHS} epochs, batch {twin.PEER_BATCH}"
    )
    listed = table("", ("", "twin, s", "batched NumPy, s", "times faster", "same answers"))
    for peer in peers:
        listed.add_row(
            f"{peer.isa}, {peer.threads} thread{'s' if peer.threads > 1 else ''}",
            f"{peer.twin:.3f}",
            f"{peer.numpy:.3f}",
            f"{peer.speedup:.1f}",
            f"{100 * peer.agreement:.1f} %",
        )
    show(listed)
    return {"throughput": rows, "ways": trained, "peer_task": peers}


def _executors(bundle: Bundle) -> Figures:
    import os
    from importlib.util import find_spec

    from tinymia.study import executor_bench as bench
    from tinymia.study.executors import Executor, Processes
    from tinymia.study.ray_executor import OnRay

    known: dict[str, Callable[[int], Executor]] = {"processes": Processes}
    if find_spec("ray") is not None:
        known["ray"] = OnRay
    counts = sorted({1, len(os.sched_getaffinity(0))})
    data = bundle.to_bytes()
    computing, waiting = [], []
    with progress("Executors", len(known) * (len(counts) + 1)) as advance:
        for name, made in known.items():
            for workers in counts:
                computing.append(bench.computing(made(workers), name, data))
                advance(1)
            waiting.append(bench.waiting(made(bench.WORKERS), name))
            advance(1)
    for title, rows in (
        ("\nCells that fine-tune shadow devices", computing),
        (f"\nCells that wait for {bench.WAIT:g} s", waiting),
    ):
        listed = table("", ("", "workers", "cells/s", "CPU s a cell", "workers busy"))
        for row in rows:
            listed.add_row(
                row.executor,
                str(row.workers),
                f"{row.per_second:.2f}",
                f"{row.cpu:.3f}",
                f"{100 * row.share:.1f} %",
            )
        show(title)
        show(listed)
    return {"computing": computing, "waiting": waiting}


def _attacks(bundle: Bundle, dataset: Dataset, person: str) -> Figures:
    import tempfile

    from tinymia.study import attack_bench as bench
    from tinymia.study.people import plan
    from tinymia.study.settings import StudySettings
    from tinymia.study.store import Store
    from tinymia.twin import available_isas

    isas = available_isas()
    widest = [isa for isa in ("avx512", "avx2", "neon") if isa in isas] or list(isas)[:1]
    settings = StudySettings()
    (planned,) = plan(settings, dataset, [person], bundle)
    plain = [run for run in settings.runs(bundle) if run.reference is None][-1]
    runs = [(isa, 1) for isa in widest] + [("auto", None)]
    with progress("Attacks", len(runs) + 1) as advance:
        rows = []
        for isa, threads in runs:
            rows.append(bench.peer_attacks(bundle, isa=isa, threads=threads))
            advance(1)
        with tempfile.TemporaryDirectory() as folder:
            joint = bench.joint_decoder(bundle, planned, plain, settings, Store(Path(folder)))
        advance(1)
    show(
        f"\nPeer task with attacks: {bench.HEADS} shadow heads and {bench.TARGETS} attacked ones,"
        " LiRA and RMIA,\nonline and offline"
    )
    listed = table("", ("", "twin, s", "batched NumPy, s", "times faster"))
    for row in rows:
        listed.add_row(
            f"{row.isa}, {row.threads} thread{'s' if row.threads > 1 else ''}",
            f"{row.twin:.3f}",
            f"{row.numpy:.3f}",
            f"{row.speedup:.1f}",
        )
    show(listed)
    found = rows[0].aucs
    listed = table("", ("AUC", "twin", "NumPy"))
    for name in bench.NAMES:
        listed.add_row(name, f"{found[name, 'twin']:.3f}", f"{found[name, 'NumPy']:.3f}")
    show(listed)
    show(
        f"Joint decoder, {joint.shadows:,} shadow devices of {person}: {joint.total:.2f} s"
        f" (training {joint.training:.2f}, fitting {joint.fitting:.2f}, ten devices"
        f" {joint.scoring:.2f})."
    )
    aucs = [{"attack": name, "side": side, "auc": value} for (name, side), value in found.items()]
    return {"peer_task": [replace(row, aucs={}) for row in rows], "aucs": aucs, "joint": joint}


def _models(
    bundle: Bundle, windows: NDArray[np.int8], out: Path | None, waits: int | None
) -> Figures:
    from tinymia.files import cache_dir
    from tinymia.models.mlperf_tiny import NETWORKS
    from tinymia.study.model_bench import ELSEWHERE, network_costs

    folder = out or cache_dir() / "networks"
    with progress("Networks", len(NETWORKS) + 1) as advance:
        costs = network_costs(folder, bundle, windows, advance, waits)
    columns = ("an inference", "MACs", "instructions", "a MAC", "bytes of RAM")
    listed = table("\nNetworks on the simulated Cortex-M4F", columns)
    others = table("\nMeasured elsewhere", ("", "TFLM + CMSIS-NN", "its RAM", "least cycles"))
    for cost in costs:
        each = f"{cost.instructions / cost.macs:.2f}"
        counts = (thousands(n) for n in (cost.macs, cost.instructions))
        listed.add_row(cost.title, *counts, each, thousands(cost.arena))
        known = ELSEWHERE.get(cost.name)
        if known is not None:
            cycles = "" if known.cycles is None else thousands(known.cycles)
            others.add_row(
                cost.title, thousands(known.instructions), thousands(known.arena), cycles
            )
    show(listed)
    if waits is not None:
        heads = ["an inference", _estimated(0), *([_estimated(waits)] if waits else [])]
        estimates = table("\nCycles, an estimate", heads)
        for cost in costs:
            if (found := cost.cycles) is not None:
                values = [found.core, *([found.total] if waits else [])]
                estimates.add_row(cost.title, *(thousands(value) for value in values))
        show(estimates)
    differing = [cost.title for cost in costs if cost.same is False]
    if differing:
        show(f"Other answers than TensorFlow's reference kernels: {', '.join(differing)}.")
    else:
        show("Answers are the same bytes as those of TensorFlow's reference kernels.")
    show(others)
    show(
        "TFLite Micro with CMSIS-NN in instructions (August 2026), and the best published cycles of"
        " a Cortex-M4\n(MLPerf Tiny closed division, v1.1 to v1.3), for networks of the same shape:"
        " not measured in this run."
    )
    return {"networks": costs, "flash": _flash_of_models(bundle, folder)}


def _flash_of_models(bundle: Bundle, folder: Path) -> dict[str, int]:
    from tinymia.models.mlperf_tiny import NETWORKS, tflite
    from tinymia.study.needed import flash_costs, model_flash

    columns = ("flash of an STM32F405's image", "code and constants", "model or bundle")
    found: dict[str, int] = {}
    listed = table("\nImages for one model alone, without training, and for the bundle", columns)
    with progress("Images", len(NETWORKS) + 1) as advance:
        for network in NETWORKS:
            model = tflite(network, folder)
            found[network.title] = model_flash(model)
            listed.add_row(network.title, thousands(found[network.title]), thousands(len(model)))
            advance(1)
        for title, size in flash_costs(bundle):
            found[title] = size
            listed.add_row(title, thousands(size), thousands(len(bundle.to_bytes())))
        advance(1)
    show(listed)
    return found
