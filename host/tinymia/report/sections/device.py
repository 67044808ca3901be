"""What it costs on the device."""

from __future__ import annotations

from tinymia.report.facts import Facts
from tinymia.report.section import Section, Table, View
from tinymia.report.words import count, portion
from tinymia.study.results import Device, Results


def device_rows(device: Device) -> list[tuple[str, str]]:
    """What was measured on the board; the rest is left out."""
    slots = device.store_capacity
    windows = f" ({count(slots)} windows)" if slots else ""
    unit = f" {device.unit}"
    listed: tuple[tuple[str, float | None, float | None, str], ...] = (
        ("Inference (window to probabilities)", device.inference, None, unit),
        ("Answer from the sample store", device.query, None, unit),
        ("Arena, bytes", device.arena_used, device.arena_size, ""),
        ("Arena: model's tensors and kernels, bytes", device.arena_model, None, ""),
        ("Arena: tail, gradient and answers, bytes", device.arena_tail, None, ""),
        ("Arena: sample store, bytes", device.arena_store, None, windows),
        ("Stack high-water mark, bytes", device.stack_used, device.stack_size, ""),
        ("Flash, bytes", device.flash_bytes, device.flash_size, ""),
        ("Bytes to the device", device.bytes_host_to_device, None, ""),
        ("Bytes from the device", device.bytes_device_to_host, None, ""),
    )
    rows = [
        (title, _of(value, whole) + suffix)
        for title, value, whole, suffix in listed
        if value is not None
    ]
    if device.payload_fraction is not None:
        text = portion(device.payload_fraction)
        rows.append(("Payload of the bytes on the line", text))
    return rows


def _of(value: float, whole: float | None) -> str:
    if not whole:
        return count(value)
    return f"{count(value)} of {count(whole)} ({portion(value / whole)})"


def view(results: Results) -> View | None:
    """The board's figures, and a row for each condition."""
    facts = Facts.of(results)
    rows = []
    for cost in results.context.costs:
        if cost.step is None and not cost.steps:
            continue
        title = facts.condition(cost.condition).title if facts else cost.condition
        rows.append(
            {
                "title": title,
                "step": count(cost.step) if cost.step else "n/a",
                "workspace": count(cost.workspace) if cost.workspace else "n/a",
                "trained": count(cost.trained) if cost.trained else "n/a",
                "rate": f"{cost.learning_rate:g}",
                "steps": count(cost.steps),
                "clipped": count(cost.clipped),
                "ticks": count(cost.ticks) if cost.ticks else "",
            }
        )
    return {
        "device": device_rows(results.context.device),
        "unit": results.context.device.unit or "instructions",
        "rows": rows,
        "ticks": any(row["ticks"] for row in rows),
    }


def table(results: Results) -> Table:
    """The board's figures and each condition's, one value a row."""
    rows: list[tuple[str, str, object]] = [
        ("device", name, value)
        for name, value in vars(results.context.device).items()
        if value not in (None, "")
    ]
    rows += [
        (cost.condition, name, value)
        for cost in results.context.costs
        for name, value in vars(cost).items()
        if name != "condition" and value is not None
    ]
    return Table(("scope", "cost", "value"), rows)


SECTION = Section(
    title="What it costs on the device",
    short="Costs",
    order=200,
    view=view,
    tables={"costs.csv": table},
)
