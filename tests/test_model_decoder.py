"""The joint decoder by a model of training: its algebra, and what it finds where others do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fakelab import auc
from grouplab import GroupLab
from tinymia.attacks.heads import Pairs, Readout, contrasts, softmax, spread_of
from tinymia.attacks.joint import Joint
from tinymia.attacks.linearised import Linearised
from tinymia.attacks.matrix_normal import applied, shrinkage, whiteners
from tinymia.attacks.model_decoder import ModelDecoder, UntrainedDecoder
from tinymia.attacks.posterior import likelihood_of, log_odds
from tinymia.attacks.response import Prior, forward_ridge
from tinymia.attacks.softmax import read_by_head
from tinymia.attacks.stolen import QUESTIONS, BoundaryDecoder
from tinymia.attacks.templates import Habits, filtered, pulls
from tinymia.errors import StudyError
from tinymia.evidence import AnswerSettings, Knowledge, OutputPolicy, Shadows
from tinymia.wire.settings import TrainSettings

HIDING = [OutputPolicy.ROUNDED, OutputPolicy.TOP1, OutputPolicy.LABEL]
RNG = np.random.default_rng


@pytest.fixture(scope="module")
def lab() -> GroupLab:
    return GroupLab()


def found(attack: Any, lab: GroupLab, policy: OutputPolicy = OutputPolicy.FULL) -> float:
    """AUC over all targets together."""
    run = lab.run(AnswerSettings(policy))
    scorer = attack.fit(lab, run, "p")
    scores = np.stack([scorer(lab.target(run, i)) for i in range(lab.target_count)])
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()
    return auc(scores, lab.target_members)


# What it finds


def test_it_finds_nearly_all_members_with_few_shadows(lab: GroupLab) -> None:
    assert found(ModelDecoder(), lab) > 0.98
    assert found(ModelDecoder(weights=True), lab) > 0.98


def test_it_needs_fewer_shadows_than_a_regression() -> None:
    few = GroupLab(shadow_count=12, seed=3)
    assert found(ModelDecoder(), few) > found(Joint(), few) + 0.1


def test_shadows_are_not_needed(lab: GroupLab) -> None:
    assert found(UntrainedDecoder(), lab) > 0.95
    assert found(UntrainedDecoder(), lab, OutputPolicy.ROUNDED) > 0.85


@pytest.mark.parametrize("policy", HIDING)
def test_a_policy_hides_less_than_a_regression_on_it_says(
    lab: GroupLab, policy: OutputPolicy
) -> None:
    ours, plain = found(ModelDecoder(), lab, policy), found(Joint(), lab, policy)
    assert ours > max(plain - 0.02, 0.6)


def test_labels_alone_give_all_away_to_one_who_chooses_questions(lab: GroupLab) -> None:
    assert found(BoundaryDecoder(), lab, OutputPolicy.LABEL) > 0.97
    assert 0 < lab.last.asked <= QUESTIONS * len(lab.x)


def test_knowing_the_groups_helps(lab: GroupLab) -> None:
    alone = found(ModelDecoder(grouped=False), lab)
    assert 0.75 < alone < found(ModelDecoder(), lab)


def test_another_recipe_is_forgiven(lab: GroupLab) -> None:
    assert found(ModelDecoder(Knowledge.MISMATCHED), lab) > 0.9


def test_unequal_trainings_are_told_apart() -> None:
    """Half of all devices trained twenty times as long: the law follows each device."""
    both = GroupLab(shadow_count=60, epochs=1)
    long = GroupLab(shadow_count=60, epochs=20)
    mixed = np.arange(len(both.heads)) % 2 == 0
    both.heads = np.where(mixed[:, None, None], both.heads, long.heads)
    run = both.run()
    judge = ModelDecoder().fit(both, run, "p")
    assert judge.laws.timed  # type: ignore[attr-defined]
    assert found(ModelDecoder(), both) > 0.97
    assert found(ModelDecoder(), both, OutputPolicy.ROUNDED) > 0.8


@pytest.mark.parametrize("attack", [ModelDecoder(), ModelDecoder(weights=True), UntrainedDecoder()])
def test_where_answers_tell_nothing_it_finds_nothing(attack: Any) -> None:
    areas = [found(attack, GroupLab(null=True, seed=seed, target_count=10)) for seed in range(3)]
    assert abs(np.mean(areas) - 0.5) < 0.07


def test_a_device_that_was_never_trained_gets_finite_scores(lab: GroupLab) -> None:
    run = lab.run()
    candidates = lab.candidates(run, "p")
    untouched = replace(lab.target(run, 0), answers=candidates.base)
    for attack in (ModelDecoder(), UntrainedDecoder(), ModelDecoder(Knowledge.MISMATCHED)):
        assert np.isfinite(attack.fit(lab, run, "p")(untouched)).all()


def test_shadows_that_did_not_move_tell_nothing(lab: GroupLab) -> None:
    still = GroupLab(shadow_count=8)
    still.heads = np.repeat(still.start[None], len(still.heads), axis=0)
    run = still.run()
    assert (ModelDecoder().fit(still, run, "p")(still.target(run, 0)) == 0).all()


def test_too_few_shadows_are_refused() -> None:
    with pytest.raises(StudyError, match="too few"):
        ModelDecoder().fit(GroupLab(shadow_count=3), GroupLab().run(), "p")


# Invariance


def test_windows_of_a_group_get_one_score(lab: GroupLab) -> None:
    run = lab.run()
    scores = ModelDecoder().fit(lab, run, "p")(lab.target(run, 0))
    assert (scores.reshape(-1, 3) == scores.reshape(-1, 3)[:, :1]).all()


def test_a_number_added_to_all_logits_changes_nothing(lab: GroupLab) -> None:
    run = lab.run()
    target = lab.target(run, 0)
    assert target.theta is not None
    biases = target.theta.copy()
    biases[-lab.classes :] += 3
    scorer = ModelDecoder(weights=True).fit(lab, run, "p")
    moved = scorer(replace(target, theta=biases))
    np.testing.assert_allclose(moved, scorer(target), rtol=1e-3, atol=1e-3)


def test_answers_and_weights_tell_the_same(lab: GroupLab) -> None:
    run = lab.run()
    target = lab.target(run, 1)
    shown = ModelDecoder().fit(lab, run, "p")(target)
    read = ModelDecoder(weights=True).fit(lab, run, "p")(target)
    np.testing.assert_allclose(shown, read, rtol=0.02, atol=0.1)


@pytest.mark.parametrize("policy", list(OutputPolicy))
def test_saturated_answers_get_finite_scores(lab: GroupLab, policy: OutputPolicy) -> None:
    run = lab.run(AnswerSettings(policy))
    target = lab.target(run, 0)
    top = np.nan_to_num(target.answers, nan=-1.0).argmax(axis=-1)
    sure = np.eye(lab.classes, dtype=np.float32)[top]
    hidden = np.where(sure > 0, sure, np.nan) if policy is OutputPolicy.TOP1 else sure
    scorer = ModelDecoder().fit(lab, run, "p")
    assert np.isfinite(scorer(replace(target, answers=hidden.astype(np.float32)))).all()


def test_deep_networks_are_decoded_by_their_answers_and_weights(lab: GroupLab) -> None:
    class Deep(GroupLab):
        def candidates(self, run: Any, person: str) -> Any:
            return replace(super().candidates(run, person), features=None, head=None)

    deep = Deep(shadow_count=80)
    assert found(ModelDecoder(), deep) > 0.9
    assert found(ModelDecoder(), deep, OutputPolicy.ROUNDED) > 0.75
    assert found(ModelDecoder(weights=True), deep) > 0.85


# Heads


def test_contrasts_are_an_orthonormal_basis_of_what_cancels_not() -> None:
    basis = contrasts(5)
    np.testing.assert_allclose(basis @ basis.T, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(basis.sum(axis=1), 0, atol=1e-12)


def test_whole_answers_determine_the_matrix(lab: GroupLab) -> None:
    run = lab.run()
    read = read_by_head(lab.candidates(run, "p"))
    readout = Readout.of_head(read, lab.classes)
    shadows = lab.shadows(run, "p")
    read_off = readout.of_whole(shadows.answers[:, :, 0])
    np.testing.assert_allclose(
        read_off, readout.of_weights(lab.heads[: lab.shadow_count]), atol=2e-4
    )
    answers = softmax(readout.logits(read_off[0]))
    np.testing.assert_allclose(answers, shadows.answers[0, :, 0], atol=1e-5)


def test_windows_that_float32_cannot_hold_are_left_out(lab: GroupLab) -> None:
    run = lab.run()
    readout = Readout.of_head(read_by_head(lab.candidates(run, "p")), lab.classes)
    answers = lab.shadows(run, "p").answers[:1, :, 0].copy()
    right = readout.of_whole(answers)
    answers[0, 5] = [1, 0, 0, 0]
    np.testing.assert_allclose(readout.of_whole(answers), right, atol=1e-3)


def test_sums_of_pairs_are_kronecker_products() -> None:
    rng = RNG(0)
    rows, blocks = rng.normal(size=(7, 3)), rng.normal(size=(7, 2, 2))
    blocks = blocks + blocks.transpose(0, 2, 1)
    wanted = sum(np.kron(b, np.outer(r, r)) for b, r in zip(blocks, rows, strict=True))
    np.testing.assert_allclose(Pairs(rows).sum(blocks), wanted, atol=1e-12)


@pytest.mark.parametrize(
    "habits",
    [
        Habits(),
        Habits(label_smoothing=0.2, l2=0.1),
        Habits(label_smoothing=0.1, confidence_penalty=0.7, base_pull=0.2),
        Habits(focal_loss=2.5),
        Habits(focal_loss=1.0, base_pull=0.1),
    ],
)
def test_pulls_are_gradients_and_hessians(lab: GroupLab, habits: Habits) -> None:
    run = lab.run()
    candidates = lab.candidates(run, "p")
    read = read_by_head(candidates)
    readout = Readout.of_head(read, lab.classes)
    matrix = readout.of_weights(lab.start)
    wanted = np.eye(lab.classes)[lab.y]
    wanted = (1 - habits.label_smoothing) * wanted + habits.label_smoothing / lab.classes

    def loss(flat: Any) -> Any:
        found = softmax(readout.logits(flat.reshape(matrix.shape)))
        weight = (1 - found[np.arange(len(lab.y)), lab.y]) ** habits.focal_loss
        entropy = -(found * np.log(found)).sum(axis=1)
        crossed = -(wanted * np.log(found)).sum(axis=1)
        return crossed * weight - habits.confidence_penalty * entropy

    def numeric(function: Any, at: Any, step: float = 1e-4) -> Any:
        ways = step * np.eye(at.size)
        return np.stack([(function(at + w) - function(at - w)) / (2 * step) for w in ways])

    pull, hessian = pulls(readout, read, lab.y, matrix, habits)
    flat = matrix.ravel()
    np.testing.assert_allclose(pull.T, -numeric(loss, flat), atol=1e-6)
    curved = numeric(lambda at: numeric(lambda b: loss(b).mean(), at), flat, 1e-3)
    pulled = (habits.l2 + habits.base_pull) * np.eye(len(hessian))
    np.testing.assert_allclose(hessian - pulled, curved, atol=1e-4)


def test_clipping_bounds_pulls(lab: GroupLab) -> None:
    candidates = lab.candidates(lab.run(), "p")
    read = read_by_head(candidates)
    readout = Readout.of_head(read, lab.classes)
    pull, _ = pulls(readout, read, lab.y, readout.of_weights(lab.start), Habits(clip_norm=0.5))
    assert np.linalg.norm(pull, axis=1).max() <= 0.5 + 1e-9


def test_filtered_pulls_add_up_where_nothing_holds_and_settle_where_it_does() -> None:
    np.testing.assert_allclose(filtered(3.0, np.array([0.0, 1e-12])), 3.0)
    np.testing.assert_allclose(filtered(1e4, np.array([0.5])), 2.0)
    rate = np.array([0.7])
    steps = np.cumsum([0.001 * (1 - 0.001 * 0.7) ** i for i in range(2000)])
    np.testing.assert_allclose(filtered(2.0, rate)[0], steps[-1], rtol=1e-3)


# Noise


def test_whiteners_undo_a_matrix_normal_distribution() -> None:
    rng = RNG(1)
    left, right = rng.normal(size=(3, 3)), rng.normal(size=(6, 6))
    noise = left @ rng.normal(size=(4000, 3, 6)) @ right
    seen = applied(*whiteners(noise), noise)
    np.testing.assert_allclose(np.cov(seen.T), np.eye(18), atol=0.12)


def test_shrinkage_is_whole_without_structure_and_small_with_it() -> None:
    rng = RNG(2)
    assert shrinkage(rng.normal(size=(60, 200))) > 0.9
    strong = rng.normal(size=(60, 200)) * np.geomspace(10, 0.1, 200)
    assert shrinkage(strong) < 0.6


def test_forward_ridge_leaves_out_each_row_exactly() -> None:
    rng = RNG(3)
    chosen = (rng.random((14, 4)) < 0.4).astype(float)
    chosen -= chosen.mean(axis=0)
    rest = chosen @ rng.normal(size=(4, 5)) + 0.3 * rng.normal(size=(14, 5))
    rest -= rest.mean(axis=0)
    weights, left = forward_ridge(chosen, rest)
    size = np.linalg.svd(chosen, compute_uv=False)
    strength = _strength(chosen, rest, weights)
    assert 1e-3 <= strength / size[0] ** 2 <= 1e4 * 1.001
    for row in range(len(rest)):
        kept = np.arange(len(rest)) != row
        x, y = chosen[kept], rest[kept]
        middle_x, middle_y = x.mean(axis=0), y.mean(axis=0)
        inner = (x - middle_x).T @ (x - middle_x) + strength * np.eye(4)
        slope = np.linalg.solve(inner, (x - middle_x).T @ (y - middle_y))
        there = middle_y + (chosen[row] - middle_x) @ slope
        np.testing.assert_allclose(left[row], rest[row] - there, atol=1e-8)


def _strength(chosen: Any, rest: Any, weights: Any) -> float:
    """The ridge that gave these weights: (X'X + r I) W = X'Y."""
    gap = chosen.T @ rest - chosen.T @ chosen @ weights
    return float((gap * weights).sum() / (weights**2).sum())


# From evidence to bits


def test_log_odds_of_sure_evidence_are_those_of_the_bits() -> None:
    rng = RNG(4)
    bits = rng.random(12) < 0.3
    prior = Prior.independent(12, 0.3)
    information = 200.0 * (np.eye(12) + 0.1)
    odds = log_odds(information, information @ (bits - 0.3), prior)
    assert ((odds > 0) == bits).all()


def test_log_odds_without_evidence_are_the_priors() -> None:
    prior = Prior.independent(6, 0.2)
    odds = log_odds(np.zeros((6, 6)), np.zeros(6), prior)
    # Spike and slab are not told apart by nothing, but for their widths.
    np.testing.assert_allclose(odds, np.log(0.2 / 0.8), atol=0.1)


def test_members_known_by_number_compete() -> None:
    """One of two is a member for sure: evidence for one is evidence against the other."""
    member = np.array([[1, 0], [0, 1]] * 10, dtype=bool)
    prior = Prior.learnt(member, np.array([0, 0]))
    alone = Prior.independent(2, 0.5)
    information, pull = np.diag([4.0, 1e-6]), np.array([2.0, 0.0])
    assert log_odds(information, pull, prior)[1] < log_odds(information, pull, alone)[1] - 0.5


@pytest.mark.parametrize("policy", HIDING)
def test_likelihoods_have_the_gradients_that_they_say(policy: OutputPolicy) -> None:
    rng = RNG(5)
    logits = rng.normal(size=(4, 3))
    from tinymia.evidence import reveal

    answer = AnswerSettings(policy, 20)
    shown = reveal(softmax(logits + 0.2 * rng.normal(size=(4, 3))).astype(np.float32), answer)
    value = likelihood_of(shown, answer, np.array([0.0, 0.1, 0.0, 0.3]))
    _, gradient, curvature = value(logits)
    for at in np.ndindex(logits.shape):
        step = np.zeros_like(logits)
        step[at] = 1e-5
        slope = (value(logits + step)[0] - value(logits - step)[0]) / 2e-5
        np.testing.assert_allclose(gradient[at], slope, rtol=1e-4, atol=1e-4)
    assert (np.linalg.eigvalsh(curvature) > -1e-6).all()


def test_the_recipes_law_knows_dropout_and_noise(lab: GroupLab) -> None:
    """More noise of the training is less information on its members."""
    run = lab.run()
    candidates = lab.candidates(run, "p")
    read = read_by_head(candidates)
    readout = Readout.of_head(read, lab.classes)
    units = np.unique(lab.group, return_inverse=True)[1]
    start = readout.of_weights(lab.start)

    def told(training: TrainSettings) -> float:
        made = replace(run, training=training)
        law = Linearised(readout, read, lab.y, units, start, made).at(None)
        return float(np.trace(law.information))

    plain = told(TrainSettings(learning_rate=0.3, batch=6))
    assert told(TrainSettings(learning_rate=0.3, batch=6, dropout=0.5)) < plain
    private = TrainSettings(learning_rate=0.3, batch=6, clip_norm=1.0, noise_multiplier=2.0)
    assert told(private) < 0.2 * plain


def test_spread_of_is_the_covariance_of_a_label() -> None:
    chance = np.array([[0.2, 0.5, 0.3]])
    basis = contrasts(3)
    wanted = basis @ (np.diag(chance[0]) - np.outer(chance[0], chance[0])) @ basis.T
    np.testing.assert_allclose(spread_of(chance, basis)[0], wanted, atol=1e-12)


def test_shadows_are_read_once(lab: GroupLab) -> None:
    """Attacks share what was learnt from the same shadow devices."""
    run = lab.run()
    one = ModelDecoder().fit(lab, run, "p")
    other = ModelDecoder().fit(lab, run, "p")
    assert one.laws is other.laws  # type: ignore[attr-defined]
    assert isinstance(lab.shadows(run, "p"), Shadows)
