"""Windows from two layers' weights alone: some on a network made for it, none of other windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from test_gradients_deep import ONE, gradient
from tinymia.evidence import Stage
from tinymia.experiments.reconstruction.kkt import TwoLayers

WIDE, HIDDEN, POINTS = 10, 300, 6
_SHAPES = (1, 1, WIDE), (1, 1, HIDDEN), (1, 1, 2)
_NONE = (0, 0), (0, 0), (0, 0)
DENSE = (
    Stage("dense", True, *_SHAPES[:2], *_NONE, WIDE * HIDDEN, HIDDEN),
    Stage("dense", False, *_SHAPES[1:], *_NONE, 2 * HIDDEN, 2),
)


def trained(x: NDArray[Any], labels: NDArray[Any]) -> TwoLayers:
    """From small weights until all margins are large, so that they are what the points made."""
    rng = np.random.default_rng(1)
    weights = rng.normal(0, 0.3 / np.sqrt(WIDE), WIDE * HIDDEN)
    head = rng.normal(0, 1 / np.sqrt(HIDDEN), 2 * HIDDEN)
    base = np.concatenate([weights, np.zeros(HIDDEN), head, np.zeros(2)])
    theta = base.copy()
    for _ in range(3000):
        theta -= 0.1 / len(x) * gradient(theta, DENSE, x, labels)
    return TwoLayers.of(theta, base, DENSE)


@pytest.fixture(scope="module")
def points() -> tuple[NDArray[Any], TwoLayers]:
    x = np.random.default_rng(77).normal(size=(POINTS, WIDE))
    return x, trained(x, np.arange(POINTS) % 2)


def found(net: TwoLayers) -> NDArray[Any]:
    """(searches * points, inputs) of four searches, each from points of its own."""
    every = []
    for seed in range(1000, 1004):
        start = np.random.default_rng(seed).normal(size=(POINTS, WIDE))
        every.append(net.search(start, np.arange(POINTS) % 2, (-10.0, 10.0), 800)[0])
    return np.concatenate(every)


def errors(inputs: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    near = ((inputs[:, None] - x[None]) ** 2).sum(axis=2).min(axis=0)
    return np.asarray(np.sqrt(near / (x**2).sum(axis=1)))


def test_slopes_are_those_of_what_is_missed() -> None:
    rng = np.random.default_rng(0)
    theta = rng.normal(0, 0.3, sum(s.weights + s.biases for s in ONE))
    net = TwoLayers.of(theta, theta + rng.normal(0, 0.1, theta.shape), ONE)
    inputs, shares = rng.uniform(0, 2, (3, 72)), rng.normal(size=(3, 5))
    _, by_inputs, by_shares = net.missed(inputs, shares)
    for values, slope, place in ((inputs, by_inputs, (2, 50)), (shares, by_shares, (1, 3))):
        there = np.zeros_like(values)
        there[place] = 1e-6
        more, less = (
            net.missed(*((v + sign * there if v is values else v) for v in (inputs, shares)))[0]
            for sign in (1, -1)
        )
        assert slope[place] == pytest.approx((more - less) / 2e-6, rel=1e-4)


def test_some_training_points_are_found(points: tuple[NDArray[Any], TwoLayers]) -> None:
    x, net = points
    inputs = found(net)
    assert (errors(inputs, x) < 0.3).sum() >= 3
    # Of points that it never learnt, none is.
    others = np.random.default_rng(500).normal(size=(20, WIDE))
    assert errors(inputs, others).min() > 0.45


def test_a_network_that_learnt_nothing_gives_nothing(
    points: tuple[NDArray[Any], TwoLayers],
) -> None:
    x, _ = points
    rng = np.random.default_rng(3)
    base = rng.normal(0, 0.1, sum(s.weights + s.biases for s in DENSE))
    net = TwoLayers.of(base + rng.normal(0, 0.01, base.shape), base, DENSE)
    assert errors(found(net), x).min() > 0.45
