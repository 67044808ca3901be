"""`tinymia data`."""

from __future__ import annotations

import click

from tinymia.cli.options import show, table


@click.command()
@click.argument("dataset", default="watch")
@click.option("--person", help="Show how an audit splits this person's windows.")
@click.option("--members", default=80, show_default=True, help="Windows to fine-tune on.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Of the draw.")
@click.option("--layout", is_flag=True, help="Explain the .npz file for data of your own.")
def command(dataset: str, person: str | None, members: int, seed: int, layout: bool) -> None:
    """Show DATASET (a name, or an .npz file of your own) and its people.  [default: watch]

    \b
    Examples:
      tinymia data
      tinymia data --person p07
      tinymia data mine.npz
      tinymia data --layout
    """
    from tinymia import data

    if layout:
        click.echo(data.NPZ_LAYOUT)
        return
    loaded = data.load(dataset)
    click.echo(f"{loaded.name}: {len(loaded.signals)} recordings, {loaded.rate_hz:g} Hz")
    click.echo(f"channels   {', '.join(loaded.channel_names)}")
    click.echo(f"labels     {', '.join(loaded.label_names)}")
    click.echo(f"SHA-256    {loaded.sha256}")
    if person is not None:
        from tinymia.data.splits import assert_disjoint, draw, person_pool

        pool = person_pool(loaded, person)
        drawn = draw(pool, seed, 0, members)
        apart = assert_disjoint(pool, drawn)
        listed = table(f"{person}: first repetition", ("label", "members", "non-members"))
        for index, label in enumerate(loaded.label_names):
            here = pool.windows.y == index
            listed.add_row(
                label, str((drawn.member & here).sum()), str((drawn.nonmember & here).sum())
            )
        listed.add_row("all", str(drawn.member.sum()), str(drawn.nonmember.sum()))
        show(listed)
        click.echo(
            f"{pool.blocks} blocks of {pool.block_length} windows; members and non-members share"
            f" {apart.shared_samples} raw samples and are at least {apart.nearest} samples apart."
        )
        return
    windows = loaded.windows()
    listed = table("", ("person", "recordings", "windows"))
    for name in loaded.people:
        recordings = int((loaded.person == name).sum())
        listed.add_row(name, str(recordings), str(int((windows.person == name).sum())))
    show(listed)
