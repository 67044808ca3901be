"""`tinymia report`."""

from __future__ import annotations

from pathlib import Path

import click

from tinymia.cli.options import FilePath


@click.command()
@click.argument("folder", type=FilePath(), default=Path("audit"))
@click.option("--markdown", is_flag=True, help="Print the table of defences, and write nothing.")
def command(folder: Path, markdown: bool) -> None:
    """Make report.html and the CSV files again from FOLDER/results.json.  [default: audit]"""
    from tinymia.report.markdown import defences
    from tinymia.report.render import render
    from tinymia.study.results import load

    results = load(folder)
    if markdown:
        click.echo(defences(results))
    else:
        click.echo(f"report     {render(results, folder)}")
