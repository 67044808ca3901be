"""When training counts as diverged."""

from __future__ import annotations

import numpy as np
import pytest

from tinymia.study.divergence import divergence


def answers(right: float, classes: int = 4, n: int = 6) -> np.ndarray:
    out = np.full((n, classes), (1 - right) / (classes - 1), np.float32)
    out[:, 1] = right
    return out


LABELS = np.ones(6, np.int64)


@pytest.mark.parametrize(
    ("before", "after", "diverged"),
    [
        (0.7, 0.99, False),
        (0.7, 0.5, False),  # worse, but it still knows something
        (0.7, 0.25, True),  # it guesses
        (0.7, 0.0, True),
        (0.1, 0.2, False),  # it was worse
        (0.1, 0.05, True),
        (0.25, 0.25, False),
    ],
)
def test_divergence_is_a_loss_that_rises_to_guessing(
    before: float, after: float, diverged: bool
) -> None:
    found = divergence(answers(before), answers(after), LABELS)
    assert (found is not None) == diverged, found


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_answers_that_are_no_numbers(odd: float) -> None:
    after = answers(0.9)
    after[3, 0] = odd
    assert divergence(answers(0.7), after, LABELS) == "its answers are no numbers"
