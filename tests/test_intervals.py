import time

import numpy as np
import pytest
from scipy import stats

import level_simulation
from tinymia.audit.wording import verdict
from tinymia.statistics.intervals import Estimate, Method, Replicates, Resampler, t_quantile
from tinymia.statistics.pooled import PooledScores


def mean_of(values):
    return lambda w: (w @ values) / w.sum(axis=1)


def people(count, repetitions):
    return [f"p{i}" for i in range(count) for _ in range(repetitions)]


def test_weights_keep_the_design():
    sampler = Resampler(people(4, 6), resamples=500, seed=3)
    boot = sampler.boot
    assert boot.shape == (500, 24)
    assert (boot.sum(axis=1) == 24).all()
    by_person = boot.reshape(500, 4, 6).sum(axis=2)
    assert (by_person % 6 == 0).all()  # whole people are drawn, each with all its repetitions
    assert (by_person == 0).any()
    assert len({tuple(row) for row in boot}) > 490
    np.testing.assert_array_equal(boot, Resampler(people(4, 6), 500, 3).boot)
    assert not np.array_equal(boot, Resampler(people(4, 6), 500, 4).boot)
    assert (sampler.drop.reshape(4, 4, 6).sum(axis=2) == 6 * (1 - np.eye(4))).all()


def test_jackknife_of_a_mean_is_the_t_interval_of_person_means():
    values = np.random.default_rng(0).normal(size=30)
    estimate = Resampler(people(5, 6)).replicates(mean_of(values)).estimate()
    means = values.reshape(5, 6).mean(axis=1)
    low, high = stats.t.interval(0.95, 4, means.mean(), stats.sem(means))
    assert estimate.value == pytest.approx(means.mean())
    assert (estimate.low, estimate.high) == (pytest.approx(low), pytest.approx(high))
    assert t_quantile(5) == pytest.approx(2.776445, abs=1e-6)


def test_bootstrap_variance_matches_theory():
    """Person means vary by (P - 1) / P of their variance; repetitions add their part."""
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, 5).repeat(8) + rng.normal(0, 0.7, 40)
    boot = Resampler(people(5, 8), 40000, 2).replicates(mean_of(values)).boot
    table = values.reshape(5, 8)
    between = table.mean(axis=1).var() / 5
    within = table.var(axis=1).mean() / (5 * 8)
    assert boot.var() == pytest.approx(between + within, rel=0.04)


def test_differences_are_paired():
    rng = np.random.default_rng(4)
    values = rng.normal(size=40)
    sampler = Resampler(people(5, 8))
    one = sampler.replicates(mean_of(values))
    two = sampler.replicates(mean_of(values + 0.1))
    change = (two - one).estimate()
    assert change.low == pytest.approx(0.1)
    assert change.high == pytest.approx(0.1)
    assert one.estimate().high - one.estimate().low > 0.1


def test_one_person_has_no_interval():
    estimate = Resampler(["p"] * 5).replicates(mean_of(np.arange(5.0))).estimate()
    assert (estimate.value, estimate.low, estimate.high) == (2.0, None, None)
    assert not estimate.excludes(0.0)
    assert verdict(estimate, "leakage") == "not measured"


def test_verdicts():
    assert verdict(Estimate(0.1, 0.05, 0.2), "leakage") == "raises leakage"
    assert verdict(Estimate(-0.1, -0.2, -0.05), "leakage") == "reduces leakage"
    assert verdict(Estimate(-0.1, -0.2, -0.05), "accuracy") == "lowers accuracy"
    assert verdict(Estimate(0.1, 0.05, 0.2), "accuracy") == "raises accuracy"
    assert verdict(Estimate(0.1, 0.0, 0.2), "leakage") == "not distinguishable"
    assert verdict(Estimate(0.0, 0.0, 0.0), "leakage") == "not distinguishable"


@pytest.fixture(scope="module")
def rates():
    return {
        case: level_simulation.misses(5, 5, case, trials=150, resamples=200, windows=150)
        for case in level_simulation.CASES
    }


@pytest.mark.parametrize("case", list(level_simulation.CASES))
@pytest.mark.parametrize("figure", ["AUC", "TPR at 1 %", "change in AUC", "change in TPR at 1 %"])
def test_the_interval_in_use_holds_its_level(rates, case, figure):
    """5 % nominal; 150 trials have a standard error of 1.8 %."""
    assert rates[case][figure, Method.JACKKNIFE] <= 0.11


def test_the_percentile_interval_would_not(rates):
    case = "people differ"
    assert rates[case]["change in AUC", Method.PERCENTILE] > 0.10
    assert (
        rates[case]["change in AUC", Method.PERCENTILE]
        > 1.5 * rates[case]["change in AUC", Method.JACKKNIFE]
    )


def test_inflated_is_wider_than_percentile():
    rng = np.random.default_rng(4)
    r = Resampler(people(4, 5)).replicates(mean_of(rng.normal(size=20)))
    width = {m: np.subtract(*Replicates(r.point, r.boot, r.drop, m).bounds()[::-1]) for m in Method}
    assert width[Method.INFLATED] > 1.8 * width[Method.PERCENTILE]


def test_resampling_is_fast():
    """One attack under one condition: 5 people, 10 repetitions, 250 queries, 2000 resamples."""
    rng = np.random.default_rng(0)
    cells = [(rng.normal(0.1, 1, 125), rng.normal(0, 1, 125)) for _ in range(50)]
    sampler = Resampler(people(5, 10))
    start = time.process_time()
    pooled = PooledScores(cells)
    sampler.replicates(pooled.auc)
    sampler.replicates(lambda w: pooled.tpr(w, np.geomspace(1e-3, 1, 50)))
    # 40 of these must stay below 20 s; measured 0.1 s.
    assert time.process_time() - start < 0.5 * 4
