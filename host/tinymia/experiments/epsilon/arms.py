"""Both arms of a relation: trained, and looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.experiments.epsilon.canary import worst_case
from tinymia.experiments.epsilon.finding import Design, Devices, Relation, Trained, View
from tinymia.statistics.epsilon import Half, promise
from tinymia.wire.settings import Parameters

Floats = NDArray[np.float64]
Progress = Callable[[int], None]

_CHUNK = 2048


@dataclass(frozen=True)
class Arm:
    """Null windows, and a canary (0 or 1) or none."""

    nulls: int
    canary: int | None = None

    @property
    def size(self) -> int:
        """Members."""
        return self.nulls + (self.canary is not None)


def arms_of(relation: Relation, members: int) -> tuple[Arm, Arm]:
    """The two arms of a relation, the one with the canary first."""
    if relation is Relation.ADD:
        return Arm(members, 0), Arm(members)
    without = Arm(members - 1, 1 if relation is Relation.REPLACE else None)
    return Arm(members - 1, 0), without


@dataclass(frozen=True, eq=False)
class Seen:
    """What is looked at, by view: (devices, features) float64."""

    features: Mapping[View, Floats]

    def halves(self) -> tuple[Seen, Seen]:
        """Two arms of half as many devices."""
        half = len(self.features[View.WHITE]) // 2
        return (
            Seen({view: values[:half] for view, values in self.features.items()}),
            Seen({view: values[half : 2 * half] for view, values in self.features.items()}),
        )


class Lab:
    """Trains each arm once and keeps what is looked at.

    Args:
        devices, design, progress: see :func:`~tinymia.experiments.epsilon.run`.
    """

    def __init__(self, devices: Devices, design: Design, progress: Progress) -> None:
        settings = design.settings
        self._devices, self._design, self.progress = devices, design, progress
        biases = settings.trained is Parameters.BIASES
        shape = devices.shape if settings.shaped else None
        self._canaries = worst_case(
            devices.head, devices.scale, devices.zero_point, settings.clip_norm, biases, shape
        )
        self._back = None if shape is None else _back(*shape)
        weights, bias = devices.head[:, :-1].ravel(), devices.head[:, -1]
        self._base = np.asarray(bias if biases else np.concatenate([weights, bias]), np.float64)
        _, sizes, axes = np.linalg.svd(self._canaries.gradients, full_matrices=False)
        self._axes = axes[sizes > 1e-6 * sizes[0]]
        self._seen: dict[Arm, Seen] = {}

    def seen(self, arm: Arm) -> Seen:
        """What is looked at of an arm's devices."""
        if arm not in self._seen:
            self._seen[arm] = self._train(arm, len(self._seen))
        return self._seen[arm]

    def _train(self, arm: Arm, number: int) -> Seen:
        design, canaries, nulls = self._design, self._canaries, self._design.members
        slots = np.concatenate(
            [np.repeat(canaries.null[None], nulls, 0), [canaries.first, canaries.second]]
        )
        labels = np.array([canaries.labels[0]] * nulls + list(canaries.labels[1:]), np.int64)
        row = np.arange(len(slots)) < arm.nulls
        if arm.canary is not None:
            row[nulls + arm.canary] = True
        first = (design.seed << 32) + number * design.devices
        parts = []
        for start in range(0, design.devices, _CHUNK):
            count = min(_CHUNK, design.devices - start)
            trained = self._devices.train(
                slots,
                labels,
                np.broadcast_to(row, (count, len(row))),
                slots[nulls:],
                design.settings,
                design.epochs,
                np.arange(first + start, first + start + count, dtype=np.uint64),
            )
            parts.append(self._features(trained))
            self.progress(count)
        return Seen({view: np.concatenate([part[view] for part in parts]) for view in View})

    def _features(self, trained: Trained) -> Mapping[View, Floats]:
        """White box: the update along the canaries' gradients, and how long the rest of it is.

        Steps add noise, so the rest tells how many there were. Black box: log-probabilities of all
        classes at both canaries.
        """
        tiny = np.finfo(np.float32).tiny
        update = np.asarray(trained.theta, np.float64) - self._base
        if self._back is not None:
            classes, inputs = len(self._devices.head), len(self._back) - 1
            weights = update[:, :-classes].reshape(-1, classes, inputs)
            moved = np.concatenate([weights, update[:, -classes:, None]], axis=2) @ self._back
            update = np.concatenate([moved[..., :-1].reshape(len(moved), -1), moved[..., -1]], 1)
        along = update @ self._axes.T
        rest = np.sum(update**2, axis=1) - np.sum(along**2, axis=1)
        answers = np.log(np.maximum(np.asarray(trained.answers, np.float64), tiny))
        return {
            View.WHITE: np.column_stack([along, np.log(np.maximum(rest, tiny))]),
            View.BLACK: answers.reshape(len(answers), -1),
        }


def _back(mean: NDArray[np.float32], rows: NDArray[np.float32]) -> Floats:
    """(d + 1, r + 1): from a change of weights and bias to that in a shape's coordinates."""
    count, inputs = rows.shape
    way = np.zeros((count + 1, inputs + 1))
    way[:-1, :-1], way[-1, -1] = rows, 1.0
    way[:-1, -1] = -rows.astype(np.float64) @ mean
    return np.asarray(np.linalg.pinv(way), np.float64)


def scored(inside: Floats, outside: Floats) -> tuple[Half, Half]:
    """One score of each device: by what tells the arms apart best on the first half.

    Candidates are each feature, rising and falling, and the likelihood ratios of two normal
    distributions with one covariance (Fisher's discriminant) and with two.

    Args:
        inside, outside: (devices, features) float64 of both arms.

    Returns:
        The first half and the second, which saw no choice.
    """
    half = len(inside) // 2
    x, y = inside[:half], outside[:half]
    scores: list[Score] = []
    for column in range(x.shape[1]):
        scores += [_column(column, 1.0), _column(column, -1.0)]
    ridge = 1e-9 * np.diag(np.concatenate([x, y]).var(axis=0) + 1e-30)
    spread = [np.atleast_2d(np.cov(arm, rowvar=False)) + ridge for arm in (x, y)]
    for a, b in ((spread[0] + spread[1],) * 2, (spread[0], spread[1])):
        scores.append(_ratio(_distance(x, a), _distance(y, b)))
    worth = [promise(score(x), score(y)) for score in scores]
    best = scores[int(np.argmax(worth))]
    parts = [slice(0, half), slice(half, 2 * half)]
    first, second = (Half(best(inside[p])[None], best(outside[p])[None]) for p in parts)
    return first, second


Score = Callable[[Floats], Floats]


def _column(column: int, sign: float) -> Score:
    return lambda features: sign * features[:, column]


def _ratio(from_inside: Score, from_outside: Score) -> Score:
    """Logarithm of a likelihood ratio, but for a factor and a constant."""
    return lambda features: from_outside(features) - from_inside(features)


def _distance(sample: Floats, covariance: Floats) -> Score:
    """Mahalanobis distance from a sample's mean, squared."""
    mean, inverse = sample.mean(axis=0), np.linalg.pinv(covariance, hermitian=True)

    def squared(features: Floats) -> Floats:
        off = features - mean
        return np.asarray(np.einsum("ij,jk,ik->i", off, inverse, off), np.float64)

    return squared
