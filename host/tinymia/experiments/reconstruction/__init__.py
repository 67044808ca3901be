"""A training window from a device's weights, by who knows the others or sees two states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import StudyError
from tinymia.evidence import Run, Training, Workbench
from tinymia.experiments.chapter import Chapter
from tinymia.experiments.experiment import Info, Measured
from tinymia.experiments.gradients.attack import Server
from tinymia.experiments.gradients.settings import fits
from tinymia.experiments.peers.neighbours import ART
from tinymia.experiments.reconstruction import beside, weights_alone
from tinymia.experiments.reconstruction.measure import (
    NOISES,
    Person,
    bound,
    draw,
    training_of,
    with_noise,
)
from tinymia.experiments.reconstruction.page import chapter, noisy

INFO = Info(
    name="reconstruction",
    title="Reconstruction and forgetting",
    question="Which window did a device learn, where all others are known or two states are seen,"
    " and does forgetting take it back?",
    order=60,
    defences=("clip", "dp", "dp-public", "round-weights"),
)


@dataclass(frozen=True)
class Reconstruction:
    """See :mod:`tinymia.experiments.reconstruction.informed` and ``states`` for the attacks."""

    info: Info = INFO

    def _runs(self, bench: Workbench) -> list[Run]:
        """Without what gives each device a part of its windows, or needs other inputs."""
        runs = [run.whole for run in bench.runs(self.info.defences)]
        return [r for r in runs if fits(r) and not r.training.augments]

    def cells(self, bench: Workbench) -> Sequence[str]:
        """The people."""
        if not bench.public:
            raise StudyError(
                "Nobody is left whose windows an adversary could know.",
                "Audit fewer people (--person), or use data of more.",
            )
        return [owner.name for owner in bench.owners]

    def measure(self, bench: Workbench, cell: str) -> Measured:
        """All runs on one person's devices."""
        runs = self._runs(bench)
        server = Server(bench, runs[0])
        owner = next(o for o in bench.owners if o.name == cell)
        person = Person(server, owner, draw(bench, owner))
        found: dict[str, NDArray[Any]] = {}
        for run in runs:
            found |= person.measure(run)
        private = noisy(runs)
        if private is not None:
            found["noises"] = np.stack([person.against_bound(private, n) for n in NOISES])
            size = len(server.base)
            found["bounds"] = np.array([bound(private, n, size) for n in NOISES])
        found |= weights_alone.measure(bench, owner, self.info.defences)
        if ART in bench.peers:
            found |= beside.measure(server, owner)
        real = bench.signal.real(owner.windows[person.drawn.target])
        return {**found, "true": real.reshape(len(real), -1)}

    def conclude(self, bench: Workbench, measured: Mapping[str, Measured]) -> Chapter:
        """See :mod:`tinymia.experiments.reconstruction.page`."""
        return chapter(self.info, bench, self._runs(bench), measured)

    def targets(self, bench: Workbench) -> Sequence[Training]:
        """The first person's devices, and those that forgot."""
        owner = bench.owners[0]
        drawn = draw(bench, owner)
        runs = self._runs(bench)
        private = noisy(runs)
        more = [] if private is None else [with_noise(private, NOISES[0])]
        found = [training_of(owner, run, drawn) for run in [*runs, *more]]
        without = Training(runs[0], owner.windows, owner.labels, drawn.without, drawn.fresh)
        return [*found, without]


EXPERIMENT = Reconstruction()
