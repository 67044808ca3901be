"""A window whose gradient is alike: for networks through which nobody goes back in closed form.

Geiping et al., Inverting gradients (NeurIPS 2020): the cosine distance of gradients is made small
by Adam, with a prior of what a window looks like, here a normal distribution of public windows in
place of images' total variation. Starts: public windows whose gradients are nearest, and draws from
the prior. The slope of a gradient's product with a vector is that of the loss along this vector
(Pearlmutter 1994), so two passes with the parameters moved to either side give it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.experiments.gradients.lattice import Doubles
from tinymia.experiments.gradients.network import Network

STEPS = 800
NEAREST, DRAWN = 3, 1
"""Starts."""
_RATE = 0.05
"""Of Adam, in the prior's standard deviations; a tenth of it at the end."""
_PRIOR = 1e-3
_MOVED = 1e-9
"""By how much parameters are moved to either side, as a part of their length."""
_BETA = (0.9, 0.999)


@dataclass(frozen=True, eq=False)
class Inversion:
    """What is searched with.

    Attributes:
        network: that is trained.
        theta: (P,), where it was when the gradient was taken.
        mean: (inputs,) of public windows, in float32's units.
        roots: (inputs, inputs), Cholesky root of their covariance.
        low, high: of an input.
    """

    network: Network
    theta: Doubles
    mean: Doubles
    roots: Doubles
    low: float
    high: float

    def nearest(self, gradient: Doubles, windows: Doubles, label: int) -> NDArray[np.intp]:
        """Places of windows (n, inputs), those of the most similar gradients (P,) first."""
        labels = np.full(len(windows), label)
        own, _ = self.network.gradients(self.theta[None], windows, labels)
        return np.argsort(_distance(own, gradient), kind="stable")

    def run(self, gradient: Doubles, windows: Doubles, label: int, seed: int) -> Doubles:
        """(inputs,) whose gradient is most like (P,), from public windows (n, inputs) on."""
        rng = np.random.default_rng(seed)
        first = windows[self.nearest(gradient, windows, label)[:NEAREST]]
        begun = np.linalg.solve(self.roots, (first - self.mean).T).T
        z = np.concatenate([begun, 0.3 * rng.standard_normal((DRAWN, len(self.mean)))])
        labels = np.full(len(z), label)
        wanted = gradient / max(float(np.linalg.norm(gradient)), 1e-300)
        slow, fast = np.zeros_like(z), np.zeros_like(z)
        best, least = z.copy(), np.full(len(z), np.inf)
        for step in range(1, STEPS + 1):
            inputs, inside = self._inputs(z)
            own, _ = self.network.gradients(self.theta[None], inputs, labels)
            size = np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-300)
            alike = (own @ wanted)[:, None] / size
            better = 1.0 - alike[:, 0] < least
            best[better], least[better] = z[better], 1.0 - alike[better, 0]
            # Of the distance by the gradient.
            along = -(wanted - alike * own / size) / size
            slope = (self._product(inputs, labels, along) * inside) @ self.roots
            slope += 2 * _PRIOR * z / z.shape[1]
            slow = _BETA[0] * slow + (1 - _BETA[0]) * slope
            fast = _BETA[1] * fast + (1 - _BETA[1]) * slope**2
            rate = _RATE * 0.1 ** (step / STEPS)
            even = np.sqrt(fast / (1 - _BETA[1] ** step)) + 1e-12
            z = z - rate * slow / (1 - _BETA[0] ** step) / even
        return np.asarray(self._inputs(best[[least.argmin()]])[0][0])

    def _inputs(self, z: Doubles) -> tuple[Doubles, NDArray[np.bool_]]:
        """Windows of coordinates of the prior, and which numbers are not cut off."""
        free = self.mean + z @ self.roots.T
        return np.clip(free, self.low, self.high), (free > self.low) & (free < self.high)

    def _product(self, inputs: Doubles, labels: NDArray[np.int64], along: Doubles) -> Doubles:
        """(n, inputs): slope of each gradient's product with (n, P), by the inputs."""
        length = np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-300)
        moved = _MOVED * np.linalg.norm(self.theta) * along / length
        _, up = self.network.gradients(self.theta + moved, inputs, labels)
        _, down = self.network.gradients(self.theta - moved, inputs, labels)
        return np.asarray((up - down) * length / (2 * _MOVED * np.linalg.norm(self.theta)))


def _distance(own: Doubles, gradient: Doubles) -> Doubles:
    """Cosine distances of rows (n, P) to (P,)."""
    sizes = np.linalg.norm(own, axis=1) * np.linalg.norm(gradient)
    return np.asarray(1.0 - own @ gradient / np.maximum(sizes, 1e-300))
