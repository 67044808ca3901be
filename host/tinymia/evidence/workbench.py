"""Where experiments beyond membership get devices, and what an adversary has without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence.types import Bools, Floats, Integers, Run

Codes = NDArray[np.int8]
"""Windows as the model takes them: (n, ...) int8."""


@dataclass(frozen=True)
class Signal:
    """What a window is, so that it can be drawn.

    Attributes:
        shape: of a window, without the batch: (50, 6), (28, 28, 1).
        scale, zero_point: a code q stands for scale * (q - zero_point).
        channels: names, along the last axis; () where nobody gave any.
        rate: samples a second along the first axis; None where a window is no signal.
        classes: names.
    """

    shape: tuple[int, ...]
    scale: float
    zero_point: int
    channels: tuple[str, ...]
    rate: float | None
    classes: tuple[str, ...]

    @property
    def is_image(self) -> bool:
        """Whether a window is drawn as a picture and not as lines."""
        return len(self.shape) == 3

    def real(self, windows: Codes) -> Floats:
        """(n, ...) float32, what the codes stand for."""
        codes = windows.astype(np.float32) - np.float32(self.zero_point)
        return np.asarray(codes * np.float32(self.scale), np.float32)


@dataclass(frozen=True)
class Stage:
    """A trained layer, as far as an adversary who knows the network has it.

    Attributes:
        kind: "dense", "conv", "depthwise" or "average"; "other" for whatever is no link of a plain
            chain.
        relu: whether a ReLU follows.
        inputs, outputs: (height, width, channels).
        kernel, stride, pad: of height and width; padding before the first row and column.
        weights, biases: how many are trained.
        ceiling: of what the ReLU gives; 0: none.
    """

    kind: str
    relu: bool
    inputs: tuple[int, int, int]
    outputs: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    weights: int
    biases: int
    ceiling: float = 0.0

    @property
    def taps(self) -> int:
        """Places under a kernel; a dense layer has one."""
        return 1 if self.kind == "dense" else self.kernel[0] * self.kernel[1]

    @property
    def reads(self) -> int:
        """Numbers that a kernel reads at a place."""
        height, width, channels = self.inputs
        return height * width * channels if self.kind == "dense" else channels


@dataclass(frozen=True, eq=False)
class Owner:
    """A person and all windows of theirs.

    Attributes:
        name: of the person.
        windows: (n, ...) int8.
        labels: (n,) int64.
        group: (n,) int64: windows of one block were recorded together; blocks are apart.
    """

    name: str
    windows: Codes
    labels: Integers
    group: Integers

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Training:
    """Devices that are to be fine-tuned.

    Attributes:
        run: how, and how they answer.
        windows: (n, ...) int8, examples of all devices.
        labels: (n,) int64, as the devices are told them; poisoned ones are wrong.
        members: (devices, n) bool, what each learns from.
        seeds: one a device, keys of their generators.
        start: (P,) or (devices, P) float32, where training starts; None: at the base model. A board
            cannot begin there but in a federated round, so such devices are not confirmed.
        embedded: windows are what :meth:`Workbench.embed` gives: an adversary's devices learn from
            guesses that are no window's. Not confirmed either.
    """

    run: Run
    windows: Codes
    labels: Integers
    members: Bools
    seeds: tuple[int, ...]
    start: Floats | None = None
    embedded: bool = False

    def __len__(self) -> int:
        return len(self.members)


@dataclass(frozen=True, eq=False)
class Devices:
    """Devices that were fine-tuned.

    Attributes:
        theta: (devices, P) float32, what was trained: layer by layer, weights row by row, then
            biases.
        hashes: (devices,) uint64, of it.
        answers: (devices, m, classes) float32 to the queries, as the run answers.
        steps, clipped: (devices,) int64, examples of the whole training.
        losses: (devices, epochs) float32, each epoch's mean before its updates.
    """

    theta: Floats
    hashes: NDArray[np.uint64]
    answers: Floats
    steps: Integers
    clipped: Integers
    losses: Floats

    def __len__(self) -> int:
        return len(self.theta)


@dataclass(frozen=True)
class Terms:
    """How an update is cut to what leaves a device in a round of many.

    Attributes:
        clip_norm: bound of the norm of the difference of weights.
        units: whole numbers to the clip norm.
        noise: standard deviation of the device's own noise, in clip norms; 0: none.
    """

    clip_norm: float = 1.0
    units: int = 16384
    noise: float = 0.0


class Workbench(Protocol):
    """What an experiment works with. The study implements it on the twin."""

    @property
    def seed(self) -> int:
        """Of the study."""
        ...

    @property
    def members(self) -> int:
        """Windows that a device is fine-tuned on."""
        ...

    @property
    def repetitions(self) -> int:
        """Devices an owner and run."""
        ...

    @property
    def signal(self) -> Signal:
        """What a window is."""
        ...

    @property
    def owners(self) -> tuple[Owner, ...]:
        """Audited people, none of whom the base model has seen."""
        ...

    @property
    def public(self) -> tuple[Owner, ...]:
        """Everybody else, whom an adversary may use; the base model may have seen them."""
        ...

    @property
    def peers(self) -> tuple[str, ...]:
        """Other projects whose attacks are to run beside ours, see ``experiments.peers``."""
        ...

    def runs(self, defences: Sequence[str] = ()) -> tuple[Run, ...]:
        """Plain fine-tuning, then the same with each of these defences ("clip", "clip+dp").

        Those that cannot run on this model and these data are left out; a study may name others
        instead.
        """
        ...

    def deeper(self, depth: str, defences: Sequence[str] = ()) -> tuple[Run, ...]:
        """The same runs where more or other layers are trained, at the rates of that depth.

        Args:
            depth: "last:2", "biases", "all".
            defences: see :meth:`runs`; what cannot be at that depth is left out.

        Returns:
            Plain fine-tuning first; nothing where the model cannot be trained so.
        """
        ...

    def base(self, run: Run) -> Floats:
        """(P,) float32, the base model's parameters where a run trains."""
        ...

    def draw(self, owner: Owner, count: int, purpose: str) -> Bools:
        """(count, n) members among an owner's windows, by whole blocks.

        Args:
            owner: whose.
            count: how many draws.
            purpose: other purposes have other draws; the same has the same, whatever the run.
        """
        ...

    def generator(self, *purpose: object) -> np.random.Generator:
        """Random numbers that hang on the study's seed and the purpose alone."""
        ...

    def seeds(self, count: int, *purpose: object) -> tuple[int, ...]:
        """Keys of devices' generators."""
        ...

    def embed(self, run: Run, windows: Codes) -> Codes:
        """(m, d) int8, what the first trained layer reads of windows; the public front gives it."""
        ...

    def quantisation(self, run: Run) -> tuple[float, int]:
        """Scale and zero point of :meth:`embed`."""
        ...

    def stages(self, run: Run) -> tuple[Stage, ...]:
        """What is trained, layer by layer, first the one that reads what :meth:`embed` gives.

        Raises:
            TinymiaError: the network cannot be trained so deep.
        """
        ...

    def train(self, training: Training, queries: Codes | None = None) -> Devices:
        """Fine-tune devices and ask them.

        Args:
            training: which.
            queries: (m, ...) int8; None: nothing is asked.

        Raises:
            StudyError: training diverged.
        """
        ...

    def answers(self, run: Run, theta: Floats, windows: Codes, seeds: Sequence[int]) -> Floats:
        """What devices with these parameters say to windows, as the run answers.

        Args:
            run: says what theta is of, and how devices answer.
            theta: (devices, P) float32.
            windows: (m, ...) int8.
            seeds: one a device; answers that draw noise hang on it.

        Returns:
            (devices, m, classes) float32; NaN where a policy hides.
        """
        ...

    def alarms(self, run: Run, windows: Codes, seeds: Sequence[int]) -> Integers:
        """When the detectors of devices take a stream of questions for no ordinary use.

        Args:
            run: whose answers a detector watches.
            windows: (m, ...) int8, in the order in which they are asked.
            seeds: one a device, of its training.

        Returns:
            (devices,) int64, how many questions were answered in full before; m where it never
            rang.
        """
        ...

    def updates(self, theta: Floats, start: Floats, terms: Terms, seeds: Sequence[int]) -> Floats:
        """What devices give in a round, by the firmware's own code.

        Args:
            theta: (devices, P) float32, trained.
            start: (P,) or (devices, P) float32, where training started.
            terms: of the updates.
            seeds: one a device, of its noise.

        Returns:
            (devices, P) float32, differences of weights, whole units of clip_norm / units.
        """
        ...
