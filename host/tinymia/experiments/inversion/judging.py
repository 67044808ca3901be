"""Figures of reconstructions: as windows, and as the trained layer reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Codes, Run, Workbench
from tinymia.experiments.inversion import words
from tinymia.experiments.inversion.attack import features
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
        means: by space, (people, classes, d) float64.
    """

    scale: Mapping[str, Floats]
    means: Mapping[str, Floats]

    def __call__(
        self, name: str, shown: Mapping[str, Floats], owners: NDArray[np.int64]
    ) -> dict[str, NDArray[np.float64]]:
        """Figures of reconstructions, and of the base model's for the same owners.

        Args:
            name: of the attack.
            shown: by space, (devices + 1, classes, d); the last is the same attack on the base
                model.
            owners: (devices,) places of the owners among the people.

        Returns:
            By "name/space" and "base/name/space": (devices, 4) float64 as ``words`` numbers them.
        """
        left = {}
        for space in words.SPACES:
            found, means = shown[space] / self.scale[space], self.means[space]
            far = distances(found, means)
            moved = nearer(apart(found[:-1], found[-1], means), owners)
            unmoved = np.repeat(far[-1:], len(owners), axis=0)
            for key, by in ((name, far[:-1]), (f"base/{name}", unmoved)):
                told = (nearest(by, owners), nearer(by, owners), closer(by, owners), moved)
                left[f"{key}/{space}"] = np.column_stack(told)
        return left


def read_as(bench: Workbench, run: Run, space: str, windows: Codes) -> Floats:
    """(n, d) float64: windows, or what the head reads of them."""
    if space == words.READ:
        return features(bench, run, windows)
    return windows.reshape(len(windows), -1).astype(np.float64)


def judge_of(bench: Workbench, run: Run) -> Judge:
    """With the class means of all people; numbers are divided by their spread in the public."""
    people = (*bench.owners, *bench.public)
    scale, means = {}, {}
    for space in words.SPACES:
        read = [read_as(bench, run, space, person.windows) for person in people]
        spread = np.concatenate(read[len(bench.owners) :]).std(axis=0)
        # A number that is the same for everybody, as a dead unit is, would divide by nothing.
        scale[space] = np.where(spread > _TINY, spread, 1.0)
        classes = len(bench.signal.classes)
        means[space] = class_means(people, [r / scale[space] for r in read], classes)
    return Judge(scale, means)
