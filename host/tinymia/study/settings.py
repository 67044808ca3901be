"""What a study is made of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote

from tinymia.defenses import Defense, DpSgd
from tinymia.defenses import registry as defenses
from tinymia.errors import StudyError
from tinymia.export.depth import HEAD, check_depth, depth_name
from tinymia.study.training import TrainingOptions, guess
from tinymia.wire.protocol import Policy
from tinymia.wire.settings import Parameters, TrainSettings

MAX_REPETITIONS = 65535
MAX_EPOCHS = 65535
SPLITS = ("same-distribution", "cross-arm")
POLICIES = {
    "full": Policy.FULL,
    "rounded": Policy.ROUNDED,
    "top1": Policy.TOP1,
    "label": Policy.LABEL,
}
DEFENCES = (
    "clip",
    "smooth",
    "clip+smooth",
    "l2",
    "dropout",
    "early-stop",
    "mixup",
    "augment",
    "dp",
)
DEPTHS = ("biases", "last:2", "all")


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
        training: what all runs share.
        defences: combinations of names of :mod:`tinymia.defenses.registry`, one condition each.
        values: parameters of the defences.
        depths: what is trained in further runs without a defence.
        policy: what the device's answers reveal: "full", "rounded", "top1" or "label".
        levels: steps of a probability under "rounded".
        seed: of draws, order of examples and resampling.
        confirm: repetitions of each person and condition that a board confirms.
        deep_people, deep_epochs: runs that train more than the last layer are slow on a simulated
            board, so they are confirmed for this many people and up to this epoch.

    Raises:
        StudyError: a setting is out of range.
    """

    dataset: str = "watch"
    people: tuple[str, ...] = ()
    repetitions: int = 10
    members: int = 80
    split: str = "same-distribution"
    epochs: tuple[int, ...] = (1, 5, 20, 50)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    defences: tuple[str, ...] = DEFENCES
    values: defenses.Values = field(default_factory=dict)
    depths: tuple[str, ...] = DEPTHS
    policy: str = "full"
    levels: int = 100
    seed: int = 1
    confirm: int = 1
    deep_people: int = 2
    deep_epochs: int = 5

    def __post_init__(self) -> None:
        def need(holds: bool, message: str, hint: str = "See `tinymia audit --help`.") -> None:
            if not holds:
                raise StudyError(message, hint)

        need(
            len(set(self.people)) == len(self.people),
            f"Somebody is named twice: {', '.join(self.people)}.",
        )
        # The device's generator is keyed by 16 bits of each, see `training_seed`.
        need(
            1 <= self.repetitions <= MAX_REPETITIONS,
            f"{self.repetitions} repetitions are not possible, only 1 to {MAX_REPETITIONS}.",
        )
        need(
            self.split in SPLITS,
            f"There is no split {self.split!r}.",
            guess(self.split, SPLITS),
        )
        need(
            bool(self.epochs)
            and self.epochs[0] >= 1
            and self.epochs[-1] <= MAX_EPOCHS
            and sorted(set(self.epochs)) == [*self.epochs],
            f"The epochs {self.epochs} must ascend and lie in 1 to {MAX_EPOCHS}.",
        )
        need(
            self.policy in POLICIES,
            f"There is no output policy {self.policy!r}.",
            guess(self.policy, POLICIES),
        )
        need(0 < self.levels < 65536, "The levels must be in [1, 65535].")
        need(0 <= self.seed < 2**32, "The seed must be in [0, 2^32).")
        need(self.members >= 1, f"{self.members} members are not possible.")
        need(
            min(self.confirm, self.deep_people) >= 0 and self.deep_epochs >= 1,
            "What a board confirms cannot be less than nothing, and takes an epoch at least.",
        )
        object.__setattr__(self, "depths", tuple(check_depth(depth) for depth in self.depths))
        names = [run.name for run in self.runs()]  # the defences check their own parameters
        twice = sorted({name for name in names if names.count(name) > 1})
        need(not twice, f"These conditions are named twice: {', '.join(twice)}.")

    @property
    def defenses(self) -> dict[str, tuple[Defense, ...]]:
        """The fine-tuning runs by name: without a defence, then each combination."""
        runs: dict[str, tuple[Defense, ...]] = {"plain": ()}
        for combination in self.defences:
            for made in defenses.build(combination, self.values):
                known = tuple(
                    d.of_training(self.members, self.training.batch, self.epochs[-1])
                    if isinstance(d, DpSgd)
                    else d
                    for d in made
                )
                name = "+".join(d.name for d in known)
                if name in runs:
                    raise StudyError(f"The defence {name!r} is named twice.")
                runs[name] = known
        return runs

    def runs(self) -> tuple[Run, ...]:
        """All runs of one (person, repetition), the base model first."""
        depth, last = self.training.train, self.epochs[-1:]
        runs = [Run("base", depth, (), (0,), (0,))]
        for name, made in self.defenses.items():
            at = self.epochs if name == "plain" else last
            runs.append(Run(name, depth, made, at, self._asked(depth, at)))
        for other in self.depths:
            if other != depth:
                # Its base is another: layers that are trained run in float32.
                asked = (0, *self._asked(other, last))
                runs.append(Run(f"plain-{depth_name(other)}", other, (), last, asked))
        return tuple(runs)

    def _asked(self, depth: str, reported: tuple[int, ...]) -> tuple[int, ...]:
        """Checkpoints of a run: what is reported, and where a board stops that confirms it."""
        deep = {min(self.deep_epochs, reported[-1])} if depth != HEAD else set()
        return tuple(sorted({*reported, *deep}))

    def training_of(
        self, run: Run, seed: int, parameters: Parameters = Parameters.WEIGHTS
    ) -> TrainSettings:
        """The device's settings for a run; ``parameters`` as its depth says."""
        settings = self.training.settings(
            seed=seed, epochs=self.epochs[-1], depth=run.depth, parameters=parameters
        )
        for defense in run.defenses:
            settings = defense.apply(settings)
        return settings

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, with the parameters of every defence that runs."""
        kinds = {part for combination in self.defences for part in combination.split("+")}
        values = {
            kind.name: {p.key: _plain(kind.default(p)) for p in kind.parameters}
            | {key: _plain(value) for key, value in self.values.get(kind.name, {}).items()}
            for kind in defenses.KINDS
            if kind.name in kinds
        }
        content = {k: getattr(self, k) for k in self.__dataclass_fields__ if k != "values"}
        return {k: _plain(v) for k, v in content.items()} | {"values": values}


def _plain(value: Any) -> Any:
    if isinstance(value, TrainingOptions):
        return asdict(value)
    return list(value) if isinstance(value, (tuple, list)) else value


@dataclass(frozen=True)
class Run:
    """One fine-tuning from the base network, with the epochs at which all queries are asked.

    Attributes:
        name: "plain", defences joined by "+", or "plain-all" and the like for another depth.
        depth: what is trained.
        defenses: what is on.
        reported: epochs that are conditions of the study.
        checkpoints: epochs at which all queries are asked: those, and further ones that serve as a
            base or for a board to confirm.
    """

    name: str
    depth: str
    defenses: tuple[Defense, ...]
    reported: tuple[int, ...]
    checkpoints: tuple[int, ...]

    @property
    def deep(self) -> bool:
        """Whether more than the last layer is trained."""
        return self.depth != HEAD

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


def fingerprint(content: dict[str, Any]) -> str:
    """Names a study: SHA-256 of settings, bundle and firmware as JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
