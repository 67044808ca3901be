"""Label-only attacks by views and by the decision boundary."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from fakelab import FakeLab, FakeOracle, auc, make_run, small_lab
from tinymia.attacks import label_only
from tinymia.attacks.label_only import (
    HALVINGS,
    QUESTIONS,
    Boundary,
    RightViews,
    distances,
    right_views,
)
from tinymia.evidence import Candidates, OutputPolicy, Target

RUN = make_run(OutputPolicy.LABEL)


@pytest.fixture(scope="module")
def lab() -> Any:
    return small_lab(views=5)


class Counting:
    """A lab whose oracles are kept."""

    def __init__(self, lab: FakeLab) -> None:
        self.lab = lab
        self.given: list[FakeOracle] = []

    def candidates(self, run: Any, person: str) -> Candidates:
        return self.lab.candidates(run, person)

    def oracle(self, run: Any, target: Target) -> FakeOracle:
        self.given.append(self.lab.oracle(run, target))
        return self.given[-1]


def test_views_are_counted_with_hidden_classes() -> None:
    hidden = np.nan
    answers = np.array([[[1, 0], [0, 1], [hidden, 0.7]], [[hidden, hidden], [0, 1], [0, 1]]])
    found = right_views(answers.astype(np.float32), np.array([1, 1]))
    np.testing.assert_array_equal(found, [2, 2])


def test_right_views_come_before_what_the_base_model_says(lab: Any) -> None:
    target = lab.target(RUN, 0)
    scores = RightViews().fit(lab, RUN, "p")(target)
    count = right_views(target.answers, lab.y)
    assert (np.floor(scores) == count).all()
    before = right_views(lab.candidates(RUN, "p").base, lab.y)
    for many in np.unique(count):
        same = count == many
        order = np.argsort(scores[same], kind="stable")
        assert (np.diff(before[same][order]) <= 0).all()


def test_the_budget_is_kept_and_counted(lab: Any) -> None:
    assert QUESTIONS <= 64
    counting = Counting(lab)
    scores = Boundary().fit(counting, RUN, "p")(lab.target(RUN, 0))  # type: ignore[arg-type]
    (oracle,) = counting.given
    right = right_views(lab.target(RUN, 0).answers[:, :1], lab.y) > 0
    assert oracle.asked == len(lab.y) + right.sum() * (QUESTIONS - 1)
    assert np.isfinite(scores).all()


def test_bisection_finds_a_known_boundary() -> None:
    """Class 1 is the half-plane x > 1: from the origin along (2, 0) it begins at distance 1."""

    def ask(asked: Any) -> Any:
        return np.stack([asked[:, 0] <= 1, asked[:, 0] > 1], axis=1).astype(np.float32)

    origin = np.zeros((3, 2))
    labels = np.array([0, 0, 1])
    ways = np.array([[[2.0, 0.0]] * 3, [[0.0, 2.0]] * 3])
    found = distances(ask, origin, ways, labels)
    assert found[:2] == pytest.approx(1.0, abs=2.0 / 2**HALVINGS)
    assert found[2] == 0  # misclassified
    assert distances(ask, origin, ways[1:], labels)[0] == 2  # no boundary on the way
    nowhere = distances(ask, origin[2:], ways[:, 2:], labels[2:])
    np.testing.assert_array_equal(nowhere, [0.0])


@pytest.mark.parametrize("attack", label_only.ATTACKS, ids=lambda a: a.info.name)
def test_members_are_found_by_labels_alone(lab: Any, attack: Any) -> None:
    score = attack.fit(lab, RUN, "p")
    targets = [lab.target(RUN, i) for i in range(8)]
    scores = np.stack([score(target) for target in targets])
    assert auc(scores, lab.target_members) > 0.55
    blind = dataclasses.replace(targets[0], theta=None)
    np.testing.assert_array_equal(score(blind), scores[0])


@pytest.mark.parametrize("attack", label_only.ATTACKS, ids=lambda a: a.info.name)
def test_nothing_is_found_where_nothing_is(attack: Any) -> None:
    null = small_lab(views=5, null=True, target_count=16, shadow_count=2)
    score = attack.fit(null, RUN, "p")
    scores = np.stack([score(null.target(RUN, i)) for i in range(16)])
    m = int(null.target_members.sum())
    error = np.sqrt((1 / m + 1 / (scores.size - m)) / 12)
    assert auc(scores, null.target_members) == pytest.approx(0.5, abs=4.5 * error)
