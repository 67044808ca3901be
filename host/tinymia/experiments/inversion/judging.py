"""Figures of reconstructions: as windows, and as the trained layer reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Codes, Owner, Run, Workbench
from tinymia.experiments.inversion import words
from tinymia.experiments.inversion.attack import crowd, features
from tinymia.experiments.inversion.telling import (
    apart,
    class_means,
    closer,
    distances,
    nearer,
    nearest,
)

Floats = NDArray[np.float64]

_TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Judge:
    """Holds reconstructions against everybody's class means, audited people first.

    Attributes:
        scale: by space, (d,) float64: what a difference in each number is divided by.
        read: by space, of each person (n, d) float64, their windows so divided.
        people: whose.
        classes: number of classes.
    """

    scale: Mapping[str, Floats]
    read: Mapping[str, Sequence[Floats]]
    people: Sequence[Owner]
    classes: int

    def among(self, count: int) -> Judge:
        """The same among the first so many people."""
        read = {space: of[:count] for space, of in self.read.items()}
        return Judge(self.scale, read, self.people[:count], self.classes)

    def __call__(
        self,
        name: str,
        shown: Mapping[str, Floats],
        owners: NDArray[np.int64],
        learnt: Sequence[NDArray[np.bool_]],
    ) -> dict[str, NDArray[np.float64]]:
        """Figures of reconstructions, and of the base model's for the same owners.

        Args:
            name: of the attack.
            shown: by space, (devices + 1, classes, d); the last is the same attack on the base
                model.
            owners: (devices,) places of the owners among the people.
            learnt: of each device (n,) which of its owner's windows do not count, because it was
                fine-tuned on them: it is the person who is looked for.

        Returns:
            By "name/space" and "base/name/space": (devices, 4) float64 as ``words`` numbers them.
        """
        left = {}
        for space in shown:
            found, means = shown[space] / self.scale[space], self._means(space, owners, learnt)
            devices, before = found[:-1], found[-1:]
            moved = nearer(apart(devices, before[0], means), owners)
            for key, one in ((name, devices), (f"base/{name}", before)):
                far = distances(one, means)
                told = (nearest(far, owners), nearer(far, owners), closer(far, owners), moved)
                left[f"{key}/{space}"] = np.column_stack(told)
        return left

    def _means(
        self, space: str, owners: NDArray[np.int64], learnt: Sequence[NDArray[np.bool_]]
    ) -> Floats:
        """(devices, people, classes, d)."""
        pairs = list(zip(self.read[space], self.people, strict=True))
        all_of = np.stack([class_means(read, p.labels, self.classes) for read, p in pairs])
        means = np.repeat(all_of[None], len(owners), axis=0)
        for own, place, member in zip(means, owners, learnt, strict=True):
            read, person = pairs[place]
            own[place] = class_means(read[~member], person.labels[~member], self.classes)
        return means


def read_as(bench: Workbench, run: Run, space: str, windows: Codes) -> Floats:
    """(n, d) float64: windows, or what the head reads of them."""
    if space == words.READ:
        return features(bench, run, windows)
    return windows.reshape(len(windows), -1).astype(np.float64)


def judge_of(bench: Workbench, run: Run) -> Judge:
    """With everybody's windows; numbers are divided by their spread in the public."""
    people = (*bench.owners, *crowd(bench))
    scale, windows = {}, {}
    for space in words.SPACES:
        read = [read_as(bench, run, space, person.windows) for person in people]
        spread = np.concatenate(read[len(bench.owners) :]).std(axis=0)
        # A number that is the same for everybody, as a dead unit is, would divide by nothing.
        scale[space] = np.where(spread > _TINY, spread, 1.0)
        windows[space] = [r / scale[space] for r in read]
    return Judge(scale, windows, people, len(bench.signal.classes))
