"""Which of all attacks a study runs: by name, or all of one adversary."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.registry import all_attacks, get_attack, headline_of, plugins
from tinymia.errors import StudyError
from tinymia.evidence import HEAD, OutputPolicy

ALL = "all"
EVERY_ATTACK = (ALL,)
LISTED = "`tinymia audit --list-attacks` shows every one."


def canonical(asked: Sequence[str]) -> tuple[str, ...]:
    """Names as they are kept: each once, "all" alone.

    Raises:
        StudyError: none is named.
    """
    names = tuple(dict.fromkeys(asked))
    if not names:
        raise StudyError(
            "No attack is named.", f'"{ALL}" means every one, an adversary all of theirs. {LISTED}'
        )
    return EVERY_ATTACK if ALL in names else names


def attacks_named(name: str) -> tuple[Attack, ...]:
    """What a name stands for, in the order of the page.

    Args:
        name: of an attack; of an adversary, for all of theirs; or ``ADVERSARY/ATTACK``, for the one
            attack where both have the same name.

    Raises:
        StudyError: there is nothing of that name; the message says what was probably meant.
        PluginError: another package has it, and it cannot be used.
    """
    if _is_family(name):
        return tuple(a for a in all_attacks() if a.info.adversary == name)
    who, _, attack = name.rpartition("/")
    plugins().check(attack)
    known = {a.info.name: a.info.adversary for a in all_attacks()}
    if attack in known and (not who or known[attack] == who):
        return (get_attack(attack),)
    if attack in known and _is_family(who):
        raise StudyError(
            f"{attack} is no attack of {who}.", f"It is {known[attack].value}/{attack}."
        )
    close = difflib.get_close_matches(attack, [*known, *Adversary, ALL], 1)
    raise StudyError(
        f"There is no attack {name!r}.",
        f"Did you mean {str(close[0])!r}?"
        if close
        else f"Adversaries, for all of theirs: {', '.join(Adversary)}. {LISTED}",
    )


def _is_family(name: str) -> bool:
    """Whether a name stands for all attacks of an adversary."""
    return name in list(Adversary)


@dataclass(frozen=True)
class Choice:
    """The attacks of a study.

    Attributes:
        asked: names, see :func:`attacks_named`; "all" alone stands for every attack.
        about: whether devices are trained about each attacked one, as some attacks want.
    """

    asked: tuple[str, ...] = EVERY_ATTACK
    about: bool = False

    def __contains__(self, attack: Attack) -> bool:
        names = self.names
        tried = self.about or not attack.info.chooses
        return tried and (names is None or attack.info.name in names)

    @property
    def names(self) -> frozenset[str] | None:
        """Of the attacks that are run; None: all that there are."""
        if self.asked == EVERY_ATTACK:
            return None
        return frozenset(a.info.name for a in self._named() if self.about or not a.info.chooses)

    def waiting(self) -> list[Attack]:
        """Attacks that were asked for and want devices about each attacked one, if there are none.

        Raises:
            StudyError, PluginError: see :func:`attacks_named`.
        """
        asked = all_attacks() if self.asked == EVERY_ATTACK else self._named()
        return [a for a in asked if a.info.chooses and not self.about]

    def _named(self) -> Iterator[Attack]:
        for name in self.asked:
            yield from attacks_named(name)

    def headline(
        self, adversary: Adversary, policy: OutputPolicy, *, own: bool = True
    ) -> Attack | None:
        """The attack that stands for an adversary here, see :func:`headline_of`.

        Args:
            adversary, policy: which.
            own: whether it is the study's own policy: under others devices are trained about none.
        """
        choosing = [a.info for a in all_attacks() if a.info.chooses]
        idle = [a.name for a in choosing if not (self.about and (own or a.sees_one))]
        return headline_of(adversary, policy, self.names, idle)

    def headlines(self, policy: OutputPolicy) -> list[Attack]:
        """Those of all adversaries who have one."""
        found = (self.headline(adversary, policy) for adversary in Adversary)
        return [attack for attack in found if attack is not None]

    @property
    def has_shadows(self) -> bool:
        """Whether some of them have shadow devices."""
        return self.asked == EVERY_ATTACK or any(
            a.info.knowledge is not None for a in self._named() if a in self
        )

    def check(self, policy: OutputPolicy, depths: Sequence[str]) -> None:
        """Whether something that each name stands for can run.

        Args:
            policy: of the study's own answers: no other reveals more.
            depths: all that are trained.

        Raises:
            StudyError: it cannot; with what to do.
            PluginError: see :func:`attacks_named`.
        """
        for name in self.asked if self.asked != EVERY_ATTACK else ():
            named = attacks_named(name)
            idle = [self._idle(attack.info, policy, depths) for attack in named]
            if not named:
                raise StudyError(f"{name} has no attack.", LISTED)
            if None not in idle:
                said, hint = idle[0] or ("", "")
                raise StudyError(f"{name} {said}.", hint)

    def _idle(
        self, info: AttackInfo, policy: OutputPolicy, depths: Sequence[str]
    ) -> tuple[str, str] | None:
        """Why an attack can never run, and what to do; None: it can."""
        if info.chooses and not self.about:
            return "trains devices about each attacked one, and --about is 0", "Give --about 64."
        if not info.runs_under(policy):
            return (
                f"needs more than {policy.value} answers reveal",
                "Give another --policy, or leave it out of --attacks.",
            )
        if (info.head_only or info.views > 1) and HEAD not in depths:
            return (
                f"works where only the last layer is trained, not {' or '.join(depths)}",
                "Give --train head, or leave it out of --attacks.",
            )
        return None


def weaker_elsewhere(attacks: Sequence[str]) -> list[str]:
    """What stands behind other answers, where devices are trained about each attacked one under
    the study's own alone; empty where that is not so.

    Args:
        attacks: names of those that stand for an adversary, by answer policy, the own one first.
    """
    choosing = {attack.info.name for attack in all_attacks() if attack.info.chooses}
    first, *others = attacks
    return sorted({name for name in others if name} - {first}) if first in choosing else []
