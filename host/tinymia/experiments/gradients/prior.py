"""What public people say of a device's examples: a normal distribution of inputs, class by class.

Where no input follows exactly from an update, the most likely ones under that prior are what is
left to find (Geiping et al. 2020 with a prior of what data look like; in a dense softmax layer it
is a linear problem for given residuals, so no optimiser is needed).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.softmax import probabilities, residuals, with_one

Doubles = NDArray[np.float64]
Labels = NDArray[np.int64]

_RIDGE = 0.05
"""Of each class's covariance, as a part of its mean variance."""
_LEAST = 0.01
"""Noise that is assumed at least, as a part of the gradient: labels are guessed, too."""
_STEPS = 80


@dataclass(frozen=True, eq=False)
class Prior:
    """Inputs of each class.

    Attributes:
        mean: (classes, d).
        covariance: (classes, d, d).
        head: (classes, d + 1), where the update starts.
    """

    mean: Doubles
    covariance: Doubles
    head: Doubles

    @classmethod
    def of(cls, inputs: Doubles, labels: Labels, head: Doubles) -> Prior:
        """Of public windows; a class without any has the moments of all."""
        means, covariances = [], []
        for c in range(len(head)):
            own = inputs[labels == c]
            own = own if len(own) > 1 else inputs
            around = np.cov(own.T)
            ridge = _RIDGE * np.trace(around) / len(around)
            means.append(own.mean(axis=0))
            covariances.append(around + ridge * np.eye(len(around)))
        return cls(np.array(means), np.array(covariances), head)

    def guess(self, count: int) -> Doubles:
        """(count, d): what is said of so many examples without an update, class after class."""
        return np.asarray(self.mean[np.arange(count) % len(self.mean)])

    def counts(self, gradient: Doubles, count: int) -> NDArray[np.int64]:
        """How many examples of each class a gradient is of, from its biases.

        Sum of p - y over the examples, with the probabilities that the base model gives to each
        class's mean (Wainakh et al. 2022, LLG).

        Args:
            gradient: (classes, d + 1), sum over the examples.
            count: how many they are.
        """
        classes = len(self.head)
        read = with_one(self.mean)
        pulled = probabilities(self.head, read).T - np.eye(classes)
        system = np.vstack([pulled, np.ones((1, classes))])
        found = np.linalg.lstsq(system, np.append(gradient[:, -1], count), rcond=None)[0]
        share = np.maximum(found, 0.0)
        share *= count / max(share.sum(), 1e-12)
        whole = np.floor(share).astype(np.int64)
        for c in np.argsort(whole - share)[: count - int(whole.sum())]:
            whole[c] += 1
        return np.asarray(whole, np.int64)

    def most_likely(self, gradient: Doubles, labels: Labels, noise: float) -> Doubles:
        """Inputs of examples with these labels.

        Args:
            gradient: (classes, d + 1), sum over the examples of (p - y) (x, 1).
            labels: (n,).
            noise: standard deviation of what each number is off by.

        Returns:
            (n, d) float64.
        """
        from scipy.optimize import minimize

        centre, size = self.mean[labels], gradient.size
        roots = np.linalg.cholesky(self.covariance)[labels]  # (n, d, d)
        turned = np.ascontiguousarray(roots.transpose(0, 2, 1))
        weights, off = self.head[:, :-1], np.maximum(noise, _LEAST * np.sqrt((gradient**2).mean()))

        def inputs_of(flat: Doubles) -> Doubles:
            return np.asarray(centre + (roots @ flat.reshape(*centre.shape, 1))[..., 0])

        def cost(flat: Doubles) -> tuple[float, Doubles]:
            read = with_one(inputs_of(flat))
            probs = probabilities(self.head, read)
            pulled = residuals(probs, labels)
            left = (pulled.T @ read - gradient) / off**2
            through = read @ left.T  # (n, classes)
            bent = probs * (through - (probs * through).sum(axis=1, keepdims=True))
            slope = pulled @ left[:, :-1] + bent @ weights
            down = (turned @ slope[..., None]).ravel() + flat
            value = 0.5 * off**2 * float((left**2).sum()) + 0.5 * float(flat @ flat)
            return value / size, down / size

        # Examples of a class start apart, or they would stay together.
        start = 0.3 * np.random.default_rng(0).standard_normal(centre.size)
        found = minimize(cost, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
        return np.clip(inputs_of(found.x), 0.0, None)
