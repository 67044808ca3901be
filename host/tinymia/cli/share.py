"""`tinymia info --brief`: which of many files load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from tinymia.cli.options import print_json
from tinymia.errors import ModelError
from tinymia.study.share import SUFFIXES, Surveyed, Verdict, files, survey

ENDS = "boards and the twin take one int8 input and give one int8 output"
_COUNTED = (Verdict.LOADS, Verdict.ENDS, Verdict.REFUSED)


def show_share(paths: Sequence[Path], as_json: bool = False) -> None:
    """Print a line a file, and how many load of all int8 files and of their structures.

    Args:
        paths: files and folders.
        as_json: all of them at the end, and no lines.

    Raises:
        ModelError: there is no .tflite file among them, or a folder cannot be read.
        TwinError: the twin's extension is missing.
    """
    try:
        found = files(paths)
    except OSError as error:
        raise ModelError(f"Cannot read {error.filename}: {error.strerror}.") from error
    if not found:
        raise ModelError(
            f"There is no {' or '.join(SUFFIXES)} file in {', '.join(map(str, paths))}.",
            "Name the files, or another folder.",
        )
    width = max(len(verdict.value) for verdict in Verdict)
    seen = list[Surveyed]()
    if as_json:
        print_json(list(survey(found)))
        return
    for one in survey(found):
        seen.append(one)
        click.echo(
            f"{one.verdict.value:{width}}  {one.path}{': ' if one.reason else ''}{one.reason}"
        )
    click.echo("")
    for line in _total(seen):
        click.echo(line)


def _total(seen: list[Surveyed]) -> list[str]:
    counted = [one for one in seen if one.verdict in _COUNTED]
    loaded = [one for one in counted if one.verdict is not Verdict.REFUSED]
    structures = {one.structure for one in counted}
    which = {one.structure for one in loaded}
    share = f" ({len(loaded) / len(counted):.0%})" if counted else ""
    lines = [
        f"{len(loaded)} of {len(counted)} int8 files load{share},"
        f" {len(which)} of {len(structures)} graphs"
    ]
    ends = sum(one.verdict is Verdict.ENDS for one in counted)
    if ends:
        lines.append(f"{ends} of them in the interpreter alone: {ENDS}")
    again = sum(one.verdict is Verdict.AGAIN for one in seen)
    others = Counter(one.reason for one in seen if one.verdict is Verdict.OTHER)
    left = [f"{count} {reason}" for reason, count in others.most_common()]
    if again:
        left.append(f"{again} of the same content")
    if left:
        lines.append(f"not counted: {', '.join(left)}")
    return lines
