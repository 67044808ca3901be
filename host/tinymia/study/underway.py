"""An audit under way: what its steps share, and the steps that train, confirm and attack."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tinymia.attacks import registry as attacks
from tinymia.data import registry as sources
from tinymia.data.base import Dataset
from tinymia.data.splits import MAX_SLOTS
from tinymia.defenses import registry as defences
from tinymia.device.connect import RESUME, Interruption, is_twin
from tinymia.errors import DeviceError, StudyError
from tinymia.evidence import Run, digest
from tinymia.experiments.epsilon import Finding as EpsilonFinding
from tinymia.experiments.peers.types import PeersFinding
from tinymia.experiments.tuning import TuningFinding
from tinymia.export.bundle import Bundle
from tinymia.study import costs, recipe
from tinymia.study.board_locks import check_once
from tinymia.study.board_runs import OpenDesk, Reporter, Runner, T, Work, in_threads
from tinymia.study.board_work import BoardWork, Job
from tinymia.study.claims import claim_of_run
from tinymia.study.confirm import confirmation, jobs_to_confirm
from tinymia.study.controls import Controlling
from tinymia.study.devices import Device
from tinymia.study.executors import Executor, Here, Processes
from tinymia.study.fitting import fitting
from tinymia.study.fleet import Fleet
from tinymia.study.lanes import Lanes, train_devices
from tinymia.study.peers import installed, peers_finding
from tinymia.study.people import Person, plan
from tinymia.study.ray_boards import placing
from tinymia.study.ray_executor import OnRay
from tinymia.study.results import Confirmation
from tinymia.study.row_flash import row_flash
from tinymia.study.scoring import Cell, Scoring
from tinymia.study.selection import check_answers
from tinymia.study.settings import StudySettings, is_dear, training_seed
from tinymia.study.showing import Showing
from tinymia.study.store import Store
from tinymia.study.tuning import Tuning


@dataclass(frozen=True)
class Audit:
    """One audit.

    Attributes:
        settings: what is run.
        bundle_path: what is audited.
        targets: boards that confirm what the twin does: one, as many simulators as ``boards``, or
            several, one board each. ``twin:`` alone: nothing is confirmed.
        out: folder for what is measured, results and report.
        board_only: run everything on the boards.
        boards: workers or simulators side by side; 0: one a core.
        fresh: throw away what the folder holds of earlier runs.
        outputs: further files in ``out`` that are thrown away then.
        command: as the user typed it, for the report.
        interruption: what to do when a board is lost in the middle of a run.
        executor: attacks; None: processes, as many as ``boards``.
        tune: how defences' strengths are chosen on public people; None: they are as given.
        leave_out: go on without defences that cannot run on this model and these data.
        flash: build an image for each way of fine-tuning, to say what it takes.

    Raises:
        StudyError: fewer than no boards, or no board where there must be one.
    """

    settings: StudySettings
    bundle_path: Path
    targets: tuple[str, ...]
    out: Path
    board_only: bool = False
    boards: int = 0
    fresh: bool = False
    force: bool = False
    outputs: tuple[str, ...] = ()
    command: str = "tinymia audit"
    interruption: Interruption = RESUME
    executor: Executor | None = None
    tune: Tuning | None = None
    leave_out: bool = False
    flash: bool = True

    def __post_init__(self) -> None:
        if self.boards < 0:
            raise StudyError(f"{self.boards} boards are not possible.", "0 means one a core.")
        if self.board_only and not self.confirming:
            raise StudyError("The twin is no board.", "Give another --target or no --board-only.")
        check_once(self.confirming)

    @property
    def confirming(self) -> tuple[str, ...]:
        """The boards among the targets."""
        return tuple(target for target in self.targets if not is_twin(target))

    @property
    def working(self) -> Executor:
        """Who works on cells: what was registered here, no other process knows."""
        added = (attacks.plugins().added, defences.PLUGINS.added, sources.plugins().added)
        return Here() if any(added) else self.executor or Processes(self.boards)


@dataclass
class Underway:
    """One audit under way: what its steps share.

    ``met`` are numbers of boards that were open once; costs are measured on the first.
    """

    audit: Audit
    store: Store
    reporter: Reporter
    say: Callable[[str], None]
    bundle: Bundle
    dataset: Dataset
    names: list[str]
    runs: tuple[Run, ...]
    lanes: Lanes
    showing: Showing
    fleet: Fleet | None
    classifiers: dict[tuple[str, int], int]
    people: list[Person] = field(default_factory=list)
    measured: costs.Measured | None = None
    flash: dict[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    tuning: TuningFinding | None = None
    planned: dict[str, Run] = field(default_factory=dict)
    met: set[int] = field(default_factory=lambda: {0})

    @property
    def settings(self) -> StudySettings:
        """Of the study."""
        return self.audit.settings


def open_boards(study: Underway) -> None:
    """Open the first board, measure what runs cost on it, and plan with the room that it has."""
    audit, settings = study.audit, study.settings
    slots = MAX_SLOTS
    if study.fleet is not None:
        study.say("Building the firmware")
        with study.fleet.first(1 + settings.seed) as c:
            study.runs, study.left_out = fitting(
                c.board, study.bundle, study.runs, settings.members
            )
            fit, more = fitting(
                c.board, study.bundle, tuple(study.planned.values()), settings.members
            )
            study.planned = {name: r for name, r in study.planned.items() if r in fit}
            study.left_out = tuple(dict.fromkeys((*study.left_out, *more)))
            for text in study.left_out:
                study.say(f"note: {text}")
            if audit.board_only:
                slots = min(MAX_SLOTS, recipe.capacity(c.board, study.bundle, study.runs))
            study.people = _planned(study, slots)
            key = digest(
                {
                    "where": where(study),
                    "target": audit.confirming,
                    "runs": [run.key for run in study.runs],
                    "person": study.people[0].digest,
                    "seed": settings.seed,
                }
            )
            study.measured = costs.kept(study.store, key)
            if study.measured is None:
                study.say("Measuring costs on the board")
                study.measured = costs.measure(
                    c.board,
                    c.unit,
                    study.bundle,
                    study.people[0],
                    study.runs,
                    study.classifiers,
                )
                costs.keep(study.store, key, study.measured)
        _measure_flash(study)
    else:
        study.people = _planned(study, slots)
    _check_limits(study)


def _measure_flash(study: Underway) -> None:
    """Build an image for each way of fine-tuning, where this machine builds the boards' image."""
    image = None if study.fleet is None else study.fleet.image
    runs = [run_ for run_ in study.runs if not run_.is_base]
    if image is None or not study.audit.flash:
        return
    study.reporter.begin(len(runs), "Measuring flash")
    try:
        study.flash = row_flash(
            study.bundle, runs, study.showing, image.build, study.reporter.advance
        )
    except DeviceError as error:
        study.say(f"note: flash is not measured: {error.message}")


def _check_limits(study: Underway) -> None:
    """Raise StudyError where a device would end giving answers before it was asked all."""
    asked = max(len(person.windows) for person in study.people) * study.lanes.most_views
    for run_ in study.runs:
        check_answers(run_)
        limit = run_.answer.guard.answers
        if 0 < limit < asked:
            raise StudyError(
                f"{run_.title} ends after {limit} answers, and an audit asks up to {asked}.",
                "Give 0, no limit, to an audit; `tinymia export --guard` sets it for a release.",
            )


def _planned(study: Underway, slots: int) -> list[Person]:
    audit = study.audit
    return plan(audit.settings, study.dataset, study.names, study.bundle, slots, force=audit.force)


def where(study: Underway) -> str:
    """Digest of what boards carry."""
    assert study.fleet is not None
    return digest({"build": study.fleet.build_id, "bundle": study.fleet.bundle.bundle_id})


def train_on_twin(study: Underway) -> dict[str, dict[str, list[str]]]:
    """Every device of the study; their names in the store by run and person."""
    total = len(study.runs) * len(study.people)
    study.reporter.begin(total, "Fine-tuning on the twin")
    keys: dict[str, dict[str, list[str]]] = {}
    for run_ in study.runs:
        for person in study.people:
            study.reporter.stage(person.name, run_.title)
            done = train_devices(study.lanes, study.store, run_, person, study.settings.seed)
            keys.setdefault(run_.name, {})[person.name] = [key for key, _ in done]
            study.reporter.finish(person.name)
            study.reporter.advance(1)
    return keys


def runner(study: Underway, work: Work[T], what: str) -> Runner[T]:
    """Who has all boards of a study do some work: each task goes to whichever is free."""
    assert study.fleet is not None
    return Runner(
        work,
        study.fleet,
        study.fleet.workers(study.audit.boards),
        study.reporter,
        what,
        placing=_placing(study),
        lost=study.say if study.audit.interruption.resume else None,
        met=study.met,
    )


def _work(study: Underway, kind: str, *, partial: bool) -> BoardWork:
    assert study.fleet is not None
    return BoardWork(
        study.fleet.bundle,
        study.store,
        kind,
        where(study),
        study.settings.seed,
        partial=partial,
        weights=not partial,
        classifiers=study.classifiers,
    )


def _placing(study: Underway) -> Callable[[], AbstractContextManager[OpenDesk]]:
    """Boards are asked by threads of this process; those in the network, by Ray where it works."""
    executor = study.audit.executor
    if isinstance(executor, OnRay) and study.fleet is not None:
        return placing(executor, study.fleet, study.reporter)
    return in_threads


def train_on_boards(study: Underway) -> dict[str, dict[str, list[str]]]:
    """The same on boards alone."""
    work = _work(study, "devices", partial=False)
    repetitions = study.settings.repetitions
    jobs = [Job(person, repetitions, study.runs) for person in study.people]
    runner(study, work, "Fine-tuning boards").run(jobs)
    return {
        run_.name: {
            person.name: [work.key(run_, person, r) for r in range(repetitions)]
            for person in study.people
        }
        for run_ in study.runs
    }


def confirm(study: Underway) -> Confirmation:
    """A share of the devices on boards, and whether they are equal in every bit."""
    audit, settings = study.audit, study.settings
    targets = {"main": "twin:", "board": " ".join(audit.confirming)}
    jobs: list[Job] = []
    work = None
    if audit.board_only:
        targets["main"] = targets["board"]
    elif study.fleet is not None:
        jobs = jobs_to_confirm(study.people, study.runs, settings)
        work = _work(study, "confirmed", partial=True)
        runner(study, work, "Confirming on boards").run(jobs)

    def twin(run_: Run, person: Person, repetition: int) -> Device:
        done = train_devices(study.lanes, study.store, run_, person, settings.seed)
        return answering(study, run_, person, repetition, done[repetition][1])

    return confirmation(study.people, study.runs, jobs, work, twin, targets)


def answering(
    study: Underway, run_: Run, person: Person, repetition: int, device: Device
) -> Device:
    """A device with what it says to each window: the twin's whole answers guarded and cut."""
    if study.audit.board_only:
        return device
    seed = training_seed(study.settings.seed, person.pool.person_index, repetition)
    spare = None if device.spare is None else device.spare[None]
    windows = person.windows[device.slots]
    shown = study.showing(run_, device.answers[None], windows, [seed], spare)[0]
    return replace(device, answers=shown)


def score(study: Underway, scoring: Scoring, cells: Sequence[Cell]) -> None:
    """Attack what was not attacked yet."""
    study.reporter.begin(len(cells), "Attacking devices")
    todo = [cell for cell in cells if not scoring.finished(cell)]
    study.reporter.advance(len(cells) - len(todo))
    # What takes longest first, so that no worker is left alone with it.
    todo.sort(key=lambda cell: not is_dear(cell.run))
    executor = study.audit.working
    for _ in executor.map(scoring, todo):
        study.reporter.advance(1)


def control(study: Underway, scoring: Scoring) -> Controlling:
    """Train and attack what must give nothing, or everything."""
    plain = [run_ for run_ in study.runs if run_.reference is None and not run_.is_base][-1]
    controlling = Controlling(scoring, plain)
    todo = [person for person in study.names if not controlling.finished(person)]
    study.reporter.begin(len(study.names), "Controls")
    study.reporter.advance(len(study.names) - len(todo))
    executor = study.audit.working
    for _ in executor.map(controlling, todo):
        study.reporter.advance(1)
    return controlling


def compare_with_peers(
    study: Underway, scoring: Scoring, cells: Sequence[Cell], main: str
) -> PeersFinding | None:
    """Let other projects attack plain fine-tuning, where that was asked for."""
    if study.settings.peers:
        study.say(f"Attacking with {' and '.join(study.settings.peers)}")
    executor = study.audit.working
    return peers_finding(scoring, cells, main, installed(study.settings.peers), executor)


def claim(study: Underway) -> tuple[EpsilonFinding, ...]:
    """Hold the claim of each run with DP against devices, of many members and of few.

    The verdicts share the error.
    """
    settings = study.settings
    if not settings.epsilon_devices:
        return ()
    claiming = [
        (run_, account.delta)
        for run_ in study.runs
        for account in [defence.account(settings.size) for defence in run_.defences]
        if account is not None and math.isfinite(account.added.best)
    ]
    found = (
        claim_of_run(
            study.store,
            study.bundle,
            run_,
            settings,
            delta,
            2 * len(claiming),
            lambda total, run_=run_: study.reporter.begin(  # type: ignore[misc]
                total, f"Checking epsilon of {run_.title}"
            ),
            study.reporter.advance,
            few,
        )
        for few in (False, True)
        for run_, delta in claiming
    )
    return tuple(one for one in found if one is not None)


def shadow_counts(settings: StudySettings, runs: Sequence[Run]) -> dict[tuple[str, int], int]:
    """Shadow devices by (recipe, epochs) of a run."""
    return {
        (run_.recipe, run_.epochs): settings.dear_shadows if is_dear(run_) else settings.shadows
        for run_ in runs
    }
