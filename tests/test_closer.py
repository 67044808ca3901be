"""The joint decoder with shadow devices about each attacked one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fakelab import FakeLab, auc
from grouplab import GroupLab
from tinymia.attacks.closer import CloserDecoder, drawn
from tinymia.attacks.model_decoder import ModelDecoder
from tinymia.attacks.registry import all_attacks
from tinymia.errors import StudyError
from tinymia.evidence import AnswerSettings, OutputPolicy
from tinymia.study.scoring import Scoring
from tinymia.study.settings import StudySettings

BENT = {"rate": 1.0, "epochs": 40, "shadow_count": 16, "groups": 40, "chosen": 10, "width": 12}
"""A training long enough that no linear law of few shadow devices holds for all of them."""


def found(attack: Any, lab: GroupLab, policy: OutputPolicy = OutputPolicy.FULL) -> float:
    run = lab.run(AnswerSettings(policy))
    scorer = attack.fit(lab, run, "p")
    scores = np.stack([scorer(lab.target(run, i)) for i in range(lab.target_count)])
    assert np.isfinite(scores).all()
    return auc(scores, lab.target_members)


def test_devices_about_the_attacked_one_tell_more() -> None:
    lab = GroupLab(target_count=3, **BENT)  # type: ignore[arg-type]
    before = found(ModelDecoder(), lab)
    assert before < 0.97
    assert found(CloserDecoder(), lab) > (1 + before) / 2


def test_it_finds_nothing_where_nothing_is_to_be_found() -> None:
    labs = [GroupLab(null=True, seed=seed, target_count=6, groups=24, about=16) for seed in (0, 1)]
    assert abs(np.mean([found(CloserDecoder(), lab) for lab in labs]) - 0.5) < 0.1


def test_sets_follow_what_one_believes_and_are_of_one_size() -> None:
    of = np.repeat(np.arange(40), 2)
    odds = np.where(np.arange(40) < 10, 4.0, -4.0)
    sets = drawn(np.random.default_rng(0), odds, of, 20, 200)
    assert (sets.sum(axis=1) == 10).all()
    assert sets[:, :10].mean() > 0.75
    assert 0 < sets[:, 10:].mean() < 0.15
    even = drawn(np.random.default_rng(0), np.zeros(40), of, 19, 200)
    assert (even.sum(axis=1) == 10).all()  # a set may be one window larger, not smaller
    assert even.mean(axis=0).max() < 0.4


def test_a_lab_that_cannot_train_them_says_so() -> None:
    lab = FakeLab(np.zeros((4, 2)), np.zeros(4, np.int64), classes=2, members=2, epochs=1)
    with pytest.raises(StudyError, match="members that are chosen"):
        CloserDecoder().fit(lab, GroupLab().run(), "p")


def test_it_runs_only_where_a_study_asks_for_it() -> None:
    def asked(about: int) -> set[str]:
        settings = StudySettings(about=about)
        scoring = Scoring(settings, b"", {}, None, {}, None, settings.answers, 1)  # type: ignore[arg-type]
        return {a.info.name for a in scoring.attacks(GroupLab().run(), settings.answers[0])}

    assert asked(16) - asked(0) == {a.info.name for a in all_attacks() if a.info.chooses}
    with pytest.raises(StudyError, match="about each attacked"):
        StudySettings(about=3)
