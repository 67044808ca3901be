"""Study files: which options of an audit are varied, and how; `study_cases` makes audits of it."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tinymia.cli.catalogue import WORKING, known_now, options_now
from tinymia.cli.config import checked, meant, said_otherwise
from tinymia.cli.options import not_a_path
from tinymia.cli.values import Option, Type
from tinymia.defenses.registry import PLUGINS
from tinymia.errors import StudyError
from tinymia.gate.toml_lines import document, where

MOST_VALUES = 100_000
"""Of one axis."""
FACTORS = "factors"
FITS = ("power", "trend", "contrast", "answers", "chapter")
"""Several are joined by "+"."""
_TABLES = ("study", "grid", "case")
_STUDY_KEYS = ("title", "out", "fit", "axis", "axis_title", "scale", "adversary")
_SCALES = ("linear", "log")
_RANGE_KEYS = ("from", "to", "step", "points", "scale")
_OF_ALL = frozenset({"out", "on_interruption", "wait", *(option.key for option in WORKING)})
"""Options of [audit] on which no figure depends: cases cannot differ in them."""
Key = tuple[str, str]


@dataclass(frozen=True)
class Axis:
    """An option and the values that it takes; ``way``: where it stands in the file."""

    option: Option
    values: tuple[Any, ...]
    way: tuple[str | int, ...]

    @property
    def label(self) -> str:
        """The option's shortest name."""
        return label(self.option)


@dataclass(frozen=True)
class StudyFile:
    """A study file that was read and checked.

    Attributes:
        path, text: of the file.
        shared: what all cases have, by (section, key).
        grid: axes; every combination of their values is run.
        listed: cases of a list, each with options of its own; one without any where there is none.
        names: of those cases, "" where the file gives none.
        out: folder; None: named after the file.
        question: what is made of the results.
        flags: what the command line said of ``shared``, and not the file.
    """

    path: Path
    text: str
    shared: Mapping[Key, Any]
    grid: tuple[Axis, ...]
    listed: tuple[tuple[Axis, ...], ...]
    names: tuple[str, ...]
    out: Path | None
    question: Mapping[str, str] = field(default_factory=dict)
    flags: frozenset[Key] = frozenset()

    def __len__(self) -> int:
        return len(self.listed) * math.prod(len(axis.values) for axis in self.grid)

    def saying(self, flags: Mapping[str, Any]) -> StudyFile:
        """The same where flags of ``WORKING``, by their names, were given on the command line."""
        given = {(o.section, o.key): o.from_flag(flags.get(o.name)) for o in WORKING}
        said = {key: value for key, value in given.items() if value is not None}
        return replace(self, shared={**self.shared, **said}, flags=frozenset(said))

    def where(self, *way: str | int) -> str:
        """File and line of something in it."""
        return where(self.path, self.text, way)


def label(option: Option) -> str:
    """An option's shortest name in a study file: "members", "clip.norm"."""
    section = option.section.removeprefix("defences.")
    return f"{section}.{option.key}" if option.section != section else option.key


def option_names() -> dict[str, Option]:
    """Options by each name that a study file may give them: what cases can differ in."""
    found: dict[str, Option] = {}
    for option in options_now("audit"):
        if option.section == "audit" and option.key in _OF_ALL:
            continue
        found[label(option)] = option
        found[f"{option.section}.{option.key}"] = option
    return found


def shipped() -> list[str]:
    """Names of the studies that come with this program: "factors/examples"."""
    folder = factors()
    return [f"{FACTORS}/{path.stem}" for path in sorted(folder.glob("*.toml"))]


def factors() -> Path:
    """Where those lie that come along."""
    import tinymia.study

    return Path(tinymia.study.__path__[0]) / FACTORS


def found(name: str) -> Path:
    """The file of a study: a path, or the name of a shipped one; raises StudyError."""
    path = Path(name)
    if path.is_file():
        return path
    if name in shipped():
        return factors() / f"{path.name}.toml"
    hint = meant(name, shipped()) if name.startswith(FACTORS) else ""
    raise StudyError(
        f"There is no study file {name}.", hint or f"Shipped ones: {', '.join(shipped())}."
    )


def read(path: Path) -> StudyFile:
    """Read and check a study file.

    Raises:
        StudyError: with file, line and key, and what was probably meant.
    """
    text, content = document(path, StudyError, nested="No study needs that.")
    file = StudyFile(path, text, {}, (), (), (), None)
    names, known = option_names(), known_now()
    sections = {option.section.partition(".")[0] for option in options_now("audit")}
    for name, table in content.items():
        if name not in _TABLES and name not in sections:
            raise StudyError(
                f"{file.where(name)}: there is no table {name!r} in a study.",
                meant(name, (*_TABLES, *sections)),
            )
        if name in ("study", "grid") and not isinstance(table, dict):
            raise StudyError(f"{file.where(name)}: {name} must be a table.", f"Write [{name}].")
    shared = checked({k: v for k, v in content.items() if k not in _TABLES}, known, file.where)
    if ("audit", "out") in shared:
        raise StudyError(
            f"{file.where('audit', 'out')}: cases share one folder.",
            "Write out = ... in [study], or give --out.",
        )
    grid = tuple(_axes(file, content.get("grid", {}), ("grid",), names, several=True))
    rows = content.get("case", [{}])
    if not rows or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise StudyError(
            f"{file.where('case')}: cases are tables in a list.", "Head each with [[case]]."
        )
    listed, titles = [], []
    for number, row in enumerate(rows):
        way = ("case", number)
        name = row.get("name", "")
        if not isinstance(name, str):
            raise StudyError(f"{file.where(*way, 'name')}: name must be a text.")
        titles.append(name)
        own = {key: value for key, value in row.items() if key != "name"}
        listed.append(tuple(_axes(file, own, way, names, several=False)))
    for axis in (*grid, *itertools.chain(*listed)):
        twice = (axis.option.section, axis.option.key) in shared
        again = axis.way[0] == "case" and any(a.option is axis.option for a in grid)
        if twice or again:
            other = f"[{axis.option.section}]" if twice else "[grid]"
            raise StudyError(
                f"{file.where(*axis.way)}: {axis.label} is in {other} as well.",
                "Say it in one place.",
            )
    out, question = _study(file, content.get("study", {}))
    return StudyFile(path, text, shared, grid, tuple(listed), tuple(titles), out, question)


def _study(file: StudyFile, table: Mapping[str, Any]) -> tuple[Path | None, dict[str, str]]:
    from tinymia.attacks.base import Adversary
    from tinymia.study.axes import PARAMETERS

    for key, value in table.items():
        at = file.where("study", key)
        if key not in _STUDY_KEYS:
            raise StudyError(f"{at}: there is no key {key!r} in [study].", meant(key, _STUDY_KEYS))
        if not isinstance(value, str) or not value:
            raise StudyError(f"{at}: {key} must be a text.")
        if key == "out" and (wrong := not_a_path(value)):
            raise StudyError(f"{at}: {wrong}")
    choices: dict[str, tuple[str, ...]] = {
        "fit": FITS,
        "axis": (*option_names(), PARAMETERS),
        "scale": _SCALES,
        "adversary": tuple(one.value for one in Adversary),
    }
    for key, known in choices.items():
        for one in table.get(key, "").split("+") if key in table else ():
            if one not in known:
                raise StudyError(
                    f"{file.where('study', key)}: there is no {key} {one!r}.", meant(one, known)
                )
    for fit in table.get("fit", "").split("+"):
        if fit in ("power", "trend") and "axis" not in table:
            raise StudyError(
                f"{file.where('study', 'fit')}: a {fit} goes along an axis.",
                'Name it: axis = "members".',
            )
    out = Path(table["out"]) if "out" in table else None
    return out, {key: value for key, value in table.items() if key != "out"}


def _axes(
    file: StudyFile,
    table: Mapping[str, Any],
    way: tuple[str | int, ...],
    names: Mapping[str, Option],
    *,
    several: bool,
) -> Iterator[Axis]:
    """Options of a table; a table in it is a part of the name, or a range."""
    for key, value in table.items():
        at = (*way, key)
        name = ".".join(str(part) for part in at[1 if several else 2 :])
        is_range = several and isinstance(value, dict) and "from" in value
        if isinstance(value, dict) and not is_range:
            if not any(known.startswith(f"{name}.") for known in names):
                first = next(iter(value), "")
                raise _unknown(file, at, f"{name}.{first}".rstrip("."), names)
            yield from _axes(file, value, at, names, several=several)
            continue
        option = names.get(name)
        if option is None:
            raise _unknown(file, at, name, names)
        try:
            values = _values(option, name, value, several=several)
        except StudyError as error:
            raise StudyError(f"{file.where(*at)}: {error.message}", error.hint) from error
        yield Axis(option, values, at)


def _values(option: Option, name: str, value: Any, *, several: bool) -> tuple[Any, ...]:
    """All that an option takes, checked."""
    if not several:
        listed = [value]
    elif isinstance(value, dict):
        listed = _range(option, value, name)
    elif isinstance(value, list) and value:
        listed = value
    else:
        raise StudyError(
            f"{name} needs a list of values.",
            f"{option.key} = [...], or a range: {{ from = 10, to = 300, points = 5 }}.",
        )
    taken = tuple(option.from_file(one, name) for one in listed)
    if len(set(map(repr, taken))) < len(taken):
        raise StudyError(f"{name} has a value twice.", "Each is one case.")
    return taken


def _unknown(
    file: StudyFile,
    at: tuple[str | int, ...],
    name: str,
    names: Mapping[str, Option],
) -> StudyError:
    """What is wrong with a name; raises PluginError where a package's defence was refused."""
    where = file.where(*at)
    if name.removeprefix("audit.") in _OF_ALL:
        return StudyError(
            f"{where}: no figure depends on {name}, so cases cannot differ in it.",
            "Write it in [audit], for all of them.",
        )
    PLUGINS.check(name.removeprefix("defences.").partition(".")[0])
    short = [label(option) for option in names.values()]
    hint = f"A range begins with from: {name.rpartition('.')[0]} = {{ from = ... }}."
    if name.rpartition(".")[0] not in names:
        known = {*names, *(("name",) if at[0] == "case" else ())}
        close = difflib.get_close_matches(name, known, 1)
        hint = meant(name, known if close else short, said_otherwise(names.values()))
    return StudyError(f"{where}: there is no option {name!r}.", hint)


def _range(option: Option, spec: Mapping[str, Any], place: str) -> list[Any]:
    """Values from one to another, both included where a step meets the end."""
    for key in spec:
        if key not in _RANGE_KEYS:
            raise StudyError(f"{place}: a range has no {key!r}.", meant(key, _RANGE_KEYS))
    whole = option.type in (Type.WHOLE, Type.WHOLES)
    if not whole and option.type not in (Type.NUMBER, Type.NUMBERS):
        raise StudyError(f"{place} is {option.type.value} and has no range.", "Give a list.")
    numbers = {key: spec[key] for key in ("from", "to", "step", "points") if key in spec}
    for key, value in numbers.items():
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not (math.isfinite(value))
        ):
            raise StudyError(f"{place}: {key} must be a number, not {value!r}.")
    scale = spec.get("scale", "linear")
    if scale not in _SCALES:
        raise StudyError(f"{place}: there is no scale {scale!r}.", meant(str(scale), _SCALES))
    if "to" not in spec or ("step" in spec) == ("points" in spec):
        raise StudyError(f"{place}: a range has from, to and either step or points.")
    low, high = numbers["from"], numbers["to"]
    if high < low or (scale == "log" and (low <= 0 or "step" in spec)):
        raise StudyError(
            f"{place}: this range is not possible.",
            "to is not below from; a log range begins above 0 and has points.",
        )
    count = _count(numbers, place)
    if "step" in spec:
        values = [low + i * numbers["step"] for i in range(count)]
    else:
        part = [i / max(count - 1, 1) for i in range(count)]
        values = [
            low * (high / low) ** p if scale == "log" else low + (high - low) * p for p in part
        ]
    if whole:
        return list(dict.fromkeys(round(value) for value in values))
    return [float(f"{value:.12g}") for value in values]


def _count(numbers: Mapping[str, Any], place: str) -> int:
    """How many values a range has, said before they are made; raises StudyError."""
    if "step" in numbers:
        if numbers["step"] <= 0:
            raise StudyError(f"{place}: the step must be above 0.")
        count = (numbers["to"] - numbers["from"]) / numbers["step"] + 1 + 1e-9
    else:
        count = numbers["points"]
        if count != int(count) or count < 1:
            raise StudyError(f"{place}: points must be a whole number above 0.")
    if int(count) > MOST_VALUES:
        raise StudyError(
            f"{place}: {int(count):,} values are too many.", f"At most {MOST_VALUES:,}."
        )
    return int(count)
