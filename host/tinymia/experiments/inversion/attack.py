"""Inversions of devices: by search among likely windows, and by taking apart what a head learnt.

Fredrikson, Jha, Ristenpart, "Model inversion attacks that exploit confidence information and basic
countermeasures", CCS 2015, section 5 (MIFace); Zhang et al., "The secret revealer: generative
model-inversion attacks against deep neural networks", CVPR 2020 (a prior from public data). That a
trained network is a weighted sum of what its examples pulled: Haim et al., "Reconstructing training
data from trained neural networks", NeurIPS 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.softmax import head_of, probabilities, residuals, with_one
from tinymia.evidence import Codes, Owner, Run, Workbench, untempered
from tinymia.experiments.asking import logs
from tinymia.experiments.inversion.prior import Prior, prior_of, search
from tinymia.experiments.stealing.copying import centred, exactly, likely, odds

Floats = NDArray[np.float64]

WIDE = 16
"""Principal components of a window."""
ROUNDS, EACH = 8, 24
"""Of a search: rounds, and questions a class in each."""
ASKED = 512
"""Public windows that devices are asked about to copy their heads."""
MOST_PEOPLE, MOST_WINDOWS = 20, 3000
"""Public people and windows of theirs that are used."""
_LEAST = 1e-6
"""Of a ridge, where nothing was learnt and its own strength is 0."""
_LATE, _RIDGE = 0.5, 1e-4
"""Where on the way probabilities are taken, and the strength of the ridge: of a few that were tried
on devices of public people, each without their own windows, those that told most."""
_CANCELS = 0.05
"""A class's weights come to nothing where their sum is this part of their sizes, or less."""
_TINY = 1e-9


def crowd(bench: Workbench) -> tuple[Owner, ...]:
    """Public people whom an owner is told from, and whose windows an adversary uses."""
    return tuple(bench.public[:MOST_PEOPLE])


def public_windows(bench: Workbench) -> tuple[Codes, NDArray[np.int64]]:
    """Windows of public people, and their labels; some by lot where there are very many."""
    people = crowd(bench)
    windows = np.concatenate([person.windows for person in people])
    labels = np.concatenate([person.labels for person in people])
    if len(windows) > MOST_WINDOWS:
        order = bench.generator("inversion", "public").permutation(len(windows))
        kept = np.sort(order[:MOST_WINDOWS])
        windows, labels = windows[kept], labels[kept]
    return windows, labels


def public_prior(bench: Workbench) -> Prior:
    """What all public people's windows look like."""
    return prior_of(*public_windows(bench), len(bench.signal.classes), WIDE)


def questions(bench: Workbench) -> Codes:
    """(m, ...) int8, the same for all devices."""
    windows, _ = public_windows(bench)
    order = bench.generator("inversion", "questions").permutation(len(windows))
    return np.asarray(windows[order[:ASKED]])


@dataclass(frozen=True, eq=False)
class Asking:
    """Searches devices side by side.

    Attributes:
        bench, prior: see there.
        run: how devices answer.
        theta: (devices, P) float32.
        seeds: one a device.
    """

    bench: Workbench
    prior: Prior
    run: Run
    theta: NDArray[np.float32]
    seeds: Sequence[int]

    def confidence(self) -> Floats:
        """MIFace: (devices, classes, k), windows of which devices are sure, by their answers."""
        return self._search(lambda z: self._own(logs(self._answers(self.run, self.theta, z))))

    def difference(self) -> Floats:
        """(devices, classes, k): windows of which devices are surer than the base model.

        Weights may be asked at will, so answers are whole, and their log-odds those of the head.
        """
        whole = self.run.whole
        base = self.bench.base(self.run)[None]

        def told(z: Floats) -> Floats:
            own = self._answers(whole, self.theta, z)
            before = self._split(self._say(whole, base, z, (0,))[0], z.shape)
            return self._own(odds(own) - odds(before))

        return self._search(told)

    def _search(self, objective: Callable[[Floats], Floats]) -> Floats:
        rng = self.bench.generator("inversion", "search")
        # The same random numbers for all: devices differ by what they say alone.
        shape = (1, len(self.bench.signal.classes), EACH, self.prior.wide)
        return search(
            objective, lambda: np.repeat(rng.normal(size=shape), len(self.theta), axis=0), ROUNDS
        )

    def _say(
        self, run: Run, theta: NDArray[np.float32], z: Floats, seeds: Sequence[int]
    ) -> NDArray[np.float32]:
        windows = self.prior.codes(np.swapaxes(z, 1, 2).reshape(-1, z.shape[1], z.shape[3]))
        return self.bench.answers(run, theta, windows, seeds)

    def _split(self, answers: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
        devices, classes, each, _ = shape
        return np.swapaxes(answers.reshape(devices, each, classes, -1), 1, 2)

    def _answers(self, run: Run, theta: NDArray[np.float32], z: Floats) -> NDArray[np.float32]:
        """(devices, classes, n, classes): of each device to its own windows."""
        devices, classes, each, _ = z.shape
        said = self._say(run, theta, z, self.seeds)
        said = said.reshape(devices, devices, each, classes, -1)
        own = said[np.arange(devices), np.arange(devices)]
        return np.swapaxes(own, 1, 2)

    @staticmethod
    def _own(values: Floats) -> Floats:
        """(devices, classes, n): of the class that is searched for."""
        classes = np.arange(values.shape[1])
        return np.asarray(values[:, classes, :, classes].transpose(1, 0, 2))


def features(bench: Workbench, run: Run, windows: Codes) -> Floats:
    """(n, d) float64, what the head reads of windows."""
    scale, zero = bench.quantisation(run)
    codes = bench.embed(run, windows).astype(np.float64)
    return np.asarray((codes - zero) * scale)


@dataclass(frozen=True, eq=False)
class Mixture:
    """What a head learnt, as a sum of public windows.

    Each step pulls a head by (y - p) x' of its examples, so its whole change is nearly a weighted
    sum of them, with p between the base model's and the device's. Public windows stand in for the
    owner's: the least weights that explain the change are found by a ridge regression, and the
    weighted mean of each class's windows is what the owner's look like.

    Attributes:
        base: (classes, d + 1) float64, the public head.
        read: (n, d) float64, what the head reads of public windows.
        labels: (n,) int64.
        spread: (d,) float64, above 0: the scale of each of the d.
    """

    base: Floats
    read: Floats
    labels: NDArray[np.int64]
    spread: Floats

    def weights(self, head: Floats) -> Floats:
        """(n,) float64 of a head (classes, d + 1), each class's with sum 1.

        Of a head that did not change they are equal.
        """
        x = with_one(self.read)
        scale = np.append(self.spread, 1.0)
        moved = ((head - self.base) / scale).ravel()
        between = (1 - _LATE) * probabilities(self.base, x) + _LATE * probabilities(head, x)
        pull = -residuals(between, self.labels)
        columns = (pull[:, :, None] * (x / scale)[:, None, :]).reshape(len(x), -1)
        gram = columns.T @ columns
        gram[np.diag_indices_from(gram)] += _RIDGE * np.trace(gram) / len(gram) + _LEAST
        found = columns @ np.linalg.solve(gram, moved)
        sums = np.bincount(self.labels, found, minlength=len(self.base))
        sizes = np.bincount(self.labels, np.abs(found), minlength=len(self.base))
        # A class whose weights nearly cancel, as noise does, says nothing of its mean.
        found[(sums <= _CANCELS * sizes)[self.labels]] = 1.0
        sums = np.bincount(self.labels, found, minlength=len(self.base))
        return np.asarray(found / sums[self.labels])

    def means(self, weights: Floats, values: Floats) -> Floats:
        """(classes, k): each class's weighted mean of (n, k) values of the public windows."""
        found = np.zeros((len(self.base), values.shape[1]))
        for c in range(len(self.base)):
            of = self.labels == c
            found[c] = weights[of] @ values[of] if of.any() else values.mean(axis=0)
        return found


def mixture_of(bench: Workbench, run: Run) -> Mixture:
    """From public people's windows."""
    windows, labels = public_windows(bench)
    read = features(bench, run, windows)
    spread = read.std(axis=0)
    base = head_of(bench.base(run), len(bench.signal.classes))
    return Mixture(base, read, labels, np.where(spread > _TINY, spread, 1.0))


def copies(bench: Workbench, run: Run, answers: NDArray[np.float32]) -> Floats:
    """(devices, classes, d + 1) heads by what devices said to :func:`questions`.

    As model stealing has them (see there): exactly by whole answers, likely ones by others.
    """
    base = head_of(bench.base(run), len(bench.signal.classes))
    read = with_one(features(bench, run, questions(bench)))
    fit = exactly if run.answer.is_exact else likely
    # Rows of a copy have no common part; those of the base head may.
    common = base - centred(base)
    return np.stack([fit(base, read, untempered(said, run.answer)) + common for said in answers])
