"""Uniqueness: a window's risk, its distance to public people, and who is in the tail."""

from __future__ import annotations

import numpy as np
import pytest

from tinymia.experiments.uniqueness import _fifth, _ranks, _tail, _trend, distances, risks

RNG = np.random.default_rng(3)


def test_a_window_that_is_learnt_by_heart_is_the_riskiest() -> None:
    member = RNG.random((300, 40)) < 0.3
    said = RNG.normal(size=(300, 40))
    said[:, 7] += 5.0 * member[:, 7]
    member[:, 9] = True  # nobody lacks it, so it has no risk
    found = risks(said, member)
    assert np.nanargmax(found) == 7
    assert found[7] > 0.99
    assert np.isnan(found[9])
    assert np.nanmean(np.delete(found, 7)) == pytest.approx(0.5, abs=0.03)
    assert np.flatnonzero(_tail(np.nan_to_num(found))).tolist().count(7) == 1
    assert _tail(found[:9]).sum() == 1


def test_distance_is_to_the_nearest_of_the_own_class() -> None:
    others = np.concatenate([np.zeros((8, 2)), np.full((8, 2), 3.0)])
    theirs = np.repeat([0, 1], 8)
    own = np.array([[3.0, 4.0], [3.0, 4.0], [0.0, 1.0]])
    found = distances(own, np.array([0, 1, 2]), others, theirs)
    # Nobody has the third's class, so the nearest of all count.
    assert found == pytest.approx([5.0, 1.0, 1.0])


def test_risk_and_distance_correlate_by_rank() -> None:
    distance = RNG.random(100)
    rank = _ranks(distance)
    assert _trend(np.exp(distance), rank) == pytest.approx(1.0)
    assert _trend(-distance, rank) == pytest.approx(-1.0)
    assert abs(_trend(RNG.random(100), rank)) < 0.3
    assert _trend(np.ones(100), rank) == 0.0
    assert np.bincount(_fifth(rank)).tolist() == [20] * 5
    tied = _ranks(np.repeat([1.0, 2.0], [75, 25]))
    assert np.bincount(_fifth(tied)).tolist() == [20] * 5  # none is empty
