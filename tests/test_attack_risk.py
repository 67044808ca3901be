"""The trade-off curve of an account beside riskcal's, and what a device's own noise costs there."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from tinymia.statistics.epsilon import Profile, gaussian_delta
from tinymia.study.attack_risk import FPRS, risk

# riskcal 1.5.1, analysis.get_beta_from_pld and get_advantage_from_pld on losses of
# dp-accounting's from_gaussian_mechanism(noise, sampling_prob=rate) with a grid of 1e-4, composed.
RISKCAL = {
    (1.3, 0.1, 500): ((0.13092324, 0.35030574, 0.73394155), 0.65673097),
    (3.0, 0.1, 500): ((0.01028833, 0.05986865, 0.30270065), 0.29611279),
    (2.018, 1.0, 6): ((0.03029885, 0.13295543, 0.47299974), 0.45608952),
    (1.178, 1.0, 6): ((0.156036, 0.40245898, 0.78750988), 0.70151213),
}


@pytest.mark.parametrize("training", RISKCAL)
def test_the_curve_is_riskcals(training: tuple[float, float, int]) -> None:
    power, advantage = RISKCAL[training]
    found = risk(*training, 0)
    at = [found.power[FPRS.index(fpr)] for fpr in (0.001, 0.01, 0.1)]
    # Rounded up on a coarser grid: never below, and nearly the same.
    assert at == pytest.approx(power, rel=2e-3)
    assert (np.array(at) >= power).all()
    assert advantage <= found.advantage < advantage * 1.001
    rate = np.array(FPRS)
    assert (np.diff(found.power) > 0).all()
    assert found.power[-1] == 1
    assert max(found.power - rate) == pytest.approx(found.advantage, rel=0.01)


def test_a_gaussians_curve_is_known() -> None:
    """Dong, Roth and Su: 1 - f is Phi(mu - Phi^-1(1 - fpr)), the advantage 2 Phi(mu / 2) - 1."""
    mu, epsilon = 1.3, np.append(0.0, np.geomspace(1e-4, 60, 4000))
    profile = Profile(epsilon, np.minimum.accumulate(gaussian_delta(mu, epsilon)))
    fpr = np.array([1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9])
    truth = norm.sf(norm.isf(fpr) - mu)
    np.testing.assert_allclose(profile.power(fpr), truth, rtol=1e-3)
    assert (profile.power(fpr) >= truth).all()
    assert profile.advantage == pytest.approx(2 * norm.cdf(mu / 2) - 1, rel=1e-6)
    nothing = Profile(np.array([0.0, 1.0]), np.zeros(2))
    np.testing.assert_allclose(nothing.power(fpr), fpr)
    assert nothing.advantage == 0


def test_a_devices_own_noise_costs_a_little() -> None:
    training = (1.3, 0.1, 500)
    ideal, head, deep = (risk(*training, parameters) for parameters in (0, 455, 5000))
    for much, less in ((head, ideal), (deep, head)):
        assert (np.array(much.power) >= less.power).all()
        assert much.advantage > less.advantage
    assert deep.advantage < ideal.advantage * 1.01
    # Beyond what the law is known for nothing is claimed.
    assert risk(*training, 10**10).advantage == 1.0
    assert math.isclose(risk(*training, 10**10).power[1], 1.0)
