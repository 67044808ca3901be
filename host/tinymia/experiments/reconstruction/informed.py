"""Who knows all of a device's windows but one, and how it learns, finds that one from its weights.

The informed adversary of Balle, Cherubin and Hayes (2022), who train a network to reconstruct. Here
the twin trains any number of devices in milliseconds, so the adversary trains the device again with
a guess in the place of the unknown window, sees how the weights move with each of the guess' codes,
and goes on from there (Gauss and Newton). Who has the key, too, ends when the weights are equal in
every bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Codes, Run, Training, Workbench
from tinymia.experiments.gradients.attack import Server
from tinymia.experiments.gradients.lattice import Doubles

_STEP = 2
"""Codes by which a guess is moved to see how the weights do."""
_ROUNDS = 12
_PUBLIC = 256
"""Public windows among which a first guess is looked for, beside class means."""
_WIDER = 3.0
"""Times the covariance over keys: weights do not move in lines. The better of 1 and 3 on plain
devices of the default study, so a little too good there."""
_STUCK = 1e3
"""Caution at which no step is left."""
_TRIED = 9
"""First guesses from which it searches; what is nearest in the end counts."""
_FEW = 4
"""Keys over which that is averaged where the device's is not known."""
_SHRUNK = 0.1
"""Of the covariance of weights over keys, what is taken from its mean variance."""
_PRIVATE = 0.9
"""The same under DP-SGD, whose noise is alike everywhere."""


@dataclass(frozen=True, eq=False)
class Known:
    """What the adversary has of one device.

    Attributes:
        inputs: (members, d) int8, codes that the head reads; the unknown one's row counts for
            nothing.
        labels: (members,) int64; the same.
        place: of the unknown one, in the order in which the device stores its windows.
        theta: (P,) float64, what the device trained.
        seeds: the device's own, or those that the adversary tries.
        exact: whether it is the device's own.
    """

    inputs: Codes
    labels: NDArray[np.int64]
    place: int
    theta: Doubles
    seeds: tuple[int, ...]
    exact: bool


@dataclass(frozen=True, eq=False)
class Informed:
    """The adversary, against devices of one run.

    Attributes:
        server: gives public people and the workbench.
        run: which.
    """

    server: Server
    run: Run

    @property
    def bench(self) -> Workbench:
        """Where devices are trained."""
        return self.server.bench

    @property
    def _is_rough(self) -> bool:
        """Whether weights do not move smoothly with a code, so that search seldom ends."""
        t = self.run.training
        return t.is_private or t.weight_bits > 0 or t.prune > 0

    @property
    def _tried(self) -> int:
        return 2 if self._is_rough else _TRIED

    @property
    def _zero(self) -> int:
        return -128 - self.server.box[0]

    def trained(
        self, known: Known, guesses: Codes, labels: NDArray[np.int64], seeds: tuple[int, ...]
    ) -> Doubles:
        """(guesses, seeds, P): devices that learnt each guess in the unknown one's place."""
        count, place = len(guesses), known.place
        # One store for all: the known ones before the place, every guess, the known ones behind it,
        # so that each device has them in the order of the attacked one.
        windows = np.concatenate([known.inputs[:place], guesses, known.inputs[place + 1 :]])
        told = np.concatenate([known.labels[:place], labels, known.labels[place + 1 :]])
        member = np.ones((count, len(windows)), np.bool_)
        member[:, place : place + count] = np.eye(count, dtype=np.bool_)
        training = Training(
            self.run,
            windows,
            told,
            np.repeat(member, len(seeds), axis=0),
            seeds * count,
            embedded=True,
        )
        theta = self.bench.train(training).theta
        return theta.reshape(count, len(seeds), -1).astype(np.float64)

    def guess(self, label: int) -> Codes:
        """(d,) int8, the public mean of a class."""
        found = np.rint(self.server.prior.mean[label]) + self._zero
        return np.asarray(np.clip(found, -128, 127), np.int8)

    def spread(self, known: Known, seeds: tuple[int, ...]) -> Doubles:
        """(P, P): covariance of weights over keys, of a device that learnt a guess."""
        label = int(np.bincount(known.labels).argmax())
        many = self.trained(known, self.guess(label)[None], np.array([label]), seeds)[0]
        around = np.cov(many.T)
        level = np.trace(around) / len(around)
        share = _PRIVATE if self.run.training.is_private else _SHRUNK
        return np.asarray((1 - share) * around + (share * level + 1e-14) * np.eye(len(around)))

    def find(self, known: Known, spread: Doubles | None) -> tuple[Doubles, int, bool]:
        """The unknown window's input.

        Args:
            known: what there is.
            spread: (P, P), of :meth:`spread`; None where the key is known.

        Returns:
            (d,) codes above the zero point, the label, and whether the weights came out equal.
        """
        codes, labels = self._starts(_PUBLIC if known.exact else 0)
        spread = None if spread is None else _WIDER * spread
        first = self.trained(known, codes, labels, known.seeds).mean(axis=1)
        off = known.theta - first
        if spread is None:
            distance = (off**2).sum(axis=1)
        else:
            distance = (off * np.linalg.solve(spread, off.T).T).sum(axis=1)
        best: tuple[float, Doubles, int] = (np.inf, np.zeros(codes.shape[1]), 0)
        order = np.argsort(distance, kind="stable")
        if known.exact:  # class means first: in the middle, few ways are closed
            order = np.concatenate([order[order < self.server.classes], order])
        for at in order[: self._tried]:
            start, label = codes[at].astype(np.int64), int(labels[at])
            cost, found = self._descend(known, spread, label, start)
            if cost < best[0]:
                best = cost, self._above(found), label
            if cost == 0.0:
                break
        return best[1], best[2], best[0] == 0.0

    def _starts(self, public: int) -> tuple[Codes, NDArray[np.int64]]:
        """Class means, and some public windows: codes (n, d) and labels."""
        classes = self.server.classes
        codes = np.stack([self.guess(c) for c in range(classes)])
        inputs, labels = self.server.public_inputs
        some = np.linspace(0, len(inputs) - 1, min(public, len(inputs))).astype(np.int64)
        more = np.clip(inputs[some] + self._zero, -128, 127).astype(np.int8)
        return np.concatenate([codes, more]), np.concatenate([np.arange(classes), labels[some]])

    def _descend(
        self, known: Known, spread: Doubles | None, label: int, start: NDArray[np.int64]
    ) -> tuple[float, NDArray[np.int64]]:
        """Codes from a first guess on, and what is left; 0.0: the weights are equal."""
        mean, covariance = self.server.prior.mean[label], self.server.prior.covariance[label]
        private = self.run.training.is_private
        seeds = known.seeds if known.exact else known.seeds[: 1 if private else _FEW]
        inverse = None if spread is None else np.linalg.inv(spread)
        cautious, best, least = 0.3, start, np.inf
        now, at_best = start, None
        rounds = _ROUNDS // 2 if self._is_rough else _ROUNDS
        for _ in range(rounds if known.exact else 1 if private else 3):
            moved = np.repeat(now[None], len(now) + 1, axis=0)
            step = np.where(now + _STEP > 127, -_STEP, _STEP)
            moved[np.arange(1, len(now) + 1), np.arange(len(now))] += step
            labels = np.full(len(moved), label)
            theta = self.trained(known, moved.astype(np.int8), labels, seeds).mean(axis=1)
            off = known.theta - theta[0]
            if not off.any():
                return 0.0, now
            cost = float((off**2).sum())
            if inverse is not None:
                away = now - self._zero - mean
                cost = float(off @ inverse @ off + away @ np.linalg.solve(covariance, away))
            if cost < least:
                best, least, cautious = now, cost, cautious * 0.3
                at_best = off, ((theta[1:] - theta[0]) / step[:, None]).T  # (P, d)
            else:
                cautious *= 6.0
                if cautious > _STUCK:
                    break
            assert at_best is not None
            off, slope = at_best
            noise = cautious**2 * float((off**2).mean()) * np.eye(len(off))
            if spread is not None:
                noise = spread
            ahead = off + slope @ (best - self._zero - mean)
            if spread is None:  # from where it stands, not from the public mean
                ahead = off
            through = slope @ covariance
            gain = through.T @ np.linalg.solve(through @ slope.T + noise, ahead)
            found = gain + (best if spread is None else mean + self._zero)
            after = np.clip(np.rint(found), -128, 127).astype(np.int64)
            if (after == now).all():
                break
            now = after
        return least, best

    def _above(self, codes: NDArray[np.int64]) -> Doubles:
        return np.asarray(codes - self._zero, np.float64)

    def pick(self, known: Known, spread: Doubles, guesses: Codes, labels: NDArray[np.int64]) -> int:
        """Which of some windows is the unknown one."""
        theta = self.trained(known, guesses, labels, known.seeds).mean(axis=1)
        off = known.theta - theta
        return int((off * np.linalg.solve(spread, off.T).T).sum(axis=1).argmin())
