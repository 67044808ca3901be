"""The interface of an attack, and the numerically safe signals that attacks share."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinymia.audit.types import CellAnswers, OutputPolicy
from tinymia.errors import StudyError

_TINY = float(np.finfo(np.float32).tiny)


class Reveals(IntEnum):
    """How much of an answer is known, in ascending order; a policy with more satisfies less."""

    LABEL = 0
    TOP_PROBABILITY = 1
    ALL_PROBABILITIES = 2


_REVEALED = {
    OutputPolicy.FULL: Reveals.ALL_PROBABILITIES,
    OutputPolicy.ROUNDED: Reveals.ALL_PROBABILITIES,
    OutputPolicy.TOP1: Reveals.TOP_PROBABILITY,
    OutputPolicy.LABEL: Reveals.LABEL,
}
_NEED_WORDS = {
    Reveals.LABEL: "the most likely class",
    Reveals.TOP_PROBABILITY: "the probability of the most likely class",
    Reveals.ALL_PROBABILITIES: "the probabilities of all classes",
}


@runtime_checkable
class Attack(Protocol):
    """One attack: it turns answers into scores.

    Attributes:
        name: key in results, e.g. ``loss``.
        title: name for readers.
        reference: where the attack is published.
        needs: what the output policy must reveal.
        calibrated: True if the attack compares with the base model's answer to the same query.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def reference(self) -> str: ...  # noqa: D102
    @property
    def needs(self) -> Reveals: ...  # noqa: D102
    @property
    def calibrated(self) -> bool: ...  # noqa: D102

    def scores(self, answers: CellAnswers) -> NDArray[np.float64]:
        """Score every query.

        Args:
            answers: the answers of one cell, n queries.

        Returns:
            (n,) float64, finite; higher means more likely a member.

        Raises:
            StudyError: the output policy does not reveal what the attack needs.
        """
        ...


def runs_under(attack: Attack, policy: OutputPolicy) -> bool:
    """Whether the attack can run on what the policy reveals."""
    return _REVEALED[policy] >= attack.needs


def require(attack: Attack, answers: CellAnswers) -> None:
    """Refuse answers that do not reveal what the attack needs.

    Raises:
        StudyError: names the attack, the policy and the way out.
    """
    if not runs_under(attack, answers.policy):
        raise StudyError(
            f"The attack '{attack.name}' needs {_NEED_WORDS[attack.needs]}, which the output "
            f"policy '{answers.policy.value}' does not reveal.",
            "Leave the attack out or audit another output policy.",
        )


def split_true_class(
    probs: ArrayLike, labels: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probability of the true class and of everything else, normalised to sum to 1.

    In float32 a probability near 1 is a coarse number, while the small ones that complete it are
    exact to 7 digits; the rest is therefore their sum and not 1 - p. Rounded answers need not sum
    to 1, and may all be 0 (then nothing is known: uniform).

    Args:
        probs: (n, classes), 0 to 1.
        labels: (n,) integer.

    Returns:
        p and rest, each (n,) float64 with p + rest = 1.
    """
    p = np.array(probs, dtype=np.float64)
    p[p.sum(axis=1) <= 0] = 1.0
    rows = np.arange(len(p))
    true = p[rows, labels].copy()
    p[rows, labels] = 0.0
    rest = p.sum(axis=1)
    total = true + rest
    return true / total, rest / total


def cross_entropy(probs: ArrayLike, labels: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Cross-entropy loss in nats of each answer, finite for probabilities 0 and 1.

    Args:
        probs: (n, classes), 0 to 1.
        labels: (n,) integer.

    Returns:
        (n,) float64, from 0 to 87.4 (a true class at or below the smallest normal float32).
    """
    true, rest = split_true_class(probs, labels)
    return np.asarray(np.log1p(rest / np.maximum(true, _TINY)), dtype=np.float64)
