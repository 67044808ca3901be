"""Figures of reconstructions: as windows, and as the trained layer reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Codes, Run, Workbench
from tinymia.experiments.inversion import words
from tinymia.experiments.inversion.prior import Prior
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
        bench, run, prior: see there.
        scale: by space, (d,) float64: what a difference in each number is divided by.
        means: by space, (people, classes, d) float64.
    """

    bench: Workbench
    run: Run
    prior: Prior
    scale: dict[str, Floats]
    means: dict[str, Floats]

    def __call__(
        self, name: str, z: Floats, before: Floats, owners: NDArray[np.int64]
    ) -> dict[str, NDArray[np.float64]]:
        """Figures of reconstructions, and of the base model's for the same owners.

        Args:
            name: of the attack.
            z: (devices, classes, k).
            before: (classes, k), the same attack on the base model.
            owners: (devices,) places of the owners among the people.

        Returns:
            By "name/space" and "base/name/space": (devices, 4) float64 as ``words`` numbers them.
        """
        shown = np.concatenate([z, before[None]])
        left = {}
        for space in words.SPACES:
            read = self._read(space, self.prior.codes(shown)) / self.scale[space]
            found = read.reshape(len(shown), z.shape[1], -1)
            means = self.means[space]
            far = distances(found, means)
            moved = apart(found[:-1], found[-1], means)
            unmoved = np.repeat(far[-1:], len(z), axis=0)
            for key, by in ((name, far[:-1]), (f"base/{name}", unmoved)):
                told = [nearest(by, owners), nearer(by, owners), closer(by, owners)]
                told.append(nearer(moved, owners))
                left[f"{key}/{space}"] = np.column_stack(told)
        return left

    def _read(self, space: str, windows: Codes) -> Floats:
        return read_as(self.bench, self.run, space, windows)


def read_as(bench: Workbench, run: Run, space: str, windows: Codes) -> Floats:
    """(n, d) float64: windows, or what the first trained layer reads of them."""
    seen = windows if space == words.WINDOWS else bench.embed(run, windows)
    return np.asarray(seen.reshape(len(windows), -1), np.float64)


def judge_of(bench: Workbench, run: Run, prior: Prior) -> Judge:
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
    return Judge(bench, run, prior, scale, means)
