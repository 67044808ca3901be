import numpy as np
import pytest
from scipy import stats

from tinymia.statistics.intervals import Replicates, Resampler, t_quantile
from tinymia.statistics.multiplicity import adjust, holm, max_t, two_sided


def mean_of(values):
    return lambda w: (w @ values) / w.sum(axis=1)


def family(rng, people, comparisons, shared=0.5, repetitions=4, shift=0.0, resamples=200):
    """Differences whose person means are normal with a common correlation, all zero on average."""
    who = [f"p{i:02d}" for i in range(people) for _ in range(repetitions)]
    sampler = Resampler(who, resamples, seed=int(rng.integers(1 << 30)))
    a = np.sqrt(shared) * rng.normal(size=(people, 1))
    a = a + np.sqrt(1 - shared) * rng.normal(size=(people, comparisons)) + shift
    cells = np.repeat(a, repetitions, axis=0)
    cells = cells + 0.5 * rng.normal(size=cells.shape)
    return [sampler.replicates(mean_of(column)) for column in cells.T]


def test_holm_by_hand():
    """The worked example of p.adjust(method = "holm") in R: 0.01, 0.02, 0.03, 0.04."""
    np.testing.assert_allclose(holm(np.array([0.02, 0.01, 0.04, 0.03])), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1.0, 1.0])


def test_p_is_that_of_the_interval():
    rng = np.random.default_rng(3)
    for difference in family(rng, 5, 4, shift=1.0):
        (row,) = adjust([difference])
        low, high = difference.bounds()
        assert (row.p <= 0.05) == (not low <= 0 <= high)
        assert row.p == row.p_holm
        assert (row.low, row.high) == (pytest.approx(low), pytest.approx(high))
    values = rng.normal(1, 1, 5)
    (row,) = adjust([Resampler(list("abcde")).replicates(mean_of(values))])
    assert row.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_one_person_has_no_verdict():
    sampler = Resampler(["p"] * 3)
    rows = adjust([sampler.replicates(mean_of(np.arange(3.0)))] * 2)
    assert [(r.value, r.p, r.low, r.significant_adjusted) for r in rows] == [
        (1.0, None, None, False)
    ] * 2
    assert adjust([]) == []


def test_differences_without_spread():
    p = two_sided(np.array([0.0, 1e-16, 0.2]), np.array([0.0, 1e-17, 0.0]), 4)
    np.testing.assert_array_equal(p, [1.0, 1.0, 0.0])
    constant = Replicates(np.float64(0.0), np.zeros(50), np.zeros(4))
    rows = adjust([constant, *family(np.random.default_rng(0), 4, 3, resamples=50)])
    assert (rows[0].p, rows[0].low, rows[0].high) == (1.0, 0.0, 0.0)


def test_the_largest_t_lies_between_one_and_independent():
    rng = np.random.default_rng(5)
    single, bonferroni = t_quantile(6), float(stats.t.isf(0.025 / 8, 5))
    same = max_t(family(rng, 6, 8, shared=1.0 - 1e-9)[:1] * 8)
    apart = max_t(family(rng, 6, 8, shared=0.0))
    assert same == pytest.approx(single, rel=0.06)
    assert single < apart <= bonferroni
    assert apart > 0.85 * bonferroni


@pytest.mark.parametrize(("people", "shared"), [(4, 0.6), (8, 0.3)])
def test_the_family_holds_its_level(people, shared):
    """Ten true null hypotheses; 300 studies have a standard error of 1.3 %."""
    rng = np.random.default_rng(7)
    raw = adjusted = outside = 0
    for _ in range(300):
        rows = adjust(family(rng, people, 10, shared, resamples=100))
        raw += any(r.significant for r in rows)
        adjusted += any(r.significant_adjusted for r in rows)
        outside += any(not r.low <= 0 <= r.high for r in rows)
    assert raw / 300 > 0.15  # the fault: without correction at least one verdict is false
    assert adjusted / 300 <= 0.08
    assert outside / 300 <= 0.10


def test_clear_effects_stay_significant():
    rows = adjust(family(np.random.default_rng(1), 8, 10, shift=8.0))
    assert all(r.significant_adjusted and r.low > 0 for r in rows)
