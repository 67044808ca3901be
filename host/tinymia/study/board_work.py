"""What one board does of a study: the devices of a person, one after the other, into the store."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tinymia.device.client import Board
from tinymia.errors import StudyError
from tinymia.evidence import AnswerSettings, Run
from tinymia.export.bundle import Bundle
from tinymia.study import recipe
from tinymia.study.devices import Device, device_key, save_device
from tinymia.study.people import Person
from tinymia.study.settings import device_settings, training_seed
from tinymia.study.store import Store


class Reporter(Protocol):
    """Where progress goes."""

    def begin(self, total: int, what: str) -> None:
        """The number of pieces is known, and what they are."""
        ...

    def finish(self, person: str) -> None:
        """All of a person is done."""
        ...

    def stage(self, person: str, what: str) -> None:
        """A board has begun something else."""
        ...

    def advance(self, pieces: int) -> None:
        """That many are finished."""
        ...


@dataclass(frozen=True)
class Job:
    """What boards run of one person: a task that one board has at a time.

    Attributes:
        person: whose windows.
        repetitions: how many of their draws.
        runs: those of one layout are neighbours, so that windows are sent once for each.
    """

    person: Person
    repetitions: int
    runs: tuple[Run, ...]

    def __len__(self) -> int:
        return self.repetitions * len(self.runs)

    @property
    def name(self) -> str:
        """In progress."""
        return self.person.name


def ordered(bundle: Bundle, runs: Sequence[Run]) -> tuple[Run, ...]:
    """Runs by layout and recipe, epochs ascending: what one training of a board answers."""
    layouts = list(dict.fromkeys(recipe.layout_of(bundle, run) for run in runs))
    recipes = list(dict.fromkeys(run.recipe for run in runs))
    return tuple(
        sorted(
            runs,
            key=lambda r: (
                layouts.index(recipe.layout_of(bundle, r)),
                recipes.index(r.recipe),
                r.epochs,
            ),
        )
    )


def answer_on_board(run: Run, classifiers: Mapping[tuple[str, int], int]) -> AnswerSettings:
    """How a run's board is told to answer: with the number that its classifier has there."""
    guard = run.answer.guard
    if not guard.classifier:
        return run.answer
    number = classifiers[run.recipe, run.epochs]
    return replace(run.answer, guard=replace(guard, classifier=number))


@dataclass(frozen=True)
class BoardWork:
    """The work on a job, whoever has the board; can be sent to another machine.

    Attributes:
        bundle: what is fine-tuned; the boards must carry it.
        store: where finished devices go.
        kind: as what.
        where: digest of bundle and firmware, part of a device's name.
        seed: of the study.
        partial: where a board's store does not hold all of a person's windows, ask only about the
            members and as many non-members as fit, instead of raising.
        weights: read what was trained out of the board.
        classifiers: numbers of the bundle's classifiers of members by (recipe, epochs) of a run.
    """

    bundle: Bundle
    store: Store
    kind: str
    where: str
    seed: int
    partial: bool = False
    weights: bool = False
    classifiers: Mapping[tuple[str, int], int] = field(default_factory=dict)

    def key(self, run: Run, person: Person, repetition: int) -> str:
        """Of a device in the store."""
        seed = training_seed(self.seed, person.pool.person_index, repetition)
        return device_key(run, person, repetition, seed, self.where)

    def finished(self, job: Job) -> int:
        """How many devices of a job are in the store."""
        return sum(
            self.store.has(self.kind, self.key(run, job.person, r))
            for r in range(job.repetitions)
            for run in job.runs
        )

    def do(self, board: Board, job: Job, reporter: Reporter, stop: threading.Event) -> None:
        """Run what the store does not have of a job, on a board that is open.

        Args:
            board: carries the bundle.
            job: what is run.
            reporter: told of progress.
            stop: ends it behind the device that is under way.

        Raises:
            TinymiaError: what stops the board; what was finished is kept.
        """
        for layout, group in groupby(
            ordered(self.bundle, job.runs), lambda r: recipe.layout_of(self.bundle, r)
        ):
            self._layout(board, job, layout, tuple(group), reporter, stop)
        reporter.finish(job.person.name)

    def _layout(
        self,
        board: Board,
        job: Job,
        layout: recipe.Layout,
        runs: tuple[Run, ...],
        reporter: Reporter,
        stop: threading.Event,
    ) -> None:
        """All repetitions of the runs of one layout."""
        person = job.person
        missing = [
            (r, run)
            for r in range(job.repetitions)
            for run in runs
            if not self.store.has(self.kind, self.key(run, person, r))
        ]
        if not missing or stop.is_set():
            return
        room = recipe.capacity(board, self.bundle, runs)
        if room < len(person.pool) and not self.partial:
            raise StudyError(
                f"The store holds {room} windows where {runs[0].depth} is trained, and"
                f" {person.name} has {len(person.pool)}.",
                "Choose fewer --members, or train fewer layers.",
            )
        stored: NDArray[np.int64] | None = None
        for (r, _), group in groupby(missing, key=lambda pair: (pair[0], pair[1].recipe)):
            draw = person.draws[r]
            kept = recipe.windows_that_fit(draw.member, draw.nonmember, room)
            if stored is None or not np.array_equal(kept, stored):
                reporter.stage(person.name, "sending windows")
                recipe.store(board, layout, person.windows[kept], person.labels[kept])
                stored = kept
            if stop.is_set():
                return
            self._recipe(board, person, r, [run for _, run in group], kept, reporter)

    def _recipe(
        self,
        board: Board,
        person: Person,
        repetition: int,
        runs: list[Run],
        kept: NDArray[np.int64],
        reporter: Reporter,
    ) -> None:
        """One training, asked at the epochs of all its runs."""
        reporter.stage(person.name, f"repetition {repetition + 1}, {runs[-1].name}")
        member = person.draws[repetition].member[kept]
        seed = training_seed(self.seed, person.pool.person_index, repetition)
        begun = recipe.begin(board, member, device_settings(runs[-1], seed))
        epochs = [run.epochs for run in runs]
        asked = np.arange(len(kept))
        answers = [answer_on_board(run, self.classifiers) for run in runs]
        trained = recipe.train(board, begun, epochs, asked, answers)
        for run, at in zip(runs, trained, strict=True):
            if np.isnan(at.answers).all(axis=1).any():
                raise StudyError(
                    f"Training diverged by epoch {at.epoch}: {person.name}, repetition"
                    f" {repetition + 1}, {run.name} answers no numbers.",
                    "Choose a smaller --learning-rate, or switch clipping on.",
                )
            theta = board.parameters() if self.weights else np.empty(0, np.float32)
            device = device_at(at, kept, member, np.asarray(theta, np.float32))
            save_device(self.store, self.kind, self.key(run, person, repetition), device)
            reporter.advance(1)


def device_at(
    at: recipe.Checkpoint,
    kept: NDArray[np.int64],
    member: NDArray[np.bool_],
    theta: NDArray[np.float32],
) -> Device:
    """A board's device as the store keeps it.

    Args:
        at: where it stands, asked about all that it keeps.
        kept: (m,) int64, the windows that it keeps, by their place among all.
        member: (m,) bool.
        theta: (P,) float32, what was trained; (0,) where it was not read.
    """
    return Device(
        slots=kept,
        member=member,
        answers=at.answers[:, None],
        theta=theta,
        hash=at.hash,
        steps=at.steps,
        clipped=at.clipped,
        ticks=at.ticks,
    )
