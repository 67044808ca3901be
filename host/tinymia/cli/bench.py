"""`tinymia bench`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from tinymia.cli.options import (
    bundle_option,
    connection,
    data_option,
    load_bundle,
    show,
    table,
    target_option,
    thousands,
)

_BLOCKS = 40


@click.command()
@target_option
@bundle_option
@data_option
@click.option("--person", help="Whose windows.  [default: the first who is not in the base model]")
def command(target: str, bundle_path: Path | None, dataset: str, person: str | None) -> None:
    """Measure what inference, training, each defence and the line cost on a board.

    Instructions on a simulator are exact and repeat; cycles are a real board's. Seconds are those
    of this machine and line.

    \b
    Examples:
      tinymia bench
      tinymia bench --target serial:/dev/ttyACM0
    """
    import numpy as np

    from tinymia import data
    from tinymia.data.splits import draw, model_pool
    from tinymia.device.protocol import MAX_PAYLOAD
    from tinymia.study import costs
    from tinymia.study.audit import people_to_audit
    from tinymia.study.runner import tasks_of
    from tinymia.study.settings import StudySettings
    from tinymia.study.training import TrainingOptions

    bundle = load_bundle(bundle_path)
    loaded = data.load(dataset)
    loaded.check_model(bundle.meta)
    wanted = [person] if person else []
    pool = model_pool(loaded, people_to_audit(loaded, bundle, wanted)[0], bundle.meta)
    rows: list[tuple[str, str, float]] = []
    with connection(target, bundle) as opened:
        board = opened.board
        board.require_bundle()
        board.clear()
        capacity = board.info().store_capacity
        if capacity < len(pool):
            pool = model_pool(loaded, pool.person, bundle.meta, max_slots=capacity)
        drawn = draw(pool, 1, 0)
        for batch in (1, 8):
            settings = StudySettings(training=TrainingOptions(batch=batch))
            tasks = tasks_of(bundle, settings)
            found = costs.measure(board, bundle, pool, drawn, settings, tasks)
            if batch == 1:
                rows.append(("inference, window to probabilities", opened.unit, found["inference"]))
                rows.append(("answer from the sample store", opened.unit, found["query"]))
            for name, steps in found["train_steps"].items():
                rows.append((f"training step, batch {batch}, {name}", opened.unit, steps))
        windows = bundle.quantize(pool.windows.x)
        start = time.perf_counter()
        board.store(windows, pool.windows.y)
        seconds = time.perf_counter() - start
        block = np.random.default_rng(1).bytes(MAX_PAYLOAD - 1)
        start = time.perf_counter()
        assert all(back == block for back in board.echo([block] * _BLOCKS))
        echo = time.perf_counter() - start
        start = time.perf_counter()
        for _ in range(_BLOCKS):
            board.state()
        trip = (time.perf_counter() - start) / _BLOCKS
        rows += [
            ("windows to the sample store", "windows/s", len(windows) / seconds),
            ("  of the line's bytes, payload", "%", 100 * found["payload_fraction"]),
            ("echo, each way", "kB/s", _BLOCKS * len(block) / echo / 1000),
            ("shortest round trip", "ms", 1000 * trip),
            ("arena", "bytes", found["arena_used"]),
            ("  model", "bytes", found["arena_model"]),
            ("  tail and gradient", "bytes", found["arena_tail"]),
            ("stack", "bytes", found["stack_used"]),
        ]
        listed = table(f"{board.identity.board} on {target}", ("", "value", "unit"))
    for name, unit, value in rows:
        text = thousands(value) if value >= 1000 else f"{value:.3g}"
        listed.add_row(name, text, unit)
    listed.columns[2].justify = "left"
    show(listed)
