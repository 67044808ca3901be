"""Which strength of a defence an audit compares: chosen on other people, by a rule.

A defence must not be judged at a guess, nor at what looks best on those who are audited: taking the
best of several there would report the luck of that choice. So strengths are tried on devices of
people who are not audited, and the rule below reads nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinymia.attacks.base import Adversary

VERSION = 1


@dataclass(frozen=True)
class Attacked:
    """One attack on the devices of a strength: whose it is, and its AUC, mean over devices."""

    attack: str
    adversary: Adversary
    auc: float


@dataclass(frozen=True)
class Tried:
    """A defence at one strength, or plain fine-tuning.

    Attributes:
        defence: name of the kind; "" for plain fine-tuning.
        short: for people.
        parameter: key of what is its strength; "" for plain fine-tuning.
        value: of that.
        attacks: that could run, each with its AUC.
        heldout: accuracy on windows that are no members, mean over devices.
        devices: how many were trained and attacked.
    """

    defence: str
    short: str
    parameter: str
    value: float
    attacks: tuple[Attacked, ...]
    heldout: float
    devices: int

    @property
    def leakage(self) -> float:
        """The greatest AUC of its attacks; 0.5 is guessing, and nobody does worse."""
        return max((0.5, *(found.auc for found in self.attacks)))

    @property
    def ranks(self) -> tuple[int, ...]:
        """Each adversary's best AUC in hundredths, the greatest first: how strengths are compared.

        A joint decoder finds all members whatever a weak defence does; so many strengths are equal
        to it, and the next adversary tells them apart.
        """
        best = dict.fromkeys((a.adversary for a in self.attacks), 50)
        for found in self.attacks:
            best[found.adversary] = max(best[found.adversary], round(100 * found.auc))
        return tuple(sorted(best.values(), reverse=True))


@dataclass(frozen=True)
class Chosen:
    """What the rule takes.

    Attributes:
        defence, parameter, value: see :class:`Tried`.
        within: whether it loses no more accuracy than is allowed; none does where this is False.
    """

    defence: str
    parameter: str
    value: float
    within: bool


@dataclass(frozen=True)
class TuningFinding:
    """Strengths on people who are not audited.

    Attributes:
        version: of this type.
        people: whose devices were attacked.
        seen: those of them on whom the base model was trained.
        repetitions: draws of members a person.
        shadows, dear_shadows: shadow devices a person and strength.
        most_lost: share of accuracy that a strength may lose against no defence.
        base: accuracy of the base model.
        plain: fine-tuning without a defence.
        tried: every strength, defence by defence.
        chosen: of each defence.
        kept: defences that were not tuned, as their strength was given.
    """

    version: int
    people: tuple[str, ...]
    seen: tuple[str, ...]
    repetitions: int
    shadows: int
    dear_shadows: int
    most_lost: float
    base: float
    plain: Tried
    tried: tuple[Tried, ...]
    chosen: tuple[Chosen, ...]
    kept: tuple[str, ...] = ()

    def of(self, defence: str) -> list[Tried]:
        """The strengths of one defence."""
        return [row for row in self.tried if row.defence == defence]


def choose(plain: Tried, tried: Sequence[Tried], most_lost: float) -> Chosen:
    """The strength that leaks least among those that lose at most so much accuracy.

    Leakage is the AUC of the attack that is best against a strength, in hundredths; of equals the
    next adversary's best counts, then accuracy. Where no strength loses so little, it is the one
    that loses least.

    Args:
        plain: fine-tuning without a defence, of the same people and members.
        tried: strengths of one defence, at least one.
        most_lost: share of accuracy.
    """
    # Rounded: accuracies are counts over counts, and 0.88 - 0.86 is above 0.02.
    allowed = [row for row in tried if round(plain.heldout - row.heldout, 9) <= most_lost]
    if allowed:
        best = min(allowed, key=lambda row: (row.ranks, -row.heldout))
    else:
        best = min(tried, key=lambda row: (-row.heldout, row.ranks))
    return Chosen(best.defence, best.parameter, best.value, bool(allowed))
