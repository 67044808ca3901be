import dataclasses

import numpy as np
import pytest

import synthetic
from tinymia.attacks import Attack, all_attacks, get_attack, headline_attack
from tinymia.attacks.base import cross_entropy
from tinymia.audit.types import CellAnswers, OutputPolicy
from tinymia.errors import StudyError

NAMES = ["calibrated-loss", "loss", "confidence", "entropy", "modified-entropy"]


def cell(probs, labels, base=None, policy=OutputPolicy.FULL):
    probs = np.asarray(probs, dtype=np.float32)
    n = len(probs)
    base = np.full(probs.shape, 1 / probs.shape[1], np.float32) if base is None else base
    return CellAnswers(
        person="p",
        repetition=0,
        condition="plain@1",
        epochs=1,
        probs=probs,
        base_probs=np.asarray(base, dtype=np.float32),
        labels=np.asarray(labels),
        member=np.arange(n) < n // 2,
        policy=policy,
    )


@pytest.fixture(scope="module")
def answers():
    return synthetic.make_cells(people=1, repetitions=1, conditions=("plain@50",))[0]


def test_registry():
    assert [a.name for a in all_attacks()] == NAMES
    assert all(isinstance(a, Attack) for a in all_attacks())
    assert headline_attack().name == "calibrated-loss"
    with pytest.raises(StudyError, match=r"There is no attack 'lira'.*Use one of: calibrated-loss"):
        get_attack("lira")


def test_scores_match_the_formulas(answers):
    p = answers.probs.astype(np.float64)
    p /= p.sum(axis=1, keepdims=True)
    rows, y = np.arange(len(p)), answers.labels
    base = answers.base_probs.astype(np.float64)
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
        np.testing.assert_allclose(
            get_attack(name).scores(answers), values, rtol=1e-9, atol=1e-12, err_msg=name
        )


def test_modified_entropy_of_a_worked_case():
    # -(1 - 0.7) ln 0.7 - 0.2 ln 0.8 - 0.1 ln 0.9
    score = get_attack("modified-entropy").scores(cell([[0.7, 0.2, 0.1]] * 2, [0, 0]))
    assert score[0] == pytest.approx(-0.162167, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_extreme_probabilities_are_finite_and_ordered(name):
    tiny = np.finfo(np.float32).tiny
    probs = [[1, 0, 0], [0, 1, 0], [1, tiny, 0], [0.5, 0.5, 0], [1 / 3] * 3, [0, 0, 0]]
    with np.errstate(all="raise", under="ignore"):
        scores = get_attack(name).scores(cell(probs, [0] * len(probs)))
    assert scores.dtype == np.float64
    assert scores.shape == (6,)
    assert np.isfinite(scores).all()
    assert scores[0] == scores.max()
    # All zeros say nothing: the same as uniform.
    assert scores[5] == pytest.approx(scores[4])


def test_float32_near_one_is_not_tied():
    """1 - p is the same float32 for both rows; the other classes tell them apart."""
    probs = np.array([[1, 1e-9, 0], [1, 1e-8, 0]], dtype=np.float32)
    for name in NAMES:
        sure, less = get_attack(name).scores(cell(probs, [0, 0]))
        assert sure > less, name


def test_loss_of_a_wrong_sure_answer_is_bounded():
    assert 87 < cross_entropy([[0.0, 1.0]], np.array([0]))[0] < 88


@pytest.mark.parametrize("name", NAMES)
def test_members_score_higher_when_it_leaks(name):
    cells = synthetic.make_cells(people=1, repetitions=1, conditions=("plain@50",), leak=3.0)
    scores = get_attack(name).scores(cells[0])
    member = cells[0].member
    assert scores[member].mean() > scores[~member].mean()


def test_policies():
    assert [a.name for a in all_attacks(OutputPolicy.TOP1)] == ["confidence"]
    assert headline_attack(OutputPolicy.TOP1).name == "confidence"
    assert [a.name for a in all_attacks(OutputPolicy.ROUNDED)] == NAMES
    with pytest.raises(StudyError, match="No attack can run under the output policy 'label'"):
        headline_attack(OutputPolicy.LABEL)
    top = cell([[np.nan, 0.9], [0.8, np.nan]], [0, 0], policy=OutputPolicy.TOP1)
    np.testing.assert_allclose(get_attack("confidence").scores(top), [0.9, 0.8], rtol=1e-6)
    for name in set(NAMES) - {"confidence"}:
        with pytest.raises(StudyError, match=f"'{name}' needs the probabilities of all classes"):
            get_attack(name).scores(top)


def test_rounded_answers(answers):
    rounded = dataclasses.replace(
        answers, probs=answers.probs.round(1), policy=OutputPolicy.ROUNDED
    )
    for attack in all_attacks(OutputPolicy.ROUNDED):
        assert np.isfinite(attack.scores(rounded)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probs": np.full((4, 3), np.nan, np.float32)}, "not a number from 0 to 1"),
        ({"probs": np.full((4, 3), 1.5, np.float32)}, "not a number from 0 to 1"),
        ({"base_probs": np.zeros((4, 2), np.float32)}, "do not match"),
        ({"member": np.ones(4, bool)}, "needs members and non-members"),
        ({"member": np.array([1, 0, 1, 0])}, "must be bool"),
        ({"labels": np.array([0, 1, 2, 3])}, "outside the classes"),
        ({"labels": np.array([0, 1])}, "for 2 labels"),
        ({"window": np.arange(3)}, "window numbers"),
    ],
)
def test_damaged_cells_are_refused(change, message):
    good = cell([[0.2, 0.3, 0.5]] * 4, [0, 1, 2, 0])
    good.validate()
    with pytest.raises(StudyError, match=message):
        dataclasses.replace(good, **change).validate()
