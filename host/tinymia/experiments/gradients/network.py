"""A small network in NumPy, as an adversary has it: what one example's loss says, and back.

Chains of convolutions, depthwise ones, averages and dense layers with ReLU or ReLU6. Many examples
side by side, each with parameters of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.softmax import residuals
from tinymia.evidence import Stage
from tinymia.experiments.gradients.lattice import Doubles
from tinymia.experiments.gradients.recursion import places

KINDS = ("dense", "conv", "depthwise", "average")


@dataclass(frozen=True, eq=False)
class Network:
    """See the module.

    Attributes:
        stages: the last one gives the classes.
    """

    stages: tuple[Stage, ...]

    @staticmethod
    def takes(stages: tuple[Stage, ...]) -> bool:
        """Whether a network is one of those, all of whose layers have weights that are trained."""
        return bool(stages) and all(
            s.kind in KINDS and bool(s.weights) == (s.kind != "average") for s in stages
        )

    @cached_property
    def _places(self) -> list[NDArray[np.int64]]:
        return [places(stage) for stage in self.stages]

    def gradients(
        self, theta: Doubles, inputs: Doubles, labels: NDArray[np.int64]
    ) -> tuple[Doubles, Doubles]:
        """Of the cross-entropy of each example.

        Args:
            theta: (n, P) or (1, P) parameters.
            inputs: (n, inputs), in float32's units.
            labels: (n,).

        Returns:
            (n, P) for the parameters, (n, inputs) for the inputs.
        """
        value, kept, at = inputs, [], 0
        n = len(inputs)
        for stage, read in zip(self.stages, self._places, strict=True):
            weights = theta[:, at : at + stage.weights]
            bias = theta[:, at + stage.weights : at + stage.weights + stage.biases]
            at += stage.weights + stage.biases
            patches = self._patches(stage, read, value)
            value, shaped = self._forward(stage, patches, weights, bias)
            open_ = np.ones_like(value, np.bool_)
            if stage.relu:
                open_ = value > 0
                if stage.ceiling:
                    open_ &= value < stage.ceiling
                    value = np.minimum(value, stage.ceiling)
                value = np.maximum(value, 0.0)
            kept.append((patches, shaped, open_))
        logits = value.reshape(n, -1)
        logits = logits - logits.max(axis=1, keepdims=True)
        probs = np.exp(logits)
        pull = residuals(probs / probs.sum(axis=1, keepdims=True), labels)
        parts: list[Doubles] = []
        for stage, read, (patches, shaped, open_) in reversed(
            list(zip(self.stages, self._places, kept, strict=True))
        ):
            pull = pull.reshape(open_.shape) * open_
            slope, back = self._backward(stage, patches, shaped, pull)
            if stage.biases:
                parts.insert(0, pull.sum(axis=1))
            if stage.weights:
                parts.insert(0, slope.reshape(n, -1))
            pull = self._gathered(stage, read, back)
        return np.concatenate(parts, axis=1), pull

    def _patches(self, stage: Stage, read: NDArray[np.int64], value: Doubles) -> Doubles:
        """(n, positions, taps, in)."""
        n = len(value)
        shaped = value.reshape(n, -1, stage.reads)
        if (read < 0).any():
            shaped = np.concatenate([shaped, np.zeros_like(shaped[:, :1])], axis=1)
        return np.asarray(shaped[:, read])

    def _forward(
        self, stage: Stage, patches: Doubles, weights: Doubles, bias: Doubles
    ) -> tuple[Doubles, Doubles]:
        """(n, positions, out), and the weights in the shape in which they are used."""
        n, positions, taps, reads = patches.shape
        if stage.kind == "average":
            return patches.mean(axis=2), weights
        if stage.kind == "depthwise":
            shaped = weights.reshape(len(weights), 1, taps, reads)
            return (patches * shaped).sum(axis=2) + bias[:, None], shaped
        shaped = weights.reshape(len(weights), -1, taps * reads)
        flat = patches.reshape(n, positions, taps * reads)
        return flat @ shaped.transpose(0, 2, 1) + bias[:, None], shaped

    def _backward(
        self, stage: Stage, patches: Doubles, shaped: Doubles, pull: Doubles
    ) -> tuple[Doubles, Doubles]:
        """Of the weights, and of the patches (n, positions, taps, in)."""
        n, positions, taps, reads = patches.shape
        if stage.kind == "average":
            return shaped, np.repeat(pull[:, :, None], taps, axis=2) / taps
        if stage.kind == "depthwise":
            return (patches * pull[:, :, None]).sum(axis=1), pull[:, :, None] * shaped
        flat = patches.reshape(n, positions, taps * reads)
        return pull.transpose(0, 2, 1) @ flat, (pull @ shaped).reshape(patches.shape)

    def _gathered(self, stage: Stage, read: NDArray[np.int64], back: Doubles) -> Doubles:
        """(n, inputs) of the patches' pulls."""
        n = len(back)
        size = 1 if stage.kind == "dense" else stage.inputs[0] * stage.inputs[1]
        found = np.zeros((n, size + 1, stage.reads))
        for tap in range(read.shape[1]):  # no position is read twice at once but the padding
            found[:, read[:, tap]] += back[:, :, tap]
        return np.asarray(found[:, :size].reshape(n, -1))
