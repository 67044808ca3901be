"""Was this device trained on person A's windows? The question about people, not windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.label_only import right_views
from tinymia.attacks.signals import base_logits, loss, target_logits
from tinymia.errors import StudyError
from tinymia.evidence import AnswerSettings, Reveals, Target
from tinymia.experiments.base import Figure
from tinymia.experiments.membership.figures import figure
from tinymia.statistics.intervals import Resampler

VERSION = 1
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class UserLevelRow:
    """How well one statistic tells whose windows a device was trained on.

    Attributes:
        title: of the statistic, for people.
        auc: that a device's owner scores above somebody else on some device, all devices under one
            threshold; 0.5 is guessing. The interval leaves each person out, as owner and as the
            other one.
        identified: share of devices whose owner alone scores highest; ties share. Guessing gives
            1 / people.
        people: how many each device was asked about.
        devices: how many.
    """

    title: str
    auc: Figure
    identified: float
    people: int
    devices: int


@dataclass(frozen=True)
class UserLevelFinding:
    """What a device gives away of who owns it.

    Attributes:
        version: of this finding's fields.
        condition: name of the run.
        rows: one for each statistic that the answers allow.
    """

    version: int
    condition: str
    rows: tuple[UserLevelRow, ...]


def user_level(
    condition: str,
    answer: AnswerSettings,
    devices: Sequence[tuple[str, Mapping[str, Target]]],
    resamples: int = 2000,
    seed: int = 0,
) -> UserLevelFinding:
    """Score every person on every device by what the answers to that person's windows gained.

    The evidence: each device is asked about the windows of *every* audited person, its owner among
    them, and ``Target.candidates.base`` has the base model's answers to the same windows. Members
    are a part of the owner's windows; who is a member enters nowhere, and neither do shadow
    devices. Where the head is trained, the answers follow from the device's weights and the
    backbone's features of the other people's windows.

    Two statistics of a person: the mean over the windows of the base model's loss less the device's
    (where a probability is shown), and the share of windows that are right less that of the base
    model. The subtraction calibrates to the person, as some people's windows are easier (Watson et
    al., ICLR 2022, for windows; user-level inference is Song and Shmatikov's, KDD 2019).

    Args:
        condition: name of the run.
        answer: how the devices answered.
        devices: (owner, device by person asked about), each with the same people.
        resamples, seed: of the bootstrap that is shown beside the interval.

    Raises:
        StudyError: no devices, fewer than two people, or devices asked about different people.
    """
    if not devices:
        raise StudyError("There are no devices to ask whose they are.")
    people = sorted(devices[0][1])
    if len(people) < 2:
        raise StudyError(
            "Whose a device is needs at least two people.", "Audit more people, or all of them."
        )
    for owner, asked in devices:
        if sorted(asked) != people or owner not in asked:
            raise StudyError(f"The device of {owner} was not asked about the same people.")
    statistics = {"share of right answers, less the base model's": _right_gain}
    if answer.reveals >= Reveals.TOP_PROBABILITY:
        statistics = {"mean loss, less the base model's": _loss_gain, **statistics}
    owners = [owner for owner, _ in devices]
    resampler = Resampler(owners, resamples, seed)
    rows = []
    for title, statistic in statistics.items():
        scores = np.array(
            [[statistic(asked[person], answer) for person in people] for _, asked in devices]
        )
        rows.append(_row(title, scores, people, owners, resampler))
    return UserLevelFinding(VERSION, condition, tuple(rows))


def _loss_gain(target: Target, answer: AnswerSettings) -> float:
    before, now = base_logits(target.candidates, answer)[0], target_logits(target, answer)[0]
    return float((loss(before) - loss(now)).mean())


def _right_gain(target: Target, answer: AnswerSettings) -> float:
    labels = target.candidates.labels
    now = right_views(target.answers[:, :1], labels)
    return float((now - right_views(target.candidates.base[:, :1], labels)).mean())


def _row(
    title: str,
    scores: Floats,
    people: Sequence[str],
    owners: Sequence[str],
    resampler: Resampler,
) -> UserLevelRow:
    own = np.array([people.index(owner) for owner in owners])
    statistic = OwnerAuc(scores, own)
    # One owner's score is the least that can change.
    found = resampler.replicates(statistic, 0.0, 1.0, 1.0 / len(owners))
    highest = scores == scores.max(axis=1, keepdims=True)
    first = highest[np.arange(len(own)), own] / highest.sum(axis=1)
    return UserLevelRow(
        title,
        figure(found),
        float(first.mean()),
        len(people),
        len(owners),
    )


@dataclass(frozen=True, eq=False)
class OwnerAuc:
    """Probability that an owner's score, of some device, is above another person's of some device.

    Attributes:
        scores: (devices, people).
        own: (devices,) the owner's column.
    """

    scores: Floats
    own: NDArray[np.int64]

    def __call__(self, weights: NDArray[np.float64]) -> Floats:
        """(k, devices) weights to (k,) areas, ties half."""
        wins = self._wins(np.ones(self.scores.shape[1], np.bool_))
        total = weights.sum(axis=1, dtype=np.float64)
        return np.asarray(((weights @ wins) * weights).sum(axis=1) / total**2)

    resampled = __call__

    def without(self, who: NDArray[np.int64], people: int) -> Floats:
        """(people,) areas without each person's devices, and without asking about that person."""
        areas = np.empty(people)
        for person in range(people):
            kept = who != person
            asked = np.ones(self.scores.shape[1], np.bool_)
            asked[self.own[~kept]] = False
            # With two people, nobody else is left to compare with: then only devices are.
            if asked.sum() < 2:
                asked[:] = True
            areas[person] = self._wins(asked)[np.ix_(kept, kept)].mean()
        return areas

    def _wins(self, asked: NDArray[np.bool_]) -> Floats:
        """(devices, devices): share of the others on the second below the first's owner."""
        rows = np.arange(len(self.own))
        owner = self.scores[rows, self.own]
        wins = np.empty((len(rows), len(rows)))
        for at in rows:
            other = asked.copy()
            other[self.own[at]] = False
            rest = np.sort(self.scores[at, other])
            below = np.searchsorted(rest, owner, "left") + np.searchsorted(rest, owner, "right")
            wins[:, at] = below / (2.0 * len(rest))
        return wins
