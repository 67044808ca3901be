"""The types that pass between a study, the attacks, the audit and the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import StudyError


class OutputPolicy(StrEnum):
    """What the device reveals of an answer.

    ``FULL``: every class probability. ``ROUNDED``: every class probability, rounded. ``TOP1``: the
    most likely class and its probability alone. ``LABEL``: the most likely class alone.
    """

    FULL = "full"
    ROUNDED = "rounded"
    TOP1 = "top1"
    LABEL = "label"


@dataclass(frozen=True, eq=False)
class CellAnswers:
    """The answers of one device: one person, one repetition, one condition.

    Attributes:
        person: the audited person.
        repetition: number of the draw of members and non-members, from 0.
        condition: "base", or "<defence>@<epochs>", as in "plain@50" or "clip+smooth@50"; a depth
            other than the study's is named behind plain, as in "plain-all@50".
        epochs: epochs of fine-tuning (0 for "base").
        probs: (n, classes) float32, the device's answers. Where the policy hides a class, NaN or 0.
        base_probs: (n, classes) float32, the base model's answers to the same queries.
        labels: (n,) integer, true classes.
        member: (n,) bool, True where the device was fine-tuned on the query.
        costs: figures of this cell. Numbers are averaged for each condition. Keys that the report
            knows: train_instructions, train_steps, bytes_host_to_device, bytes_device_to_host.
        window: (n,) integer or None: a number that names the query among this person's windows, the
            same in all repetitions. With it the audit counts how many *different* non-members there
            are, which limits how low a false-positive rate can be resolved.
        policy: what the answers reveal.
    """

    person: str
    repetition: int
    condition: str
    epochs: int
    probs: NDArray[np.float32]
    base_probs: NDArray[np.float32]
    labels: NDArray[np.integer[Any]]
    member: NDArray[np.bool_]
    costs: dict[str, float | int | str] = field(default_factory=dict)
    window: NDArray[np.integer[Any]] | None = None
    policy: OutputPolicy = OutputPolicy.FULL

    @property
    def name(self) -> str:
        """The cell's name in messages."""
        return f"cell {self.condition}/{self.person}/{self.repetition}"

    def validate(self) -> None:
        """Check shapes and ranges.

        Raises:
            StudyError: the answers cannot be audited; the message says why.
        """
        problem = self._problem()
        if problem:
            raise StudyError(
                f"{self.name}: {problem}.", "Delete this cell from the study and run it again."
            )

    def _problem(self) -> str:
        """What is wrong with the cell, or an empty string."""
        n = len(self.labels)
        if self.probs.ndim != 2 or self.probs.shape[0] != n or self.probs.shape[1] < 2:
            return f"the answers have shape {self.probs.shape} for {n} labels"
        shown = [self.base_probs, self.probs]
        if self.policy in (OutputPolicy.TOP1, OutputPolicy.LABEL):
            # What the policy hides is NaN; every answer must still show its own class.
            shown = [np.fmax.reduce(values, axis=-1) for values in shown]
        checks = (
            (
                self.base_probs.shape == self.probs.shape,
                f"base answers {self.base_probs.shape} do not match {self.probs.shape}",
            ),
            (
                self.member.shape == (n,) and self.member.dtype == np.bool_,
                f"the member mask must be bool of shape ({n},)",
            ),
            (
                self.window is None or self.window.shape == (n,),
                f"the window numbers must have shape ({n},)",
            ),
            (bool(self.member.any() and not self.member.all()), "it needs members and non-members"),
            (
                bool(np.all((self.labels >= 0) & (self.labels < self.probs.shape[1]))),
                "a label is outside the classes",
            ),
            # "All inside" instead of "any outside": NaN must fail too.
            (
                all(bool(np.all((values >= 0) & (values <= 1.0001))) for values in shown),
                "a probability is not a number from 0 to 1",
            ),
        )
        return next((problem for passed, problem in checks if not passed), "")


class DeviceCosts(TypedDict, total=False):
    """Keys of ``context["device"]``: what the board was and what the work cost on it.

    Every key may be missing; the report then leaves its row out. Sizes are bytes, steps and
    inferences are in ``unit``.
    """

    target: str
    """As given on the command line, e.g. ``qemu:netduinoplus2``."""
    board: str
    """E.g. ``STM32F405 (Cortex-M4F), QEMU netduinoplus2``."""
    build_id: str
    bundle_id: str
    bundle: str
    """Name of the bundle."""
    protocol: str | int
    unit: str
    """``instructions`` (simulator) or ``cycles`` (board)."""
    inference: float
    """A window from int8 input to probabilities."""
    query: float
    """An answer from the sample store (tail only)."""
    train_step: float
    """One example, one step, no defence."""
    train_steps: dict[str, float]
    """The same by run: "plain", "clip", "plain-all" and so on."""
    trained: dict[str, int]
    """Parameters that change, by run."""
    workspaces: dict[str, int]
    """Bytes that training takes beside the sample store, by run."""
    twin_build_id: str
    arena_used: int
    arena_size: int
    arena_model: int
    arena_tail: int
    arena_store: int
    """The sample store takes what the others leave; ``store_capacity`` is its windows."""
    store_capacity: int
    stack_used: int
    stack_size: int
    flash_bytes: int
    flash_size: int
    bytes_host_to_device: int
    bytes_device_to_host: int
    payload_fraction: float
    """Payload bytes / bytes on the line while windows are streamed, 0 to 1."""


class AuditContext(TypedDict, total=False):
    """Keys of ``context`` that the audit and the report know; every other key is kept as it is."""

    seed: int
    """Seed of the study (also seeds the resampling)."""
    command: str
    """The command that made the results."""
    dataset: str
    """E.g. ``seglearn watch (shoulder exercises, 50 Hz)``."""
    dataset_sha256: str
    public_people: list[str]
    audited_people: list[str]
    settings: dict[str, Any]
    """Study settings: learning rate, batch, clip, smoothing and so on."""
    split: dict[str, Any]
    """How members were chosen: scalars are listed (block_windows, gap_samples and so on); ``note``
    is a sentence or more that says where members and non-members come from."""
    notes: list[str]
    """More limits of the figures, one sentence each, printed with the others."""
    versions: dict[str, str]
    device: DeviceCosts
    privacy: dict[str, dict[str, Any]]
    """Of each condition with DP-SGD: epsilon, delta, noise_multiplier, clip, rate, steps, and
    which accountant gave the epsilon."""
    training: dict[str, dict[str, Any]]
    """Of each run: depth and learning_rate."""
    titles: dict[str, str]
    """Titles of conditions by key, where the built-in ones do not fit."""
