"""What the audit of a DP claim takes and what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tinymia.compat import StrEnum
from tinymia.errors import StudyError
from tinymia.statistics.epsilon import LEVEL, MIN_DEVICES, Profile
from tinymia.wire.settings import TrainSettings


class Relation(StrEnum):
    """Which data sets are neighbours."""

    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"


class View(StrEnum):
    """What the adversary sees of a trained device: all of its parameters, or full answers."""

    WHITE = "white box"
    BLACK = "black box"


class Verdict(StrEnum):
    """What a relation's bounds say of its claim."""

    BELOW = "the bound stays below the claim"
    CONTRADICTS = "contradicts the claim"


@dataclass(frozen=True, eq=False)
class Claim:
    """(epsilon, delta)-DP for one relation.

    Attributes:
        epsilon, delta: the claim.
        accountant: who says so.
        profile: the accountant's delta at every epsilon, where it is known: a sharper claim.
    """

    epsilon: float
    delta: float
    accountant: str
    profile: Profile | None = None


@dataclass(frozen=True, eq=False)
class Trained:
    """What became of some devices.

    Attributes:
        theta: (devices, P) float32: the trained parameters: of a head, weights row by row, then
            biases; or biases alone.
        answers: (devices, m, classes) float32: to the queries.
    """

    theta: NDArray[np.float32]
    answers: NDArray[np.float32]


class Devices(Protocol):
    """Devices by the thousand, all with one softmax head on int8 embeddings.

    Attributes:
        head: (classes, d + 1) float32: the base head's weights and bias.
        scale, zero_point: of an embedding.
        shape: mean (d,) and rows (r, d) of the coordinates rows * (x - mean) in which gradients are
            clipped and get their noise; None: in the embedding's own.
    """

    head: NDArray[np.float32]
    scale: float
    zero_point: int
    shape: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def train(
        self,
        slots: NDArray[np.int8],
        labels: NDArray[np.int64],
        member: NDArray[np.bool_],
        queries: NDArray[np.int8],
        settings: TrainSettings,
        epochs: int,
        seeds: NDArray[np.uint64],
    ) -> Trained:
        """Fine-tune devices, each by itself.

        Args:
            slots: (n, d) int8 embeddings.
            labels: (n,).
            member: (devices, n) bool: what each device learns from.
            queries: (m, d) int8: what each is asked afterwards.
            settings: of all of them but for the seed.
            epochs: how many.
            seeds: (devices,): of each device's noise and sampling.
        """
        ...


@dataclass(frozen=True)
class Design:
    """What is trained and how it is judged.

    Attributes:
        settings: DP-SGD as it is claimed, whole; the seed is not used.
        epochs: of training.
        members: what the neighbours are neighbours of: adding goes to one more, removing to one
            less.
        devices: of each arm.
        level: confidence of each bound, and of all verdicts together.
        relations: which ones.
        seed: of all devices' seeds and of the coins.

    Raises:
        StudyError: not DP-SGD, or too few devices or members.
    """

    settings: TrainSettings
    epochs: int
    members: int
    devices: int = 20_000
    level: float = LEVEL
    relations: tuple[Relation, ...] = tuple(Relation)
    seed: int = 1

    def __post_init__(self) -> None:
        if not self.settings.is_private:
            raise StudyError(
                "Without noise there is no epsilon to check.", "Give a noise multiplier and a clip."
            )
        if self.devices < 4 * MIN_DEVICES:
            raise StudyError(
                f"{self.devices} devices an arm are too few to bound epsilon.",
                f"Give {4 * MIN_DEVICES} or more; 20,000 see an epsilon of 2 or more.",
            )
        if self.members < 2 or self.epochs < 1 or not 0.5 <= self.level < 1:
            raise StudyError(
                f"{self.members} members, {self.epochs} epochs and a level of {self.level} do not"
                " make an audit.",
                "Give at least 2 members and 1 epoch, and a level from 0.5 to below 1.",
            )


@dataclass(frozen=True)
class Bound:
    """One method's lower bound of epsilon, or fit.

    Attributes:
        method: name of a :class:`~tinymia.statistics.epsilon.Method`.
        title: for people.
        view: what was seen.
        epsilon: above the true one in at most 1 - level of audits (not so for a fit).
        assumes_gaussian: it holds if the mechanism's trade-off curve is Gaussian.
        is_fit: it is an estimate, no bound.
    """

    method: str
    title: str
    view: View
    epsilon: float
    assumes_gaussian: bool = False
    is_fit: bool = False


@dataclass(frozen=True)
class Checked:
    """One relation, or a control.

    Attributes:
        relation: which neighbours; None for a control without any difference.
        sizes: members in either arm, the canary's first.
        epsilon, delta, accountant: the claim.
        bounds: all of them.
        chance: by view, at most the chance of what was seen if the claim's own curve holds; empty
            where there is none.
        verdict: by bounds that hold whatever the mechanism is, and by the chance, at a level that
            all verdicts share (Bonferroni).
        looks: 2 where a first look contradicted the claim: all of this is then of fresh devices,
            which must contradict it, too.
    """

    relation: Relation | None
    sizes: tuple[int, int]
    epsilon: float
    delta: float
    accountant: str
    bounds: tuple[Bound, ...]
    chance: Mapping[View, float]
    verdict: Verdict
    looks: int = 1

    @property
    def best(self) -> Bound:
        """The largest bound that holds whatever the mechanism is."""
        sound = [b for b in self.bounds if not b.assumes_gaussian and not b.is_fit]
        return max(sound, key=lambda b: b.epsilon)


@dataclass(frozen=True)
class Finding:
    """What an audit of a DP claim found.

    Attributes:
        design: what was trained.
        checked: one a relation.
        nothing: negative control: devices without the canary against others without it.
        leak: positive control: almost without noise, against a claim that so few devices can see
            broken.
        seconds: that training and judging took.
        title: of the condition whose claim it is; empty outside a study.
    """

    design: Design
    checked: tuple[Checked, ...]
    nothing: Checked
    leak: Checked
    seconds: float
    title: str = ""

    @property
    def controls_hold(self) -> bool:
        """Nothing was found where nothing is, and the leak was."""
        return self.nothing.verdict is Verdict.BELOW and self.leak.verdict is Verdict.CONTRADICTS
