"""Gaussian noise on answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Site, of_setting
from tinymia.defenses.output_noise import OutputNoise
from tinymia.wire.guard import NoiseLaw


@dataclass(frozen=True)
class Gaussian(OutputNoise):
    """Gaussian noise (Dwork and Roth 2014, appendix A), drawn as DP-SGD's on the device is."""

    law: ClassVar[NoiseLaw] = NoiseLaw.GAUSSIAN


KIND = Gaussian.kind = Kind(
    name="gaussian",
    short="Gaussian noise",
    site=Site.OUTPUT,
    make=Gaussian,
    parameters=(
        Parameter(
            "scale",
            "--gaussian",
            "deviation of the Gaussian noise on answers' logits",
            of_setting("noise"),
        ),
        Parameter(
            "bound",
            "--gaussian-bound",
            "most by which a logit falls behind the largest",
            of_setting("noise_bound"),
        ),
        Parameter(
            "answers",
            "--gaussian-answers",
            "most answers of one training; 0: no limit",
            of_setting("answers", off=True),
        ),
    ),
    excludes=frozenset({"laplace", "memguard"}),
    why="An answer has noise of one kind.",
    limits="Its epsilon is for one answer and grows with each different question.",
    sweep=(0.3, 1.0, 3.0, 10.0),
    promise=OutputNoise.promise,
)
