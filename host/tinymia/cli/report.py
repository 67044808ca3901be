"""`tinymia report`."""

from __future__ import annotations

from pathlib import Path

import click

from tinymia.cli.options import FilePath


@click.command()
@click.argument("folder", type=FilePath(), default=Path("audit"))
def command(folder: Path) -> None:
    """Make report.html and the CSV files again from FOLDER/results.json.  [default: audit]"""
    from tinymia.report.render import render
    from tinymia.study.results import load

    click.echo(f"report     {render(load(folder), folder)}")
