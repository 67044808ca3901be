"""Training windows from the weights of two trained layers alone.

Haim et al. (NeurIPS 2022): a homogeneous network that was trained until margins grew is a weighted
sum of its gradients at the training examples, by the Karush-Kuhn-Tucker conditions of the largest
margin, so examples are searched whose gradients add up to the weights; Buzaglo et al. (NeurIPS
2023) for several classes. Of fine-tuning it is what was added to the public start that is such a
sum (Loo et al., ICLR 2024), and it need not have run for long.

Of a few windows no search is needed: whatever the steps, what was added to a kernel is a sum of
patches of the windows, as one step's gradient is (``gradients.recursion``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Stage
from tinymia.experiments.gradients.lattice import Doubles
from tinymia.experiments.gradients.recursion import places, unpacked

Bounds = tuple[float, float]

_STEEP = 20.0
"""A ReLU's step is a logistic function of so many times its input, as Haim et al. have it, or
searches would not see it."""


@dataclass(frozen=True, eq=False)
class TwoLayers:
    """A hidden layer with ReLU, the mean over its positions, and a dense layer.

    Attributes:
        at: (positions, taps), see ``places``.
        size: positions of the input.
        weights: (hidden, taps * in).
        bias: (hidden,).
        above: (classes, hidden).
        added: what training added: (hidden, taps * in + 1) and (classes, hidden + 1), biases last.
    """

    at: NDArray[np.int64]
    size: int
    weights: Doubles
    bias: Doubles
    above: Doubles
    added: tuple[Doubles, Doubles]

    @classmethod
    def of(cls, theta: Doubles, base: Doubles, stages: tuple[Stage, ...]) -> TwoLayers:
        """From trained (P,) and public (P,) parameters."""
        (hidden, bias), *_, (above, _) = unpacked(theta, stages)
        (first, bent), *_, (last, shift) = unpacked(theta - base, stages)
        one, at = stages[0], places(stages[0])
        added = (
            np.column_stack([first.reshape(len(first), -1), bent]),
            np.column_stack([last[:, 0], shift]),
        )
        size = 1 if one.kind == "dense" else one.inputs[0] * one.inputs[1]
        return cls(at, size, hidden.reshape(len(hidden), -1), bias, above[:, 0], added)

    def missed(self, inputs: Doubles, shares: Doubles) -> tuple[float, Doubles, Doubles]:
        """How much of what was added some windows leave open, and its slopes.

        Args:
            inputs: (m, size * in), what the hidden layer reads.
            shares: (m, classes), of each logit's gradient.

        Returns:
            The part that is left, and its slopes by both.
        """
        m = len(inputs)
        shaped = inputs.reshape(m, self.size, -1)
        framed = np.concatenate([shaped, np.zeros_like(shaped[:, :1])], axis=1)
        patches = framed[:, self.at].reshape(m, len(self.at), -1)
        before = patches @ self.weights.T + self.bias
        active = 1.0 / (1.0 + np.exp(-np.clip(before * _STEEP, -40.0, 40.0)))
        bent = _STEEP * active * (1.0 - active)
        count = len(self.at)
        read = np.column_stack([(before * active).mean(axis=1), np.ones(m)])
        with_one = np.concatenate([patches, np.ones((m, count, 1))], axis=2)
        pull = (shares @ self.above / count)[:, None] * active
        flat = pull.reshape(m * count, -1)
        whole = float(sum((part**2).sum() for part in self.added))
        left = self.added[0] - flat.T @ with_one.reshape(m * count, -1)
        right = self.added[1] - shares.T @ read
        lost = (float((left**2).sum()) + float((right**2).sum())) / whole
        told = with_one @ left.T
        met = (told * active).mean(axis=1)
        by_shares = met @ self.above.T + read @ right.T
        through = (shares @ right[:, :-1] / count)[:, None] * (active + before * bent)
        through += (shares @ self.above / count)[:, None] * told * bent
        by_patch = (pull @ left[:, :-1] + through @ self.weights).reshape(m, *self.at.shape, -1)
        by_inputs = np.zeros_like(framed)
        for t, place in enumerate(self.at):
            by_inputs[:, place] += by_patch[:, t]
        slope = by_inputs[:, : self.size].reshape(m, -1)
        return lost, -2.0 / whole * slope, -2.0 / whole * by_shares

    def search(
        self,
        start: Doubles,
        labels: NDArray[np.int64],
        bounds: Bounds,
        steps: int,
    ) -> tuple[Doubles, Doubles, float]:
        """Windows whose gradients add up to what was added.

        Args:
            start: (m, size * in), where the search begins.
            labels: (m,): a window pulls its own class up and all others down.
            bounds: of an input.
            steps: of L-BFGS.

        Returns:
            (m, size * in), (m, classes) shares, and what is left.
        """
        from scipy.optimize import minimize

        m, classes = len(start), len(self.above)
        own = np.zeros((m, classes), np.bool_)
        own[np.arange(m), labels] = True
        scale = float(np.abs(start).mean()) or 1.0
        # As much of each as explains most, all alike.
        even = np.where(own, 1.0, -1.0 / (classes - 1))
        along = 1.0 - self.missed(start, even)[0]
        size = 1.0 / m if along <= 0 else 1.0
        first = np.concatenate([start.ravel() / scale, size * even.ravel()])
        limits: list[tuple[float | None, float | None]] = []
        limits += [(bounds[0] / scale, bounds[1] / scale)] * start.size
        limits += [(0.0, None) if up else (None, 0.0) for up in own.ravel()]

        def cost(flat: Doubles) -> tuple[float, Doubles]:
            inputs, shares = flat[: start.size] * scale, flat[start.size :]
            lost, one, other = self.missed(inputs.reshape(m, -1), shares.reshape(m, classes))
            return lost, np.concatenate([one.ravel() * scale, other.ravel()])

        found = minimize(
            cost, first, jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": steps}
        )
        inputs = np.asarray(found.x[: start.size] * scale).reshape(m, -1)
        return inputs, np.asarray(found.x[start.size :]).reshape(m, classes), float(found.fun)
