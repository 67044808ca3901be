"""Options by flag and in a TOML file: one list of them gives both, their help and their checks."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import click

from tinymia.cli.options import FilePath, not_a_path
from tinymia.defenses import Site
from tinymia.defenses.registry import KINDS, PLUGINS, spelt_out
from tinymia.errors import StudyError
from tinymia.study.training import TrainingOptions, of_model
from tinymia.wire.settings import SETTINGS

F = TypeVar("F", bound=Callable[..., Any])

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
        low, high: bounds of a whole number, inclusive.
        one: of a list: a single value is no list.
    """

    section: str
    key: str
    type: Type
    default: Any
    help: str
    flag: str = ""
    low: int | None = None
    high: int | None = None
    one: bool = False

    @property
    def name(self) -> str:
        """Of the flag's value among a command's arguments."""
        return f"{self.section}.{self.key}".replace(".", "__").replace("-", "_")

    def click(self) -> Callable[[F], F]:
        """The flag."""
        flag = self.flag or f"--{self.key.replace('_', '-')}"
        shown = _shown(self.default)
        text = f"{self.help}  [default: {shown}]" if shown else self.help
        if self.type is Type.SWITCH:
            return click.option(flag, self.name, is_flag=True, default=None, help=self.help)
        several = self.type in (Type.NAMES, Type.TEXTS)
        bounded = self.low is not None or self.high is not None
        whole = click.IntRange(self.low, self.high) if bounded else int
        kinds: dict[Type, Any] = {Type.NUMBER: float, Type.WHOLE: whole}
        kind = kinds.get(self.type, str)
        metavar = {Type.NUMBERS: "X,...", Type.WHOLES: "N,...", Type.NUMBER: "X", Type.WHOLE: "N"}
        return click.option(
            flag,
            self.name,
            type=kind,
            default=None,
            multiple=several,
            metavar=metavar.get(self.type, _one_of(self.key) if several else None),
            help=text,
        )

    def from_flag(self, value: Any) -> Any:
        """What the flag said, as a file would hold it; None if it was not given."""
        if value is None or value == ():
            return None
        if self.type is Type.PATH and (wrong := not_a_path(value)):
            raise StudyError(f"{self.flag or '--' + self.key}: {wrong}")
        if self.type in (Type.NUMBERS, Type.WHOLES):
            number = float if self.type is Type.NUMBERS else int
            try:
                return self._made(tuple(number(part) for part in str(value).split(",")))
            except ValueError:
                what = f"{self.flag or '--' + self.key}: {_short(value)} is not {self.type.value}."
                raise StudyError(what, "Separate them by commas, as in 1,5,20,50.") from None
        if self.type is Type.TEXTS:
            return tuple(part.strip() for text in value for part in text.split(",") if part.strip())
        return value

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
            raise StudyError(f"{where} must be {self.type.value}, not {_short(value)}.")
        return self._made(tuple(self._single(kind, item, where) for item in items))

    def _made(self, items: tuple[Any, ...]) -> Any:
        return items[0] if self.one and len(items) == 1 else items

    def _single(self, kind: Type, value: Any, where: str) -> Any:
        if not _is(kind, value):
            raise StudyError(f"{where} must be {kind.value}, not {_short(value)}.")
        if kind is Type.PATH and (wrong := not_a_path(value)):
            raise StudyError(f"{where}: {wrong}")
        low, high = self.low, self.high
        if (low is not None and value < low) or (high is not None and value > high):
            span = f"{low} or more" if high is None else f"{low} to {high}"
            raise StudyError(f"{where} is {_short(value)}, which is not in the range {span}.")
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


def _short(value: Any) -> str:
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


def _training() -> tuple[Option, ...]:
    # What means something else here than to a device, which declares the rest.
    own = {
        "train": "what is trained: head (the last layer), last:K, biases, biases:K or all",
        "learning_rate": "of the head; deeper training takes a part of it, see host/README.md",
        "schedule_epochs": "until the rate is zero; 0: the whole run",
    }
    declared = {s.name: s for s in SETTINGS}
    types = {str: Type.TEXT, int: Type.WHOLE, float: Type.NUMBER}
    made = []
    for field in fields(TrainingOptions):
        setting = declared.get(field.name)
        kind = types[type(field.default)]
        low, high = None, None
        if setting is not None and kind is Type.WHOLE:
            low, high = 0 if setting.off else int(setting.least), int(setting.most)
        text = own[field.name] if setting is None else own.get(field.name, setting.help)
        made.append(Option("training", field.name, kind, field.default, text, "", low, high))
    seed = Option("training", "seed", Type.WHOLE, 1, "of draws and orders", "", 0, 2**32 - 1)
    return (*made, seed)


def defences() -> tuple[Option, ...]:
    """The parameters of every defence that there is now: more once one is registered."""
    made = []
    for kind in KINDS:
        for p in kind.parameters:
            default = kind.default(p)
            # An audit makes a condition of each of several values.
            type_ = Type.WHOLES if isinstance(default, int) else Type.NUMBERS
            text = f"{kind.short}: {p.help}"
            section = f"defences.{kind.name}"
            made.append(Option(section, p.key, type_, default, text, p.flag, one=not p.several))
    return tuple(made)


TRAINING = _training()
DEFENCES = defences()
GUARDS = tuple(
    option
    for kind in KINDS
    if kind.site is Site.OUTPUT
    for option in DEFENCES
    if option.section == f"defences.{kind.name}"
)
"""Those of defences that act on answers."""


@dataclass(frozen=True)
class Chosen:
    """What holds for a verb, from flags, file and defaults.

    Attributes:
        values: by section and key.
        flags: (section, key) of what was given by flag.
        given: of what was given by flag or file.
    """

    values: dict[str, dict[str, Any]]
    flags: frozenset[tuple[str, str]]
    given: frozenset[tuple[str, str]] = frozenset()

    def __getitem__(self, section: str) -> dict[str, Any]:
        return self.values[section]

    @property
    def training(self) -> TrainingOptions:
        """The options of training; raises StudyError."""
        return TrainingOptions(**{k: v for k, v in self["training"].items() if k != "seed"})

    def of_model(self, meta: Mapping[str, Any]) -> Chosen:
        """With what a bundle's ``meta`` says of its training, where nothing was given."""
        facts = {
            key: value
            for key, value in of_model(meta).items()
            if ("training", key) not in self.given
        }
        return replace(self, values=self.values | {"training": self["training"] | facts})

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """The parameters of every defence by its name."""
        return {kind.name: self.values.get(f"defences.{kind.name}", {}) for kind in KINDS}

    def parameters_of(self, combinations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The same; raises StudyError for a flag of a defence that no combination names."""
        whole = spelt_out(combinations)
        named = {name.strip() for combination in whole for name in combination.split("+")}
        for kind in KINDS:
            for p in kind.parameters:
                if kind.name not in named and (f"defences.{kind.name}", p.key) in self.flags:
                    raise StudyError(
                        f"{p.flag} is of {kind.short}, which no condition has.",
                        f"Name it as well: --defence {kind.name}.",
                    )
        return self.parameters


def flags_of(options: Sequence[Option]) -> Callable[[F], F]:
    """A decorator that adds the flags of options alone."""

    def add(function: F) -> F:
        for option in reversed(options):
            function = option.click()(function)
        return function

    return add


def values_of(options: Sequence[Option], arguments: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What was given for such flags, by defence and parameter."""
    found: dict[str, dict[str, Any]] = {}
    for option in options:
        value = option.from_flag(arguments[option.name])
        if value is not None:
            found.setdefault(option.section.removeprefix("defences."), {})[option.key] = value
    return found


def options_of(options: Sequence[Option]) -> Callable[[F], F]:
    """A decorator that adds --config and the flags of all options to a command."""

    def add(function: F) -> F:
        for option in reversed(options):
            function = option.click()(function)
        config = click.option(
            "--config",
            "config",
            type=FilePath(),
            help="TOML file with any of these options; flags win.",
        )
        return config(function)

    return add


class Grouped(click.Command):
    """A command whose help lists its flags under the tables of a file."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the flags, grouped."""
        groups: dict[str, list[tuple[str, str]]] = {}
        titles = {"training": "Training  [training]", "defences": "Defences  [defences.NAME]"}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                section = (parameter.name or "").partition("__")
                title = (
                    titles.get(section[0], f"Options  [{ctx.info_name}]") if section[1] else "Else"
                )
                groups.setdefault(title, []).append(record)
        for title in sorted(groups, key=_by_title):
            with formatter.section(title):
                formatter.write_dl(groups[title])


def _by_title(title: str) -> int:
    return "OTDE".index(title[0])


def choose(
    options: Sequence[Option],
    known: Sequence[Option],
    flags: Mapping[str, Any],
    path: Path | None,
) -> Chosen:
    """Put together flags, file and defaults; flags win.

    Args:
        options: of this verb.
        known: of every verb: what else a file may hold, so that one file serves several verbs.
        flags: the command's arguments.
        path: the file, if there is one.

    Raises:
        StudyError: the file cannot be read, or has an unknown key or a value of the wrong type.
    """
    filed = read(path, known) if path is not None else {}
    values: dict[str, dict[str, Any]] = {}
    given = set()
    for option in options:
        key = option.section, option.key
        flag = option.from_flag(flags.get(option.name))
        if flag is not None:
            given.add(key)
        chosen = flag if flag is not None else filed.get(key, option.default)
        values.setdefault(option.section, {})[option.key] = chosen
    return Chosen(values, frozenset(given), frozenset({*given, *filed}))


def read(path: Path, known: Sequence[Option]) -> dict[tuple[str, str], Any]:
    """The values of a TOML file by (section, key).

    Raises:
        StudyError: with file, key and, for an unknown one, what was probably meant.
    """
    from tinymia.gate.toml_lines import document, where

    text, content = document(
        path,
        StudyError,
        unread="Check --config.",
        nested="No option needs that.",
        malformed="See `tinymia audit --help`.",
    )
    return checked(content, known, lambda *way: where(path, text, way))


Where = Callable[..., str]
"""Says where a way into a document stands, ("audit", "epochs"): its file, and perhaps the line."""


def checked(
    content: Mapping[str, Any], known: Sequence[Option], where: Where
) -> dict[tuple[str, str], Any]:
    """The values of a document's tables by (section, key).

    Raises:
        StudyError: with the place, the key and, for an unknown one, what was probably meant.
    """
    tables: dict[str, dict[str, Option]] = {}
    for option in known:
        tables.setdefault(option.section, {})[option.key] = option
    found: dict[tuple[str, str], Any] = {}
    for section, table in _sections(content, tables, where):
        for key, value in table.items():
            at = where(*section.split(".", 1), key)
            option_ = tables[section].get(key)
            if option_ is None:
                raise StudyError(
                    f"{at}: there is no key {key!r} in [{section}].",
                    meant(key, tables[section], said_otherwise(tables[section].values())),
                )
            found[section, key] = option_.from_file(value, f"{at}: {section}.{key}")
    return found


def _sections(
    content: Mapping[str, Any], tables: Iterable[str], where: Where
) -> list[tuple[str, dict[str, Any]]]:
    """The tables of a file by their dotted names; raises StudyError for unknown ones."""
    known, found = list(tables), []
    for name, table in content.items():
        whole = [s for s in known if s == name]
        inner = {s.partition(".")[2] for s in known if s.startswith(f"{name}.")}
        if not whole and not inner:
            raise StudyError(
                f"{where(name)}: there is no table [{name}].",
                meant(name, {s.partition(".")[0] for s in known}),
            )
        if not isinstance(table, dict):
            raise StudyError(
                f"{where(name)}: {name} must be a table, not {_short(table)}.", f"Write [{name}]."
            )
        if whole:
            found.append((name, table))
            continue
        for part, values in table.items():
            if part not in inner:
                PLUGINS.check(part)
                raise StudyError(
                    f"{where(name, part)}: there is no table [{name}.{part}].", meant(part, inner)
                )
            if not isinstance(values, dict):
                raise StudyError(
                    f"{where(name, part)}: {name}.{part} must be a table, not {_short(values)}.",
                    f"Write [{name}.{part}].",
                )
            found.append((f"{name}.{part}", values))
    return found


_WORDS = {"person": ("people", "persons"), "learning_rate": ("lr",), "seed": ("seeds",)}


def said_otherwise(options: Iterable[Option]) -> dict[str, str]:
    """Keys by what they are called on the command line, and by words that people use for them."""
    found = {}
    for option in options:
        called = [option.flag.lstrip("-").replace("-", "_")]
        called += _WORDS.get(option.key, ())
        found.update(dict.fromkeys(called, option.key))
    return found


def meant(
    text: str, known: Iterable[str], otherwise: Mapping[str, str] = MappingProxyType({})
) -> str:
    """A hint: what is called so elsewhere, the nearest of the names, else all of them."""
    if text in otherwise:
        return f"Did you mean {otherwise[text]!r}?"
    names = sorted(set(known))
    close = difflib.get_close_matches(text, names, 1)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(names)}."
