"""The joint decoder with shadow devices about each attacked one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fakelab import FakeLab, auc
from grouplab import GroupLab
from tinymia.attacks.base import Adversary
from tinymia.attacks.choice import Choice
from tinymia.attacks.closer import ROUNDS, CloserDecoder, Closing, drawn, expected_error
from tinymia.attacks.model_decoder import ModelDecoder
from tinymia.attacks.registry import all_attacks
from tinymia.errors import StudyError
from tinymia.evidence import AnswerSettings, OutputPolicy, Run, Shadows
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
    labs = [GroupLab(null=True, seed=seed, target_count=6, groups=24, about=48) for seed in (0, 1)]
    assert abs(np.mean([found(CloserDecoder(), lab) for lab in labs]) - 0.5) < 0.1


class Counting(GroupLab):
    """A lab that counts devices which are trained about one, and may add noise to all."""

    noise = 0.0
    trained = 0

    def _train(self, indices: Any, rate: float) -> Any:
        heads = super()._train(indices, rate)
        self.rng = getattr(self, "rng", np.random.default_rng(1))
        return heads + np.float32(self.noise) * self.rng.normal(size=heads.shape).astype(np.float32)

    def trained_on(self, run: Run, person: str, member: Any, purpose: str) -> Shadows:
        self.trained += purpose != "again"
        return super().trained_on(run, person, member, purpose)


class Noisy(Counting):
    noise = 0.3


def test_it_closes_in_where_more_than_chance_is_left_to_explain() -> None:
    bends, noisy = Counting(), Noisy()
    run = bends.run()
    assert isinstance(CloserDecoder().fit(bends, run, "p"), Closing)
    for lab, other in (
        (noisy, run),
        (bends, bends.run(AnswerSettings(OutputPolicy.LABEL))),
        (bends, replace(run, training=replace(run.training, noise_multiplier=1.0, clip_norm=1.0))),
    ):
        usual = ModelDecoder().fit(lab, other, "p")
        assert CloserDecoder().fit(lab, other, "p") is usual  # which is then scored once


def test_who_is_decoded_surely_is_left_alone() -> None:
    lab = Counting()
    run, usual = lab.run(), ModelDecoder()
    scorer, target = CloserDecoder().fit(lab, run, "p"), lab.target(run, 0)
    assert isinstance(scorer, Closing)
    assert expected_error(scorer(target)) < 0.01
    np.testing.assert_array_equal(scorer(target), usual.fit(lab, run, "p")(target))
    assert lab.trained == 0
    CloserDecoder().fit(lab, lab.run(), "p")(replace(target, answers=target.candidates.base))
    assert lab.trained == len(ROUNDS)


def test_who_reads_the_flash_is_no_weaker() -> None:
    lab = Counting(**BENT)  # type: ignore[arg-type]
    run = lab.run()
    assert CloserDecoder(weights=True).fit(lab, run, "p") is CloserDecoder().fit(lab, run, "p")
    labels = lab.run(AnswerSettings(OutputPolicy.LABEL))
    scorer = CloserDecoder(weights=True).fit(lab, labels, "p")
    assert scorer is ModelDecoder(weights=True).fit(lab, labels, "p")


def test_it_stands_for_its_adversary_only_where_it_is_tried() -> None:
    closes, does_not = Choice(about=True), Choice(about=False)
    for adversary, end in ((Adversary.JOINT, ""), (Adversary.FLASH, "-weights")):
        found = [
            closes.headline(adversary, OutputPolicy.FULL),
            does_not.headline(adversary, OutputPolicy.FULL),
            # Who has the weights sees the same under every policy.
            closes.headline(adversary, OutputPolicy.LABEL, own=False),
        ]
        names = [attack and attack.info.name for attack in found]
        again = f"joint-closer{end}" if end else "joint-model"
        assert names == [f"joint-closer{end}", f"joint-model{end}", again]


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
        scoring = Scoring(settings, b"", {}, None, {}, None, answers=settings.answers)  # type: ignore[arg-type]
        return {a.info.name for a in scoring.attacks(GroupLab().run(), settings.answers[0])}

    assert asked(16) - asked(0) == {a.info.name for a in all_attacks() if a.info.chooses}
    with pytest.raises(StudyError, match="about each attacked"):
        StudySettings(about=3)
