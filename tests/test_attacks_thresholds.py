"""Attacks that only put answers in order, on answers made by hand."""

from typing import Any

import numpy as np
import pytest

from fakelab import Array, make_run
from tinymia.attacks import signals
from tinymia.attacks.registry import get_attack
from tinymia.evidence import AnswerSettings, Candidates, OutputPolicy, Target, reveal

NAMES = ["calibrated-loss", "loss", "confidence", "entropy", "modified-entropy"]
UNIFORM = [1 / 3] * 3


def target(
    probs: Any, labels: Any, base: Any = None, policy: OutputPolicy = OutputPolicy.FULL
) -> Target:
    shown = np.asarray(probs, dtype=np.float32)
    before = np.full(shown.shape, 1 / shown.shape[1]) if base is None else np.asarray(base)
    answer = AnswerSettings(policy)
    return Target(
        person="p",
        repetition=0,
        candidates=Candidates(
            labels=np.asarray(labels, dtype=np.int64),
            group=np.arange(len(shown)),
            base=reveal(before.astype(np.float32), answer)[:, None],
        ),
        answers=reveal(shown, answer)[:, None],
    )


def scores(name: str, made: Target, policy: OutputPolicy = OutputPolicy.FULL) -> Array:
    # A threshold asks nothing of the lab.
    return get_attack(name).fit(None, make_run(policy), "p")(made)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def made() -> Target:
    rng = np.random.default_rng(0)
    probs, base = rng.dirichlet(np.ones(5), (2, 60))
    return target(probs, rng.integers(0, 5, 60), base)


def test_scores_match_the_formulas(made: Target) -> None:
    p = made.answers[:, 0].astype(np.float64)
    p /= p.sum(axis=1, keepdims=True)
    rows, y = np.arange(len(p)), made.candidates.labels
    base = made.candidates.base[:, 0].astype(np.float64)
    base /= base.sum(axis=1, keepdims=True)
    true = p[rows, y]
    mentr = -(1 - true) * np.log(true)
    for i in range(p.shape[1]):
        mentr -= np.where(y == i, 0.0, p[:, i] * np.log(1 - p[:, i]))
    expected = {
        "calibrated-loss": np.log(true) - np.log(base[rows, y]),
        "loss": np.log(true),
        "confidence": np.log(p.max(axis=1)),
        "entropy": (p * np.log(p)).sum(axis=1),
        "modified-entropy": -mentr,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(scores(name, made), values, 1e-9, 1e-12, err_msg=name)


def test_modified_entropy_of_a_worked_case() -> None:
    # -(1 - 0.7) ln 0.7 - 0.2 ln 0.8 - 0.1 ln 0.9
    score = scores("modified-entropy", target([[0.7, 0.2, 0.1]] * 2, [0, 0]))
    assert score[0] == pytest.approx(-0.162167, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_extreme_probabilities_are_finite_and_ordered(name: str) -> None:
    tiny = np.finfo(np.float32).tiny
    probs = [[1, 0, 0], [0, 1, 0], [1, tiny, 0], [0.5, 0.5, 0], UNIFORM, [0, 0, 0]]
    with np.errstate(all="raise", under="ignore"):
        found = scores(name, target(probs, [0] * len(probs)))
    assert found.dtype == np.float64
    assert found.shape == (6,)
    assert np.isfinite(found).all()
    assert found[0] == found.max()
    # All zeros say nothing: the same as uniform.
    assert found[5] == pytest.approx(found[4])


def test_float32_near_one_is_not_tied() -> None:
    """1 - p is the same float32 for both rows; the other classes tell them apart."""
    probs = np.array([[1, 1e-9, 0], [1, 1e-8, 0]], dtype=np.float32)
    for name in NAMES:
        sure, less = scores(name, target(probs, [0, 0]))
        assert sure > less, name


def test_loss_of_a_wrong_sure_answer_is_bounded() -> None:
    assert 87 < signals.cross_entropy([[0.0, 1.0]], np.array([0]))[0] < 88


def test_thresholds_by_class_are_ranks_within_it() -> None:
    probs = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.5, 0.5], [0.6, 0.4]]
    found = scores("loss-per-class", target(probs, [0, 0, 0, 1, 1]))
    np.testing.assert_allclose(found, [1, 0.5, 0, 1, 0])


def test_a_class_of_one_window_and_ties_are_in_the_middle() -> None:
    found = scores("loss-per-class", target([[0.9, 0.1], [0.8, 0.2], [0.8, 0.2]], [0, 1, 1]))
    np.testing.assert_allclose(found, [0.5, 0.5, 0.5])


def test_attack_p_is_the_rank_among_the_devices_own_answers() -> None:
    found = scores("attack-p", target([[0.9, 0.1], [0.8, 0.2], [0.8, 0.2], [0.7, 0.3]], [0] * 4))
    np.testing.assert_allclose(found, [1, 0.5, 0.5, 0])


def test_labels_alone() -> None:
    now = [[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.2, 0.8]]
    before = [[0.4, 0.6], [0.8, 0.2], [0.4, 0.6], [0.6, 0.4]]
    for policy in OutputPolicy:
        made = target(now, [0] * 4, before, policy)
        np.testing.assert_array_equal(scores("gap", made, policy), [1, 1, 0, 0])
        became, stayed, still, lost = scores("label-change", made, policy)
        assert became > stayed > still > lost


def test_what_top1_hides_is_shared_evenly() -> None:
    shown = reveal(np.array([[0.7, 0.2, 0.1]], np.float32), AnswerSettings(OutputPolicy.TOP1))
    np.testing.assert_allclose(signals.completed(shown), [[0.7, 0.15, 0.15]], rtol=1e-6)
    right, wrong = signals.logit_confidence(np.repeat(shown, 2, axis=0), np.array([0, 2]))
    assert right == pytest.approx(np.log(0.7 / 0.3), rel=1e-6)
    assert wrong == pytest.approx(np.log(0.15 / 0.85), rel=1e-6)


def test_whole_answers_are_not_copied() -> None:
    whole = np.full((4, 3), 1 / 3, np.float32)
    assert signals.completed(whole) is whole


@pytest.mark.parametrize(
    ("answer", "least"),
    [
        (AnswerSettings(), np.finfo(np.float32).tiny),
        (AnswerSettings(OutputPolicy.ROUNDED, 100), 0.0025),
        (AnswerSettings(OutputPolicy.TOP1), 2.0**-26),
    ],
)
def test_a_probability_of_zero_stands_for_what_it_may_hide(
    answer: AnswerSettings, least: float
) -> None:
    assert signals.least_probability(answer) == pytest.approx(least)


def test_the_variance_that_rounding_makes_is_that_of_rounded_answers() -> None:
    answer = AnswerSettings(OutputPolicy.ROUNDED, 100)
    p = 0.3 + np.linspace(0, 0.01, 10001)[:-1]  # over a whole step
    rounded = np.round(p * 100) / 100
    error = np.log(rounded / (1 - rounded)) - np.log(p / (1 - p))
    made = signals.rounding_variance(np.array([np.log(0.305 / 0.695)]), answer)
    assert made[0] == pytest.approx(error.var(), rel=0.02)
    assert signals.rounding_variance(np.zeros(1), AnswerSettings())[0] == 0


def test_signals_are_made_once_and_die_with_their_owner(made: Target) -> None:
    calls = []

    def make() -> int:
        calls.append(1)
        return 7

    owner = target([[0.5, 0.5]], [0])
    assert signals.remembered(owner, "key", make) == 7
    assert signals.remembered(owner, "key", make) == 7
    assert len(calls) == 1
    other = target([[0.5, 0.5]], [0])
    signals.remembered(other, "key", make)
    assert len(calls) == 2
    before = len(signals._MADE)
    del owner, other
    assert len(signals._MADE) == before - 2
