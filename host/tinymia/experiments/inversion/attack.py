"""Four inversions of devices: by search and by a learnt inverse, from answers and from weights.

Fredrikson, Jha, Ristenpart, "Model inversion attacks that exploit confidence information and
basic countermeasures", CCS 2015, section 5 (MIFace); Yang et al., "Neural network inversion in
adversarial setting via background knowledge alignment", CCS 2019 (an inverse learnt on the own
data); Balle, Cherubin, Hayes, S&P 2022, section 4 (the same from weights, on shadow models).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.ridge import Ridge, ridge
from tinymia.evidence import Codes, Run, Training, Workbench
from tinymia.experiments.inversion.prior import Prior, prior_of, search

Floats = NDArray[np.float64]

WIDE = 16
"""Principal components of a window."""
ROUNDS, EACH = 8, 24
"""Of a search: rounds, and questions a class in each."""
ASKED = 120
"""Public windows that devices are asked about for the learnt inverse."""
SHADOWS = 240
"""Devices of public people on which it is learnt."""
_LEAST = 1e-6
"""Least probability that is told apart from 0."""


def public_windows(bench: Workbench) -> tuple[Codes, NDArray[np.int64]]:
    """All windows of public people, and their labels."""
    windows = np.concatenate([person.windows for person in bench.public])
    return windows, np.concatenate([person.labels for person in bench.public])


def public_prior(bench: Workbench) -> Prior:
    """What all public people's windows look like."""
    return prior_of(*public_windows(bench), len(bench.signal.classes), WIDE)


def questions(bench: Workbench) -> Codes:
    """(m, ...) int8, the same for all devices."""
    windows, _ = public_windows(bench)
    order = bench.generator("inversion", "questions").permutation(len(windows))
    return np.asarray(windows[order[:ASKED]])


def logs(answers: NDArray[np.float32]) -> Floats:
    """Log-probabilities of answers; what is hidden is as little as can be told."""
    shown = np.nan_to_num(answers.astype(np.float64), nan=0.0)
    return np.log(np.maximum(shown, _LEAST))


@dataclass(frozen=True, eq=False)
class Asking:
    """Searches devices side by side.

    Attributes:
        bench, prior: see there.
        run: how devices answer.
        theta: (devices, P) float32.
        seeds: one a device.
        lots: (devices,) which random numbers each device's search has; devices that share them
            differ by what they say alone.
    """

    bench: Workbench
    prior: Prior
    run: Run
    theta: NDArray[np.float32]
    seeds: Sequence[int]
    lots: NDArray[np.int64]

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
        count = len(np.unique(self.lots))
        shape = (count, len(self.bench.signal.classes), EACH, self.prior.wide)
        return search(objective, lambda: rng.normal(size=shape)[self.lots], ROUNDS)

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


def odds(answers: NDArray[np.float32]) -> Floats:
    """Log-probabilities less their mean: what a head is linear in."""
    said = np.log(np.maximum(answers.astype(np.float64), 1e-30))
    return np.asarray(said - said.mean(axis=-1, keepdims=True))


@dataclass(frozen=True, eq=False)
class Inverse:
    """A linear regression from what is seen of a device to the means of what it learnt.

    Attributes:
        mean, scale: (p,), of what is seen.
        fitted: on shadow devices.
        offset: (classes * k,) mean of what is sought.
        shape: (classes, k).
    """

    mean: Floats
    scale: Floats
    fitted: Ridge
    offset: Floats
    shape: tuple[int, int]

    def __call__(self, seen: Floats) -> Floats:
        """(devices, classes, k) of (devices, p)."""
        found = self.fitted.decode((seen - self.mean) / self.scale) + self.offset
        return np.asarray(found.reshape(-1, *self.shape))


def learn(seen: Floats, sought: Floats) -> Inverse:
    """An inverse from shadow devices.

    Args:
        seen: (shadows, p).
        sought: (shadows, classes, k).
    """
    mean, scale = seen.mean(axis=0), seen.std(axis=0)
    scale[scale < _LEAST] = np.inf  # the same on all devices, so it tells nothing
    flat = sought.reshape(len(sought), -1)
    fitted = ridge((seen - mean) / scale, flat)
    return Inverse(mean, scale, fitted, flat.mean(axis=0), (sought.shape[1], sought.shape[2]))


def sought_of(prior: Prior, training: Training) -> Floats:
    """(devices, classes, k): means of what devices learn; the prior's where that is nothing."""
    flat = training.windows.reshape(len(training.windows), -1).astype(np.float64)
    found = np.zeros((len(training), len(prior.centres), prior.wide))
    for i, member in enumerate(training.members):
        for c in np.unique(training.labels[member]):
            mean = flat[member & (training.labels == c)].mean(axis=0)
            found[i, c] = prior.coordinates(mean, int(c))
    return found


def seen_of(
    bench: Workbench, run: Run, theta: NDArray[np.float32], answers: NDArray[np.float32]
) -> dict[str, Floats]:
    """What adversaries see of devices, (devices, p) each: "questions" and "flash"."""
    said = logs(answers)
    moved = (theta - bench.base(run)).astype(np.float64)
    return {"questions": said.reshape(len(said), -1), "flash": moved}


def shadows(bench: Workbench, run: Run) -> list[Training]:
    """Devices of each public person, trained as the attacked ones are, on whole blocks."""
    each = max(8, SHADOWS // len(bench.public))
    made = []
    for person in bench.public:
        rng = bench.generator("inversion", "shadows", person.name)
        blocks = np.unique(person.group)
        wanted = min(bench.members, len(person) // 2)
        members = np.zeros((each, len(person)), np.bool_)
        for member in members:
            place = np.empty(len(blocks), np.int64)
            place[rng.permutation(len(blocks))] = np.arange(len(blocks))
            order = np.argsort(place[np.searchsorted(blocks, person.group)], kind="stable")
            member[order[:wanted]] = True
        seeds = bench.seeds(each, "inversion", "shadows", person.name)
        made.append(Training(run, person.windows, person.labels, members, seeds))
    return made
