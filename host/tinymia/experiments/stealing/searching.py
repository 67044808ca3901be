"""A head from labels alone, by one who chooses the windows: places on boundaries, found by halving.

Lowd and Meek, "Adversarial learning", KDD 2005 (a linear classifier by line searches between two
points that are labelled differently); Tramer et al., USENIX Security 2016, section 6 (several
classes, adaptive retraining). Each place where two classes meet is one linear equation on the head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Codes
from tinymia.experiments.stealing.copying import centred, likely
from tinymia.experiments.stealing.streams import blends

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Front = Callable[[Codes], Floats]
"""(m, ...) windows to (m, d + 1), what the head reads, and a 1: public."""
Ask = Callable[[Sequence[Codes]], list[Integers]]
"""The windows of each device to their labels."""

FIRST = 256
"""Public windows whose labels are asked first; searches go on between them."""
_STEPS = 6
"""Questions of a search: two around where the copy so far has the boundary, then halvings."""
_AROUND = 0.04
_LOOKED = 16
"""Places on a line at which the copy so far is looked at."""
_LOOSE = 1e-3
"""Strength of the pull to the head that labels of public windows make likely, by the equations'
scale: of four that were tried on two devices of one audited person, the best one."""


@dataclass(eq=False)
class Search:
    """What is known of one device's head.

    Attributes:
        base: (classes, d + 1) float64, the public head.
        windows: (n, ...) int8, public ones, in the order in which labels are asked.
        front: what the head reads of windows.
        rng: draws which lines are searched.
        copy: (classes, d + 1) float64, rows centred: the head as far as it is known.
        stream: every window that was asked, in order.
    """

    base: Floats
    windows: Codes
    front: Front
    rng: np.random.Generator
    copy: Floats = field(init=False)
    stream: list[Codes] = field(default_factory=list)
    _origin: Floats = field(init=False)
    _labels: Integers = field(init=False)
    _places: list[Floats] = field(default_factory=list)
    _apart: list[Floats] = field(default_factory=list)
    _classes: list[Integers] = field(default_factory=list)

    @property
    def asked(self) -> int:
        """Questions so far."""
        return sum(map(len, self.stream))

    def start(self, labels: Integers) -> None:
        """Take in the labels of the first public windows."""
        self._labels = labels
        shown = np.eye(len(self.base), dtype=np.float32)[labels]
        self._origin = likely(self.base, self.front(self.windows[: len(labels)]), shown)
        self.copy = self._origin

    def learn(self, low: Floats, high: Floats, one: Integers, other: Integers) -> None:
        """Take in boundaries between places that lie close together.

        Args:
            low, high: (m, d + 1), on this side and on that.
            one, other: (m,), the classes there.
        """
        self._places.append((low + high) / 2)
        self._apart.append(np.linalg.norm(high - low, axis=1))
        self._classes.append(np.stack([one, other], axis=1))
        self.copy = solved(
            self._origin,
            np.concatenate(self._places),
            np.concatenate(self._apart),
            np.concatenate(self._classes),
        )

    def lines(self, count: int) -> tuple[Floats, Floats, Integers, Integers]:
        """So many pairs of windows with different labels: windows as float64, and their labels."""
        labels = self._labels
        pairs = np.argwhere(labels[:, None] != labels)
        if not len(pairs):
            pairs = np.zeros((0, 2), np.int64)
        else:
            pairs = pairs[self.rng.integers(len(pairs), size=count)]
        ends = self.windows[pairs].astype(np.float64)
        return ends[:, 0], ends[:, 1], labels[pairs[:, 0]], labels[pairs[:, 1]]

    def guess(self, here: Floats, there: Floats, mine: Integers) -> Floats:
        """(m,) how far on the way the copy leaves the first window's class."""
        parts = (np.arange(_LOOKED) + 0.5) / _LOOKED
        shape = (len(here), _LOOKED, *here.shape[1:])
        along = blends(
            np.broadcast_to(here[:, None], shape).reshape(-1, *here.shape[1:]),
            np.broadcast_to(there[:, None], shape).reshape(-1, *here.shape[1:]),
            np.tile(parts, len(here)),
        )
        named = (self.front(along) @ self.copy.T).argmax(axis=1).reshape(len(here), _LOOKED)
        left = named != mine[:, None]
        return np.where(left.any(axis=1), left.argmax(axis=1) / _LOOKED, 0.5)


def widen(searches: Sequence[Search], ask: Ask, budget: int) -> None:
    """Search on until each device has been asked so many questions, or nearly.

    Args:
        searches: one a device.
        ask: the devices.
        budget: questions, those of before included.
    """
    if searches[0].asked == 0:
        first = [s.windows[: min(FIRST, budget)] for s in searches]
        for search, some, labels in zip(searches, first, ask(first), strict=True):
            search.stream.append(some)
            search.start(labels)
    # One that names a single class has nothing to search between, and asks no more.
    counts = [max(0, budget - s.asked) // _STEPS for s in searches]
    if not any(counts):
        return
    drawn = [s.lines(count) for s, count in zip(searches, counts, strict=True)]
    low = [np.zeros(len(d[0])) for d in drawn]
    high = [np.ones(len(d[0])) for d in drawn]
    near = [s.guess(d[0], d[1], d[2]) for s, d in zip(searches, drawn, strict=True)]
    beyond = [d[3].copy() for d in drawn]
    for step in range(_STEPS):
        at = []
        for from_, to, place in zip(low, high, near, strict=True):
            side = place + (_AROUND if step else -_AROUND)
            inside = (side > from_) & (side < to) & (step < 2)
            at.append(np.where(inside, side, (from_ + to) / 2))
        windows = [blends(d[0], d[1], a) for d, a in zip(drawn, at, strict=True)]
        for i, named in enumerate(ask(windows)):
            stays = named == drawn[i][2]
            low[i] = np.where(stays, at[i], low[i])
            high[i] = np.where(stays, high[i], at[i])
            beyond[i] = np.where(stays, beyond[i], named)
            searches[i].stream.append(windows[i])
    for i, (search, d) in enumerate(zip(searches, drawn, strict=True)):
        if len(d[0]):
            ends = [search.front(blends(d[0], d[1], part)) for part in (low[i], high[i])]
            search.learn(ends[0], ends[1], d[2], beyond[i])


def solved(origin: Floats, places: Floats, apart: Floats, classes: Integers) -> Floats:
    """The head that has boundaries at places, nearest to another head where several have.

    At a place x between classes i and j, (w_i - w_j) x = 0, as exactly as x is known. That leaves
    the scale of a head open, which the other head supplies.

    Args:
        origin: (classes, d + 1) float64, the other head.
        places: (m, d + 1) float64.
        apart: (m,) float64, how far apart the two are between which each place lies.
        classes: (m, 2) int64, which meet there.

    Returns:
        (classes, d + 1) float64, rows centred.
    """
    start = centred(origin)
    m, wide = places.shape
    if not m:  # one class was all that was ever named
        return start
    rows = np.zeros((m, *start.shape))
    every = np.arange(m)
    rows[every, classes[:, 0]] = places
    rows[every, classes[:, 1]] = -places
    lacks = -((start[classes[:, 0]] - start[classes[:, 1]]) * places).sum(axis=1)
    # How far logits may be from each other at a place, by the width of what it lies in.
    steep = np.linalg.norm(start[:, :-1] - start[:, :-1].mean(axis=0)) / np.sqrt(len(start))
    doubt = steep * apart + 1e-3 * np.abs(places).max()
    flat = rows.reshape(m, -1) / doubt[:, None]
    gram = flat @ flat.T
    pull = _LOOSE * np.trace(gram) / m
    weights = np.linalg.solve(gram + pull * np.eye(m), lacks / doubt)
    return centred(start + (flat.T @ weights).reshape(start.shape[0], wide))
