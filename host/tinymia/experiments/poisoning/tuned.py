"""Poison that is made against the device's own screening, by one who holds the base network.

What the screening leaves out is what the base network doubts. So the trigger is made for that
network: of the small trigger's place and amplitude the pattern that makes public people's windows
most likely under the adversary's label (an adversarial patch; Brown et al., 2017), by coordinates,
since the codes are whole and the front is int8. It goes into windows at random, or into those that
are doubted least with it. Or these change everywhere by a few codes too: a window is moved until
the screening keeps it, and there in the direction in which its gradient is most like that which the
adversary wants (Geiping et al., "Witches' brew", ICLR 2021). Or windows of the wanted class keep
their right label, and change likewise (Turner, Tsipras, Madry, "Label-consistent backdoor attacks",
2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Codes, Run, Workbench
from tinymia.experiments.gradients.network import Network
from tinymia.experiments.poisoning.making import (
    Aim,
    Attack,
    Bools,
    Integers,
    Stock,
    Trigger,
    count,
    replaced,
)

Floats = NDArray[np.float64]

CHANGE = 4
"""Codes by which a window may change beside the trigger: a sixteenth of the trigger's own. More
would make it a window of the wanted class, from which nothing of the trigger is learnt."""
_SHOWN = 64
"""Public windows by which a trigger is made."""
_TRIED, _ROUNDS, _MOST_TURNS = 60, 3, 64
"""Patterns at random; rounds over coordinates after that; coordinates of a round."""
_AIMED = 200
"""Public windows whose gradient the adversary wants."""
_STEPS = 6
_PACE = 2.5
"""All steps together may go so many times as far as a window may."""
_MOVED = 1e-3
"""By how much parameters are moved to either side, as a part of their length."""
_GIVEN_UP = 3
"""One in so many of what the screening takes may be poison: the others may be doubted more then."""


def doubts(bench: Workbench, run: Run, windows: Codes) -> Floats:
    """(m, classes) float64: the base network's loss at windows under each label."""
    known = bench.answers(run.whole, bench.base(run)[None], windows, (0,))[0]
    likely = np.maximum(known.astype(np.float64), np.finfo(np.float32).tiny)
    return np.asarray(-np.log(likely), np.float64)


@dataclass(frozen=True, eq=False)
class Front:
    """The network from a window's codes on, whose slopes are known.

    Attributes:
        network: all that could be trained.
        theta: (P,).
        head: how many of them, the last, devices train.
        scale, zero_point: of a window's codes.
    """

    network: Network
    theta: Floats
    head: int
    scale: float
    zero_point: int

    def gradients(self, theta: Floats, windows: Floats, target: int) -> tuple[Floats, Floats]:
        """Of each window's loss under a label, for the head (n, head) and the window (n, ...)."""
        read = ((windows - self.zero_point) * self.scale).reshape(len(windows), -1)
        told = np.full(len(windows), target)
        for_theta, for_read = self.network.gradients(theta[None], read, told)
        return for_theta[:, -self.head :], for_read.reshape(windows.shape)

    def along(self, direction: Floats, windows: Floats, target: int) -> Floats:
        """(n, ...), how a gradient's product with a direction (head,) changes with the window.

        It is the slope of the loss along the direction (Pearlmutter 1994).
        """
        moved = np.zeros_like(self.theta)
        moved[-self.head :] = _MOVED * np.linalg.norm(self.theta) * direction
        ahead, behind = (
            self.gradients(theta, windows, target)[1]
            for theta in (self.theta + moved, self.theta - moved)
        )
        return np.asarray(ahead - behind)


@dataclass(frozen=True, eq=False)
class Tuner:
    """Who makes poison against a screening.

    Attributes:
        bench: gives the base network and public people.
        run: plain fine-tuning.
        screen: per cent that devices leave out.
    """

    bench: Workbench
    run: Run
    screen: int

    @cached_property
    def _known(self) -> tuple[Codes, Integers]:
        """Windows and labels of public people; of the owners where there are none."""
        people = self.bench.public or self.bench.owners
        windows = np.concatenate([p.windows for p in people])
        return windows, np.concatenate([p.labels for p in people])

    @cached_property
    def _triggers(self) -> dict[int, Trigger]:
        return {}

    @cached_property
    def front(self) -> Front | None:
        """None where the front is no network whose slopes are known."""
        deep = self.bench.deeper("all")
        if not deep or not Network.takes(self.bench.stages(deep[0])):
            return None
        stages = self.bench.stages(deep[0])
        if int(np.prod(stages[0].inputs)) != int(np.prod(self.bench.signal.shape)):
            return None
        theta = self.bench.base(deep[0]).astype(np.float64)
        head = stages[-1].weights + stages[-1].biases
        return Front(Network(stages), theta, head, *self.bench.quantisation(deep[0]))

    def trigger(self, target: int) -> Trigger:
        """That by which public people's windows look most like a class."""
        if target not in self._triggers:
            self._triggers[target] = self._made(target)
        return self._triggers[target]

    def _others(self, target: int, most: int, *purpose: str) -> tuple[Codes, np.random.Generator]:
        """So many public windows of other classes."""
        rng = self.bench.generator("poisoning", *purpose, target)
        windows, labels = self._known
        of = np.flatnonzero(labels != target)
        return windows[rng.permutation(of)[:most]], rng

    def _made(self, target: int) -> Trigger:
        plain = Trigger.of(self.bench.signal)
        windows, rng = self._others(target, _SHOWN, "trigger")
        if not len(windows):
            return plain
        levels = np.array([plain.low, (plain.low + plain.high) // 2, plain.high], np.int8)

        def cost(patterns: Codes) -> Floats:
            stamped = [replace(plain, codes=codes).stamp(windows) for codes in patterns]
            found = doubts(self.bench, self.run, np.concatenate(stamped))[:, target]
            return np.asarray(found.reshape(len(patterns), -1).mean(axis=1))

        drawn = rng.choice(levels, (_TRIED, len(plain.codes)))
        tried = np.concatenate([plain.codes[None], drawn])
        costs = cost(tried)
        best, least = tried[costs.argmin()], float(costs.min())
        for _ in range(_ROUNDS):
            before = least
            for place in rng.permutation(len(best))[:_MOST_TURNS]:
                tried = np.repeat(best[None], len(levels), axis=0)
                tried[:, place] = levels
                costs = cost(tried)
                if costs.min() < least:
                    best, least = tried[costs.argmin()], float(costs.min())
            if least == before:
                break
        return replace(plain, codes=best)

    def poisoned(
        self,
        stock: Stock,
        member: Bools,
        attack: Attack,
        aim: Aim,
        shares: Sequence[float],
        rng: np.random.Generator,
    ) -> list[Integers]:
        """See :func:`tinymia.experiments.poisoning.making.poisoned`."""
        owner, trigger = stock.owner, self.trigger(aim.target)
        places = np.flatnonzero(member)
        most = max(count(share, len(places)) for share in shares)
        own = owner.labels[places] == aim.target
        order = rng.permutation(places[own if attack is Attack.LABELLED else ~own])
        windows = trigger.stamp(owner.windows[order])
        if attack is not Attack.TUNED:
            losses = doubts(self.bench, self.run, windows)[:, aim.target]
            likely = np.argsort(losses, kind="stable")
            order, windows = order[likely], windows[likely]
        order, windows = order[:most], windows[:most]
        if attack in (Attack.MATCHED, Attack.LABELLED) and len(order):
            limit = self._limit(owner.windows[places], owner.labels[places])
            windows = self._matched(windows, trigger, aim.target, limit)
        told = np.full(len(order), aim.target, np.int64)
        return replaced(stock, places, order, windows, told, shares)

    def _limit(self, windows: Codes, labels: Integers) -> float:
        """The loss below which a device keeps most of what is put beside some windows."""
        own = np.sort(doubts(self.bench, self.run, windows)[np.arange(len(labels)), labels])[::-1]
        quota = len(own) * self.screen // 100
        return float(own[max(0, quota - quota // _GIVEN_UP - 1)])

    def _matched(self, windows: Codes, trigger: Trigger, target: int, limit: float) -> Codes:
        """Windows that changed by a few codes: kept, and pulling as the adversary would."""
        front = self.front
        if front is None:
            return windows
        first = windows.astype(np.float64)
        far = np.where(trigger.place, 0.0, CHANGE)
        low, high = np.maximum(first - far, -128), np.minimum(first + far, 127)
        wanted = self._wanted(front, trigger, target)
        now, best = first, first
        most = np.full(len(windows), -np.inf)
        for step in range(_STEPS + 1):
            codes = np.rint(now)
            losses = doubts(self.bench, self.run, codes.astype(np.int8))[:, target]
            for_head, for_window = front.gradients(front.theta, codes, target)
            # Kept first, of those the one whose pull is most like what is wanted.
            kept = losses < limit
            score = np.where(kept, for_head @ wanted, -1e9 - losses)
            better = score > most
            best = np.where(_of(better, best), codes, best)
            most = np.maximum(most, score)
            if step < _STEPS:
                along = front.along(wanted, codes, target)
                way = np.where(_of(kept, along), np.sign(along), -np.sign(for_window))
                now = np.clip(now + _PACE * CHANGE / _STEPS * way, low, high)
        return np.asarray(best, np.int8)

    def _wanted(self, front: Front, trigger: Trigger, target: int) -> Floats:
        """(head,), the mean gradient of public windows with the trigger, at length 1."""
        windows, _ = self._others(target, _AIMED, "gradient")
        stamped = trigger.stamp(windows).astype(np.float64)
        mean = front.gradients(front.theta, stamped, target)[0].mean(axis=0)
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-300))


def _of(windows: Bools, like: Floats) -> Bools:
    """(n,) of windows, as an array that goes with (n, ...)."""
    return windows.reshape(-1, *(1,) * (like.ndim - 1))
