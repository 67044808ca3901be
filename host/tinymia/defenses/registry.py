"""All defences by name: every module of this package that has a ``KIND`` adds one.

Other packages add theirs by the entry points ``tinymia.defenses``, see :mod:`tinymia.plugins`. Such
a defence is made of settings that the firmware has (a plan's training, answers and policy); one
with a training step or an answer of its own needs firmware of its own as well.
"""

from __future__ import annotations

import difflib
import importlib
import itertools
import pkgutil
import re
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import tinymia.defenses
from tinymia.defenses.base import Defense, Kind, Plan, Site, TrainingSize
from tinymia.errors import StudyError
from tinymia.plugins import Plugins
from tinymia.wire.settings import TrainSettings

GROUP = "tinymia.defenses"
"""Entry points of other packages: a defence's name, and its kind."""
ALL = "all"
"""In place of combinations: every defence, one by one."""

Values = Mapping[str, Mapping[str, Any]]
"""Parameters by defence: {"clip": {"norm": 1.0}}; what is missing has its default."""


def _own() -> list[Kind]:
    found: list[Kind] = []
    for module in pkgutil.iter_modules(tinymia.defenses.__path__):
        if module.name != "registry":
            loaded = importlib.import_module(f"tinymia.defenses.{module.name}")
            found += [loaded.KIND] if hasattr(loaded, "KIND") else []
    return found


def _flaw(kind: Kind) -> str:
    """What is wrong with another package's defence: all that is asked of one later is tried."""
    if not isinstance(kind, Kind):
        return "it is no tinymia.defenses.Kind"
    if kind.auxiliary is not None:
        return "a model in the bundle (auxiliary) is for defences that the firmware knows"
    others = {
        p.flag for other in (*_OWN, *PLUGINS) if other.name != kind.name for p in other.parameters
    }
    for p in kind.parameters:
        if not re.fullmatch(f"--{kind.name}(-[a-z0-9]+)*", p.flag) or p.flag in others:
            return f"its flag {p.flag} is not --{kind.name} or --{kind.name}-SOMETHING"
    defaults = {p.key: kind.default(p) for p in kind.parameters}
    one = {k: v[0] if isinstance(v, Sequence) else v for k, v in defaults.items()}
    made = kind.make(**one)
    if made.kind is not kind:
        return "what it makes has another kind"
    made.account(TrainingSize(80, 8, 10, 2))
    plan = made.apply(Plan(TrainSettings(), TrainingSize(80, 8, 10, 2)))
    return "" if isinstance(plan, Plan) and made.title else "it makes no plan, or has no title"


_OWN = _own()
PLUGINS = Plugins(GROUP, "defence", [*(k.name for k in _OWN), ALL], lambda k: k.name, _flaw)
"""Defences of other packages, and those that were registered."""
_kinds: list[Kind] = []
KINDS: Sequence[Kind] = _kinds
"""By where they act; those that exclude others, which are whole mechanisms, last."""
BY_NAME: dict[str, Kind] = {}


def _gather() -> None:
    sites = list(Site)
    _kinds[:] = sorted(
        [*_OWN, *PLUGINS], key=lambda k: (bool(k.excludes), sites.index(k.site), k.name)
    )
    BY_NAME.clear()
    BY_NAME.update({kind.name: kind for kind in _kinds})


def add(kind: Kind) -> str:
    """Add a defence to this process, see :meth:`tinymia.plugins.Plugins.add`."""
    name = PLUGINS.add(kind)
    _gather()
    return name


def known(name: str) -> Kind:
    """A kind by its name; raises StudyError with what was probably meant, and PluginError."""
    if name in BY_NAME:
        return BY_NAME[name]
    PLUGINS.check(name)
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


def spelt_out(combinations: Sequence[str]) -> tuple[str, ...]:
    """Combinations with every defence in place of "all", none twice, in the order given.

    Raises:
        PluginError: another package's defence cannot be used, and all are asked for.
    """
    if ALL in combinations:
        PLUGINS.check_all()
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


_gather()  # last: a package's module may import what stands above
