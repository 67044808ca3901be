"""How a device trains: the same fields, names and defaults as ``train/settings.h`` of the core."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

from tinymia.errors import DataError


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
    def is_private(self) -> bool:
        """Whether it is DP-SGD."""
        return self.noise_multiplier > 0

    @property
    def augments(self) -> bool:
        """Whether windows are changed on the way, which needs them whole in the store."""
        return self.jitter > 0 or self.scaling > 0 or self.rotation > 0 or self.shift > 0


RANGES = {
    "learning_rate": "above 0, at most 100",
    "batch": "a whole number, 1 to 65535",
    "clip_norm": "0 (off) to 1e6",
    "label_smoothing": "0 to below 1",
    "seed": "a whole number, 0 to 2^64 - 1",
    "trained": "0 (weights and biases) or 1 (biases)",
    "optimizer": "0 (SGD), 1 (momentum) or 2 (Adam)",
    "momentum": "0 to below 1",
    "beta2": "0 to below 1",
    "schedule": "0 (constant), 1 (linear) or 2 (cosine)",
    "schedule_epochs": "1 to 65535 with a schedule, 0 without one",
    "l2": "0 to 1",
    "dropout": "0 to 0.95",
    "mixup": "0 to 8, and 0 beside noise",
    "holdout": "0 to 50 per cent, above 0 beside patience only, and 0 beside noise",
    "patience": "a whole number, 0 to 65535",
    "jitter": "0 to 10",
    "scaling": "0 to 2",
    "rotation": "0 to 4",
    "shift": "a whole number, 0 to 1024",
    "noise_multiplier": "0 (off) or 0.01 to 64, beside a clip_norm above 0 only",
}
"""What each setting may be, in the order in which a board numbers them (``CheckSettings``)."""


def wrong_setting(s: TrainSettings) -> str | None:
    """The name of the first setting that is out of range, by itself or beside the others."""
    holds = {
        "learning_rate": 0 < s.learning_rate <= 100,
        "batch": _whole(s.batch, 1, 0xFFFF),
        "clip_norm": 0 <= s.clip_norm <= 1e6,
        "label_smoothing": 0 <= s.label_smoothing < 1,
        "seed": _whole(s.seed, 0, 2**64 - 1),
        "trained": s.trained in set(Parameters),
        "optimizer": s.optimizer in set(Optimizer),
        "momentum": 0 <= s.momentum < 1,
        "beta2": 0 <= s.beta2 < 1,
        "schedule": s.schedule in set(Schedule),
        "schedule_epochs": _whole(s.schedule_epochs, 0, 0xFFFF)
        and (s.schedule_epochs > 0) == (s.schedule != Schedule.CONSTANT),
        "l2": 0 <= s.l2 <= 1,
        "dropout": 0 <= s.dropout <= 0.95,
        "mixup": 0 <= s.mixup <= (0 if s.is_private else 8),
        "holdout": _whole(s.holdout, 0, 0 if s.is_private else 50)
        and (s.holdout > 0) == (s.patience > 0),
        "patience": _whole(s.patience, 0, 0xFFFF),
        "jitter": 0 <= s.jitter <= 10,
        "scaling": 0 <= s.scaling <= 2,
        "rotation": 0 <= s.rotation <= 4,
        "shift": _whole(s.shift, 0, 1024),
        "noise_multiplier": s.noise_multiplier == 0
        or (0.01 <= s.noise_multiplier <= 64 and s.clip_norm > 0),
    }
    return next((name for name, right in holds.items() if not right), None)


def check_settings(settings: TrainSettings) -> None:
    """Raise DataError, with the setting's name and range, unless a device takes the settings."""
    name = wrong_setting(settings)
    if name is not None:
        raise DataError(
            f"The training setting {name} is out of range: {getattr(settings, name)}.",
            f"It may be {RANGES[name]}.",
        )


def setting_name(number: int) -> str:
    """The setting that a board numbers so, counted from 1."""
    names = [field.name for field in fields(TrainSettings)]
    return names[number - 1] if 0 < number <= len(names) else f"number {number}"


def _whole(value: int, low: int, high: int) -> bool:
    return value == int(value) and low <= value <= high
