"""Experiments beyond membership: their cells side by side, kept by content; boards confirm some."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from tinymia.device.client import Board
from tinymia.errors import StudyError
from tinymia.evidence import Run, Training, digest
from tinymia.experiments.chapter import Chapter
from tinymia.experiments.experiment import Experiment, Measured, experiments
from tinymia.export.bundle import Bundle
from tinymia.study import recipe
from tinymia.study.board_runs import Reporter, answer_on_board
from tinymia.study.code import code_behind, source
from tinymia.study.executors import Executor
from tinymia.study.fleet import Fleet
from tinymia.study.results import ConfirmedChapter
from tinymia.study.settings import device_settings, is_deep
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
        experiment = experiments()[piece.experiment]
        return digest(
            {
                "experiment": asdict(experiment.info),
                "code": code_of(experiment),
                "runs": [run.key for run in self.bench.runs(experiment.info.defences)],
                "cell": piece.cell,
                "of": self.identity,
                **({"peers": self.bench.peers} if self.bench.peers else {}),
            }
        )


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


# --- boards ---


def shorter(training: Training, most: int) -> Training:
    """As far as a board goes with deep training, which is slow in a simulator."""
    run = training.run
    if not is_deep(run):
        return training
    return replace(training, run=replace(run, epochs=min(run.epochs, most)))


def confirm(
    bench: TwinWorkbench,
    names: Sequence[str],
    fleet: Fleet,
    store: Store,
    classifiers: Mapping[tuple[str, int], int],
    reporter: Reporter,
    where: str,
) -> tuple[ConfirmedChapter, ...]:
    """Train attacked devices on a board, too: equal in every bit, or there is no report.

    Args:
        bench: gives the twin's.
        names: of the experiments.
        fleet: its first worker's board is asked.
        store: keeps what was confirmed.
        classifiers: see :func:`tinymia.study.board_runs.answer_on_board`.
        reporter: told of progress.
        where: digest of what boards carry.

    Raises:
        StudyError: the board differs; names experiment, run and device.
    """
    settings = bench.settings
    wanted: dict[str, list[Training]] = {name: [] for name in names}
    total: dict[str, int] = dict.fromkeys(names, 0)
    for name in names if settings.confirm else ():
        for training in experiments()[name].targets(bench):
            total[name] += len(training)
            if training.start is None and not training.embedded:
                wanted[name].append(
                    shorter(first_of(training, settings.confirm), settings.deep_epochs)
                )
    reporter.begin(sum(map(len, wanted.values())), "Confirming on boards")
    handle = None
    rows = []
    try:
        for name, trainings in wanted.items():
            devices = asked = 0
            for training in trainings:
                key = digest({"where": where, "of": content_of(training)})
                if not store.has("confirmed-experiments", key):
                    if handle is None:
                        handle = fleet(0)
                        recipe.check_bundle(handle.board, fleet.bundle)
                    reporter.stage(name, training.run.title)
                    answers = _compare(
                        handle.board, fleet.bundle, bench, name, training, classifiers
                    )
                    store.save("confirmed-experiments", key, {"answers": np.array(answers)})
                asked += int(store.load("confirmed-experiments", key)["answers"])
                devices += len(training)
                reporter.advance(1)
            rows.append(ConfirmedChapter(name, total[name], devices, devices, asked))
    finally:
        if handle is not None:
            handle.close()
    return tuple(rows)


def first_of(training: Training, count: int) -> Training:
    """The first so many devices."""
    return replace(training, members=training.members[:count], seeds=training.seeds[:count])


def content_of(training: Training) -> str:
    """Digest of everything that devices depend on but twin or board."""
    content = hashlib.sha256(training.windows.tobytes())
    content.update(np.ascontiguousarray(training.labels, np.int64).tobytes())
    content.update(np.packbits(training.members).tobytes())
    return digest({"run": training.run.key, "of": content.hexdigest(), "seeds": training.seeds})


def _compare(
    board: Board,
    bundle: Bundle,
    bench: TwinWorkbench,
    name: str,
    training: Training,
    classifiers: Mapping[tuple[str, int], int],
) -> int:
    """Check devices one by one; returns how many answers were compared."""
    run, compared = training.run, 0
    layout = recipe.layout_of(bundle, run)
    for d in range(len(training)):
        member = training.members[d]
        used = np.flatnonzero(member)
        more = np.flatnonzero(~member)[:_MOST_ASKED]
        room = recipe.room(board, layout, run.training)
        if room < len(used):
            raise StudyError(
                f"{name}: the board's store holds {room} windows beside {run.title}, and a device"
                f" learns from {len(used)}.",
                "Choose fewer --members, or --confirm 0.",
            )
        kept = np.sort(np.concatenate([used, more[: room - len(used)]]))
        one = replace(
            training,
            windows=training.windows[kept],
            labels=training.labels[kept],
            members=member[None, kept],
            seeds=training.seeds[d : d + 1],
        )
        recipe.store(board, layout, one.windows, one.labels)
        begun = recipe.begin(board, one.members[0], device_settings(run, one.seeds[0]))
        answer = answer_on_board(run, classifiers)
        (at,) = recipe.train(board, begun, [run.epochs], np.arange(len(kept)), answer)
        twin = bench.train(one, one.windows)
        if at.hash != format(int(twin.hashes[0]), "016x"):
            raise _differs(name, run, d, "has other weights")
        same = at.answers.view(np.uint32) == twin.answers[0].view(np.uint32)
        if not (same | (np.isnan(at.answers) & np.isnan(twin.answers[0]))).all():
            raise _differs(name, run, d, "answers otherwise")
        compared += len(kept)
    return compared


def _differs(name: str, run: Run, device: int, what: str) -> StudyError:
    return StudyError(
        f"The board does not confirm the twin: {name}, {run.name}, device {device + 1}: the board"
        f" {what}.",
        "Board and twin must be built from the same source: build and flash again, and install the"
        " package again. Then give --fresh.",
    )
