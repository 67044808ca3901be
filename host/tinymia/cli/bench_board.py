"""Parts of `tinymia bench` about what a board does: costs, cycles, networks and flash."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinymia.cli.options import connection, progress, show, table, thousands

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tinymia.export.bundle import Bundle

# Other projects' figures for a 64 to 7 head on a Cortex-M4F, from their own code at -O2, in
# instructions. They were measured once and are not measured here.
_PEERS_SHAPE = (7, 64)
_PEERS = (
    ("AIfES 2.2, no clipping", 55_219),
    ("a plain fused loop, clipping", 7_255),
)
Figures = dict[str, Any]


def _estimated(waits: int) -> str:
    return f"estimated cycles (Cortex-M4, {waits} wait states)"


def of_cycles(
    target: str,
    bundle: Bundle,
    windows: NDArray[np.int8],
    labels: NDArray[np.integer[Any]],
    waits: int,
) -> Any:
    """What a Cortex-M4 would take, estimated, as a table."""
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


def of_board(
    target: str,
    bundle: Bundle,
    windows: NDArray[np.int8],
    labels: NDArray[np.integer[Any]],
    member: NDArray[np.bool_],
) -> Figures:
    """Inference, each way of training, and the line."""
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


def of_models(
    bundle: Bundle, windows: NDArray[np.int8], out: Path | None, waits: int | None
) -> Figures:
    """MLPerf Tiny's networks and the bundle's, on the simulated Cortex-M4F."""
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
