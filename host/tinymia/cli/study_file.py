"""Study files: which options of an audit are varied, and how."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinymia.cli.catalogue import AUDIT, KNOWN
from tinymia.cli.config import Chosen, Option, Type, checked, meant
from tinymia.cli.options import not_a_path, note
from tinymia.errors import StudyError
from tinymia.gate.toml_lines import document, line_of

if TYPE_CHECKING:
    from tinymia.study.series import Case, Question, Series

MOST_VALUES = 100_000
"""Of one axis."""
FACTORS = "factors"
FITS = ("power", "trend", "contrast", "answers", "chapter")
"""Several are joined by "+"."""
_TABLES = ("study", "grid", "case")
_STUDY_KEYS = ("title", "out", "fit", "axis", "adversary")
_RANGE_KEYS = ("from", "to", "step", "points", "scale")
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
        out: folder; None: named after the file.
        question: what is made of the results.
    """

    path: Path
    text: str
    shared: Mapping[Key, Any]
    grid: tuple[Axis, ...]
    listed: tuple[tuple[Axis, ...], ...]
    names: tuple[str, ...]
    out: Path | None
    question: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.listed) * math.prod(len(axis.values) for axis in self.grid)

    def where(self, *way: str | int) -> str:
        """File and line of something in it."""
        line = line_of(self.text, way)
        return f"{self.path}:{line}" if line else f"{self.path}"


def label(option: Option) -> str:
    """An option's shortest name in a study file: "members", "clip.norm"."""
    section = option.section.removeprefix("defences.")
    return f"{section}.{option.key}" if option.section != section else option.key


def _names() -> dict[str, Option]:
    """Options by each name that a study file may give them."""
    found: dict[str, Option] = {}
    for option in AUDIT:
        if (option.section, option.key) == ("audit", "out"):
            continue  # the study's folder is one
        found[label(option)] = option
        found[f"{option.section}.{option.key}"] = option
    return found


def shipped() -> list[str]:
    """Names of the studies that come with this program: "factors/examples"."""
    folder = _factors()
    return [f"{FACTORS}/{path.stem}" for path in sorted(folder.glob("*.toml"))]


def _factors() -> Path:
    import tinymia.study

    return Path(tinymia.study.__path__[0]) / FACTORS


def found(name: str) -> Path:
    """The file of a study: a path, or the name of a shipped one; raises StudyError."""
    path = Path(name)
    if path.is_file():
        return path
    if name in shipped():
        return _factors() / f"{path.name}.toml"
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
    sections = {option.section.partition(".")[0] for option in AUDIT}
    for name, table in content.items():
        if name not in _TABLES and name not in sections:
            raise StudyError(
                f"{file.where(name)}: there is no table {name!r} in a study.",
                meant(name, (*_TABLES, *sections)),
            )
        if name in ("study", "grid") and not isinstance(table, dict):
            raise StudyError(f"{file.where(name)}: {name} must be a table.", f"Write [{name}].")
    shared = checked({k: v for k, v in content.items() if k not in _TABLES}, KNOWN, file.where)
    if ("audit", "out") in shared:
        raise StudyError(
            f"{file.where('audit', 'out')}: cases share one folder.",
            "Write out = ... in [study], or give --out.",
        )
    grid = tuple(_axes(file, content.get("grid", {}), ("grid",), several=True))
    rows = content.get("case", [{}])
    if not rows or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise StudyError(
            f"{file.where('case')}: cases are tables in a list.", "Head each with [[case]]."
        )
    listed, names = [], []
    for number, row in enumerate(rows):
        way = ("case", number)
        name = row.get("name", "")
        if not isinstance(name, str):
            raise StudyError(f"{file.where(*way, 'name')}: name must be a text.")
        names.append(name)
        own = {key: value for key, value in row.items() if key != "name"}
        listed.append(tuple(_axes(file, own, way, several=False)))
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
    return StudyFile(path, text, shared, grid, tuple(listed), tuple(names), out, question)


def _study(file: StudyFile, table: Mapping[str, Any]) -> tuple[Path | None, dict[str, str]]:
    from tinymia.attacks.base import Adversary
    from tinymia.study.fits import PARAMETERS

    for key, value in table.items():
        at = file.where("study", key)
        if key not in _STUDY_KEYS:
            raise StudyError(f"{at}: there is no key {key!r} in [study].", meant(key, _STUDY_KEYS))
        if not isinstance(value, str) or not value:
            raise StudyError(f"{at}: {key} must be a text.")
        if key == "out" and (wrong := not_a_path(value)):
            raise StudyError(f"{at}: {wrong}")
    axes = (*_names(), PARAMETERS)
    choices = {"fit": FITS, "axis": axes, "adversary": tuple(Adversary)}
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
    file: StudyFile, table: Mapping[str, Any], way: tuple[str | int, ...], *, several: bool
) -> Iterator[Axis]:
    """Options of a table; a table in it is a part of the name, or a range."""
    names = _names()
    for key, value in table.items():
        at = (*way, key)
        name = ".".join(str(part) for part in at[1 if several else 2 :])
        is_range = several and isinstance(value, dict) and "from" in value
        if isinstance(value, dict) and not is_range:
            if not any(known.startswith(f"{name}.") for known in names):
                raise StudyError(
                    f"{file.where(*at)}: there is no option {name!r}, nor a range without from.",
                    meant(name, names),
                )
            yield from _axes(file, value, at, several=several)
            continue
        option = names.get(name)
        if option is None:
            raise StudyError(f"{file.where(*at)}: there is no option {name!r}.", meant(name, names))
        place = f"{file.where(*at)}: {name}"
        if is_range:
            values = _range(option, value, place)
        elif several:
            if not isinstance(value, list) or not value:
                raise StudyError(
                    f"{place} needs a list of values.",
                    f"{key} = [...], or a range: {{ from = 10, to = 300, points = 5 }}.",
                )
            values = value
        else:
            values = [value]
        taken = tuple(option.from_file(one, place) for one in values)
        if len(set(map(repr, taken))) < len(taken):
            raise StudyError(f"{place} has a value twice.", "Each is one case.")
        yield Axis(option, taken, at)


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
    if scale not in ("linear", "log"):
        raise StudyError(
            f"{place}: there is no scale {scale!r}.", meant(str(scale), ("linear", "log"))
        )
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


def series(file: StudyFile, out: Path | None = None) -> Series:
    """All cases of a study.

    Args:
        file: the study.
        out: its folder, instead of the file's.

    Raises:
        StudyError: an option's value is not possible, with its line.
        TinymiaError: a bundle cannot be read.
    """
    from tinymia.study.series import Series

    folder = out or file.out or Path(file.path.stem)
    cases = tuple(_cases(file, folder))
    return Series(folder, cases, _question(file))


def _question(file: StudyFile) -> Question:
    from tinymia.study.series import Question

    given = dict(file.question)
    if given.get("axis") in _names():
        given["axis"] = label(_names()[given["axis"]])
    return Question(**{"title": file.path.stem, **given})


def _cases(file: StudyFile, folder: Path) -> Iterator[Case]:
    from tinymia.device.connect import RESUME
    from tinymia.study.series import Case

    _check_values(file, folder)
    seen: dict[str, str] = {}
    for own, title in zip(file.listed, file.names, strict=True):
        for combination in itertools.product(*(axis.values for axis in file.grid)):
            chosen = [(axis, axis.values[0]) for axis in own]
            chosen += list(zip(file.grid, combination, strict=True))
            parts = [title] if title else [_shown(a, v) for a, v in chosen if a in own]
            parts += [_shown(a, v) for a, v in chosen if a not in own]
            name = ", ".join(parts)
            try:
                audit = _audit(file, chosen, folder)
            except StudyError as error:
                raise StudyError(
                    f"{file.path}: case {name}: {error.message}", error.hint
                ) from error
            if name != (first := seen.setdefault(repr(replace(audit, interruption=RESUME)), name)):
                raise StudyError(
                    f"{file.path}: cases {first} and {name} are the same audit.",
                    "A defence's parameter is varied where the defence is among the defences.",
                )
            yield Case(name, {axis.label: value for axis, value in chosen}, audit)


def _check_values(file: StudyFile, folder: Path) -> None:
    """Try each value alone, so that its own line is told; raises StudyError."""
    try:
        _audit(file, [], folder)
    except StudyError as error:
        for section, key in file.shared:
            alone = replace(file, shared={(section, key): file.shared[section, key]})
            try:
                _audit(alone, [], folder)
            except StudyError as own:
                where = file.where(*section.split(".", 1), key)
                raise StudyError(f"{where}: {own.message}", own.hint) from own
        raise StudyError(f"{file.path}: {error.message}", error.hint) from error
    for axis in (*file.grid, *itertools.chain(*file.listed)):
        for value in axis.values:
            try:
                _audit(file, [(axis, value)], folder)
            except StudyError as error:
                raise StudyError(
                    f"{file.where(*axis.way)}: {axis.label}: {error.message}", error.hint
                ) from error


def _audit(file: StudyFile, own: Sequence[tuple[Axis, Any]], folder: Path) -> Any:
    from tinymia.cli.audit import job_of

    given = {
        # A study asks families of questions of the twin; boards confirm where that is asked for.
        ("audit", "target"): ("twin:",),
        **file.shared,
        **{(axis.option.section, axis.option.key): value for axis, value in own},
        ("audit", "out"): str(folder),
    }
    given["audit", "bundle"] = _base(given.get(("audit", "bundle")), folder)
    values: dict[str, dict[str, Any]] = {}
    for option in AUDIT:
        key = option.section, option.key
        values.setdefault(option.section, {})[option.key] = given.get(key, option.default)
    options = Chosen(values, frozenset(), frozenset(given))
    return job_of(options, command=f"tinymia study run {_called(file.path)}")


def _base(name: Any, folder: Path) -> Any:
    """A bundle's file, also of a base model that is trained where it is asked for."""
    from tinymia.study import bases

    if name is None or bases.filters_of(str(name)) is None:
        return name
    return str(bases.base(str(name), folder, note))


def _called(path: Path) -> str:
    """As a study is named on the command line."""
    return f"{FACTORS}/{path.stem}" if path.parent == _factors() else str(path)


def _shown(axis: Axis, value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"{axis.label}={','.join(str(v) for v in value) or 'none'}"
    return f"{axis.label}={value:g}" if isinstance(value, float) else f"{axis.label}={value}"
