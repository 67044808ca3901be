"""Attacks on devices whose detector rang: some answers are whole, others a label, or nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fakelab import auc
from grouplab import GroupLab
from tinymia.attacks.averaged import LEAST, MOST, averaged, copies_for
from tinymia.attacks.joint import Joint
from tinymia.attacks.label_only import Boundary
from tinymia.attacks.lira import Lira
from tinymia.attacks.loss import LOSS
from tinymia.attacks.model_decoder import ModelDecoder
from tinymia.attacks.stolen import BoundaryDecoder
from tinymia.evidence import AnswerSettings, NoiseLaw, OutputPolicy, Run, Target, Told, known, told
from tinymia.wire.guard import GuardSettings

WATCHED = AnswerSettings(guard=GuardSettings(watch=6, watch_near=0.5, watch_spread=0.25))
Array = np.ndarray[Any, Any]


def silenced(answers: Array, first: int, refuse: bool) -> Array:
    """From a question on, what an alarm leaves of (n, ..., classes) answers."""
    left = np.eye(answers.shape[-1], dtype=np.float32)[answers.argmax(axis=-1)]
    late = np.arange(len(answers)) >= first
    late = late.reshape(-1, *[1] * (answers.ndim - 1))
    return np.where(late, np.float32(np.nan) if refuse else left, answers)


class Ringing(GroupLab):
    """A lab whose devices ring."""

    first = 30
    refuse = False

    def target(self, run: Run, number: int) -> Target:
        given = super().target(run, number)
        return replace(given, answers=silenced(given.answers, self.first, self.refuse))

    def oracle(self, run: Run, target: Target) -> Any:
        device = super().oracle(run, target)
        whole, lab = device.ask, self

        def ask(features: Array) -> Array:
            before = device.asked
            return silenced(whole(features), lab.first - before, lab.refuse)

        device.ask = ask
        return device


def found(attack: Any, lab: GroupLab, answer: AnswerSettings = WATCHED) -> float:
    run = replace(lab.run(), answer=answer)
    scorer = attack.fit(lab, run, "p")
    scores = np.stack([scorer(lab.target(run, i)) for i in range(lab.target_count)])
    assert np.isfinite(scores).all()
    return auc(scores, lab.target_members)


def test_each_answer_is_taken_for_what_it_is() -> None:
    answers = np.array([[0.7, 0.3, 0], [0, 1, 0], [np.nan] * 3], np.float32)
    assert told(answers, WATCHED).tolist() == [Told.AS_AGREED, Told.LABEL, Told.NOTHING]
    # Without a detector a sure answer is an answer, and under a policy that cuts them, too.
    assert told(answers, AnswerSettings()).tolist() == [Told.AS_AGREED] * 3
    cut = replace(WATCHED, policy=OutputPolicy.ROUNDED)
    assert told(answers, cut).tolist() == [Told.AS_AGREED, Told.AS_AGREED, Told.NOTHING]


@pytest.mark.parametrize("refuse", [False, True])
def test_whole_answers_count_although_others_are_not(refuse: bool) -> None:
    lab, none = Ringing(), Ringing()
    lab.refuse = none.refuse = refuse
    none.first = 0
    some, nothing = found(ModelDecoder(), lab), found(ModelDecoder(), none)
    assert some > nothing + 0.01
    assert abs(nothing - 0.5) < 0.15 if refuse else nothing > 0.9
    # As much as from a device that never rang is to be had of enough of them.
    lab.first = 80
    assert found(ModelDecoder(), lab) > found(ModelDecoder(), GroupLab()) - 0.01


def test_behind_an_alarm_labels_are_worth_what_a_label_policy_leaves() -> None:
    rings = Ringing()
    rings.first = 0
    labels = AnswerSettings(OutputPolicy.LABEL)
    assert found(ModelDecoder(), rings) == pytest.approx(found(ModelDecoder(), GroupLab(), labels))


def test_copies_are_averaged_as_far_as_they_are_answered() -> None:
    lab = Ringing()
    n = len(lab.x)
    guard = replace(WATCHED.guard, noise_law=NoiseLaw.GAUSSIAN, noise=0.5, noise_bound=8.0)
    answer = AnswerSettings(guard=guard)
    run = replace(lab.run(), answer=answer)
    target = GroupLab.target(lab, run, 0)
    lab.first = 3 * n + n // 2
    shown, copies = averaged(lab.oracle(run, target), lab.x, answer)
    assert set(copies[: n // 2]) == {4}
    assert set(copies[n // 2 :]) == {3}
    np.testing.assert_allclose(shown, target.answers[:, 0], atol=0.1)
    lab.first = n // 2
    shown, copies = averaged(lab.oracle(run, target), lab.x, answer)
    assert set(copies) == {0, 1}
    assert (told(shown, answer) == np.where(copies, Told.AS_AGREED, Told.LABEL)).all()
    lab.refuse = True
    shown, _ = averaged(lab.oracle(run, target), lab.x, answer)
    assert np.isnan(shown[n // 2 :]).all()
    all_of_them = copies_for(answer)
    lab.first = all_of_them * n
    assert set(averaged(lab.oracle(run, target), lab.x, answer)[1]) == {all_of_them}


def test_more_noise_takes_more_questions() -> None:
    def of(noise: float) -> int:
        guard = GuardSettings(noise_law=NoiseLaw.LAPLACE, noise=noise, noise_bound=6.0)
        return copies_for(AnswerSettings(guard=guard))

    assert LEAST == of(0.1) < of(0.3) < of(1.0) == MOST


@pytest.mark.parametrize("attack", [BoundaryDecoder(), Boundary()])
def test_who_is_refused_answers_has_those_before(attack: Any) -> None:
    """A search that was refused an answer tells nothing, and not that class 0 was named."""
    lab = Ringing()
    lab.refuse, lab.first = True, len(lab.x)
    refused = found(attack, lab)
    lab.first = 10**6
    assert found(attack, lab) > refused - 0.05
    assert refused > 0.4


def test_a_label_is_no_sure_answer() -> None:
    shown = [[0.7, 0.3, 0.0], [0.1, 0.9, 0.0], [0, 1, 0], [0, 0, 1], [np.nan] * 3]
    answers, base = np.array(shown, np.float32), np.array([[0.6, 0.3, 0.1]] * 5, np.float32)
    wanted = [*shown[:2], shown[1], [0.1, 0.3, 0.6], [0.6, 0.3, 0.1]]
    np.testing.assert_allclose(known(answers, base, WATCHED), wanted, atol=1e-6)
    assert known(answers, base, AnswerSettings()) is answers


@pytest.mark.parametrize("attack", [LOSS, Lira(), Joint()], ids=lambda a: a.info.name)
def test_who_judges_by_numbers_is_not_misled_by_labels(attack: Any) -> None:
    lab = Ringing()
    lab.first = n = len(lab.x) // 2
    runs = [replace(lab.run(), answer=answer) for answer in (WATCHED, AnswerSettings())]
    knows, misled = (
        np.stack([attack.fit(lab, run, "p")(lab.target(run, i)) for i in range(lab.target_count)])
        for run in runs
    )
    if not isinstance(attack, Joint):  # which reads all answers for every window
        np.testing.assert_array_equal(knows[:, :n], misled[:, :n])
    before = found(attack, GroupLab())
    assert auc(misled, lab.target_members) + 0.005 < auc(knows, lab.target_members)
    assert auc(knows, lab.target_members) < before
