"""`tinymia query`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinymia.cli.options import (
    FilePath,
    bundle_option,
    connection,
    data_option,
    json_option,
    load_bundle,
    note,
    print_json,
    progress,
    target_option,
)


@click.command()
@target_option
@bundle_option
@data_option
@click.option("--person", help="Ask about this person's windows.")
@click.option(
    "--windows",
    "file",
    type=FilePath(),
    help="Ask about the inputs in this .npy file, (n, ...) in the shape of the model's, raw units.",
)
@click.option(
    "--limit",
    default=10,
    show_default=True,
    type=click.IntRange(1),
    help="Most windows to ask about.",
)
@click.option("--policy", default="full", show_default=True, help="full, rounded, top1 or label.")
@click.option(
    "--levels",
    default=100,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Steps of a rounded probability.",
)
@click.option("--force", is_flag=True, help="Go on with data in plainly other units.")
@json_option
def command(bundle_path: Path | None, target: str, **options: Any) -> None:
    """Ask a board for its answers to fresh windows; prints CSV, or JSON with --json.

    \b
    Examples:
      tinymia query --person p07 --policy top1
      tinymia query --bundle personal.bundle --windows mine.npy
    """
    import csv
    import sys

    import numpy as np

    from tinymia import data
    from tinymia.data.splits import model_pool
    from tinymia.errors import DataError
    from tinymia.evidence import OutputPolicy
    from tinymia.export.inputs import quantized
    from tinymia.study.recipe import POLICIES

    named = {policy.value: wire for policy, wire in POLICIES.items()}
    if options["policy"] not in named:
        raise DataError(
            f"There is no output policy {options['policy']!r}.",
            f"Known: {', '.join(policy.value for policy in OutputPolicy)}.",
        )
    if (options["person"] is None) == (options["file"] is None):
        raise DataError("Say what to ask about.", "Give either --person or --windows.")
    bundle = load_bundle(bundle_path)
    if options["file"] is not None:
        raw = _windows(options["file"])
    else:
        dataset = data.load(options["dataset"])
        dataset.check_model(bundle.meta)
        raw = model_pool(dataset, options["person"], bundle.meta).windows.x
    windows = quantized(
        bundle,
        raw[: options["limit"]],
        force=options["force"],
        warn=note,
    )
    with connection(target, bundle) as opened, progress("Asking", len(windows)) as advance:
        answers, _ = opened.board.ask(
            windows, named[options["policy"]], options["levels"], progress=advance
        )
    best = [bundle.labels[int(np.nanargmax(row))] for row in answers]  # NaN: a class is hidden
    if options["as_json"]:
        print_json(
            [
                {
                    "window": i,
                    "answer": name,
                    "probabilities": dict(zip(bundle.labels, map(float, row), strict=True)),
                }
                for i, (name, row) in enumerate(zip(best, answers, strict=True))
            ]
        )
        return
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["window", "answer", *bundle.labels])
    for index, row in enumerate(answers):
        shown = ["" if np.isnan(value) else f"{value:.6g}" for value in row]
        out.writerow([index, best[index], *shown])


def _windows(path: Path) -> Any:
    """The array in an .npy file; the bundle checks its shape and values."""
    import numpy as np

    from tinymia.errors import DataError

    try:
        # Not read before it is asked about: a header may claim more than there is memory.
        with np.errstate(over="ignore"):  # of a shape that no file has
            loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, EOFError, OverflowError) as error:
        raise DataError(
            f"{path} is not an .npy file of numbers.", "Save it with numpy.save."
        ) from error
    if not isinstance(loaded, np.ndarray) or loaded.ndim < 2 or len(loaded) == 0:
        raise DataError(
            f"{path} must hold one array (n, ...) of at least one input.",
            "Save it with numpy.save.",
        )
    return loaded
