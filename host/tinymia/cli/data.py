"""`tinymia data`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinymia.cli.options import (
    FilePath,
    bundle_option,
    json_option,
    load_bundle,
    print_json,
    show,
    table,
)

if TYPE_CHECKING:
    from tinymia.data import Dataset, Pool

_SHOWN = 40


@click.command()
@click.argument("dataset", default="watch")
@click.option("--person", help="Show how an audit splits this person's windows.")
@click.option(
    "--members",
    default=80,
    type=click.IntRange(1, 65535),
    show_default=True,
    help="Windows to fine-tune on.",
)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Of the draw.")
@bundle_option
@click.option("--sources", is_flag=True, help="List everything that can be given for DATASET.")
@click.option("--layout", is_flag=True, help="Explain .npz and .npy files of one's own.")
@click.option(
    "--template",
    type=FilePath(),
    metavar="FOLDER",
    help="Write a folder of CSV recordings with a manifest, to start from.",
)
@json_option
def command(
    dataset: str,
    person: str | None,
    members: int,
    seed: int,
    bundle_path: Path | None,
    sources: bool,
    layout: bool,
    template: Path | None,
    as_json: bool,
) -> None:
    """Show DATASET (a name, a file or a folder) and its people.  [default: watch]

    The name of a published layout says where to get it and how to give it; nothing is fetched.

    \b
    Examples:
      tinymia data
      tinymia data --person p07
      tinymia data --sources
      tinymia data --template mine
      tinymia data mine
      tinymia data mine.npz --person ann --members 40 --bundle my.bundle
      tinymia data uci-har
      tinymia data "uci-har:UCI HAR Dataset"
    """
    from tinymia import data

    if layout:
        from tinymia.data.sources.npz import LAYOUT

        _print({"layout": LAYOUT}, [LAYOUT], as_json=as_json)
        return
    if template is not None:
        from tinymia.data.sources.csv_folder import write_template

        written = [str(path) for path in write_template(template)]
        _print({"files": written}, written, as_json=as_json)
        return
    if sources:
        _list_sources(as_json=as_json)
        return
    source = data.get_source(dataset)
    if source is not None and source.needs_path:
        said = f"{source.name}: {source.summary}\n\n{source.help}\n\nGive {source.name}:PATH."
        about = {"name": source.name, "summary": source.summary, "help": source.help}
        _print(about, [said], as_json=as_json)
        return
    loaded = data.load(dataset)
    if as_json:
        _print_json(loaded, person)
        return
    for name, value in loaded.facts():
        click.echo(f"{name:10} {value}" if name else value)
    for note in loaded.notes:
        click.echo(f"note       {note}")
    if person is not None:
        _split(loaded, person, members, seed, bundle_path)
        return
    titles, rows = loaded.counts()
    listed = table("", titles)
    for row in rows[:_SHOWN]:
        listed.add_row(*row)
    show(listed)
    if len(rows) > _SHOWN:
        click.echo(f"... and {len(rows) - _SHOWN} more")


def _print(content: Any, lines: Sequence[str], *, as_json: bool) -> None:
    """The content as JSON where that is asked for, else the lines."""
    if as_json:
        print_json(content)
        return
    for line in lines:
        click.echo(line)


def _list_sources(*, as_json: bool) -> None:
    from tinymia.data.registry import all_sources, plugins

    refused = {name: error.message for name, error in plugins().refused.items()}
    lines = [f"{source.name:20} {source.summary}" for source in all_sources()]
    lines += [f"{name:20} not usable: {why}" for name, why in refused.items()]
    lines += ["\nNAME, NAME:PATH, or a PATH that says itself what it is; `tinymia data NAME`"]
    found = [
        {"name": source.name, "summary": source.summary, "needs_path": source.needs_path}
        for source in all_sources()
    ]
    _print({"sources": found, "not_usable": refused}, lines, as_json=as_json)


def _print_json(loaded: Dataset, person: str | None) -> None:
    if person is not None:
        raise click.UsageError("--json lists a data set: leave --person out.")
    titles, rows = loaded.counts()
    print_json(
        {
            "dataset": loaded.name,
            "sha256": loaded.sha256,
            "people": loaded.people,
            "labels": loaded.label_names,
            "notes": loaded.notes,
            "counts": [
                {
                    title: int(text) if text.isdecimal() and at else text
                    for at, (title, text) in enumerate(zip(titles, row, strict=True))
                }
                for row in rows
            ],
        }
    )


def _pool(loaded: Dataset, person: str, bundle_path: Path | None) -> Pool:
    from tinymia.data import ExampleSet

    if bundle_path is None and isinstance(loaded, ExampleSet):
        return loaded.blocks(person)
    if bundle_path is not None:
        bundle = load_bundle(bundle_path)
        loaded.check_model(bundle.meta)
        return loaded.pool(person, bundle.meta)
    from tinymia.data import PersonalDataset
    from tinymia.data.splits import person_pool

    assert isinstance(loaded, PersonalDataset)
    return person_pool(loaded, person)


def _split(loaded: Dataset, person: str, members: int, seed: int, bundle_path: Path | None) -> None:
    from tinymia.data.splits import assert_disjoint, draw

    pool = _pool(loaded, person, bundle_path)
    drawn = draw(pool, seed, 0, members)
    apart = assert_disjoint(pool, drawn)
    listed = table(f"{person}: first repetition", ("label", "members", "non-members"))
    for index, label in enumerate(loaded.label_names):
        here = pool.windows.y == index
        listed.add_row(label, str((drawn.member & here).sum()), str((drawn.nonmember & here).sum()))
    listed.add_row("all", str(drawn.member.sum()), str(drawn.nonmember.sum()))
    show(listed)
    for note in pool.notes:
        click.echo(f"note: {note}.")
    if pool.stratum is not None:
        click.echo(f"{pool.blocks} groups of {pool.block_length}; no content is on both sides.")
        return
    click.echo(
        f"{pool.blocks} blocks of {pool.block_length} windows; members and non-members share"
        f" {apart.shared_samples} raw samples, no run of samples by content, and are at least"
        f" {apart.nearest} samples apart."
    )
