"""All defences by name: every module of this package that has a ``KIND`` adds one."""

from __future__ import annotations

import difflib
import importlib
import itertools
import pkgutil
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import tinymia.defenses
from tinymia.defenses.base import Defense, Kind, Site
from tinymia.errors import StudyError

Values = Mapping[str, Mapping[str, Any]]
"""Parameters by defence: {"clip": {"norm": 1.0}}; what is missing has its default."""


def _kinds() -> tuple[Kind, ...]:
    """By where they act; those that exclude others, which are whole mechanisms, last."""
    found: list[Kind] = []
    for module in pkgutil.iter_modules(tinymia.defenses.__path__):
        if module.name != "registry":
            loaded = importlib.import_module(f"tinymia.defenses.{module.name}")
            found += [loaded.KIND] if hasattr(loaded, "KIND") else []
    sites = list(Site)
    return tuple(sorted(found, key=lambda k: (bool(k.excludes), sites.index(k.site), k.name)))


KINDS = _kinds()
BY_NAME = {kind.name: kind for kind in KINDS}


def known(name: str) -> Kind:
    """A kind by its name; raises StudyError with what was probably meant."""
    if name in BY_NAME:
        return BY_NAME[name]
    close = difflib.get_close_matches(name, BY_NAME, 1)
    raise StudyError(
        f"There is no defence {name!r}.",
        f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(BY_NAME)}.",
    )


def canonical(combination: str) -> str:
    """A combination with its names in the order of this file, so that each has one spelling.

    Raises:
        StudyError: an unknown or repeated name.
    """
    names = [known(name.strip()).name for name in combination.split("+")]
    if len(set(names)) < len(names):
        raise StudyError(f"The defences {combination!r} name one twice.")
    return "+".join(sorted(names, key=list(BY_NAME).index))


ALL = "all"
"""In place of combinations: every defence, one by one."""


def spelt_out(combinations: Sequence[str]) -> tuple[str, ...]:
    """Combinations with every defence in place of "all", none twice, in the order given."""
    found: dict[str, None] = {}
    for combination in combinations:
        found |= dict.fromkeys(BY_NAME if combination == ALL else (combination,))
    return tuple(found)


def build(combination: str, values: Values) -> list[tuple[Defense, ...]]:
    """What a combination such as "clip+smooth" stands for.

    Args:
        combination: names joined by "+", in any order.
        values: parameters; one with several values makes an entry of each, several such ones an
            entry of each combination.

    Returns:
        The sets of defences that act together, one each but for several values; in the order of
        ``KINDS``, so that the order of the names makes no other set.

    Raises:
        StudyError: an unknown or repeated name, a parameter that is unknown or out of range, or
            defences that exclude each other.
    """
    names = canonical(combination).split("+")
    kinds = [known(name) for name in names]
    for kind in kinds:
        barred = [other for other in names if other in kind.excludes]
        if barred:
            raise StudyError(f"{kind.short} does not go together with {barred[0]!r}.", kind.why)
    check_values(values)
    sets: list[tuple[Defense, ...]] = [()]
    for kind in kinds:
        sets = [(*before, made) for before in sets for made in _variants(kind, values)]
    return sets


def check_values(values: Values) -> None:
    """Raise StudyError, with what was probably meant, unless names are known and values numbers.

    (What range a number must be in, each defence says itself.)
    """
    for name, given in values.items():
        kind = known(name)
        if not isinstance(given, Mapping):
            raise StudyError(
                f"The parameters of {name!r} must be given by name, not as {given!r}.",
                f"Write {{{name!r}: {{{kind.parameters[0].key!r}: …}}}}.",
            )
        parameters = {p.key: p for p in kind.parameters}
        for key, value in given.items():
            if key not in parameters:
                close = difflib.get_close_matches(str(key), parameters, 1)
                raise StudyError(
                    f"{kind.short} has no parameter {key!r}.",
                    f"Did you mean {close[0]!r}?" if close else f"It has: {', '.join(parameters)}.",
                )
            several = isinstance(value, Sequence) and not isinstance(value, str)
            for number in value if several else (value,):
                if not isinstance(number, Real) or isinstance(number, bool):
                    raise StudyError(
                        f"The parameter {key!r} of {kind.short} must be a number, not {number!r}."
                    )


def _variants(kind: Kind, values: Values) -> list[Defense]:
    chosen = {p.key: kind.default(p) for p in kind.parameters} | dict(values.get(kind.name, {}))
    listed = {
        key: tuple(value) if isinstance(value, Sequence) else (value,)
        for key, value in chosen.items()
    }
    for key, several in listed.items():
        if not several or len(set(several)) < len(several):
            default = kind.default(next(p for p in kind.parameters if p.key == key))
            usual = default if isinstance(default, Sequence) else (default,)
            raise StudyError(
                f"{kind.short} needs one or more different values of {key!r}.",
                f"Default: {', '.join(f'{v:g}' for v in usual)}.",
            )
    return [
        kind.make(**dict(zip(listed, each, strict=True)))
        for each in itertools.product(*listed.values())
    ]
