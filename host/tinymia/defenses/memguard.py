"""MemGuard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting
from tinymia.errors import StudyError

HIDDEN = 16
"""Hidden units of the classifier; the core reads up to 64."""
_EPOCHS, _BATCH, _RATE, _DECAY = 60, 256, 1e-2, 1e-4
_LEAST = 50
"""Answers of members, and of others, that a classifier takes at least."""


@dataclass(frozen=True)
class MemGuard(Unproven):
    """Changes each answer until a classifier of members cannot tell (Jia et al., CCS 2019).

    The classifier lies in the bundle; an audit trains it on devices of public people. On the device
    a fixed number of steps looks for the answer of the same label of which it is least sure (phase
    I), which is then given with the probability that keeps the expected distortion (phase II). Here
    steps follow the classifier's output alone, keep the label by moving other logits down instead
    of by a penalty, and halve when its sign changes. All that is drawn is keyed by the question.

    Attributes:
        distortion: expected distance from the true answer, in summed absolute differences.

    Raises:
        StudyError: the distortion is not in (0, 2].
    """

    distortion: float = 0.5

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "distortion", "A distortion")

    @property
    def title(self) -> str:
        """For people."""
        return f"MemGuard with distortion {self.distortion:g}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with the classifier confused."""
        return plan.guarding(classifier=1, distortion=self.distortion)


@dataclass(frozen=True)
class Classifier:
    """The classifier of members: sorted probabilities, one hidden layer of ReLU, one output."""

    section: ClassVar[str] = "CLSF"

    def fit(
        self, answers: NDArray[np.float32], member: NDArray[np.bool_], seed: int
    ) -> NDArray[np.float32]:
        """Weights (HIDDEN, classes) and biases, output weights (HIDDEN,), output bias, flat.

        Logistic loss, both kinds weighing the same, by Adam (Kingma and Ba, ICLR 2015).

        Args:
            answers, member, seed: see :class:`tinymia.defenses.base.Auxiliary`.

        Raises:
            StudyError: there are too few answers.
        """
        if min(int(member.sum()), int((~member).sum())) < _LEAST:
            raise StudyError(
                "A classifier of members needs devices of public people to learn from, and there"
                " are too few of their windows.",
                "Audit fewer people, or leave memguard and adversarial out.",
            )
        rng = np.random.default_rng(seed)
        x = -np.sort(-answers.astype(np.float64), axis=1)
        y = member.astype(np.float64)
        weight = np.where(member, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
        classes = x.shape[1]
        # Inputs centred and scaled for training; folded into the first layer in the end.
        mean, spread = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3)
        x = (x - mean) / spread
        w1 = rng.normal(0, np.sqrt(2 / classes), (HIDDEN, classes))
        parts = [w1, np.zeros(HIDDEN), rng.normal(0, np.sqrt(1 / HIDDEN), HIDDEN), np.zeros(1)]
        first, second = [np.zeros_like(p) for p in parts], [np.zeros_like(p) for p in parts]
        step = 0
        for epoch in range(_EPOCHS):
            order = rng.permutation(len(x))
            for at in range(0, len(x), _BATCH):
                some = order[at : at + _BATCH]
                step += 1
                rate = _RATE * (1 - epoch / _EPOCHS)
                for i, slope in enumerate(_slopes(parts, x[some], y[some], weight[some])):
                    first[i] = 0.9 * first[i] + 0.1 * slope
                    second[i] = 0.999 * second[i] + 0.001 * slope**2
                    moved = first[i] / (1 - 0.9**step)
                    parts[i] -= rate * moved / (np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8)
        w1, b1, w2, b2 = parts
        folded = w1 / spread
        flat = [folded.ravel(), b1 - folded @ mean, w2, b2]
        return np.asarray(np.concatenate(flat), np.float32)

    def pack(self, made: Sequence[NDArray[np.float32]], classes: int) -> bytes:
        """See :class:`tinymia.defenses.base.Auxiliary`."""
        head = np.array([len(made), classes, HIDDEN, 0], "<u4").tobytes()
        return head + b"".join(one.astype("<f4").tobytes() for one in made)


def _slopes(
    parts: list[NDArray[np.float64]],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> list[NDArray[np.float64]]:
    w1, b1, w2, b2 = parts
    hidden = np.maximum(x @ w1.T + b1, 0)
    output = hidden @ w2 + b2
    error = weight * (0.5 + 0.5 * np.tanh(output / 2) - y) / len(y)
    back = np.outer(error, w2) * (hidden > 0)
    return [
        back.T @ x + _DECAY * w1,
        back.sum(axis=0),
        hidden.T @ error + _DECAY * w2,
        error.sum(keepdims=True),
    ]


KIND = MemGuard.kind = Kind(
    name="memguard",
    short="MemGuard",
    site=Site.OUTPUT,
    make=MemGuard,
    parameters=(
        Parameter(
            "distortion",
            "--memguard",
            "expected distance of an answer from the true one",
            of_setting("distortion"),
        ),
    ),
    excludes=frozenset({"laplace", "gaussian", "hamp-answers"}),
    why="Each of them makes up an answer's probabilities.",
    limits="Labels stay, and with them what they tell.",
    auxiliary=Classifier(),
    sweep=(0.1, 0.3, 0.5, 1.0, 2.0),
)
