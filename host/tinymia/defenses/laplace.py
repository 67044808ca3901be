"""Laplace noise on answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Site, of_setting
from tinymia.defenses.output_noise import OutputNoise
from tinymia.wire.guard import NoiseLaw


@dataclass(frozen=True)
class Laplace(OutputNoise):
    """Noise of the Laplace law (Dwork et al., TCC 2006)."""

    law: ClassVar[NoiseLaw] = NoiseLaw.LAPLACE


KIND = Laplace.kind = Kind(
    name="laplace",
    short="Laplace noise",
    site=Site.OUTPUT,
    make=Laplace,
    parameters=(
        Parameter(
            "scale",
            "--laplace",
            "scale of the Laplace noise on answers' logits",
            of_setting("noise"),
        ),
        Parameter(
            "bound",
            "--laplace-bound",
            "most by which a logit falls behind the largest",
            of_setting("noise_bound"),
        ),
        Parameter(
            "answers",
            "--laplace-answers",
            "most answers of one training; 0: no limit",
            of_setting("answers", off=True),
        ),
    ),
    excludes=frozenset({"gaussian", "memguard"}),
    why="An answer has noise of one kind.",
    limits="Its epsilon is for one answer and grows with each different question.",
    sweep=(0.3, 1.0, 3.0, 10.0),
    promise=OutputNoise.promise,
)
