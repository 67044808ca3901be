"""Windows' inputs from one step of several layers, layer by layer, without an optimiser.

Zhu and Blaschko, R-GAP (ICLR 2021): what a layer reads follows from its gradient and from what it
gave, both linear in it, so one goes back from layer to layer. That paper begins at the last layer,
with one example, and ends where an average over positions hides what was averaged. Here it begins
at the layer before that average, with more: a kernel's gradient is a sum of patches of the layer's
input, each with a factor that is 0 where the kernel was not active. Dimitrov et al., SPEAR (NeurIPS
2024), use that low rank for dense layers. Patches overlap and have zeros in the padding, so that
all patches of a window lie in the span is one linear system in the window, and seldom has more
solutions than the windows behind the step: they are told apart by their whole codes (see
``lattice``), or two of them by a ReLU's zeros.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Stage
from tinymia.experiments.gradients.lattice import Doubles, in_box

_DARK = tuple(10.0 ** (k / 2) for k in range(-9, -3))
"""What a ReLU gave, as a part of the most, is taken for 0 below one of these: that by which the
equations of the layer fit best."""
_STEEP = 0.02
"""Numbers that change by less than this part of the largest change bound nothing."""
_NEARLY = 3e-3
"""What is 0 for one of two windows, as a part of the most, is this near it at first."""
_MOST_OPEN = 24
"""Dimensions of the solutions among which whole ones are looked for."""
_MOST_SETS = 200
"""Sets of whole windows of which the one that explains the gradient is taken."""
_MOST_UNKNOWNS = 1500
_SURE = 8.0
"""Times its noise a singular value is more than noise."""


@dataclass(frozen=True)
class Grid:
    """Of codes at the boundary: a code stands for so much, and lies between two."""

    scale: float
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class Step:
    """What is seen of one step.

    Attributes:
        gradient: (P,) sum over the windows, up to a factor of each.
        theta: (P,), at which it was taken.
        stages: a chain of layers, the last one dense without activation.
        count: windows.
        noise: standard deviation of what each number of the gradient is off by.
        grid: of what the first layer reads.
        mean: (inputs,) of public windows, in float32's units.
        whitening: (inputs, inputs), by which their differences from it have a covariance of 1.
    """

    gradient: Doubles
    theta: Doubles
    stages: tuple[Stage, ...]
    count: int
    noise: float
    grid: Grid
    mean: Doubles
    whitening: Doubles


def unpacked(theta: Doubles, stages: tuple[Stage, ...]) -> list[tuple[Doubles, Doubles]]:
    """Weights (out, taps, in) and biases (out,) of each stage, empty where it has none.

    Args:
        theta: (P,), of weights and biases.
        stages: what was trained.
    """
    found, at = [], 0
    for stage in stages:
        shape = stage.outputs[-1] if stage.weights else 0, stage.taps, stage.reads
        weights = theta[at : at + stage.weights].reshape(shape)
        at += stage.weights
        found.append((weights, theta[at : at + stage.biases]))
        at += stage.biases
    return found


def places(stage: Stage) -> NDArray[np.int64]:
    """(positions, taps): which position of the input each tap reads; -1 in the padding."""
    if stage.kind == "dense":
        return np.zeros((1, 1), np.int64)
    (h, w, _), (out_h, out_w, _) = stage.inputs, stage.outputs
    y = np.arange(out_h)[:, None] * stage.stride[0] - stage.pad[0] + np.arange(stage.kernel[0])
    x = np.arange(out_w)[:, None] * stage.stride[1] - stage.pad[1] + np.arange(stage.kernel[1])
    inside = ((y >= 0) & (y < h))[:, None, :, None] & ((x >= 0) & (x < w))[None, :, None, :]
    at = np.where(inside, y[:, None, :, None] * w + x[None, :, None, :], -1)
    return np.asarray(at.reshape(out_h * out_w, -1), np.int64)


def _blind(stages: tuple[Stage, ...]) -> int:
    """The last layer before an average hides what it gave."""
    return max((i for i, s in enumerate(stages) if s.kind == "average"), default=len(stages)) - 1


def reaches(stages: tuple[Stage, ...], count: int) -> bool:
    """Whether a step on so many windows can be gone back through."""
    blind = _blind(stages)
    if any(s.kind in ("other", "depthwise") or s.ceiling for s in stages):
        return False
    if any(stage.biases and not stage.weights for stage in stages):
        return False
    if blind < 0 or any(s.kind == "average" or not s.relu for s in stages[:blind]):
        return False
    if any(count * np.prod(s.inputs) > _MOST_UNKNOWNS for s in stages[:blind]):
        return False
    one = stages[blind]
    sides = zip(one.outputs[:2], one.kernel, one.stride, strict=True)
    if one.kind != "dense" and any(o > 1 and kernel <= stride for o, kernel, stride in sides):
        return False  # patches that share nothing could stand anywhere
    patches = count * (1 if one.kind == "dense" else one.outputs[0] * one.outputs[1])
    return patches <= min(one.outputs[-1], one.taps * one.reads)


def windows(step: Step) -> NDArray[np.int64] | None:
    """The windows behind a step: (count, inputs) codes above the zero point.

    None where the recursion ends before the boundary.
    """
    stages = step.stages
    if not reaches(stages, step.count):
        return None
    blind = _blind(stages)
    slopes, layers = unpacked(step.gradient, stages), unpacked(step.theta, stages)
    first = _from_span(step, blind, *slopes[blind])
    if first is None:
        return None
    known, pull = first
    for i in range(blind - 1, -1, -1):
        back = _back(stages[i + 1], pull, layers[i + 1][0])
        best: tuple[float, Doubles, Doubles] | None = None
        for dark in _DARK:
            gave = np.where(known > dark * known.max(), known, 0.0)
            doubt = max(step.noise, float(np.sqrt((known[gave == 0] ** 2).mean())))
            solved = _inputs(step, i, slopes[i][0], back * (gave > 0), layers[i], gave, doubt)
            if solved is not None and (best is None or solved[0] < best[0]):
                best = solved[0], solved[1], back * (gave > 0)
        if best is None:
            return None
        _, known, pull = best
    codes = np.rint(known.reshape(step.count, -1) / step.grid.scale).astype(np.int64)
    return np.asarray(np.clip(codes, step.grid.low, step.grid.high))


def _patches(stage: Stage, at: NDArray[np.int64], inputs: Doubles) -> Doubles:
    """(count, positions, taps, in): what a layer reads at each position of (count, size, in)."""
    framed = np.concatenate([inputs, np.zeros_like(inputs[:, :1])], axis=1)  # -1 is the padding
    return np.asarray(framed[:, at])


def _shaped(stage: Stage) -> tuple[int, int]:
    """Positions and numbers at each, as a layer reads them."""
    return (1 if stage.kind == "dense" else stage.inputs[0] * stage.inputs[1]), stage.reads


def _from_span(step: Step, i: int, slope: Doubles, bent: Doubles) -> tuple[Doubles, Doubles] | None:
    """What a layer read, by the span of its gradient alone.

    Returns:
        (count, size, in) in float32's units, and (count, positions, out): what each of its outputs
        was pulled by; None where they cannot be told.
    """
    stage, at = step.stages[i], places(step.stages[i])
    size, channels = _shaped(stage)
    scale = step.grid.scale if i == 0 else 1.0
    sums = np.column_stack([slope.reshape(len(slope), -1) / scale, bent])
    wanted = step.count * len(at)
    _, sizes, right = np.linalg.svd(sums)
    noise = step.noise / scale
    floor = _SURE * noise * np.sqrt(len(sums))
    rank = int((sizes[:wanted] > floor).sum())
    if not rank or (len(sizes) > wanted and sizes[wanted] > floor):
        return None  # more lies behind it than so many windows
    outside = right[rank:]
    rows = outside[:, :-1].reshape(len(outside), at.shape[1], channels)
    system = np.zeros((len(at), len(outside), size + 1, channels))
    for t, read in enumerate(at):
        system[t][:, read] = rows  # the padding's go to a place that is dropped
    flat = system[:, :, :size].reshape(-1, size * channels)
    ones = np.tile(outside[:, -1], len(at))
    _, small, basis = np.linalg.svd(np.column_stack([flat, ones]))
    off = noise / sizes[rank - 1]
    small = np.append(small, np.zeros(len(basis) - len(small)))
    left = int((small < _SURE * off * np.sqrt(len(flat)) + 1e-12).sum())
    rows = _apart(step, basis[len(basis) - max(left, step.count) :], off, whole=i == 0)
    # Mixtures of windows are whole, too, and explain as much, but have fewer zeros.
    rows = rows[np.argsort(-(rows == 0).sum(axis=1), kind="stable")]
    best: tuple[float, Doubles, Doubles] | None = None
    for some in itertools.islice(itertools.combinations(range(len(rows)), step.count), _MOST_SETS):
        shaped = rows[list(some)].reshape(step.count, size, channels)
        read = _patches(stage, at, shaped).reshape(wanted, -1)
        told = np.column_stack([read, np.ones(wanted)]).T
        factors = np.linalg.lstsq(told, sums.T, rcond=None)[0]
        missed = float(np.linalg.norm(told @ factors - sums.T))
        if best is None or missed < best[0] / 10:
            best = missed, shaped * scale, factors.reshape(step.count, len(at), -1)
    return best and best[1:]


def _apart(step: Step, basis: Doubles, noise: float, whole: bool) -> Doubles:
    """Windows (m, inputs) of a space (q, inputs + 1) whose last coordinate is a 1 of each.

    Args:
        step: how many they are.
        basis: orthonormal rows.
        noise: of its numbers.
        whole: whether they are codes.
    """
    count, open_ = step.count, len(basis)
    found = np.empty((0, basis.shape[1] - 1))
    if count == open_ == 1:
        found = basis[:, :-1] / basis[:, -1:]
    elif whole and open_ <= _MOST_OPEN:
        found = in_box(basis, noise, step.grid.low, step.grid.high).astype(np.float64)
    if len(found) < count and count == open_ == 2:
        found = _two(basis)
    return np.rint(found) if whole else found


def _two(basis: Doubles) -> Doubles:
    """Two windows (2, inputs) of what a ReLU gave: where their line leaves what is not below 0.

    None (0, inputs) where it does not say where it ends.
    """
    none = np.empty((0, basis.shape[1] - 1))
    last = basis[:, -1]
    here = last @ basis[:, :-1] / (last @ last)
    there = np.array([-last[1], last[0]]) @ basis[:, :-1]
    steep = np.abs(there) > _STEEP * np.abs(there).max()
    ends = -here[steep] / there[steep]
    up = there[steep] > 0
    if up.all() or not up.any():
        return none
    found = []
    for first in (ends[up].max(), ends[~up].min()):
        end = first
        for _ in range(3):  # all numbers that are 0 there say where that is
            value = here + end * there
            zero = (np.abs(value) < _NEARLY * value.max()) & steep
            if not zero.any():
                return none
            end = -(here[zero] @ there[zero]) / (there[zero] @ there[zero])
        found.append(here + end * there)
    return np.stack(found)


def _back(stage: Stage, pull: Doubles, weights: Doubles) -> Doubles:
    """(count, size, in): what a layer's inputs are pulled by, of its outputs' pull."""
    at = places(stage)
    size, channels = _shaped(stage)
    through = (pull @ weights.reshape(len(weights), -1)).reshape(
        *pull.shape[:2], *weights.shape[1:]
    )
    found = np.zeros((len(pull), size + 1, channels))
    for t, read in enumerate(at):
        found[:, read] += through[:, t]  # no position is read twice at once but the padding
    return np.asarray(found[:, :size].reshape(len(pull), -1, stage.inputs[2]))


def _inputs(
    step: Step,
    i: int,
    slope: Doubles,
    pull: Doubles,
    layer: tuple[Doubles, Doubles],
    known: Doubles,
    doubt: float,
) -> tuple[float, Doubles] | None:
    """(count, size, in) that a layer read, behind how badly that fits; None where some are open.

    Its gradient is a sum over positions of pull times input; where it was active, and what it gave
    is known, that is linear in its input as well.
    """
    stage, at = step.stages[i], places(step.stages[i])
    size, channels = _shaped(stage)
    count, (weights, bias) = step.count, layer
    of_slope = np.zeros((*weights.shape[:2], count, size + 1))
    for t, read in enumerate(at):
        for tap, place in enumerate(read):
            of_slope[:, tap, :, place] += pull[:, t].T
    above = np.kron(of_slope[..., :size].reshape(-1, count * size), np.eye(channels))
    active = np.argwhere(known > 0)
    below = np.zeros((len(active), count, size + 1, channels))
    for row, (n, t, o) in zip(below, active, strict=True):
        row[n, at[t]] = weights[o]
    gave = known[tuple(active.T)] - bias[active[:, 2]]
    flat = below[:, :, :size].reshape(len(active), -1)
    whole = np.concatenate([above / step.noise, flat / doubt])
    right = np.concatenate([slope.ravel() / step.noise, gave / doubt])
    if i == 0:  # what the step leaves open is most likely as in public windows
        whole = np.concatenate([whole, np.kron(np.eye(count), step.whitening)])
        right = np.concatenate([right, np.tile(step.whitening @ step.mean, count)])
    if len(whole) <= whole.shape[1]:
        return None
    from scipy.linalg import solve_triangular

    # Of the equations and their right side at once: what is left below is what does not fit.
    both = np.column_stack([whole, right])
    upper: Doubles = np.asarray(np.linalg.qr(both, mode="r"), np.float64)
    sizes = np.abs(np.diag(upper))[:-1]
    if sizes.min() < 1e-9 * sizes.max():
        return None
    found = solve_triangular(upper[:-1, :-1], upper[:-1, -1], check_finite=False)
    missed = float(upper[-1, -1]) ** 2 + 2 * len(gave) * np.log(doubt)
    return missed, found.reshape(count, size, channels)
