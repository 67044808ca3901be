"""All attacks: every module of this package that has ``ATTACKS`` adds what stands there.

Other packages add theirs by the entry points ``tinymia.attacks``, see :mod:`tinymia.plugins`.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
from collections.abc import Collection

import tinymia.attacks
from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.errors import StudyError
from tinymia.evidence import OutputPolicy, Run
from tinymia.plugins import Plugins

GROUP = "tinymia.attacks"
"""Entry points of other packages: an attack's name, and the attack."""


@functools.cache
def _own() -> tuple[Attack, ...]:
    found: list[Attack] = []
    for module in pkgutil.iter_modules(tinymia.attacks.__path__):
        loaded = importlib.import_module(f"tinymia.attacks.{module.name}")
        found += getattr(loaded, "ATTACKS", ())
    names = [attack.info.name for attack in found]
    assert len(set(names)) == len(names), f"two attacks of one name among {names}"
    return tuple(found)


@functools.cache
def plugins() -> Plugins[Attack]:
    """Attacks of other packages, and those that were registered."""
    own = [attack.info.name for attack in _own()]
    return Plugins(GROUP, "attack", own, lambda attack: attack.info.name, _flaw)


def _flaw(attack: Attack) -> str:
    if not isinstance(attack, Attack) or not isinstance(attack.info, AttackInfo):
        return "it is no tinymia.attacks.Attack with an AttackInfo"
    if attack.info.headline:
        return "what stands for an adversary is fixed beforehand, so headline must be False"
    return ""


def add(attack: Attack) -> str:
    """Add an attack to this process, see :meth:`tinymia.plugins.Plugins.add`."""
    name = plugins().add(attack)
    all_attacks.cache_clear()
    return name


@functools.cache
def all_attacks() -> tuple[Attack, ...]:
    """Every attack, by adversary, headlines first, then what needs most, then as listed."""
    found = [*_own(), *plugins()]
    order = list(Adversary)
    return tuple(
        sorted(
            found,
            key=lambda a: (order.index(a.info.adversary), not a.info.headline, -a.info.needs),
        )
    )


def get_attack(name: str) -> Attack:
    """The attack of that name.

    Raises:
        StudyError: there is none; the message says what was probably meant.
        PluginError: another package has it, and it cannot be used.
    """
    known = {attack.info.name: attack for attack in all_attacks()}
    plugins().check(name)
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, 1)
    raise StudyError(
        f"There is no attack {name!r}.",
        f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}.",
    )


def attacks_for(run: Run, *, views: int = 1, head: bool = True) -> list[Attack]:
    """The attacks that can run on a run's devices.

    Args:
        run: says what its answers reveal.
        views: answers that there are to each window.
        head: whether only the last layer is trained.
    """
    return [
        attack
        for attack in all_attacks()
        if attack.info.runs_under(run.answer.policy)
        and attack.info.views <= views
        and (head or not attack.info.head_only)
    ]


def headline_of(
    adversary: Adversary,
    policy: OutputPolicy,
    chosen: Collection[str] | None = None,
    without: Collection[str] = (),
) -> Attack | None:
    """The attack that stands for an adversary under a policy: its first headline that runs.

    Args:
        adversary: who.
        policy: what answers reveal.
        chosen: names of the attacks that a study runs, which somebody fixed beforehand as well: of
            these the first headline, else the first of this program's, else of other packages.
            None: all, of which only headlines stand for anybody.
        without: names of attacks that stand for nobody here.
    """
    able = [
        attack
        for attack in all_attacks()
        if attack.info.adversary is adversary
        and attack.info.runs_under(policy)
        and (chosen is None or attack.info.name in chosen)
        and attack.info.name not in without
    ]
    heads = [attack for attack in able if attack.info.headline]
    if chosen is not None:
        heads += sorted(able, key=lambda attack: attack not in _own())
    return next(iter(heads), None)
