"""Generated from firmware/protocol/protocol.toml. Do not edit."""

# ruff: noqa
from __future__ import annotations

from dataclasses import astuple, dataclass
from enum import IntEnum
from struct import Struct

from tinymia.wire.declared import Setting

GUARD_LAYOUT = Struct("<fBffIBfBBffB")


class NoiseLaw(IntEnum):
    """What law an answer's noise has."""

    NONE = 0
    LAPLACE = 1
    GAUSSIAN = 2


@dataclass(frozen=True)
class GuardSettings:
    """How a device guards its answers before a policy cuts them. Off is always 0.

    Attributes:
        temperature: what logits are divided by.
        noise_law: of the noise on logits.
        noise: scale of the Laplace law, deviation of the Gaussian one, in logits.
        noise_bound: the most by which a logit falls behind the largest one before noise is added: what bounds the influence of the data.
        answers: the most answers that are given since training began, in a release build since the board was switched on, repeated ones counted.
        classifier: of MemGuard: which of the bundle's classifiers of members the noise is to confuse, counted from 1.
        distortion: of MemGuard: expected distance of the answer from the true one, in summed absolute differences.
        swap: of HAMP: an answer gives a random window's probabilities in the order of its own classes.
        watch: of the detector: questions' worth of evidence at which it takes the stream of questions since the last TRAIN for no ordinary use.
        watch_near: of the detector: about how far from an earlier question, in codes of what the trained layers read (root of the mean square), one is taken for a changed copy of it.
        watch_spread: of the detector: squared distance to the nearest of the questions that are kept, by the mean one, from which on a question is taken for one that no signal gave.
        watch_refuse: of the detector: what follows is refused; 0: it is answered by labels alone.
    """

    temperature: float = 0.0
    noise_law: NoiseLaw = NoiseLaw.NONE
    noise: float = 0.0
    noise_bound: float = 0.0
    answers: int = 0
    classifier: int = 0
    distortion: float = 0.0
    swap: int = 0
    watch: int = 0
    watch_near: float = 0.0
    watch_spread: float = 0.0
    watch_refuse: int = 0

    @property
    def is_on(self) -> bool:
        """Whether answers are changed at all."""
        return any(value != 0 for name, value in vars(self).items() if name != "answers")

    def pack(self) -> bytes:
        """As they cross the line and lie in a bundle."""
        return GUARD_LAYOUT.pack(*astuple(self))


GUARDS = (
    Setting(
        name="temperature",
        kind="f32",
        doc='what logits are divided by',
        least=1.01,
        most=1000.0,
        off=True,
    ),
    Setting(
        name="noise_law",
        kind="u8",
        doc='of the noise on logits',
        least=0,
        most=2,
        choices=NoiseLaw,
    ),
    Setting(
        name="noise",
        kind="f32",
        doc='scale of the Laplace law, deviation of the Gaussian one, in logits',
        least=0.01,
        most=1000.0,
        off=True,
        only_with="noise_law",
    ),
    Setting(
        name="noise_bound",
        kind="f32",
        doc='the most by which a logit falls behind the largest one before noise is added: what bounds the influence of the data',
        least=0.1,
        most=80.0,
        off=True,
        only_with="noise_law",
    ),
    Setting(
        name="answers",
        kind="u32",
        doc='the most answers that are given since training began, in a release build since the board was switched on, repeated ones counted',
        least=1,
        most=4294967295,
        off=True,
    ),
    Setting(
        name="classifier",
        kind="u8",
        doc="of MemGuard: which of the bundle's classifiers of members the noise is to confuse, counted from 1",
        least=1,
        most=16,
        off=True,
        not_with=('noise_law',),
    ),
    Setting(
        name="distortion",
        kind="f32",
        doc='of MemGuard: expected distance of the answer from the true one, in summed absolute differences',
        least=0.001,
        most=2.0,
        off=True,
        only_with="classifier",
    ),
    Setting(
        name="swap",
        kind="u8",
        doc="of HAMP: an answer gives a random window's probabilities in the order of its own classes",
        least=1,
        most=1,
        off=True,
        not_with=('classifier',),
    ),
    Setting(
        name="watch",
        kind="u8",
        doc="of the detector: questions' worth of evidence at which it takes the stream of questions since the last TRAIN for no ordinary use",
        least=1,
        most=255,
        off=True,
    ),
    Setting(
        name="watch_near",
        kind="f32",
        doc='of the detector: about how far from an earlier question, in codes of what the trained layers read (root of the mean square), one is taken for a changed copy of it',
        least=0.01,
        most=32.0,
        off=True,
        only_with="watch",
    ),
    Setting(
        name="watch_spread",
        kind="f32",
        doc='of the detector: squared distance to the nearest of the questions that are kept, by the mean one, from which on a question is taken for one that no signal gave',
        least=0.01,
        most=1.0,
        off=True,
        only_with="watch",
    ),
    Setting(
        name="watch_refuse",
        kind="u8",
        doc='of the detector: what follows is refused; 0: it is answered by labels alone',
        least=1,
        most=1,
        off=True,
        needs=('watch',),
    ),
)
"""Every setting in the order in which a board numbers them, from 1."""
