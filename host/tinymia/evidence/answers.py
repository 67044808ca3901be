"""What the device reveals of an answer, and the same on the host for whole answers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tinymia.compat import StrEnum
from tinymia.errors import StudyError
from tinymia.wire.guard import GuardSettings, NoiseLaw

__all__ = [
    "AnswerSettings",
    "NoiseLaw",
    "OutputPolicy",
    "Reveals",
    "Told",
    "known",
    "reveal",
    "told",
    "untempered",
]


class OutputPolicy(StrEnum):
    """What the device reveals of an answer.

    ``FULL``: every class probability. ``ROUNDED``: every class probability, rounded. ``TOP1``: the
    most likely class and its probability alone. ``TOPK``: the same of several classes, which only
    a defence asks for. ``LABEL``: the most likely class alone.
    """

    FULL = "full"
    ROUNDED = "rounded"
    TOP1 = "top1"
    LABEL = "label"
    TOPK = "topk"


class Reveals(IntEnum):
    """How much of an answer is known, in ascending order; a policy with more satisfies less."""

    LABEL = 0
    TOP_PROBABILITY = 1
    ALL_PROBABILITIES = 2


REVEALED = {
    OutputPolicy.FULL: Reveals.ALL_PROBABILITIES,
    OutputPolicy.ROUNDED: Reveals.ALL_PROBABILITIES,
    OutputPolicy.TOP1: Reveals.TOP_PROBABILITY,
    OutputPolicy.TOPK: Reveals.TOP_PROBABILITY,
    OutputPolicy.LABEL: Reveals.LABEL,
}


@dataclass(frozen=True)
class AnswerSettings:
    """How a device answers.

    Attributes:
        policy: what it reveals.
        levels: steps of a probability under ``ROUNDED``: 100 rounds to 1/100; how many classes are
            shown under ``TOPK``.
        guard: what is done to an answer before.

    Raises:
        StudyError: levels outside 1 to 65535.
    """

    policy: OutputPolicy = OutputPolicy.FULL
    levels: int = 100
    guard: GuardSettings = field(default_factory=GuardSettings)

    def __post_init__(self) -> None:
        if not 0 < self.levels < 65536:
            raise StudyError("The levels must be in [1, 65535].", "100 rounds to two digits.")

    @property
    def reveals(self) -> Reveals:
        """How much of an answer is known."""
        return REVEALED[self.policy]

    @property
    def is_exact(self) -> bool:
        """Whether an answer tells the whole one to who knows how it was made."""
        drawn = self.guard.noise_law or self.guard.classifier or self.guard.swap
        return self.policy is OutputPolicy.FULL and not drawn

    @property
    def title(self) -> str:
        """For people, e.g. "rounded to 1/100"."""
        return {
            OutputPolicy.FULL: "full answers",
            OutputPolicy.ROUNDED: f"rounded to 1/{self.levels}",
            OutputPolicy.TOP1: "top class and its probability",
            OutputPolicy.LABEL: "label only",
            OutputPolicy.TOPK: f"{self.levels} top classes and their probabilities",
        }[self.policy]

    def under(self, other: AnswerSettings) -> AnswerSettings:
        """These answers where a study has another policy, too: the one that tells less holds."""
        ours, theirs = _STRICTNESS.index(self.policy), _STRICTNESS.index(other.policy)
        if ours == theirs:
            return replace(self, levels=min(self.levels, other.levels))
        return self if ours > theirs else replace(other, guard=self.guard)


class Told(IntEnum):
    """What a device gave for an answer: a detector's alarm leaves less than the policy."""

    NOTHING = 0
    LABEL = 1
    AS_AGREED = 2


def told(answers: NDArray[np.float32], answer: AnswerSettings) -> NDArray[np.int64]:
    """What each answer is, which a device's alarm decides and not the run alone.

    A label alone looks like an answer that is sure beyond float32, which says no more; a policy
    that cuts answers is left to say what a sure one means.

    Args:
        answers: (..., classes) float32, as the device gave them.
        answer: how its run answers.

    Returns:
        (...,) of :class:`Told`.
    """
    found = np.full(answers.shape[:-1], int(Told.AS_AGREED))
    if not answer.guard.watch:
        return found
    if answer.policy is OutputPolicy.FULL:
        found[(answers == 1).any(axis=-1) & ((answers == 0) | (answers == 1)).all(axis=-1)] = (
            Told.LABEL
        )
    found[np.isnan(answers).all(axis=-1)] = Told.NOTHING
    return found


def known(
    answers: NDArray[np.float32], base: NDArray[np.float32], answer: AnswerSettings
) -> NDArray[np.float32]:
    """Answers for who reads them as numbers, where an alarm left less than the policy.

    A label alone is no sure answer: it is taken for the geometric mean of the device's whole
    answers that name this class; where none does, for the public model's with this class made the
    likeliest. Where nothing was told, the public model's is all that is known.

    Args:
        answers: (n, ..., classes) float32, as the device gave them.
        base: the same of the public model, under the same policy.
        answer: how the device's run answers.

    Returns:
        Like ``answers``, the argument itself where all are as agreed.
    """
    given = told(answers, answer)
    if (given == Told.AS_AGREED).all():
        return answers
    whole = answers[given == Told.AS_AGREED]
    found = np.where((given == Told.AS_AGREED)[..., None], answers, base)
    label = np.nan_to_num(answers, nan=-1.0).argmax(axis=-1)
    for c in np.unique(label[given == Told.LABEL]).tolist():
        here = (given == Told.LABEL) & (label == c)
        naming = whole[whole.argmax(axis=-1) == c]
        if len(naming):
            logs = np.log(np.maximum(naming, np.finfo(np.float32).tiny), dtype=np.float64)
            mean = np.exp(logs.mean(axis=0))
            found[here] = mean / mean.sum()
        else:
            rows = found[here]
            at, first = np.arange(len(rows)), rows.argmax(axis=-1)
            rows[at, first], rows[:, c] = rows[:, c], rows[at, first]
            found[here] = rows
    return found


_STRICTNESS = (
    OutputPolicy.FULL,
    OutputPolicy.ROUNDED,
    OutputPolicy.TOPK,
    OutputPolicy.TOP1,
    OutputPolicy.LABEL,
)


def untempered(answers: NDArray[np.float32], answer: AnswerSettings) -> NDArray[np.float32]:
    """Answers as they were before a temperature, for one who knows it, where nothing else is done:
    nothing is lost. Other answers as they are.

    Args:
        answers: (..., classes) float32.
        answer: how they were given.
    """
    temperature = answer.guard.temperature
    if not temperature or not answer.is_exact:
        return answers
    logs = np.log(np.maximum(answers, np.finfo(np.float32).tiny), dtype=np.float64) * temperature
    odds = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=-1, keepdims=True), np.float32)


def reveal(probabilities: NDArray[np.float32], answer: AnswerSettings) -> NDArray[np.float32]:
    """What a device with this policy would have said instead of whole answers.

    What guards them is done before, where the device's key and question are known (see
    :mod:`tinymia.twin.answers`).

    The same float32 operations as ``policy.h`` of the core, so equal to the board's in every bit.

    Args:
        probabilities: (..., classes) float32, whole answers.
        answer: the policy.

    Returns:
        (..., classes) float32. Under TOP1 and TOPK all but the most likely classes are NaN; under
        LABEL that one is 1 and the others 0.
    """
    whole = np.asarray(probabilities, dtype=np.float32)
    if answer.policy is OutputPolicy.FULL:
        return whole
    if answer.policy is OutputPolicy.ROUNDED:
        steps = whole * np.float32(answer.levels) + np.float32(0.5)
        counted = np.where(steps >= 1, steps, np.float32(0)).astype(np.uint16)
        return np.asarray(counted / np.float32(answer.levels), dtype=np.float32)
    if answer.policy is OutputPolicy.TOPK:
        order = np.argsort(-np.nan_to_num(whole, nan=-1.0), axis=-1, kind="stable")
        first = order[..., : answer.levels]
        some = np.full_like(whole, np.nan)
        np.put_along_axis(some, first, np.take_along_axis(whole, first, -1), -1)
        return some
    best = np.nan_to_num(whole, nan=-1.0).argmax(axis=-1)[..., None]
    if answer.policy is OutputPolicy.LABEL:
        label = np.zeros_like(whole)
        np.put_along_axis(label, best, np.float32(1), -1)
        return label
    shown = np.full_like(whole, np.nan)
    np.put_along_axis(shown, best, np.take_along_axis(whole, best, -1), -1)
    return shown
