"""The joint decoder: its leave-one-out, its calibration, and what it finds that others do not."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from fakelab import auc, auc_of, make_run, small_lab
from tinymia.attacks import joint, lira
from tinymia.attacks.base import Adversary
from tinymia.attacks.joint import Joint, log_probabilities
from tinymia.attacks.registry import headline_of
from tinymia.attacks.ridge import calibrate, ridge
from tinymia.evidence import AnswerSettings, OutputPolicy

WEIGHTS = Joint(weights=True)


@pytest.fixture(scope="module")
def lab() -> Any:
    return small_lab(shadow_count=256)


def made(count: int = 30, signals: int = 50, bits: int = 6) -> tuple[Any, Any]:
    rng = np.random.default_rng(4)
    y = (rng.random((count, bits)) < 0.4).astype(float)
    x = y @ rng.normal(size=(bits, signals)) + rng.normal(size=(count, signals)) + 3
    return x, y


def test_leave_one_out_is_that_of_fits_without_each_device() -> None:
    x, y = made()
    found = ridge(x, y)
    centred = x - x.mean(axis=0)
    strength = found.strength * np.linalg.eigvalsh(centred @ centred.T)[-1]
    for device in range(len(x)):
        others = np.arange(len(x)) != device
        mean = x[others].mean(axis=0)
        rest = x[others] - mean
        inverse = np.linalg.inv(rest.T @ rest + strength * np.eye(x.shape[1]))
        weights = inverse @ rest.T @ (y[others] - y[others].mean(axis=0))
        np.testing.assert_allclose(found.left_out[device], (x[device] - mean) @ weights, atol=1e-9)


def test_decoding_is_ridge_regression_in_primal_form() -> None:
    x, y = made()
    found = ridge(x, y)
    rest = x - x.mean(axis=0)
    strength = found.strength * np.linalg.eigvalsh(rest @ rest.T)[-1]
    inverse = np.linalg.inv(rest.T @ rest + strength * np.eye(x.shape[1]))
    expected = rest @ inverse @ rest.T @ (y - y.mean(axis=0))
    np.testing.assert_allclose(found.decode(x), expected, atol=1e-9)


def test_left_out_values_say_nothing_of_bits_that_signals_do_not_hold() -> None:
    """The mean of the others falls where a bit is 1; that must not look like a decoded bit."""
    rng = np.random.default_rng(2)
    y = (rng.random((40, 200)) < 0.5).astype(float)
    left_out = ridge(rng.normal(size=(40, 60)), y).left_out
    assert auc(left_out, y > 0) == pytest.approx(0.5, abs=0.03)


def test_bits_of_one_kind_and_signals_without_variance_are_calibrated() -> None:
    member = np.zeros((8, 3), bool)
    member[:4, 0] = member[:, 1] = True
    left_out = np.where(member, 0.5, -0.5)
    found = calibrate(left_out, member)
    assert np.isfinite(found.ratio(left_out)).all()
    assert found.ratio(np.full(3, 0.5))[0] > 0 > found.ratio(np.full(3, -0.5))[0]
    flat = ridge(np.ones((8, 5)), member.astype(float))
    for signals in (np.ones(5), np.arange(5.0)):
        ratios = calibrate(flat.left_out, member).ratio(flat.decode(signals))
        np.testing.assert_array_equal(ratios, 0.0)


def test_it_finds_what_one_answer_at_a_time_does_not(lab: Any) -> None:
    run = make_run()
    alone = np.mean(auc_of(lira.Lira(), lab, run, 8))
    together = np.mean(auc_of(Joint(), lab, run, 8))
    assert 1 - together < (1 - alone) / 2
    assert 1 - np.mean(auc_of(WEIGHTS, lab, run, 8)) < (1 - alone) / 2


@pytest.mark.parametrize("policy", list(OutputPolicy))
def test_it_runs_under_every_policy(lab: Any, policy: OutputPolicy) -> None:
    run = make_run(policy)
    assert np.mean(auc_of(Joint(), lab, run, 8)) > 0.6


@pytest.mark.parametrize("attack", [Joint(), WEIGHTS], ids=lambda a: a.info.name)
def test_nothing_is_found_where_nothing_is(attack: Any) -> None:
    null: Any = small_lab(null=True, target_count=24, shadow_count=128)
    run = make_run()
    score = attack.fit(null, run, "p")
    scores = np.stack([score(null.target(run, i)) for i in range(24)])
    m = int(null.target_members.sum())
    error = np.sqrt((1 / m + 1 / (scores.size - m)) / 12)
    assert auc(scores, null.target_members) == pytest.approx(0.5, abs=4.5 * error)


class Grouped:
    """A lab whose windows are members in fours: each device's answers are its members' alone."""

    def __init__(self, lab: Any, group: Any) -> None:
        self.lab, self.group = lab, group
        self.shadows_made: dict[Any, Any] = {}

    def candidates(self, run: Any, person: str) -> Any:
        return dataclasses.replace(self.lab.candidates(run, person), group=self.group)

    def shadows(self, run: Any, person: str, *rest: Any) -> Any:
        """Membership by fours, as if devices had drawn so: the first window's."""
        found = self.lab.shadows(run, person, *rest)
        member = found.member[:, np.arange(len(self.lab.y)) // 4 * 4]
        return dataclasses.replace(found, member=member)

    def oracle(self, run: Any, target: Any) -> Any:
        raise AssertionError("not asked")


def test_knowing_the_groups_changes_no_score_where_they_are_drawn_whole(lab: Any) -> None:
    run = make_run()
    apart = np.arange(len(lab.y))
    target = lab.target(run, 0)
    fours: Any = Grouped(lab, apart // 4)
    single: Any = Grouped(lab, apart)
    known = Joint().fit(fours, run, "p")(target)
    unknown = Joint().fit(single, run, "p")(target)
    np.testing.assert_allclose(known, unknown, rtol=1e-6, atol=1e-9)
    assert len(np.unique(known)) <= len(apart) // 4


@pytest.mark.parametrize("policy", list(OutputPolicy))
def test_signals_of_saturated_answers_are_finite(policy: OutputPolicy) -> None:
    answers = np.array([[1, 0, 0], [0, 0, 0], [np.nan, 0.4, np.nan], [np.nan] * 3], np.float32)
    found = log_probabilities(answers, AnswerSettings(policy))
    assert np.isfinite(found).all()


def test_rounded_probabilities_are_clipped_at_half_a_step() -> None:
    found = log_probabilities(np.array([1.0, 0.0]), AnswerSettings(OutputPolicy.ROUNDED, 100))
    assert found[0] - found[1] == pytest.approx(np.log(200))


def test_saturated_targets_are_scored(lab: Any) -> None:
    run = make_run()
    target = lab.target(run, 0)
    sure = np.eye(lab.classes, dtype=np.float32)[target.answers.argmax(axis=-1)]
    assert np.isfinite(Joint().fit(lab, run, "p")(dataclasses.replace(target, answers=sure))).all()


def test_variants_are_those_of_knowledge() -> None:
    names = {attack.info.name for attack in joint.ATTACKS}
    assert names == {"joint", "joint-half", "joint-mismatched", "joint-undefended"}


def test_it_stands_for_its_adversaries() -> None:
    for policy in OutputPolicy:
        for adversary, name in (
            (Adversary.JOINT, "joint-closer"),
            (Adversary.FLASH, "joint-closer-weights"),
        ):
            found = headline_of(adversary, policy)
            assert found is not None
            assert found.info.name == name
