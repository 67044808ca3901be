"""All attacks: every module of this package that has ``ATTACKS`` adds what stands there."""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil

import tinymia.attacks
from tinymia.attacks.base import Adversary, Attack
from tinymia.errors import StudyError
from tinymia.evidence import OutputPolicy, Run


@functools.cache
def all_attacks() -> tuple[Attack, ...]:
    """Every attack, by adversary, headlines first, then what needs most, then as listed."""
    found: list[Attack] = []
    for module in pkgutil.iter_modules(tinymia.attacks.__path__):
        loaded = importlib.import_module(f"tinymia.attacks.{module.name}")
        found += getattr(loaded, "ATTACKS", ())
    names = [attack.info.name for attack in found]
    assert len(set(names)) == len(names), f"two attacks of one name among {names}"
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
    """
    known = {attack.info.name: attack for attack in all_attacks()}
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


def headline_of(adversary: Adversary, policy: OutputPolicy) -> Attack | None:
    """The attack that stands for an adversary under a policy: its first headline that runs."""
    for attack in all_attacks():
        info = attack.info
        if info.adversary is adversary and info.headline and info.runs_under(policy):
            return attack
    return None
