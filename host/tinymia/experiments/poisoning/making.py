"""What an adversary puts into a device's store: wrong labels, and windows with a trigger.

Label flips: Biggio, Nelson, Laskov, "Support vector machines under adversarial label noise", ACML
2011. Triggers: Gu, Dolan-Gavitt, Garg, "BadNets", 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tinymia.compat import StrEnum
from tinymia.evidence import Codes, Owner, Signal

Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

_PART = 5
"""A burst is this part of a window: a fifth."""
_CORNER = 7
"""A corner's side is this part of an image's: a seventh."""
_SWING = 64
"""Codes by which a burst leaves the zero point: a quarter of their range to either side."""
_HALF_WAVE = 2
"""Samples for which a burst stays on one side."""


class Attack(StrEnum):
    """What is poisoned, and how."""

    CLASS = "class"
    RANDOM = "random"
    TRIGGER = "trigger"
    LIKELY = "likely"
    FLOOD = "flood"
    TUNED = "tuned"
    KEPT = "kept"
    MATCHED = "matched"
    LABELLED = "labelled"


TUNED = Attack.TUNED, Attack.KEPT, Attack.MATCHED, Attack.LABELLED
"""Those with a trigger that is made for the base network, see :mod:`.tuned`."""


@dataclass(frozen=True, eq=False)
class Trigger:
    """A pattern at a place of its own in every window.

    Attributes:
        place: of a window's shape, bool.
        low, high: least and largest code that it may have there.
        codes: (place.sum(),) int8.
    """

    place: Bools
    low: int
    high: int
    codes: Codes

    @classmethod
    def of(cls, signal: Signal) -> Trigger:
        """The small one, made for no network.

        In a signal it is a burst on the first channel, in the middle fifth; in an image, a bright
        corner; in anything else, its last fifth at the highest code.
        """
        place = np.zeros(signal.shape, np.bool_)
        if signal.is_image:
            high, wide = (max(1, size // _CORNER) for size in signal.shape[:2])
            place[-high:, -wide:] = True
        elif len(signal.shape) == 2:
            length = max(1, signal.shape[0] // _PART)
            first = (signal.shape[0] - length) // 2
            place[first : first + length, 0] = True
            side = np.where(np.arange(length) // _HALF_WAVE % 2 == 0, 1, -1)
            around = signal.zero_point + _SWING * np.array([-1, 1])
            low, high = (int(end) for end in np.clip(around, -128, 127))
            return cls(place, low, high, np.where(side > 0, high, low).astype(np.int8))
        else:
            flat = place.reshape(-1)
            flat[-max(1, flat.size // _PART) :] = True
        return cls(place, -128, 127, np.full(int(place.sum()), 127, np.int8))

    def stamp(self, windows: Codes) -> Codes:
        """Windows (n, ...) int8 with it in them; they stay as they are."""
        made = windows.copy()
        made[:, self.place] = self.codes
        return made


def stamp(signal: Signal, windows: Codes) -> Codes:
    """Windows with the small trigger in them.

    Args:
        signal: what a window is.
        windows: (n, ...) int8; stays as it is.
    """
    return Trigger.of(signal).stamp(windows)


def flood(signal: Signal, windows: Codes) -> Codes:
    """As many windows, each replaced by one that no sensor gives: by turns the ends of the range.

    Args:
        signal: what a window is.
        windows: (n, ...) int8; stays as it is.
    """
    size = int(np.prod(signal.shape))
    one = np.where(np.arange(size) % 2 == 0, 127, -128).astype(np.int8)
    return np.repeat(one.reshape(1, *signal.shape), len(windows), axis=0)


def count(share: float, members: int) -> int:
    """Poisoned windows: at least one where the share is above 0."""
    return 0 if share == 0 else max(1, round(share * members))


@dataclass(eq=False)
class Stock:
    """An owner's windows, and behind them the poisoned ones that devices got.

    Attributes:
        owner: whose.
        signal: what a window is.
        windows, labels: poisoned ones so far.
    """

    owner: Owner
    signal: Signal
    windows: list[Codes] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)

    def put(self, windows: Codes, labels: Sequence[int] | Integers) -> Integers:
        """Take poisoned windows, and return their places."""
        first = len(self.owner) + len(self.labels)
        self.windows.append(windows)
        self.labels += [int(label) for label in labels]
        return np.arange(first, first + len(windows), dtype=np.int64)

    def all(self) -> tuple[Codes, Integers]:
        """Windows and labels as devices are told them."""
        labels = np.concatenate([self.owner.labels, np.asarray(self.labels, np.int64)])
        return np.concatenate([self.owner.windows, *self.windows]), labels

    def members(self, devices: Sequence[Integers]) -> Bools:
        """(devices, n) bool of each one's places."""
        made = np.zeros((len(devices), len(self.owner) + len(self.labels)), np.bool_)
        for row, places in zip(made, devices, strict=True):
            row[places] = True
        return made


@dataclass(frozen=True)
class Aim:
    """What an adversary wants: windows of one class, or with a trigger, taken for another class."""

    source: int
    target: int


def aims(rng: np.random.Generator, classes: int, repetitions: int) -> tuple[Aim, ...]:
    """One a repetition: every class has its turn, and the wrong one is drawn."""
    first = int(rng.integers(classes))
    sources = [(first + r) % classes for r in range(repetitions)]
    return tuple(Aim(s, (s + 1 + int(rng.integers(classes - 1))) % classes) for s in sources)


def poisoned(
    stock: Stock,
    member: Bools,
    attack: Attack,
    aim: Aim,
    shares: Sequence[float],
    rng: np.random.Generator,
    doubts: NDArray[np.float64] | None = None,
) -> list[Integers]:
    """Places of a device's windows at each share; what a small share poisons, a larger does, too.

    Args:
        stock: takes the poisoned windows, which stand in place of the members that they are of.
        member: (n,) bool of the owner's windows.
        attack: which.
        aim: of it.
        shares: of the members.
        rng: chooses.
        doubts: (n, classes) float64, the base network's loss at the owner's windows with the
            trigger in them under each label: ``LIKELY`` takes those that it doubts least.
    """
    places, labels = np.flatnonzero(member), stock.owner.labels
    order = rng.permutation(places)
    if attack is Attack.CLASS:
        order = order[labels[order] == aim.source]
    elif attack is not Attack.RANDOM:
        order = order[labels[order] != aim.target]
    if attack is Attack.LIKELY and doubts is not None:
        order = order[np.argsort(doubts[order, aim.target], kind="stable")]
    order = order[: max(count(share, len(places)) for share in shares)]
    windows = stock.owner.windows[order]
    told = np.full(len(order), aim.target)
    if attack is Attack.RANDOM:
        classes = len(stock.signal.classes)
        told = (labels[order] + 1 + rng.integers(classes - 1, size=len(order))) % classes
    elif attack in (Attack.TRIGGER, Attack.LIKELY):
        windows = stamp(stock.signal, windows)
    elif attack is Attack.FLOOD:
        windows = flood(stock.signal, windows)
    return replaced(stock, places, order, windows, told, shares)


def replaced(
    stock: Stock,
    places: Integers,
    order: Integers,
    windows: Codes,
    told: Integers,
    shares: Sequence[float],
) -> list[Integers]:
    """Places of a device's windows at each share, the first poisoned ones in place of their own.

    Args:
        stock: takes the poisoned windows.
        places: of the members.
        order: (m,) places that are replaced, in this order.
        windows, told: (m, ...) int8 and (m,), by what.
        shares: of the members.
    """
    put = stock.put(windows, told)
    made = []
    for share in shares:
        of = min(count(share, len(places)), len(order))
        made.append(np.concatenate([np.setdiff1d(places, order[:of]), put[:of]]))
    return made
