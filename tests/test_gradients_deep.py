"""Updates of several layers: exact on networks made for it, and nothing where there is nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tinymia.attacks.softmax import probabilities, residuals
from tinymia.evidence import Stage
from tinymia.experiments.gradients.inverting import Inversion
from tinymia.experiments.gradients.network import Network
from tinymia.experiments.gradients.recursion import Grid, Step, places, unpacked, windows

Array = NDArray[Any]
SCALE = 0.03


def conv(length: int, before: int, after: int, width: int, pad: int, trained: int = 1) -> Stage:
    out = (length + 1) // 2
    return Stage(
        *("conv", True, (length, 1, before), (out, 1, after), (width, 1), (2, 1), (pad, 0)),
        *(width * before * after * trained, after * trained),
    )


def tail(length: int, channels: int) -> tuple[Stage, Stage]:
    shape, one = (length, 1, channels), (1, 1, channels)
    average = Stage("average", False, shape, one, (length, 1), (length, 1), (0, 0), 0, 0)
    dense = Stage("dense", False, one, (1, 1, 5), (0, 0), (0, 0), (0, 0), 5 * channels, 5)
    return average, dense


ONE = (conv(9, 8, 40, 3, 1), *tail(5, 40))
TWO = (conv(18, 4, 16, 5, 1), conv(9, 16, 48, 3, 1), *tail(5, 48))


def gradient(theta: Array, stages: tuple[Stage, ...], x: Array, labels: Array) -> Array:
    """Sum over windows (n, inputs) of the loss's gradient, in float64."""
    layers, read, masks = unpacked(theta, stages), [], []
    value = x.reshape(len(x), -1, stages[0].inputs[2])
    for stage, (weights, bias) in zip(stages, layers, strict=True):
        framed = np.concatenate([value, np.zeros_like(value[:, :1])], axis=1)
        patches = framed[:, places(stage)]  # (n, positions, taps, in)
        read.append(patches)
        if stage.kind == "average":
            value = patches.mean(axis=2)
        else:
            value = np.einsum("ntki,oki->nto", patches, weights) + bias
        masks.append(value > 0 if stage.relu else np.ones_like(value, np.bool_))
        value = value * masks[-1]
    logits = value[:, 0]
    pull = residuals(probabilities(np.eye(logits.shape[1]), logits), labels)[:, None]
    parts: list[Array] = []
    for stage, (weights, _), patches, mask in reversed(
        list(zip(stages, layers, read, masks, strict=True))
    ):
        pull = pull * mask
        if stage.kind == "average":
            back = np.repeat(pull[:, :, None], stage.taps, axis=2) / stage.taps
        else:
            slope = np.einsum("nto,ntki->oki", pull, patches)
            parts.insert(0, np.concatenate([slope.ravel(), pull.sum(axis=(0, 1))]))
            back = np.einsum("nto,oki->ntki", pull, weights)
        size = stage.inputs[0] * stage.inputs[1]
        pull = np.zeros((len(x), size + 1, stage.inputs[2]))
        for t, at in enumerate(places(stage)):
            pull[:, at] += back[:, t]
        pull = pull[:, :size]
    return np.concatenate(parts)


def step(stages: tuple[Stage, ...], count: int, seed: int, noise: float) -> tuple[Step, Array]:
    """A step on random windows, and their codes; about half of the codes are 0."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(0, 0.3, sum(s.weights + s.biases for s in stages))
    inputs = int(np.prod(stages[0].inputs))
    codes = np.maximum(rng.integers(-120, 120, (count, inputs)), 0)
    slope = gradient(theta, stages, codes * SCALE, rng.integers(0, 5, count))
    slope = slope + rng.normal(0, noise, slope.shape)
    mean, whitening = np.full(inputs, 30 * SCALE), np.eye(inputs) / (40 * SCALE)
    grid = Grid(SCALE, 0, 255)
    return Step(slope, theta, stages, count, max(noise, 1e-9), grid, mean, whitening), codes


def exact(found: Array | None, true: Array) -> int:
    return 0 if found is None else len({*map(tuple, found)} & {*map(tuple, true)})


@pytest.mark.parametrize(
    ("stages", "count"),
    [(ONE, 1), (ONE, 2), (TWO, 1), (TWO, 2)],
    ids=["one layer", "two windows", "two layers", "two of both"],
)
def test_a_step_gives_what_the_first_layer_read(stages: tuple[Stage, ...], count: int) -> None:
    got = 0
    for seed in range(4):
        seen, codes = step(stages, count, seed, 1e-8)
        got += exact(windows(seen), codes) == count
    assert got >= 3  # two windows' ReLUs do not always tell them apart


def test_a_clipped_step_gives_the_same() -> None:
    seen, codes = step(TWO, 1, 1, 0.0)
    assert exact(windows(replace(seen, gradient=seen.gradient * 0.01)), codes) == 1


def test_several_steps_at_the_last_two_layers_are_as_one() -> None:
    seen, true = step(ONE, 1, 3, 1e-9)
    labels, theta = np.array([0]), seen.theta.copy()
    x = true * SCALE
    rate, count = 0.05, 5
    for _ in range(count):
        theta = theta - rate * gradient(theta, ONE, x, labels)
    mean = (seen.theta - theta) / (rate * count)
    assert exact(windows(replace(seen, gradient=mean, noise=1e-7)), true) == 1


def test_where_there_is_nothing_there_is_nothing() -> None:
    seen, codes = step(TWO, 1, 0, 0.3)  # noise
    assert exact(windows(seen), codes) == 0
    seen, codes = step(ONE, 6, 0, 0.0)  # more patches than weights
    assert windows(seen) is None
    seen, _ = step(ONE, 1, 0, 0.0)
    other = (replace(ONE[0], kind="other"), *ONE[1:])
    assert windows(replace(seen, stages=other)) is None
    biases = tuple(replace(s, weights=0) for s in ONE)
    assert windows(replace(seen, stages=biases)) is None
    _, others = step(ONE, 1, 7, 0.0)
    assert exact(windows(seen), others) == 0


def depthwise(length: int, channels: int, width: int, pad: int) -> Stage:
    out, shape = (length + 1) // 2, (length, 1, channels)
    sides = ((width, 1), (2, 1), (pad, 0))
    return Stage(
        *("depthwise", True, shape, (out, 1, channels), *sides),
        *(width * channels, channels, 6.0),
    )


LENGTH, CHANNELS = 12, 48
DEPTHWISE = (
    conv(LENGTH, 2, CHANNELS, 5, 1),
    depthwise(LENGTH // 2, CHANNELS, 3, 1),
    *tail(LENGTH // 4, CHANNELS),
)


def searched(seed: int) -> tuple[Inversion, Array, Array]:
    """A search on a network with a depthwise layer, a window, and public windows."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(DEPTHWISE[0].inputs))
    theta = rng.normal(0, 0.4, sum(s.weights + s.biases for s in DEPTHWISE))
    roots = np.tril(rng.normal(0, 0.1, (size, size))) + np.eye(size)
    search = Inversion(Network(DEPTHWISE), theta, np.zeros(size), roots, -20.0, 20.0)
    window = roots @ rng.standard_normal(size)
    return search, window, rng.standard_normal((40, size)) @ roots.T


def test_the_networks_gradients_are_those_of_the_loss() -> None:
    seen, codes = step(TWO, 2, 3, 0.0)  # of a reference of its own
    labels, inputs = np.array([1, 4]), codes * SCALE
    own, _ = Network(TWO).gradients(seen.theta[None], inputs, labels)
    assert own.sum(axis=0) == pytest.approx(gradient(seen.theta, TWO, inputs, labels))
    # A depthwise layer is a convolution whose other weights are 0.
    search, window, _ = searched(0)
    first, slim, wide = *DEPTHWISE[:2], conv(LENGTH // 2, CHANNELS, CHANNELS, 3, 1)
    at, after = first.weights + first.biases, first.weights + first.biases + slim.weights
    taps = search.theta[at:after].reshape(3, CHANNELS)
    diagonal = np.einsum("tc,oc->otc", taps, np.eye(CHANNELS))
    full = np.concatenate([search.theta[:at], diagonal.ravel(), search.theta[after:]])
    network = Network((first, replace(wide, ceiling=slim.ceiling), *DEPTHWISE[2:]))
    for scale in (1.0, 30.0):  # the second above the ceiling, here and there
        given = [
            one.gradients(theta[None], scale * window[None], np.array([2]))
            for one, theta in ((search.network, search.theta), (network, full))
        ]
        (slope, back), (wider, same) = given
        assert back == pytest.approx(same)
        cut = wider[0, at : at + wide.weights].reshape(CHANNELS, 3, CHANNELS)
        of = np.einsum("ctc->tc", cut).ravel()
        assert slope[0, at : at + slim.weights] == pytest.approx(of)
        assert slope[0, :at] == pytest.approx(wider[0, :at])
    assert Network.takes(DEPTHWISE)
    assert not Network.takes((replace(ONE[0], kind="other"), *ONE[1:]))
    assert not Network.takes(tuple(replace(s, weights=0) for s in ONE))


def test_a_search_comes_near_a_window_behind_a_depthwise_layer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tinymia.experiments.gradients.inverting.STEPS", 300)
    search, window, public = searched(1)
    seen, _ = search.network.gradients(search.theta[None], window[None], np.array([2]))
    found = search.run(seen[0], public, 2, 0)
    near = public[search.nearest(seen[0], public, 2)[0]]
    assert np.linalg.norm(found - window) < 0.5 * np.linalg.norm(window)
    assert np.linalg.norm(found - window) < 0.5 * np.linalg.norm(near - window)
    _, other, _ = searched(2)
    assert np.linalg.norm(found - other) > 0.8 * np.linalg.norm(other)
    # And in noise there is nothing.
    noise = np.random.default_rng(0).normal(0, 1, len(search.theta))
    lost = search.run(noise, public, 2, 0)
    assert np.linalg.norm(lost - window) > 0.8 * np.linalg.norm(window)
