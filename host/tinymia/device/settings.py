"""How a device trains: the same fields, names and defaults as ``train/settings.h`` of the core."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Optimizer(IntEnum):
    """What a step does with the mean gradient."""

    SGD = 0
    MOMENTUM = 1
    ADAM = 2


class Schedule(IntEnum):
    """How the learning rate falls to zero over ``schedule_epochs``."""

    CONSTANT = 0
    LINEAR = 1
    COSINE = 2


class Parameters(IntEnum):
    """Which parameters of the trained layers change."""

    WEIGHTS = 0  # and biases
    BIASES = 1


@dataclass(frozen=True)
class TrainSettings:
    """How the board trains. Off is always 0.

    Attributes:
        learning_rate: of the optimizer, on the mean gradient of a mini-batch.
        batch: examples in a mini-batch (the last one of an epoch may be smaller).
        clip_norm: bound of one example's gradient norm over all that is trained.
        label_smoothing: mass of the target that is spread evenly over all classes, in [0, 1).
        seed: of the order of examples and all that is drawn (Philox key).
        trained: weights and biases, or biases alone.
        optimizer: SGD, momentum or Adam.
        momentum: of MOMENTUM; first decay of ADAM.
        beta2: second decay of ADAM.
        schedule, schedule_epochs: how the rate falls to zero, and over how many epochs.
        l2: adds ``l2 * w`` to the mean gradient of each weight (not of biases).
        dropout: share of the last layer's inputs that is dropped.
        mixup: alpha of Beta(alpha, alpha).
        holdout: per cent of the members that are held out for early stopping.
        patience: epochs without a better held-out loss before training stops.
        jitter, scaling, rotation, shift: augmentation of raw windows: noise and scale of a channel
            (standard deviations, the first in units of the normalised signal), radians of rotation
            of each sensor's axes, samples of time shift.
        noise_multiplier: of DP-SGD; examples are then drawn by Poisson sampling.
    """

    learning_rate: float = 0.2
    batch: int = 8
    clip_norm: float = 0.0
    label_smoothing: float = 0.0
    seed: int = 0
    trained: Parameters = Parameters.WEIGHTS
    optimizer: Optimizer = Optimizer.SGD
    momentum: float = 0.9
    beta2: float = 0.999
    schedule: Schedule = Schedule.CONSTANT
    schedule_epochs: int = 0
    l2: float = 0.0
    dropout: float = 0.0
    mixup: float = 0.0
    holdout: int = 0
    patience: int = 0
    jitter: float = 0.0
    scaling: float = 0.0
    rotation: float = 0.0
    shift: int = 0
    noise_multiplier: float = 0.0

    @property
    def augments(self) -> bool:
        """Whether windows are changed on the way, which needs them whole in the store."""
        return self.jitter > 0 or self.scaling > 0 or self.rotation > 0 or self.shift > 0
