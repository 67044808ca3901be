"""`tinymia info FILE`: what a model or bundle takes of a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinymia.cli.fit import fit_table
from tinymia.cli.options import print_json, show, table, thousands

if TYPE_CHECKING:
    from tinymia.export.bundle import Bundle
    from tinymia.export.graph import Graph
    from tinymia.study.memory import Depth, Live
    from tinymia.study.model_info import ModelInfo

_SHOWN = 3  # tensors at the peak


def show_file(path: Path, profiled: bool, cycles: bool = False, as_json: bool = False) -> None:
    """Print all that is known of a file.

    Args:
        path: of the file.
        profiled: whether each operator's instructions are counted, too.
        cycles: whether their cycles are estimated beside.
        as_json: as JSON.

    Raises:
        TinymiaError: it cannot be read, or not be run on the simulated core.
    """
    from tinymia.device.boards import boards
    from tinymia.study.memory import fits, live
    from tinymia.study.model_info import inspect

    known = inspect(path)
    if as_json:
        print_json(_as_json(path, known, *(_profile(known, cycles) if profiled else ((), ()))))
        return
    for title, text in _head(path, known):
        click.echo(f"{title:10} {text}")
    costs, estimates = _profile(known, cycles) if profiled else ((), ())
    show("")
    _operators(known.graph, live(known.graph), costs, estimates)
    if known.refusal is not None:
        _say_refusal(known)
        return
    _memory(known, live(known.graph))
    if known.why_not is not None:
        click.echo(f"import     not possible: {known.why_not.message}")
        if known.why_not.hint:
            click.echo(f"           {known.why_not.hint}")
    if not known.ways:
        return
    if known.ways[0].depth:
        show("")
        _training(known.ways)
    show("")
    show(fit_table(fits(known.flash, known.ways, boards()), known.ways))


def _as_json(
    path: Path, known: ModelInfo, costs: tuple[int, ...], estimates: tuple[int, ...]
) -> dict[str, Any]:
    """Everything that the tables show, as numbers."""
    from tinymia.device.boards import boards
    from tinymia.study.memory import fits, live

    graph, bundle = known.graph, known.bundle
    runs = known.refusal is None
    occupied = live(graph)
    return {
        "file": path,
        "bundle_id": None if bundle is None or not known.given else bundle.bundle_id,
        "classes": [] if bundle is None else bundle.labels,
        "macs": graph.macs,
        "flash_bytes": len(known.flash),
        "arena_bytes": known.arena if runs else None,
        "refused": None if known.refusal is None else known.refusal.error.message,
        "not_importable": None if known.why_not is None else known.why_not.message,
        "operators": [
            {
                "number": op.number,
                "name": op.name,
                "shape": graph.tensors[op.outputs[0]].shape,
                "type": graph.tensors[op.outputs[0]].type,
                "macs": op.macs,
                "constants": graph.parameters(op),
                "arena_bytes": at.bytes,
                "instructions": costs[op.number] if costs else None,
                "estimated_cycles": estimates[op.number] if estimates else None,
            }
            for op, at in zip(graph.operators, occupied, strict=True)
        ],
        "training": known.ways if runs else [],
        "boards": [
            {
                "board": fit.room.board.id,
                "flash_short": fit.flash_short,
                "windows": fit.windows,
                "arena_short": fit.arena_short,
            }
            for fit in (fits(known.flash, known.ways, boards()) if known.ways and runs else ())
        ],
    }


def _head(path: Path, known: ModelInfo) -> list[tuple[str, str]]:
    graph, bundle = known.graph, known.bundle
    rows = []
    if bundle is not None and known.given:
        rows.append(("bundle", f"{path}, {bundle.meta['name']} ({bundle.bundle_id})"))
        rows.append(("classes", ", ".join(bundle.labels)))
        rows += [("learnt", note) for note in _learnt(bundle)]
    else:
        rows.append(("file", f"{path}, {thousands(path.stat().st_size)} bytes"))
    for title, ends in (("input", graph.inputs), ("output", graph.outputs)):
        for at, tensor in enumerate(graph.tensors[t] for t in ends):
            rows.append(("" if at else title, f"{tensor}, {_scale(tensor.quantization)}"))
    rows.append(("model", f"{len(graph.operators)} operators, {thousands(graph.macs)} MACs"))
    if bundle is not None:
        parts = [("model", len(bundle.model))]
        if bundle.tail is not None:
            parts.append(("float32 layers", len(bundle.layers.to_bytes())))
        listed = ", ".join(f"{name} {thousands(size)}" for name, size in parts)
        made = "" if known.given else ", once imported"
        rows.append(("flash", f"{thousands(len(known.flash))} bytes{made}: {listed}"))
    else:
        rows.append(("flash", f"{thousands(len(known.flash))} bytes, the model alone"))
    return rows


def _learnt(bundle: Bundle) -> list[str]:
    """Whose device trained what, the oldest first."""
    from tinymia.export.personal import requantized
    from tinymia.export.provenance import personalizations

    found = [
        f"from {note.get('person', 'somebody')}, from layer {note.get('first_layer', '?')} on,"
        f" after bundle {note.get('base', '?')}"
        for note in personalizations(bundle)
    ]
    cost = requantized(bundle)
    return [*found, *([cost] if cost else [])]


def _scale(quantization: tuple[float, int] | None) -> str:
    if quantization is None:
        return "not quantised"
    return f"scale {quantization[0]:.6g}, zero point {quantization[1]}"


def _profile(known: ModelInfo, cycles: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    from tinymia.device.model_bench import measure

    if known.refusal is not None:
        return (), ()
    found = measure(known.model, operators=True, wait_states=0 if cycles else None)
    return found.operators, found.operator_cycles


def _operators(
    graph: Graph, occupied: list[Live], costs: tuple[int, ...], estimates: tuple[int, ...]
) -> None:
    columns = ["operator", "output", "MACs", "constants", "arena then"]
    columns += ["instructions", "a MAC"] if costs else []
    columns += ["estimated cycles"] if estimates else []
    listed = table("", columns)
    listed.columns[1].justify = "left"
    for op, at in zip(graph.operators, occupied, strict=True):
        out = graph.tensors[op.outputs[0]]
        cells = [
            f"{op.number} {op.name}",
            "x".join(map(str, out.shape)) + ("" if out.type == "int8" else f" {out.type}"),
            thousands(op.macs) if op.macs else "",
            thousands(graph.parameters(op)) if graph.parameters(op) else "",
            thousands(at.bytes),
        ]
        if costs:
            cost = costs[op.number]
            cells += [thousands(cost), f"{cost / op.macs:.2f}" if op.macs else ""]
        if estimates:
            cells.append(thousands(estimates[op.number]))
        listed.add_row(*cells)
    if costs:
        total = sum(costs)
        each = f"{total / graph.macs:.2f}" if graph.macs else ""
        summed = [thousands(sum(estimates))] if estimates else []
        listed.add_row("all", "", thousands(graph.macs), "", "", thousands(total), each, *summed)
    show(listed)
    if estimates:
        show("Cycles are estimated: Cortex-M4, 0 wait states.")


def _say_refusal(known: ModelInfo) -> None:
    from tinymia.cli.share import ENDS
    from tinymia.twin.loads import load

    refusal = known.refusal
    assert refusal is not None
    graph = known.graph
    operator = None if refusal.operator is None else graph.operators[refusal.operator]
    tensor = None if refusal.tensor is None else graph.tensors[refusal.tensor]
    click.echo(f"\nrefused    {refusal.words(operator, tensor, graph)}")
    if load(known.model).loads:
        click.echo(f"           The interpreter alone runs it: {ENDS}.")
    if refusal.error.hint:
        click.echo(f"           {refusal.error.hint}")


def _memory(known: ModelInfo, occupied: list[Live]) -> None:
    click.echo(f"\narena      {thousands(known.arena)} bytes for the model, without training")
    if not occupied:
        return
    peak = max(occupied, key=lambda at: at.bytes)
    tensors = [known.graph.tensors[t] for t in peak.tensors]
    click.echo(
        f"           {thousands(peak.bytes)} of them tensors at its peak, {peak.operator}; the rest"
        " are tables, scratch memory and gaps"
    )
    for tensor in tensors[:_SHOWN]:
        click.echo(f"           {thousands(tensor.bytes):>9}  {tensor}")
    if len(tensors) > _SHOWN:
        click.echo(f"           and {len(tensors) - _SHOWN} more")


def _training(ways: list[Depth]) -> None:
    listed = table("", ("trained", "--train", "parameters", "arena for 8 windows", "each more"))
    listed.columns[1].justify = "left"
    for way in ways:
        listed.add_row(
            way.title,
            way.depth,
            thousands(way.trained),
            thousands(way.arena),
            f"{thousands(way.window)} bytes",
        )
    show(listed)
