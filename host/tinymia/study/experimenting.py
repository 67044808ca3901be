"""Experiments beyond membership: their cells side by side, kept by content; boards confirm some."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tinymia.errors import StudyError
from tinymia.evidence import digest
from tinymia.experiments.chapter import Chapter
from tinymia.experiments.experiment import Experiment, Measured, experiments
from tinymia.study.board_runs import Reporter
from tinymia.study.code import code_behind, source
from tinymia.study.executors import Executor
from tinymia.study.store import Store
from tinymia.study.workbench import TwinWorkbench

KIND = "experiments"
ROOMS = ("tinymia.attacks", "tinymia.experiments", "tinymia.statistics")
"""Packages whose code makes an experiment's numbers, beside the twin's."""
_MOST_ASKED = 8
"""Windows beside the members that a confirming board is asked about."""


@dataclass(frozen=True)
class Piece:
    """A cell of an experiment."""

    experiment: str
    cell: str


@dataclass
class Experimenting:
    """The work on a piece; sent to each worker once.

    Attributes:
        bench: what experiments work with.
        folder: of the study's store.
        identity: digest of whatever else the numbers hang on: twin, bundle, people, settings.
    """

    bench: TwinWorkbench
    folder: Path
    identity: str
    _common: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    def __call__(self, piece: Piece) -> Piece:
        """Measure what the store does not have; returns the piece."""
        store = Store(self.folder)
        if not self.finished(piece):
            found = experiments()[piece.experiment].measure(self.bench, piece.cell)
            store.save(KIND, self.key(piece), dict(found))
        return piece

    def finished(self, piece: Piece) -> bool:
        """Whether a piece is in the store, of today's code."""
        return Store(self.folder).has(KIND, self.key(piece))

    def measured(self, experiment: Experiment, cells: Iterable[str]) -> dict[str, Measured]:
        """All cells of an experiment; raises StudyError where they are not there."""
        store, name = Store(self.folder), experiment.info.name
        return {cell: store.load(KIND, self.key(Piece(name, cell))) for cell in cells}

    def key(self, piece: Piece) -> str:
        """Of a piece's arrays."""
        if piece.experiment not in self._common:  # of all cells, of which there may be thousands
            experiment = experiments()[piece.experiment]
            self._common[piece.experiment] = {
                "experiment": asdict(experiment.info),
                "code": code_of(experiment),
                "runs": [run.key for run in self.bench.runs(experiment.info.defences)],
                "of": self.identity,
                **({"peers": self.bench.peers} if self.bench.peers else {}),
            }
        return digest({**self._common[piece.experiment], "cell": piece.cell})


def identity_of(bench: TwinWorkbench, twin: str, dataset: str) -> str:
    """Digest of what all experiments' numbers hang on.

    Args:
        bench: with the people.
        twin: digest of the twin's code and bundle.
        dataset: digest of the data.
    """
    settings = bench.settings
    return digest(
        {
            "twin": twin,
            "dataset": dataset,
            "people": [person.digest for person in bench.people],
            "public": bench.mixed.digest,
            "seed": settings.seed,
            "members": settings.members,
            "repetitions": settings.repetitions,
            "split": settings.split,
        }
    )


def code_of(experiment: Experiment) -> str:
    """Digest of an experiment's code, with what this imports of the rooms that reckon, and of the
    workbench's: an experiment that it does not build on changes nothing.
    """
    code = code_behind(experiment, *ROOMS) + source(TwinWorkbench.__module__)
    return hashlib.sha256(code).hexdigest()[:16]


def measure(
    work: Experimenting, names: Sequence[str], executor: Executor, reporter: Reporter
) -> tuple[Chapter, ...]:
    """Run experiments and read their chapters.

    Args:
        work: on a piece.
        names: of the experiments.
        executor: where pieces are worked on.
        reporter: told of progress.

    Raises:
        StudyError: an experiment cannot be asked of these data.
    """
    chosen = [experiments()[name] for name in names]
    cells = {e.info.name: tuple(e.cells(work.bench)) for e in chosen}
    pieces = [Piece(name, cell) for name, of in cells.items() for cell in of]
    todo = [piece for piece in pieces if not work.finished(piece)]
    reporter.begin(len(pieces), "Experiments")
    reporter.advance(len(pieces) - len(todo))
    for piece in executor.map(work, todo):
        reporter.finish(piece.experiment)
        reporter.advance(1)
    chapters = []
    for experiment in chosen:
        found = work.measured(experiment, cells[experiment.info.name])
        chapter = experiment.conclude(work.bench, found)
        if chapter.name != experiment.info.name:
            raise StudyError(f"The chapter of {experiment.info.name} says that it is another.")
        chapters.append(chapter)
    return tuple(chapters)
