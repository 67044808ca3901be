"""Options that several verbs share, and small helpers for what they print."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from tinymia.device.connect import Connection, Interruption
    from tinymia.export.bundle import Bundle

F = TypeVar("F", bound=Callable[..., Any])


class FilePath(click.Path):
    """The type of a file's or folder's path: one that there can be, and not empty."""

    def __init__(self, **checks: Any) -> None:
        super().__init__(path_type=Path, **checks)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; click's own usage error for another."""
        if wrong := not_a_path(str(value)):
            self.fail(wrong, param, ctx)
        return super().convert(value, param, ctx)


class Finite(click.FloatRange):
    """The type of a number in a range, which not-a-number is not, though click lets it pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; click's own usage error for another."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no number to reckon with.", param, ctx)
        return number


BETWEEN = Finite(0, 1, min_open=True, max_open=True)
"""Above 0 and below 1, as a delta is."""
RATE = Finite(1e-30, 100)
"""A learning rate that a device takes."""


def not_a_path(text: str) -> str:
    """Why a text names no file; empty: it may."""
    if not text:
        return "A path cannot be empty."
    return "A path cannot hold a zero byte." if "\0" in text else ""


DEFAULT_BUNDLE = "models/har-watch/har-watch.bundle"


def default_bundle() -> Path:
    """The shipped bundle, wherever the command is run."""
    from tinymia.device.checkout import models_dir

    return models_dir().parent / DEFAULT_BUNDLE


def bundle_option(function: F) -> F:
    """--bundle."""
    return click.option(
        "--bundle",
        "bundle_path",
        type=FilePath(),
        help=f"Bundle to run.  [default: the shipped {DEFAULT_BUNDLE}]",
    )(function)


def only_option(function: F) -> F:
    """--only."""
    return click.option(
        "--only",
        metavar="DEPTH",
        help="Leave out of the image what the bundle does not need: operators that its model does"
        " not have, and what trains more than head, last:K, all or none (of a complete model)."
        " It refuses bundles that need more.  [default: everything]",
    )(function)


def target_option(function: F) -> F:
    """--target."""
    return click.option(
        "--target",
        default="qemu:netduinoplus2",
        show_default=True,
        metavar="TARGET",
        help="Where the firmware runs: qemu:netduinoplus2, serial:/dev/ttyACM0,"
        " serial:rfc2217://host:port, serial:socket://host:port.",
    )(function)


def data_option(function: F) -> F:
    """--data."""
    return click.option(
        "--data",
        "dataset",
        default="watch",
        show_default=True,
        metavar="NAME|PATH",
        help="Data: the shipped smartwatch recordings, or what `tinymia data --sources` lists.",
    )(function)


NO_VERDICT = 64
"""With which a verb that judges ends where it cannot: EX_USAGE of sysexits.h."""
FAULT = 70
"""EX_SOFTWARE of sysexits.h."""


class Judging(click.Command):
    """A command whose exit statuses 0, 1 and 2 are verdicts: nothing else may end with them."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the command line."""
        with _no_verdict():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        with _no_verdict():
            return super().invoke(ctx)


@contextmanager
def _no_verdict() -> Iterator[None]:
    from tinymia.errors import TinymiaError

    try:
        yield
    except TinymiaError as error:
        error.exit_status = NO_VERDICT
        raise
    except click.exceptions.Exit:
        raise
    except click.ClickException as error:
        error.exit_code = NO_VERDICT  # type: ignore[misc]
        raise
    except (OSError, MemoryError) as error:  # a full disk, wherever it shows first
        why = getattr(error, "strerror", None) or error or "This takes more memory than there is"
        failed = TinymiaError(f"{why}.")
        failed.exit_status = NO_VERDICT
        raise failed from error
    except Exception:
        import traceback

        traceback.print_exc()
        raise click.exceptions.Exit(FAULT) from None


_quiet = False


def hush(ctx: click.Context, param: click.Parameter, quiet: bool) -> None:
    """What --quiet does, which every verb has."""
    global _quiet  # noqa: PLW0603  # of the whole command
    said = "tinymia.quiet"
    ctx.meta[said] = _quiet = quiet or ctx.meta.get(said, False)  # `study --quiet run`, too


@contextmanager
def quietly(quiet: bool) -> Iterator[None]:
    """Leaves out progress and notes, or does not, for as long as it lasts."""
    global _quiet  # noqa: PLW0603  # of the whole program
    before = _quiet
    _quiet = quiet
    try:
        yield
    finally:
        _quiet = before


def is_quiet() -> bool:
    """Whether progress and notes are unwanted."""
    return _quiet


def note(text: str) -> None:
    """Say what is odd, on standard error."""
    if not _quiet:
        click.echo(f"note: {text}", err=True)


_muted = False


@contextmanager
def muted(wanted: bool) -> Iterator[None]:
    """Where wanted, :func:`show` prints nothing: the figures follow as JSON."""
    global _muted  # noqa: PLW0603  # of the whole command
    _muted = wanted
    try:
        yield
    finally:
        _muted = False


def json_option(function: F) -> F:
    """--json, as ``as_json``."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print the figures as JSON on standard output, and nothing else there.",
    )(function)


def print_json(content: Any) -> None:
    """What --json prints: dataclasses and all that JSON has; not a number and infinity are null."""
    import json

    click.echo(json.dumps(_plain(content), indent=1, allow_nan=False))


def _plain(value: Any) -> Any:
    import cattrs

    if not isinstance(value, (dict, list, tuple, str, int, float)) and value is not None:
        value = cattrs.Converter().unstructure(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def load_bundle(path: Path | None) -> Bundle:
    """The bundle given, or the shipped one."""
    from tinymia.export.bundle import Bundle

    return Bundle.load(path or default_bundle())


def bundle_once(path: Path) -> Bundle:
    """A bundle, read and checked once as long as it is the same file: a study has many cases."""
    try:
        changed = path.stat().st_mtime_ns
    except OSError:  # told where it is read
        changed = 0
    return _bundle(path, changed)


@functools.lru_cache(maxsize=16)
def _bundle(path: Path, _changed: int) -> Bundle:
    return load_bundle(path)


@contextmanager
def connection(
    target: str,
    bundle: Bundle,
    interruption: Interruption | None = None,
    *,
    any_bundle: bool = False,
) -> Iterator[Connection]:
    """An open board with this bundle; a simulator gets it.

    Args:
        target: where it is.
        bundle: what it carries.
        interruption: see :func:`~tinymia.device.connect.connect`.
        any_bundle: a board that is there already may have another one, or none that it can use.
    """
    from tinymia.device.connect import connect, supply

    data = bundle.to_bytes()
    load = supply(target, data, bundle.bundle_id)
    carries = b"" if any_bundle else data
    with connect(target, load, interruption=interruption, carries=carries) as opened:
        yield opened


_LOG = 110, 240  # columns where there is no terminal: of text, and of the widest table


@contextmanager
def progress(title: str, total: int | None, unit: str = "") -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error; yields what advances it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = progress_console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TextColumn(unit), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task(title, total=total)
        yield lambda n: bar.advance(task, n)


def progress_console() -> Console:
    """Where progress goes: standard error, unless that is hushed; in a log nothing is cut off."""
    from rich.console import Console

    console = Console(stderr=True, quiet=_quiet)
    if console.is_terminal:
        return console
    return Console(stderr=True, quiet=_quiet, width=_LOG[1])


def table(title: str, columns: Sequence[str]) -> Table:
    """A plain table; the first column is text, the others numbers."""
    from rich import box
    from rich.table import Table

    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    made.padding = (0, 1, 0, 0)
    made.show_edge = False
    for index, column in enumerate(columns):
        # What a narrow terminal has no room for goes to the next line: nothing is cut off.
        made.add_column(
            column,
            justify="left" if index == 0 else "right",
            overflow="fold",
            no_wrap=index == 0,
        )
    return made


def show(item: object) -> None:
    """Print a table or text on standard output."""
    if _muted:
        return
    from rich.console import Console
    from rich.table import Table

    # No markup: names in data of one's own may hold brackets.
    console = Console(markup=False)
    if not console.is_terminal:
        # A log or a pipe has no width of its own, and wrapped tables cannot be read.
        least, most = _LOG
        wide = Console(width=most, markup=False)
        needs = wide.measure(item).maximum if isinstance(item, Table) else least
        console = Console(width=max(least, needs), markup=False)
    console.print(item)


def thousands(value: float) -> str:
    """12345.6 as 12,346."""
    return f"{value:,.0f}"
