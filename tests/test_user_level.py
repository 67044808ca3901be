"""Whose device is it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinymia.errors import StudyError
from tinymia.evidence import AnswerSettings, Candidates, OutputPolicy, Target, reveal
from tinymia.experiments.user_level import OwnerAuc, user_level
from tinymia.statistics.intervals import Resampler

PEOPLE = ["a", "b", "c", "d", "e"]


def answers(rng: Any, labels: Any, gain: float) -> Any:
    logits = rng.normal(size=(len(labels), 1, 3))
    logits[np.arange(len(labels)), 0, labels] += gain
    odds = np.exp(logits)
    return (odds / odds.sum(axis=-1, keepdims=True)).astype(np.float32)


def fleet(gain: float, settings: AnswerSettings, each: int = 4) -> Any:
    """Devices whose owner's windows are answered better by some."""
    rng = np.random.default_rng(5)
    known = {}
    for at, person in enumerate(PEOPLE):
        labels = rng.integers(0, 3, 40)
        # Some people are easier than others, on every device.
        base = answers(rng, labels, 0.5 * at)
        known[person] = Candidates(labels, np.arange(40), reveal(base, settings)), 0.5 * at
    return [
        (
            owner,
            {
                person: Target(
                    owner,
                    repetition,
                    candidates,
                    reveal(
                        answers(rng, candidates.labels, ease + gain * (person == owner)), settings
                    ),
                )
                for person, (candidates, ease) in known.items()
            },
        )
        for owner in PEOPLE
        for repetition in range(each)
    ]


@pytest.mark.parametrize("policy", list(OutputPolicy))
def test_owners_are_found(policy: OutputPolicy) -> None:
    settings = AnswerSettings(policy)
    found = user_level("plain@50", settings, fleet(3.0, settings))
    assert found.condition == "plain@50"
    assert len(found.rows) == (1 if policy is OutputPolicy.LABEL else 2)
    for row in found.rows:
        assert (row.people, row.devices) == (5, 20)
        assert row.auc.value is not None
        assert row.auc.value > 0.8
        assert row.auc.excludes(0.5)
        assert row.identified > 0.5


def test_nobody_is_found_where_nothing_was_learnt() -> None:
    settings = AnswerSettings()
    for row in user_level("base", settings, fleet(0.0, settings, each=12)).rows:
        assert row.auc.low is not None
        assert row.auc.high is not None
        assert row.auc.low < 0.5 < row.auc.high
        assert row.identified == pytest.approx(0.2, abs=0.15)


def test_area_is_the_share_of_pairs_and_leaves_people_out_on_both_sides() -> None:
    rng = np.random.default_rng(1)
    own = np.array([0, 0, 1, 1, 2, 2])
    scores = rng.integers(0, 4, (6, 3)).astype(float)

    def pairs(devices: Any, people: Any) -> float:
        wins = []
        for first in devices:
            for second in devices:
                owner = scores[first, own[first]]
                others = [scores[second, p] for p in people if p != own[second]]
                wins.append(np.mean([(owner > s) + 0.5 * (owner == s) for s in others]))
        return float(np.mean(wins))

    statistic = OwnerAuc(scores, own)
    assert statistic(np.ones((1, 6)))[0] == pytest.approx(pairs(range(6), range(3)))
    who = Resampler(["x", "x", "y", "y", "z", "z"]).who
    expected = [
        pairs([d for d in range(6) if own[d] != p], [q for q in range(3) if q != p])
        for p in range(3)
    ]
    np.testing.assert_allclose(statistic.without(who, 3), expected)


def test_ties_share_the_first_place() -> None:
    settings = AnswerSettings(OutputPolicy.LABEL)
    devices = fleet(0.0, settings, each=1)
    same = [
        (
            owner,
            {person: devices[0][1][person] for person in PEOPLE[:1]} | {"b2": devices[0][1]["a"]},
        )
        for owner in ("a",)
    ]
    (row,) = user_level("x", settings, same).rows
    assert row.identified == 0.5
    assert row.auc.value == 0.5
    assert row.auc.low is None


def test_bad_evidence_is_refused() -> None:
    settings = AnswerSettings()
    devices = fleet(1.0, settings, each=1)
    with pytest.raises(StudyError, match="no devices"):
        user_level("x", settings, [])
    owner, asked = devices[0]
    with pytest.raises(StudyError, match="two people"):
        user_level("x", settings, [(owner, {owner: asked[owner]})])
    fewer = {person: asked[person] for person in PEOPLE[1:]}
    with pytest.raises(StudyError, match="same people"):
        user_level("x", settings, [*devices[1:], (owner, fewer)])
