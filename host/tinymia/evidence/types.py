"""What is run, what an adversary may see of it, and what shadow devices show."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tinymia.compat import StrEnum
from tinymia.defenses import Defense
from tinymia.evidence.answers import AnswerSettings, known
from tinymia.wire.settings import TrainSettings

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Scores = NDArray[np.float64]
"""(n,) float64, finite, one a candidate window; higher means more likely a member."""
BASE = "base"
"""The name of the run that is the base model."""
PLAIN = "plain"
"""With what the name of a run without a defence begins: "plain@50"."""
HEAD = "head"
"""The depth of a run that trains the last layer alone."""


@dataclass(frozen=True)
class Run:
    """One way of fine-tuning and answering: the same object from planning to the page.

    Attributes:
        name: short, for tables and files, unique in a study: "plain@50", "clip@50".
        title: for people: "clipping", "no defence, 50 epochs".
        depth: what is trained, see :func:`tinymia.export.depth.check_depth`.
        defences: what is on.
        epochs: of fine-tuning; 0 is the base model.
        training: the device's settings, defences applied; its seed is 0, each device has its own.
        answer: what the device's answers reveal.
        reference: what it is paired with; None for the base model and plain fine-tuning.
        own: what its defences make of answers, whatever a study's policy is.
    """

    name: str
    title: str
    depth: str
    defences: tuple[Defense, ...]
    epochs: int
    training: TrainSettings
    answer: AnswerSettings = field(default_factory=AnswerSettings)
    reference: Run | None = None
    own: AnswerSettings = field(default_factory=AnswerSettings)

    @cached_property
    def recipe(self) -> str:
        """Digest of how devices are trained: runs that share it differ in epochs and answers."""
        return digest({"depth": self.depth, "training": asdict(replace(self.training, seed=0))})

    @cached_property
    def key(self) -> str:
        """Digest of every parameter, 16 hexadecimal digits; names and titles do not enter."""
        return digest({"recipe": self.recipe, "epochs": self.epochs, "answer": asdict(self.answer)})

    def answering(self, answer: AnswerSettings) -> Run:
        """The same training under a study's answer policy; its own defences of answers stay."""
        reference = self.reference and self.reference.answering(answer)
        return replace(self, answer=self.own.under(answer), reference=reference)

    @property
    def whole(self) -> Run:
        """The same training with whole answers: no policy, and no defence of answers."""
        reference = self.reference and self.reference.whole
        return replace(self, answer=AnswerSettings(), own=AnswerSettings(), reference=reference)

    @property
    def is_base(self) -> bool:
        """Whether this is the model before fine-tuning."""
        return self.epochs == 0


def digest(content: object) -> str:
    """First 16 hexadecimal digits of the SHA-256 of some JSON."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Knowledge(StrEnum):
    """What shadow devices are trained on, which is what the adversary knows.

    ``SAME_PERSON``: the person's windows, each in or out by the rule by which members are drawn.
    ``HALF``: the same, but half of the person's windows are unknown to the adversary, who puts
    other people's in their place and asks only about those that are known.
    ``OTHER_PEOPLE``: windows of public people alone.
    ``MISMATCHED``: the person's windows, trained by another recipe (rate, batch and epochs).
    ``UNDEFENDED``: the person's windows, without the defences, by one who does not know of them.
    """

    SAME_PERSON = "same-person"
    HALF = "half"
    OTHER_PEOPLE = "other-people"
    MISMATCHED = "mismatched"
    UNDEFENDED = "undefended"


@dataclass(frozen=True, eq=False)
class Candidates:
    """What an adversary who holds windows knows of them before seeing a device.

    Attributes:
        labels: (n,) int64, true classes.
        group: (n,) int64: windows of one group are members together, or not at all.
        base: (n, views, classes) float32: the public base model's answers, under the run's policy;
            view 0 is the window itself, the others are changed a little (see ``study/views``).
        features: (n, d) float32, what the trained head reads of each window (the public backbone
            gives it), or None where more than the head is trained.
        head: (classes, d + 1) float32, weights and bias of the public head, or None likewise.
        shaped: (n, r) float32, the windows in the public coordinates in which a run's gradients are
            clipped and get their noise, or None where they are in no others.
        references: (m, d) float32, public windows of the bundle that a run's training has beside
            members, as the head reads them, or None.
        reference_labels: (m,) int64, their classes, or None likewise.
    """

    labels: Integers
    group: Integers
    base: Floats
    features: Floats | None = None
    head: Floats | None = None
    shaped: Floats | None = None
    references: Floats | None = None
    reference_labels: Integers | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.base.shape[-1])

    @property
    def views(self) -> int:
        """How many answers there are to each window; 1: to the window itself alone."""
        return int(self.base.shape[1])


@dataclass(frozen=True, eq=False)
class Target:
    """What an adversary may see of one device; what is not granted is None.

    Attributes:
        person, repetition: which device; no attack may use them but to seed a generator.
        candidates: the windows in question.
        answers: (n, views, classes) float32 under the run's policy; NaN where a policy hides.
        theta: (P,) float32, the trained parameters (for a head: weights row by row, then biases),
            for one who reads the flash.
    """

    person: str
    repetition: int
    candidates: Candidates
    answers: Floats
    theta: Floats | None = None

    def known(self, answer: AnswerSettings) -> Floats:
        """(n, views, classes): the answers as numbers, see :func:`tinymia.evidence.known`."""
        views = self.answers.shape[1]
        return known(self.answers, self.candidates.base[:, :views], answer)


@dataclass(frozen=True, eq=False)
class Population:
    """Other people's windows in shadow devices that were trained on them.

    Attributes:
        labels: (m,) int64.
        member: (shadows, m) bool.
        base: (m, views, classes) float32.
        answers: (shadows, m, views, classes) float32.
    """

    labels: Integers
    member: Bools
    base: Floats
    answers: Floats


@dataclass(frozen=True, eq=False)
class Shadows:
    """Devices that the adversary trained to learn what membership looks like.

    Attributes:
        member: (shadows, n) bool, over the candidates; all False under ``OTHER_PEOPLE``.
        answers: (shadows, n, views, classes) float32, under the run's policy.
        theta: (shadows, P) float32, or None where it was not granted.
        others: what they were trained on under ``OTHER_PEOPLE``, else None.
        spare: (shadows, spare windows, classes) float32, whole answers to the random windows that a
            defence hands out in place of the own, or None.
    """

    member: Bools
    answers: Floats
    theta: Floats | None = None
    others: Population | None = None
    spare: Floats | None = None

    def __len__(self) -> int:
        return len(self.answers)


class Oracle(Protocol):
    """A device that can be asked more, each question counted.

    Attributes:
        asked: questions so far.
    """

    asked: int

    def ask(self, features: Floats) -> Floats:
        """Answers under the run's policy.

        Args:
            features: (m, d) float32: what the head reads. Windows that the frozen int8 part maps
                there are stood in for; limits of attacks with an oracle say so.

        Returns:
            (m, classes) float32.
        """
        ...


class Lab(Protocol):
    """Where an attack gets what its adversary has. The study implements it on the twin."""

    def candidates(self, run: Run, person: str) -> Candidates:
        """What is known of a person's windows."""
        ...

    def knows(self, run: Run, person: str, knowledge: Knowledge | None) -> bool:
        """Whether shadow devices of this knowledge can be trained; None: none are needed."""
        ...

    def known(self, person: str) -> Bools:
        """(n,) bool, the half of a person's windows that an adversary of ``HALF`` knows."""
        ...

    def shadows(
        self,
        run: Run,
        person: str,
        knowledge: Knowledge = Knowledge.SAME_PERSON,
        count: int | None = None,
    ) -> Shadows:
        """Shadow devices of a run; trained once however many attacks ask.

        Args:
            run: which, answer policy included.
            person: whose device is attacked.
            knowledge: see there.
            count: the first so many of the lab's; None: all that it trains for this run.
        """
        ...

    def oracle(self, run: Run, target: Target) -> Oracle:
        """More questions to an attacked device whose head is trained."""
        ...


@runtime_checkable
class ChoosingLab(Lab, Protocol):
    """A lab that also trains shadow devices on members which an attack chooses."""

    @property
    def about(self) -> int:
        """Devices that are trained so about each attacked one, in all."""
        ...

    def trained_on(self, run: Run, person: str, member: Bools, purpose: str) -> Shadows:
        """Shadow devices of a run with these members; they are not kept.

        Args:
            run: which, answer policy included.
            person: whose windows.
            member: (shadows, n) bool.
            purpose: other purposes have other seeds.
        """
        ...


Scorer = Callable[[Target], Scores]
