import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from tinymia.statistics.intervals import Resampler
from tinymia.statistics.metrics import auc, crossfit_advantage, resolves, roc
from tinymia.statistics.pooled import PooledScores


def best_threshold(members: np.ndarray, nonmembers: np.ndarray) -> float:
    """The highest threshold with the largest TPR - FPR, looked for among all scores."""
    fpr, tpr, thresholds = roc(members, nonmembers)
    return float(thresholds[int(np.argmax(tpr - fpr))])


def tpr_at_fpr(members, nonmembers, fpr):
    """What PooledScores must give for one cell: ties at the threshold count as non-members."""
    allowed = int(np.floor(fpr * len(nonmembers) + 1e-9))
    if allowed >= len(nonmembers):
        return 1.0
    threshold = np.sort(nonmembers)[::-1][allowed]
    return float(np.mean(members > threshold))


def draw(seed, m=120, n=90, ties=False):
    rng = np.random.default_rng(seed)
    members, others = rng.normal(0.4, 1, m), rng.normal(0, 1, n)
    return (members.round(1), others.round(1)) if ties else (members, others)


@pytest.mark.parametrize("ties", [False, True])
def test_auc_and_roc_against_scikit_learn(ties):
    members, others = draw(3, ties=ties)
    truth = np.r_[np.ones(len(members)), np.zeros(len(others))]
    scores = np.r_[members, others]
    assert auc(members, others) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    fpr, tpr, _ = roc(members, others)
    want_fpr, want_tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(fpr, want_fpr, atol=1e-12)
    np.testing.assert_allclose(tpr, want_tpr, atol=1e-12)


def test_auc_by_hand():
    assert auc(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == 0.875
    assert auc(np.zeros(3), np.zeros(5)) == 0.5


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("target", [0.0, 0.001, 0.01, 0.05, 0.1, 0.5, 1.0])
def test_tpr_at_fpr_is_the_best_that_keeps_the_target(ties, target):
    members, others = draw(5, ties=ties)
    thresholds = np.r_[members, others, -np.inf, np.inf]
    best = max(np.mean(members > t) for t in thresholds if np.mean(others > t) <= target + 1e-12)
    assert tpr_at_fpr(members, others, target) == pytest.approx(best)
    pooled = PooledScores([(members, others)])
    assert pooled.tpr(np.ones((1, 1)), [target])[0, 0] == pytest.approx(best)


def test_ties_are_not_interpolated():
    """Half of all scores tie at 1: at 10 % FPR no threshold splits them."""
    members, others = np.r_[np.ones(50), np.zeros(50)], np.r_[np.ones(50), np.zeros(50)]
    assert tpr_at_fpr(members, others, 0.1) == 0.0
    assert tpr_at_fpr(members, others, 0.5) == 0.5


def test_floating_point_targets():
    """0.01 * 700 is 7.000000000000001 and 0.07 * 100 a little over 7: still 7 allowed."""
    others = np.arange(700.0)
    assert tpr_at_fpr(np.array([692.5, 691.5]), others, 0.01) == 0.5


def test_resolution():
    assert resolves(0.01, 500).ok
    assert not resolves(0.01, 499).ok
    assert "needs 5000 non-member answers, there are 200" in resolves(0.001, 200).reason
    assert not resolves(0.001, 6000, distinct=900).ok
    assert "different non-members, there are 900" in resolves(0.001, 6000, distinct=900).reason
    assert resolves(0.001, 6000, distinct=1000).ok


@pytest.mark.parametrize("equal", [True, False])
def test_pooled_weights_equal_repeated_cells(equal):
    rng = np.random.default_rng(8)
    sizes = [(40, 40)] * 4 if equal else [(40, 40), (20, 60), (33, 17), (8, 50)]
    cells = [
        (rng.normal(0.5, 1, m).round(1), rng.normal(i, 1, n).round(1))
        for i, (m, n) in enumerate(sizes)
    ]
    weights = np.array([[1, 1, 1, 1], [2, 0, 1, 3], [0, 0, 4, 0]], dtype=float)
    pooled = PooledScores(cells)
    for row, got_auc, got_tpr in zip(
        weights, pooled.auc(weights), pooled.tpr(weights, [0.05, 0.3]), strict=True
    ):
        # Each cell counts the same: repeat its scores to a common size (a multiple of all).
        full = np.lcm.reduce([size for pair in sizes for size in pair])
        members = np.concatenate(
            [np.repeat(c[0], int(w) * full // len(c[0])) for c, w in zip(cells, row, strict=True)]
        )
        others = np.concatenate(
            [np.repeat(c[1], int(w) * full // len(c[1])) for c, w in zip(cells, row, strict=True)]
        )
        assert got_auc == pytest.approx(auc(members, others), abs=1e-12)
        for target, value in zip([0.05, 0.3], got_tpr, strict=True):
            assert value == pytest.approx(tpr_at_fpr(members, others, target), abs=1e-6)


def many(people, repetitions, equal, ties, seed=0):
    rng = np.random.default_rng(seed)
    cells, who = [], []
    for p in range(people):
        for _ in range(repetitions):
            m, n = (9, 31) if equal else rng.integers(5, 40, 2)
            pair = rng.normal(0.3 * p, 1, m) + 0.5, rng.normal(0.3 * p, 1, n)
            cells.append(tuple(x.round(1) for x in pair) if ties else pair)
            who.append(f"p{p:03d}")
    return cells, who


def by_definition(cells, weights, targets):
    """AUC over all pairs and TPR over all thresholds, of weighted cells."""
    m, n = (
        np.concatenate(
            [np.full(len(c[i]), w / len(c[i])) for c, w in zip(cells, weights, strict=True)]
        )
        for i in (0, 1)
    )
    members, others = (np.concatenate([c[i] for c in cells]) for i in (0, 1))
    wins = (members[:, None] > others) + 0.5 * (members[:, None] == others)
    total = weights.sum()
    rates = []
    for target in targets:
        best = 0.0
        for t in [*others, -np.inf]:
            if n[others > t].sum() <= target * total + 1e-9:
                best = max(best, m[members > t].sum())
        rates.append(best / total)
    return m @ wins @ n / total**2, rates


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("ties", [True, False])
def test_replicates_by_definition(equal, ties):
    """The data, resamples and each person left out, by the shorter ways and the plain one."""
    cells, who = many(5, 3, equal, ties)
    sampler = Resampler(who, 20, seed=1)
    targets = [0.01, 0.1, 0.4, 1.0]
    pooled = PooledScores(cells)
    auc_of, tpr_of = sampler.replicates(pooled.auc), sampler.replicates(pooled.tpr_at(targets))
    plain = sampler.replicates(lambda w: pooled.tpr(w, targets))
    rows = [
        ("point", np.ones((1, 15))),
        ("boot", sampler.boot),
        ("drop", sampler.left_out(range(5))),
    ]
    for name, weights in rows:
        want = [by_definition(cells, w, targets) for w in weights]
        got_auc, got_tpr = np.atleast_1d(getattr(auc_of, name)), getattr(tpr_of, name)
        np.testing.assert_allclose(got_auc, [a for a, _ in want], atol=1e-12)
        np.testing.assert_allclose(np.atleast_2d(got_tpr), [t for _, t in want], atol=1e-12)
        np.testing.assert_allclose(getattr(plain, name), got_tpr, atol=1e-12)


def test_many_cells_are_resampled_on_a_grid():
    cells, who = many(40, 3, True, False)
    sampler, pooled = Resampler(who, 50), PooledScores(cells)
    assert pooled.cells > 100
    quick = sampler.replicates(pooled.auc)
    exact = sampler.replicates(pooled.auc.__call__)
    np.testing.assert_allclose(quick.boot, exact.boot, atol=1e-4)
    assert quick.boot.std() > 3e-3
    assert quick.point == exact.point
    np.testing.assert_allclose(quick.drop, exact.drop, atol=1e-12)


@pytest.mark.parametrize("ties", [True, False])
def test_the_threshold_is_that_of_the_tpr(ties):
    cells, _ = many(3, 2, True, ties)
    pooled = PooledScores(cells)
    members = np.concatenate([m for m, _ in cells])
    for fpr in (0.0, 0.03, 0.5, 1.0):
        want = pooled.tpr(np.ones((1, 6)), [fpr])[0, 0]
        assert np.mean(members > pooled.threshold(fpr)) == pytest.approx(want, abs=1e-12)


def test_work_is_linear_in_people():
    """No array grows with people times people or cells times scores: counted, not timed."""
    peaks = []
    for people in (20, 80):
        cells, who = many(people, 10, True, False)
        tracemalloc.start()
        sampler, pooled = Resampler(who, 100), PooledScores(cells)
        sampler.replicates(pooled.auc)
        sampler.replicates(pooled.tpr_at(np.geomspace(1e-2, 1, 20)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 5 * peaks[0]


def test_unequal_cells_do_not_shift_the_null():
    """People differ in their scores and in their share of members: no leak must stay 0.5."""
    rng = np.random.default_rng(0)
    aucs, plain = [], []
    for _ in range(200):
        cells = [
            (rng.normal(0, 1, 90), rng.normal(0, 1, 30)),
            (rng.normal(2, 1, 30), rng.normal(2, 1, 90)),
        ]
        aucs.append(PooledScores(cells).auc(np.ones((1, 2)))[0])
        plain.append(
            auc(np.concatenate([c[0] for c in cells]), np.concatenate([c[1] for c in cells]))
        )
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.01)
    assert np.mean(plain) < 0.4  # what pooling without weights would report


def test_crossfitted_advantage_is_unbiased_where_the_maximum_is_not():
    rng = np.random.default_rng(2)
    fair, maximum = [], []
    for _ in range(300):
        cells = [(rng.normal(size=40), rng.normal(size=40)) for _ in range(4)]
        fair.append(np.mean(crossfit_advantage(cells, ["a", "b", "c", "d"])))
        fpr, tpr, _ = roc(
            np.concatenate([c[0] for c in cells]), np.concatenate([c[1] for c in cells])
        )
        maximum.append(np.max(tpr - fpr))
    error = np.std(fair) / np.sqrt(len(fair))
    assert abs(np.mean(fair)) < 3.5 * error
    assert np.mean(maximum) > 0.05


def test_crossfit_uses_other_people_only():
    separable = (np.array([3.0, 4.0]), np.array([1.0, 2.0]))
    shifted = (np.array([13.0, 14.0]), np.array([11.0, 12.0]))
    assert best_threshold(*separable) == 2.0
    # The threshold of each comes from the other: all above it, or none.
    np.testing.assert_array_equal(crossfit_advantage([separable, shifted], ["a", "b"]), [0, 0])
    np.testing.assert_array_equal(crossfit_advantage([separable] * 2, ["a", "b"]), [1, 1])
    assert crossfit_advantage([separable] * 2, ["a", "a"]) is None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ties", [True, False])
def test_crossfit_by_definition(seed, ties):
    """The best threshold on all others, taken from their scores alone, for each person."""
    cells, who = many(6, 4, seed % 2 == 0, ties, seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(cells))
    cells, who = [cells[i] for i in order], [who[i] for i in order]
    want = []
    for (members, others), person in zip(cells, who, strict=True):
        rest = [c for c, p in zip(cells, who, strict=True) if p != person]
        threshold = best_threshold(*(np.concatenate([c[side] for c in rest]) for side in (0, 1)))
        want.append(np.mean(members > threshold) - np.mean(others > threshold))
    np.testing.assert_array_equal(crossfit_advantage(cells, who), want)


def test_crossfit_over_many_blocks(monkeypatch):
    monkeypatch.setattr("tinymia.statistics.metrics._Levels._BLOCK", 7)
    test_crossfit_by_definition(1, False)
    test_crossfit_by_definition(2, True)
