"""Property inference: draws have what they say, and a regression finds what is there."""

from __future__ import annotations

import numpy as np
import pytest

from tinymia.experiments.property import MAJORITY, MISSING, PROPERTIES, SECOND, pick, told
from tinymia.statistics.metrics import auc

RNG = np.random.default_rng(5)
LABELS = RNG.integers(4, size=600)
FOREIGN = np.arange(600) >= 400


@pytest.mark.parametrize("cell", list(PROPERTIES))
@pytest.mark.parametrize("holds", [True, False])
def test_members_have_the_property_or_not(cell: str, holds: bool) -> None:
    member = pick(RNG, LABELS, FOREIGN, 80, cell, 2, holds)
    assert member.sum() == 80
    of_class = (LABELS[member] == 2).mean()
    if not holds:
        assert not member[FOREIGN].any()
        assert 0.1 < of_class < 0.4
    elif cell == MAJORITY:
        assert of_class == 0.6
    elif cell == MISSING:
        assert of_class == 0
    else:
        assert cell == SECOND
        assert member[FOREIGN].sum() == 20


def test_what_is_planted_is_found_and_a_lot_is_not() -> None:
    truth = np.arange(400) % 2 == 0
    seen = RNG.normal(size=(400, 50))
    seen[:, 7] = 3.0  # the same on all devices
    planted = seen.copy()
    planted[:, 3] += 3.0 * truth
    fit, test = slice(0, 300), slice(300, 400)
    for shown, low, high in ((planted, 0.95, 1.0), (seen, 0.35, 0.65)):
        scores = told(shown[fit], truth[fit], shown[test])
        assert low <= auc(scores[truth[test]], scores[~truth[test]]) <= high
    scores = told(planted[fit], truth[fit], planted[test])
    assert np.mean((scores > 0) == truth[test]) > 0.85
