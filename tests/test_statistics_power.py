import numpy as np
import pytest
from scipy import stats

from tinymia.statistics.intervals import Resampler
from tinymia.statistics.power import (
    GUESSING_MARGIN,
    no_more_than_guessing,
    noncentrality,
    smallest_effect,
    upper_bound,
)


def mean_of(values):
    return lambda w: (w @ values) / w.sum(axis=1)


def replicates(values, lowest=-np.inf, highest=np.inf):
    names = [f"p{i:02d}" for i in range(len(values))]
    return Resampler(names, 50).replicates(mean_of(np.asarray(values)), lowest, highest)


@pytest.mark.parametrize("freedom", [2, 3, 9, 19, 99])
@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_noncentrality_against_scipy(freedom, power):
    delta = noncentrality(freedom, 0.05, power)
    critical = stats.t.isf(0.025, freedom)
    # The other tail, where SciPy has no value, holds less than 1e-4 here.
    assert stats.nct.sf(critical, freedom, delta) == pytest.approx(power, abs=2e-4)


@pytest.mark.parametrize("alpha", [0.05, 0.005])
@pytest.mark.parametrize("people", [2, 4, 10])
def test_the_effect_is_found_in_four_of_five_studies(people, alpha):
    rng = np.random.default_rng(people)
    shift = noncentrality(people - 1, alpha) / np.sqrt(people)
    x = rng.normal(shift, 1, (40_000, people))
    assert np.mean(stats.ttest_1samp(x, 0, axis=1).pvalue <= alpha) == pytest.approx(0.8, abs=0.01)


def test_smallest_effect_uses_the_studys_own_error():
    values = np.random.default_rng(2).normal(0, 0.02, 4)
    want = noncentrality(3, 0.05) * stats.sem(values)
    assert smallest_effect(replicates(values)) == pytest.approx(want)
    assert smallest_effect(replicates(values), comparisons=10) > 2 * want
    assert smallest_effect(Resampler(["p"] * 4).replicates(mean_of(values))) is None
    # Where even the largest possible difference is too small there is none to name.
    assert smallest_effect(replicates(values, -0.001, 0.5 * want)) is None
    assert smallest_effect(replicates(values, -2 * want, 0.5 * want)) == pytest.approx(want)


def test_no_more_than_guessing_needs_a_bound():
    quiet = replicates([0.50, 0.51, 0.49, 0.50])
    noisy = replicates([0.44, 0.58, 0.41, 0.57])
    assert no_more_than_guessing(quiet).within
    bound = no_more_than_guessing(noisy)
    assert not bound.within  # its interval holds 0.5, but that shows nothing
    assert noisy.estimate().low < 0.5 < noisy.estimate().high
    assert bound.limit == 0.5 + GUESSING_MARGIN
    sd = stats.sem([0.44, 0.58, 0.41, 0.57])
    assert bound.upper == pytest.approx(0.5 + stats.t.ppf(0.95, 3) * sd)
    assert upper_bound(replicates([0.9, 1.0, 1.0], 0.0, 1.0), 1.0).upper == 1.0
    assert no_more_than_guessing(Resampler(["p"] * 2).replicates(mean_of(np.ones(2)))).upper is None


def test_false_claims_of_no_leak_are_rare():
    """Truth at the limit: the claim is made in 5 % of studies (2,000: standard error 0.5 %)."""
    rng = np.random.default_rng(3)
    x = rng.normal(0.5 + GUESSING_MARGIN, 0.02, (2000, 5))
    claims = np.mean([no_more_than_guessing(replicates(row)).within for row in x])
    assert claims == pytest.approx(0.05, abs=0.017)
