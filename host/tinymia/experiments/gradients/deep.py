"""Updates of deeper training: what the first trained layer read, back through all behind it.

In closed form where that goes (:mod:`tinymia.experiments.gradients.recursion`); an answer counts as
found where the twin's device, trained on it, gives the update. Of a single window behind a chain of
layers that has none (depthwise ones, a ReLU6), a guess is optimised until its gradient is alike
(:mod:`tinymia.experiments.gradients.inverting`). Elsewhere a linear map from updates to inputs is
left, learnt from public windows (as Balle et al. 2022 learn a network to reconstruct).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Owner, Run, Stage, Training, Workbench
from tinymia.experiments.gradients import recursion
from tinymia.experiments.gradients.attack import Seen, Server, score
from tinymia.experiments.gradients.inverting import Inversion
from tinymia.experiments.gradients.lattice import Doubles
from tinymia.experiments.gradients.measure import training_of
from tinymia.experiments.gradients.network import Network
from tinymia.experiments.gradients.settings import Setting, fits, local

DEPTHS = {
    "last:2": "the last two layers",
    "all": "every layer",
    "biases": "biases of every layer",
}
WINDOWS = (1, 2, 4)
STEPS = (2, 5)
"""Local steps on one window beside one, where a single window is found in closed form."""
_STEPPED = "last:2"
"""Of every layer nothing was found after two steps."""
DEVICES = 3
"""A person and setting at most."""
_GROUPS = 512
"""Updates of public windows from which the linear map is learnt."""
_MOST_INPUTS = 1024
_RIDGE = 0.05
"""Of the covariance of inputs, as a part of their mean variance."""
_GIVES = 0.05
"""An update is given by windows whose own is off by less than this part of it."""
_SAME = 1e-4
"""And by nothing else where it is off by less than this."""


def inverts(stages: Sequence[Stage]) -> bool:
    """Whether single windows are optimised: where nobody goes back in closed form."""
    return Network.takes(tuple(stages)) and not recursion.reaches(tuple(stages), 1)


def devices(bench: Workbench) -> int:
    """A person and setting."""
    return min(bench.repetitions, DEVICES)


def settings_of(bench: Workbench, defences: Sequence[str]) -> dict[str, list[Setting]]:
    """By depth, plain ones first; depths that the model has not, or twice, are left out."""
    found: dict[str, list[Setting]] = {}
    seen: list[tuple[Stage, ...]] = []
    for depth, title in DEPTHS.items():
        runs = [run.whole for run in bench.deeper(depth, defences)]
        stages = bench.stages(runs[0]) if runs else ()
        if not runs or stages in seen or int(np.prod(stages[0].inputs)) > _MOST_INPUTS:
            continue
        seen.append(stages)
        found[depth] = [Setting(local(runs[0], n), n, label=title) for n in WINDOWS]
        others = [run for run in runs[1:] if fits(run) and not run.training.augments]
        if inverts(stages):  # nothing but noise changes where a search goes
            others = [run for run in others if run.training.is_private]
        elif depth == _STEPPED:
            found[depth] += [
                Setting(local(runs[0], 1, k), 1, label=f"{title}, {k} local steps") for k in STEPS
            ]
        found[depth] += [Setting(local(run, 1), 1, label=title) for run in others]
    return found


@dataclass(frozen=True, eq=False)
class Deep:
    """Who sees updates of a depth.

    Attributes:
        head: of the last layer, who reads labels off its biases.
        server: knows what the first trained layer reads.
        setting: whose updates.
    """

    head: Server
    server: Server
    setting: Setting

    @property
    def bench(self) -> Workbench:
        """Of the study."""
        return self.head.bench

    @property
    def run(self) -> Run:
        """Of the setting."""
        return self.setting.run

    @cached_property
    def means(self) -> Doubles:
        """(classes, inputs) of public windows."""
        inputs, labels = self.server.public_inputs
        own = [inputs[labels == c] for c in range(self.server.classes)]
        return np.stack([(some if len(some) else inputs).mean(axis=0) for some in own])

    @cached_property
    def _whitening(self) -> tuple[Doubles, Doubles]:
        inputs = self.server.public_inputs[0] * self.server.scale
        around = np.cov(inputs.T)
        around += (_RIDGE * np.trace(around) / len(around) + 1e-9) * np.eye(len(around))
        return inputs.mean(axis=0), np.linalg.inv(np.linalg.cholesky(around))

    def labels(self, update: Doubles) -> NDArray[np.int64]:
        """(windows,) of an update, in order of the classes."""
        classes, count = self.server.classes, self.setting.windows
        biases = np.zeros((classes, 2))
        biases[:, -1] = -update[-classes:] / self.rate
        if count == 1:
            return np.array([biases[:, -1].argmin()])
        return np.repeat(np.arange(classes), self.head.prior.counts(biases, count))

    @property
    def rate(self) -> float:
        """From the sum of gradients, of all steps the mean, to an update."""
        return self.run.training.learning_rate * self.run.epochs / self.setting.windows

    def attack(self, update: Doubles, seed: int) -> Seen:
        """All that an update (P,) says of the windows behind it; the key is not used but here.

        A device of the adversary has a key of its own, whose noise is another.
        """
        stages, server = self.bench.stages(self.run), self.server
        labels, count = self.labels(update), self.setting.windows
        gradient = -update / self.rate
        noise = server.off_by(self.setting) / self.rate
        grid = recursion.Grid(server.scale, *server.box)
        step = recursion.Step(gradient, server.base, stages, count, noise, grid, *self._whitening)
        codes = recursion.windows(step)
        if codes is not None:
            off = self._off(update, codes, labels, seed)
            if off < _GIVES:
                return Seen(codes.astype(np.float64), np.full(count, off < _SAME))
        if count == 1 and inverts(stages):
            return self._inverted(gradient, int(labels[0]))
        moved = self._map(update / max(float(np.linalg.norm(update)), 1e-300))
        found = self.means[labels] + moved
        return Seen(np.clip(found, *server.box), np.zeros(count, np.bool_))

    @cached_property
    def _search(self) -> Inversion:
        server = self.server
        read = server.public_inputs[0] * server.scale
        around = np.cov(read.T)
        around += (_RIDGE * np.trace(around) / len(around) + 1e-9) * np.eye(len(around))
        low, high = (server.scale * end for end in server.box)
        network = Network(self.bench.stages(self.run))
        roots = np.linalg.cholesky(around)
        return Inversion(network, server.base, read.mean(axis=0), roots, low, high)

    def _public_of(self, label: int) -> Doubles:
        inputs, told = self.server.public_inputs
        return inputs[told == label] if (told == label).any() else inputs

    def _inverted(self, gradient: Doubles, label: int) -> Seen:
        """The window whose gradient is most alike."""
        own = self._public_of(label) * self.server.scale
        found = self._search.run(gradient, own, label, 0) / self.server.scale
        return Seen(np.rint(found)[None], np.zeros(1, np.bool_))

    def nearest(self, update: Doubles) -> Seen:
        """The public window that gives the most similar update (P,): a search must beat it."""
        label = int(self.labels(update)[0])
        own = self._public_of(label)
        first = self._search.nearest(-update, own * self.server.scale, label)[0]
        return Seen(own[first][None], np.zeros(1, np.bool_))

    def _off(
        self, update: Doubles, codes: NDArray[np.int64], labels: NDArray[np.int64], seed: int
    ) -> float:
        """By how much of it an update differs from that of some windows, labels in any order."""
        told = np.array(sorted(set(itertools.permutations(labels.tolist()))), np.int64)
        count = len(codes)
        store = np.tile((codes - 128 - self.server.box[0]).astype(np.int8), (len(told), 1))
        members = np.repeat(np.eye(len(told), dtype=np.bool_), count, axis=1)
        seeds = (seed,) * len(told)
        training = Training(self.run, store, told.ravel(), members, seeds, embedded=True)
        moved = self.bench.train(training).theta - self.server.base
        return float(np.linalg.norm(moved - update, axis=1).min() / np.linalg.norm(update))

    @cached_property
    def _learnt(self) -> tuple[Doubles, Doubles, Doubles]:
        """Directions of public updates, their mean, and what each adds to what is found."""
        inputs, labels = self.server.public_inputs
        count = self.setting.windows
        rng = self.bench.generator("gradients", "map", self.run.name, self.setting.label, count)
        chosen = np.stack([rng.choice(len(inputs), count, replace=False) for _ in range(_GROUPS)])
        used, place = np.unique(chosen, return_inverse=True)
        members = np.zeros((_GROUPS, len(used)), np.bool_)
        members[np.repeat(np.arange(_GROUPS), count), place.ravel()] = True
        store = (inputs[used] - 128 - self.server.box[0]).astype(np.int8)
        seeds = self.bench.seeds(_GROUPS, "gradients", "map", self.run.name, self.setting.label)
        done = self.bench.train(
            Training(self.run, store, labels[used], members, seeds, embedded=True)
        )
        moved = done.theta.astype(np.float64) - self.server.base
        moved /= np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-300)
        wanted = (inputs[chosen] - self.means[labels[chosen]]).mean(axis=1)
        centre = moved.mean(axis=0)
        around = moved - centre
        size, turned = np.linalg.eigh(around @ around.T)
        size, along = np.maximum(size, 0.0), turned.T @ wanted
        best: tuple[float, Doubles] = np.inf, np.zeros_like(wanted)
        for ridge in size.max() * 10.0 ** np.arange(-6, 2):
            shrunk = turned * (1.0 / (size + ridge))
            weights = shrunk @ along
            # What each would be off by if it were left out.
            left = weights / (shrunk * turned).sum(axis=1, keepdims=True)
            if (left**2).sum() < best[0]:
                best = float((left**2).sum()), weights
        return around, centre, best[1]

    def _map(self, direction: Doubles) -> Doubles:
        """(inputs,) that an update's direction adds to the classes' means."""
        around, centre, weights = self._learnt
        return np.asarray((direction - centre) @ around.T @ weights)


def measure(head: Server, owner: Owner, defences: Sequence[str]) -> dict[str, NDArray[Any]]:
    """All settings on a person's devices: (count, 4) scores each, with and without the update."""
    bench, found = head.bench, {}
    for depth, settings in settings_of(bench, defences).items():
        server = Server(bench, settings[0].run)
        for setting in settings:
            deep = Deep(head, server, setting)
            inputs = deep.server.inputs(owner.windows).astype(np.float64)
            training = training_of(head, owner, setting, devices(bench), owner.name)
            theta = bench.train(training).theta.astype(np.float64)
            rng = bench.generator("gradients", "guess", owner.name, depth, setting.key)
            own = bench.seeds(1, "gradients", "own", owner.name)[0]
            chosen = [np.flatnonzero(row) for row in training.members]
            seen = [deep.attack(t - deep.server.base, own) for t in theta]
            means = deep.means[np.arange(setting.windows) % len(deep.means)]
            none = np.zeros(setting.windows, np.bool_)
            searched = setting.windows == 1 and inverts(bench.stages(setting.run))
            rows: list[list[tuple[float, ...]]] = [[], [], []]
            for one, windows in zip(seen, chosen, strict=True):
                guess = score(deep.server, Seen(means, none), owner, inputs, windows)
                some = deep.server.some(setting.windows, rng)
                named = score(deep.server, some, owner, inputs, windows)
                rows[0].append(astuple(score(deep.server, one, owner, inputs, windows)))
                rows[1].append(astuple(replace(guess, named=named.named, exact=named.exact)))
                # An update of some windows must tell nothing of others.
                far = np.setdiff1d(np.arange(len(owner)), windows)
                others = rng.choice(far, setting.windows, replace=False)
                rows[2].append(astuple(score(deep.server, one, owner, inputs, others)))
            if searched:
                near = [deep.nearest(t - deep.server.base) for t in theta]
                found[f"near {depth}/{setting.key}"] = np.array(
                    [
                        astuple(score(deep.server, one, owner, inputs, windows))
                        for one, windows in zip(near, chosen, strict=True)
                    ]
                )
            for what, values in zip(("", "guess ", "other "), rows, strict=True):
                found[f"{what}{depth}/{setting.key}"] = np.array(values)
    return found
