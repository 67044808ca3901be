"""Attacks on a head's weights and curvature, against the same by brute force."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from fakelab import FakeLab, auc, auc_of, make_run, small_lab
from tinymia.attacks import leverage, weights
from tinymia.attacks.leverage import leverage_ratios
from tinymia.attacks.softmax import curvature, head_of, probabilities, read_by_head, residuals
from tinymia.attacks.weights import GradientTemplates, inverse_hessian
from tinymia.evidence import Candidates, OutputPolicy

ATTACKS = [a for a in (*weights.ATTACKS, *leverage.ATTACKS) if a.info.head_only]


@pytest.fixture(scope="module")
def lab() -> FakeLab:
    return small_lab()


def few() -> tuple[Candidates, Any, Any]:
    """Twelve windows in groups of unequal size, what a head reads of them and its answers."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(12, 4)).astype(np.float32)
    head = rng.normal(size=(3, 5)).astype(np.float32)
    group = np.array([0, 0, 0, 1, 1, 2, 3, 3, 4, 4, 4, 4])
    blank = np.zeros((12, 1, 3), np.float32)
    candidates = Candidates(rng.integers(0, 3, 12), group, blank, features, head)
    read = read_by_head(candidates)
    return candidates, read, probabilities(head.astype(np.float64), read)


def hessian_of(probs: Any, read: Any) -> Any:
    """Sum over windows, parameters class by class."""
    total = np.zeros((probs.shape[1] * read.shape[1],) * 2)
    for p, x in zip(probs, read, strict=True):
        total = total + np.kron(np.diag(p) - np.outer(p, p), np.outer(x, x))
    return total


def test_the_hessian_is_that_of_the_loss() -> None:
    candidates, read, _ = few()
    assert candidates.head is not None
    theta = candidates.head.astype(np.float64).ravel()

    def gradient(at: Any) -> Any:
        left = residuals(probabilities(at.reshape(3, 5), read), candidates.labels)
        return (left.T @ read).ravel()

    step = 1e-6
    numeric = np.stack(
        [(gradient(theta + step * e) - gradient(theta - step * e)) / (2 * step) for e in np.eye(15)]
    )
    probs: Any = probabilities(theta.reshape(3, 5), read)
    np.testing.assert_allclose(hessian_of(probs, read), numeric, atol=1e-6)
    found = np.linalg.inv(curvature(probs, read, 0.1).inverse)
    np.testing.assert_allclose(found, numeric / 12 + 0.1 * np.eye(15), atol=1e-6)


def test_iha_leaves_the_candidates_group_out() -> None:
    candidates, read, probs = few()
    damping, rate = 0.01, 0.3
    gradients = np.einsum("nk,nw->nkw", residuals(probs, candidates.labels), read).reshape(12, -1)
    expected = []
    for window in range(12):
        others = candidates.group != candidates.group[window]
        hessian = hessian_of(probs[others], read[others]) / 12 + damping * np.eye(15)
        reach = np.linalg.solve(hessian, gradients[window])
        drift = np.linalg.solve(hessian, gradients[others].sum(axis=0) / 12)
        loss = -np.log(probs[window, candidates.labels[window]])
        expected.append(loss - (reach @ reach / 12 + 2 * drift @ reach) / rate)
    found = inverse_hessian(probs, read, candidates, damping, rate)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_leverage_leaves_the_candidates_group_out() -> None:
    candidates, read, probs = few()
    damping = 0.05
    expected = []
    for window in range(12):
        others = candidates.group != candidates.group[window]
        hessian = hessian_of(probs[others], read[others]) / 12 + damping * np.eye(15)
        p, x = probs[window], read[window]
        values, vectors = np.linalg.eigh(np.diag(p) - np.outer(p, p))
        keep = values > 1e-12
        root = vectors[:, keep] * np.sqrt(values[keep])
        spread = np.kron(root, x[:, None])
        grown = np.eye(2) + spread.T @ np.linalg.solve(hessian, spread) / 12
        e = np.linalg.pinv(root) @ residuals(probs, candidates.labels)[window]
        gain = e @ (grown - np.linalg.inv(grown)) @ e
        expected.append(np.linalg.slogdet(grown)[1] - gain / 2)
    found = leverage_ratios(probs, read, candidates, damping)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_weights_are_read_as_the_device_lays_them_out(lab: FakeLab) -> None:
    run = make_run()
    target = lab.target(run, 0)
    assert target.theta is not None
    head = head_of(target.theta, lab.classes)
    found = probabilities(head, read_by_head(target.candidates))
    np.testing.assert_allclose(found, target.answers[:, 0], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.info.name)
def test_scores_are_finite_and_do_not_look_at_what_is_not_granted(
    lab: FakeLab, attack: Any
) -> None:
    run = make_run()
    target = lab.target(run, 0)
    score = attack.fit(lab, run, "p")
    first = score(target)
    assert first.shape == (len(lab.y),)
    assert np.isfinite(first).all()
    if attack.info.weights:
        assert target.theta is not None
        blind = dataclasses.replace(target, answers=np.full_like(target.answers, np.nan))
        np.testing.assert_array_equal(first, score(blind))
        huge = dataclasses.replace(target, theta=target.theta * np.float32(1e4))
    else:
        sure = np.eye(lab.classes, dtype=np.float32)[target.answers.argmax(axis=-1)]
        huge = dataclasses.replace(target, answers=sure, theta=None)
    assert np.isfinite(score(huge)).all()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.info.name)
def test_nothing_is_found_where_nothing_is(attack: Any) -> None:
    null = small_lab(null=True, target_count=16, shadow_count=2)
    run = make_run()
    score = attack.fit(null, run, "p")
    scores = np.stack([score(null.target(run, i)) for i in range(16)])
    m = int(null.target_members.sum())
    error = np.sqrt((1 / m + 1 / (scores.size - m)) / 12)
    assert auc(scores, null.target_members) == pytest.approx(0.5, abs=4.5 * error)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.info.name)
def test_members_are_found(lab: FakeLab, attack: Any) -> None:
    assert np.mean(auc_of(attack, lab, make_run(), 8)) > 0.53


def test_templates_need_no_shadows_and_few_things_else(lab: FakeLab) -> None:
    assert np.mean(auc_of(GradientTemplates(), lab, make_run(OutputPolicy.LABEL), 8)) > 0.65
