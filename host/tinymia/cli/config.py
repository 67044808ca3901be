"""Options by flag and in a TOML file: one list of them gives both, their help and their checks."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import click

from tinymia.cli.options import FilePath
from tinymia.cli.values import Option, Type, short
from tinymia.defenses import Site
from tinymia.defenses.registry import KINDS, PLUGINS, spelt_out
from tinymia.errors import StudyError
from tinymia.study.settings import SPANS
from tinymia.study.training import TrainingOptions, of_model
from tinymia.wire.settings import SETTINGS, span_of

F = TypeVar("F", bound=Callable[..., Any])


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
        numeric = setting is not None and kind is not Type.TEXT
        within = span_of(setting) if setting is not None and numeric else None
        text = own[field.name] if setting is None else own.get(field.name, setting.help)
        made.append(Option("training", field.name, kind, field.default, text, "", within))
    seed = Option("training", "seed", Type.WHOLE, 1, "of draws and orders", "", SPANS["seed"])
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
            one = not p.several
            made.append(Option(section, p.key, type_, default, text, p.flag, p.within, False, one))
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
                f"{where(name)}: {name} must be a table, not {short(table)}.", f"Write [{name}]."
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
                    f"{where(name, part)}: {name}.{part} must be a table, not {short(values)}.",
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
