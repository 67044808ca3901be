"""The options of training that all runs of a study share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

from tinymia.errors import StudyError
from tinymia.export.depth import HEAD, check_depth, rate_factor
from tinymia.wire.settings import (
    Optimizer,
    Parameters,
    Schedule,
    TrainSettings,
    in_range,
    setting_called,
    span_of,
)

_Choice = TypeVar("_Choice", bound=IntEnum)


def one_of(kind: type[_Choice], text: str, what: str) -> _Choice:
    """A member of an enumeration by its name in lower case; raises StudyError."""
    names = {member.name.lower(): member for member in kind}
    if text in names:
        return names[text]
    raise StudyError(f"There is no {what} {text!r}.", guess(text, names))


def guess(text: str, known: Iterable[str]) -> str:
    """A hint: what was probably meant, else all that is known."""
    names = list(known)
    close = difflib.get_close_matches(text, names, 1)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(names)}."


def of_model(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What a bundle's ``meta`` says of its training: options by name."""
    facts = meta.get("training", {})
    return {key: facts[key] for key in ("learning_rate", "batch") if key in facts}


@dataclass(frozen=True)
class TrainingOptions:
    """How every run trains, but for its defences.

    Attributes:
        train: what is trained, see :func:`tinymia.export.depth.check_depth`.
        learning_rate: for the head; other depths take it times
            :data:`tinymia.export.depth.RATE_FACTORS`.
        batch: examples in a mini-batch.
        optimizer: "sgd", "momentum" or "adam".
        momentum, beta2: of the optimizer.
        schedule: "constant", "linear" or "cosine".
        schedule_epochs: over which the rate falls to zero; 0: over the whole run.

    Raises:
        StudyError: an option is out of range.
    """

    train: str = HEAD
    learning_rate: float = 0.2
    batch: int = 8
    optimizer: str = "sgd"
    momentum: float = 0.9
    beta2: float = 0.999
    schedule: str = "constant"
    schedule_epochs: int = 0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "batch", "momentum", "beta2", "schedule_epochs"):
            setting, value = setting_called(name), getattr(self, name)
            if not in_range(setting, value):
                raise StudyError(
                    f"The {name.replace('_', ' ')} cannot be {value}.",
                    f"Give {span_of(setting)}.",
                )
        object.__setattr__(self, "train", check_depth(self.train))
        one_of(Optimizer, self.optimizer, "optimizer")
        one_of(Schedule, self.schedule, "schedule")

    def settings(
        self,
        *,
        seed: int,
        epochs: int,
        depth: str | None = None,
        parameters: Parameters = Parameters.WEIGHTS,
    ) -> TrainSettings:
        """The device's settings without a defence.

        Args:
            seed: of orders and draws.
            epochs: of the whole run.
            depth: what is trained, if not ``train``.
            parameters: which parameters of the layers that the depth stands for.
        """
        schedule = one_of(Schedule, self.schedule, "schedule")
        return TrainSettings(
            learning_rate=self.learning_rate * rate_factor(depth or self.train),
            batch=self.batch,
            seed=seed,
            trained=parameters,
            optimizer=one_of(Optimizer, self.optimizer, "optimizer"),
            momentum=self.momentum,
            beta2=self.beta2,
            schedule=schedule,
            schedule_epochs=(self.schedule_epochs or epochs) if schedule else 0,
        )
