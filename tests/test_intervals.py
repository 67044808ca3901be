import numpy as np
import pytest
from scipy import stats

from tinymia.statistics.intervals import Mean, Method, Replicates, Resampler, t_quantile


def mean_of(values):
    return lambda w: (w @ values) / w.sum(axis=1)


@pytest.mark.parametrize("shape", [(12,), (12, 3)])
def test_the_mean_knows_its_shorter_way(shape):
    values = np.random.default_rng(0).normal(size=shape)
    sampler = Resampler(["b", "a", "c", "a"] * 3, 30)
    quick, plain = sampler.replicates(Mean(values)), sampler.replicates(Mean(values).__call__)
    for name in ("point", "boot", "drop"):
        np.testing.assert_allclose(getattr(quick, name), getattr(plain, name), atol=1e-14)
    own = values[[i for i, p in enumerate(["b", "a", "c", "a"] * 3) if p != "a"]]
    np.testing.assert_allclose(quick.drop[0], own.mean(axis=0))


def test_resamples_are_bounded():
    assert len(Resampler(people(4, 10), 2000).boot) == 2000
    assert len(Resampler(people(800, 10), 2000).boot) == 500


def test_no_spread_is_not_certainty():
    """All 20 members found: up to three of 20 or so may still be missed (rule of three)."""
    sampler = Resampler(people(4, 5))
    found = sampler.replicates(Mean(np.ones(20)), 0.0, 1.0, grain=1 / 20)
    assert found.estimate().low == pytest.approx(1 - t_quantile(4) / 20)
    assert found.estimate().high == 1.0
    change = found - sampler.replicates(Mean(np.ones(20)), 0.0, 1.0, grain=1 / 20)
    assert change.standard_error() == pytest.approx(np.sqrt(2) / 20)
    assert not change.estimate().excludes(0.0)


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
    left_out = sampler.left_out(range(4))
    assert (left_out.reshape(4, 4, 6).sum(axis=2) == 6 * (1 - np.eye(4))).all()


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


def test_inflated_is_wider_than_percentile():
    rng = np.random.default_rng(4)
    r = Resampler(people(4, 5)).replicates(mean_of(rng.normal(size=20)))
    width = {m: np.subtract(*Replicates(r.point, r.boot, r.drop, m).bounds()[::-1]) for m in Method}
    assert width[Method.INFLATED] > 1.8 * width[Method.PERCENTILE]


def test_a_difference_stays_within_what_is_possible():
    """Without its range, four people's TPR would change by +46.6 points [-10.4, +103.6]."""
    sampler = Resampler(people(4, 1))
    after = sampler.replicates(mean_of(np.array([0.95, 0.98, 0.97, 0.9])), 0.0, 1.0)
    before = sampler.replicates(mean_of(np.array([0.1, 0.9, 0.3, 0.6])), 0.0, 1.0)
    change = (after - before).estimate()
    reference = before.estimate()
    assert change.high == 1 - reference.low
    assert -reference.high < change.low < change.value
    assert reference.low == 0.0
    free = Replicates(
        *((getattr(after, n) - getattr(before, n)) for n in ("point", "boot", "drop"))
    )
    assert free.estimate().high > 1.0


def test_the_range_does_not_cut_off_the_truth():
    """A difference that is as large as can be: 1 after, about 0.65 before."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        sampler = Resampler(people(4, 1), 10)
        before = sampler.replicates(mean_of(rng.normal(0.65, 0.05, 4)), 0.0, 1.0)
        after = sampler.replicates(mean_of(np.full(4, 1.0)), 0.0, 1.0)
        change = (after - before).estimate()
        held += change.low <= 0.35 <= change.high
    assert held / 400 >= 0.92


def test_ranges_of_several_figures():
    sampler = Resampler(people(3, 2), 20)
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0.3, 1, (2, 6, 2))
    both = [sampler.replicates(lambda w, x=x: (w @ x) / 6, 0.0, 1.0) for x in (a, b)]
    change = both[0] - both[1]
    for i in range(2):
        column = change.column(i)
        low, high = both[1].column(i).bounds()
        assert (column.lowest, column.highest) == (pytest.approx(-high), pytest.approx(1 - low))
        assert column.estimate().high == pytest.approx(change.bounds()[1][i])
