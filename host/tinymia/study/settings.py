"""What a study is made of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote

from tinymia.defenses import Clipping, Defense, LabelSmoothing
from tinymia.device.protocol import Policy
from tinymia.device.settings import TrainSettings
from tinymia.errors import StudyError

MAX_REPETITIONS = 65535
MAX_EPOCHS = 65535
SPLITS = ("same-distribution", "cross-arm")
POLICIES = {
    "full": Policy.FULL,
    "rounded": Policy.ROUNDED,
    "top1": Policy.TOP1,
    "label": Policy.LABEL,
}


@dataclass(frozen=True)
class StudySettings:
    """The settings of an audit; equal settings on equal boards give equal results.

    Attributes:
        dataset: a name or an .npz path, see :func:`tinymia.data.load`.
        people: the audited people; empty: all that the base model was not trained on.
        repetitions: draws of members and non-members for each person.
        members: windows that each device is fine-tuned on.
        split: "same-distribution" or "cross-arm".
        epochs: where the undefended device is queried; the last is where defences are compared.
        learning_rate, batch: of the device's SGD.
        clip_norm, label_smoothing: of the two defences.
        policy: what the device's answers reveal: "full", "rounded", "top1" or "label".
        levels: steps of a probability under "rounded".
        seed: of draws, order of examples and resampling.

    Raises:
        StudyError: a setting is out of range.
    """

    dataset: str = "watch"
    people: tuple[str, ...] = ()
    repetitions: int = 10
    members: int = 80
    split: str = "same-distribution"
    epochs: tuple[int, ...] = (1, 5, 20, 50)
    learning_rate: float = 0.2
    batch: int = 8
    clip_norm: float = 1.0
    label_smoothing: float = 0.1
    policy: str = "full"
    levels: int = 100
    seed: int = 1

    def __post_init__(self) -> None:
        def need(holds: bool, message: str) -> None:
            if not holds:
                raise StudyError(message, "See `tinymia audit --help`.")

        need(
            len(set(self.people)) == len(self.people),
            f"Somebody is named twice: {', '.join(self.people)}.",
        )
        # The device's generator is keyed by 16 bits of each, see `training_seed`.
        need(
            1 <= self.repetitions <= MAX_REPETITIONS,
            f"{self.repetitions} repetitions are not possible, only 1 to {MAX_REPETITIONS}.",
        )
        need(self.split in SPLITS, f"There is no split {self.split!r}; known: {', '.join(SPLITS)}.")
        need(
            bool(self.epochs)
            and self.epochs[0] >= 1
            and self.epochs[-1] <= MAX_EPOCHS
            and sorted(set(self.epochs)) == [*self.epochs],
            f"The epochs {self.epochs} must ascend and lie in 1 to {MAX_EPOCHS}.",
        )
        need(0 < self.learning_rate <= 100, "The learning rate must be in (0, 100].")
        need(0 < self.batch < 65536, "The batch must be in [1, 65535].")
        need(
            self.policy in POLICIES,
            f"There is no output policy {self.policy!r}; known: {', '.join(POLICIES)}.",
        )
        need(0 < self.levels < 65536, "The levels must be in [1, 65535].")
        need(0 <= self.seed < 2**32, "The seed must be in [0, 2^32).")
        _ = self.defenses  # they check their own parameters

    @property
    def defenses(self) -> dict[str, tuple[Defense, ...]]:
        """The fine-tuning runs by name: without a defence, with each, with both."""
        clip, smooth = Clipping(self.clip_norm), LabelSmoothing(self.label_smoothing)
        return {
            "plain": (),
            "clip": (clip,),
            "smooth": (smooth,),
            "clip+smooth": (clip, smooth),
        }

    def runs(self) -> tuple[Run, ...]:
        """All runs of one (person, repetition), the base model first."""
        last = self.epochs[-1:]
        return (
            Run("base", (), (0,)),
            *(
                Run(name, defenses, self.epochs if name == "plain" else last)
                for name, defenses in self.defenses.items()
            ),
        )

    def training(self, defenses: tuple[Defense, ...], seed: int) -> TrainSettings:
        """The device's settings with these defences on."""
        settings = TrainSettings(learning_rate=self.learning_rate, batch=self.batch, seed=seed)
        for defense in defenses:
            settings = defense.apply(settings)
        return settings

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class Run:
    """One fine-tuning from the base tail, with the epochs at which all queries are asked."""

    name: str
    defenses: tuple[Defense, ...]
    checkpoints: tuple[int, ...]

    def condition(self, epochs: int) -> str:
        """The name of the cell at a checkpoint."""
        return self.name if epochs == 0 else f"{self.name}@{epochs}"


@dataclass(frozen=True, order=True)
class UnitKey:
    """What is journaled as a whole: one run of one device."""

    person: str
    repetition: int
    run: str = field(compare=True)

    @property
    def stem(self) -> str:
        """File name without its ending; a name of one's own data may hold a slash."""
        return f"{quote(self.person, safe=' ')}-{self.repetition:03d}-{self.run}"


def training_seed(settings: StudySettings, person_index: int, repetition: int) -> int:
    """Key of the device's generator: the same for all runs of a repetition, so that they pair."""
    return settings.seed << 32 | person_index << 16 | repetition


def parse_epochs(text: str) -> tuple[int, ...]:
    """ "1,5,20" as numbers; raises StudyError."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise StudyError(
            f"The epochs {text!r} are not whole numbers.", "Give them as 1,5,20,50."
        ) from None


def fingerprint(content: dict[str, Any]) -> str:
    """Names a study: SHA-256 of settings, bundle and firmware as JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
