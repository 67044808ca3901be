"""`tinymia report`."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("audit"))
def command(folder: Path) -> None:
    """Make report.html and the CSV files again from FOLDER/results.json.  [default: audit]"""
    from tinymia.errors import ReportError
    from tinymia.report import render

    path = folder / "results.json"
    try:
        results = json.loads(path.read_text())
    except OSError as error:
        raise ReportError(
            f"Cannot read {path}: {error.strerror}.",
            "Run `tinymia audit` first, or give its folder.",
        ) from error
    except ValueError as error:
        raise ReportError(f"{path} is not JSON.", "Run `tinymia audit` again.") from error
    click.echo(f"report     {render(results, folder)}")
