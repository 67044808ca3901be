"""One option: what it holds, where that may lie, its flag, and its value in a TOML file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import click

from tinymia.cli.options import not_a_path
from tinymia.errors import StudyError
from tinymia.wire.span import Span

F = TypeVar("F", bound=Callable[..., Any])

WRONG_COMMAND_LINE = 2
"""With which click ends, too."""
_LONGEST = 80  # characters of a wrong value that are shown


class Type(Enum):
    """What an option holds; the value says it in an error message."""

    NUMBER = "a number"
    WHOLE = "a whole number"
    TEXT = "a text"
    PATH = "a path"
    SWITCH = "true or false"
    TEXTS = "a list of texts"  # as a flag: given again, or separated by commas
    NAMES = "a list of names"  # as a flag: given again; a name may hold a comma
    NUMBERS = "a list of numbers"
    WHOLES = "a list of whole numbers"


_LISTS = {
    Type.TEXTS: Type.TEXT,
    Type.NAMES: Type.TEXT,
    Type.NUMBERS: Type.NUMBER,
    Type.WHOLES: Type.WHOLE,
}


_METAVARS = {Type.NUMBERS: "X,...", Type.WHOLES: "N,...", Type.NUMBER: "X", Type.WHOLE: "N"}


def parts(text: str) -> tuple[str, ...]:
    """What commas separate; of an empty text nothing.

    Raises:
        ValueError: one of them is empty, as of "a,,b" and "a,"; the message says so.
    """
    if not text.strip():
        return ()
    found = tuple(part.strip() for part in text.split(","))
    if not all(found):
        raise ValueError(
            f"{short(text)} has nothing beside one of its commas. Put one between two, as in a,b."
        )
    return found


def listed(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    """The callback of a flag that takes names with commas between; None: it was not given."""
    try:
        return None if text is None else parts(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        section: its table in a file, e.g. "training" or "defences.clip".
        key: in that table.
        type: what it holds.
        default: what holds when nobody gives it; None is said in the help.
        help: one phrase.
        flag: on the command line; by default made from the key.
        within: where a number, or each of a list, may lie; the help says it.
        checked: whether that is checked here; else by who takes it, and can say more.
        one: of a list: a single value is no list.
    """

    section: str
    key: str
    type: Type
    default: Any
    help: str
    flag: str = ""
    within: Span | None = None
    checked: bool = True
    one: bool = False

    @property
    def name(self) -> str:
        """Of the flag's value among a command's arguments."""
        return f"{self.section}.{self.key}".replace(".", "__").replace("-", "_")

    def click(self) -> Callable[[F], F]:
        """The flag."""
        if self.type is Type.SWITCH:
            return click.option(self._flag, self.name, is_flag=True, default=None, help=self.help)
        said = [f"default: {shown}"] if (shown := _shown(self.default)) else []
        said += [self.within.brief] if self.within is not None else []
        several = self.type in (Type.NAMES, Type.TEXTS)
        return click.option(
            self._flag,
            self.name,
            type={Type.NUMBER: float, Type.WHOLE: int}.get(self.type, str),
            default=None,
            multiple=several,
            metavar=_METAVARS.get(self.type, _one_of(self.key) if several else None),
            help=f"{self.help}  [{'; '.join(said)}]" if said else self.help,
        )

    @property
    def _flag(self) -> str:
        return self.flag or f"--{self.key.replace('_', '-')}"

    def from_flag(self, value: Any) -> Any:
        """What the flag said, as a file would hold it; None if it was not given.

        Raises:
            StudyError: it is no such value, or out of range.
        """
        if value is None or value == ():
            return None
        try:
            return self._flagged(value)
        except StudyError as error:
            error.exit_status = WRONG_COMMAND_LINE
            raise

    def _flagged(self, value: Any) -> Any:
        kind = _LISTS.get(self.type)
        if kind is None or self.type is Type.NAMES:
            return value if kind is not None else self._single(self.type, value, self._flag)
        try:
            items = [
                part
                for text in ([value] if isinstance(value, str) else value)
                for part in parts(text)
            ]
        except ValueError as error:
            raise StudyError(f"{self._flag}: {error}") from None
        if kind is Type.TEXT:
            return tuple(items)
        number = float if kind is Type.NUMBER else int
        try:
            numbers = [number(item) for item in items]
        except ValueError:
            numbers = []
        if not numbers:
            raise StudyError(
                f"{self._flag}: {short(value)} is not {self.type.value}.",
                "Separate them by commas, as in 1,5,20,50.",
            )
        return self._made(tuple(self._single(kind, item, self._flag) for item in numbers))

    def from_file(self, value: Any, where: str) -> Any:
        """A file's value, checked.

        Args:
            value: as ``tomllib`` gave it.
            where: file and key, for the message.

        Raises:
            StudyError: it is of the wrong type or out of range.
        """
        kind = _LISTS.get(self.type)
        if kind is None:
            return self._single(self.type, value, where)
        items = value if isinstance(value, list) else [value]
        if not all(_is(kind, item) for item in items):
            raise StudyError(f"{where} must be {self.type.value}, not {short(value)}.")
        return self._made(tuple(self._single(kind, item, where) for item in items))

    def _made(self, items: tuple[Any, ...]) -> Any:
        return items[0] if self.one and len(items) == 1 else items

    def _single(self, kind: Type, value: Any, where: str) -> Any:
        if not _is(kind, value):
            raise StudyError(f"{where} must be {kind.value}, not {short(value)}.")
        if kind is Type.PATH and (wrong := not_a_path(value)):
            raise StudyError(f"{where}: {wrong}")
        if self.within is not None and self.checked and not self.within.holds(value):
            raise StudyError(f"{where} is {short(value)}, which is not in the range {self.within}.")
        if kind is not Type.NUMBER:
            return value
        try:
            return float(value)
        except OverflowError:
            raise StudyError(f"{where} is a number with too many digits.") from None


def _one_of(key: str) -> str:
    """A key's singular, as the help shows it."""
    stem = f"{key[:-3]}y" if key.endswith("ies") else key.removesuffix("s")
    return stem.upper()


def _is(kind: Type, value: Any) -> bool:
    """Whether a file's value has a type; true and false are no numbers."""
    if kind is Type.SWITCH or isinstance(value, bool):
        return kind is Type.SWITCH and isinstance(value, bool)
    allowed = {Type.NUMBER: (int, float), Type.WHOLE: (int,)}.get(kind, (str,))
    return isinstance(value, allowed)


def short(value: Any) -> str:
    """A value for a message, however long it is."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def _shown(value: Any) -> str:
    """A default for the help."""
    if isinstance(value, (tuple, list)):
        return ",".join(_shown(v) for v in value)
    return (
        ""
        if value is None or value is False
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
