"""The main job: from a bundle and a data set to results, on the twin and on boards."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tinymia import data
from tinymia.data.base import Dataset
from tinymia.data.splits import MAX_SLOTS
from tinymia.device.connect import RESUME, Interruption, check_spec, is_twin
from tinymia.errors import DeviceError, StudyError
from tinymia.evidence import Run, digest
from tinymia.experiments.base import Condition
from tinymia.experiments.epsilon import Finding as EpsilonFinding
from tinymia.experiments.peers.types import PeersFinding
from tinymia.experiments.tuning import TuningFinding
from tinymia.export.bundle import Bundle
from tinymia.export.provenance import people_to_audit
from tinymia.study import costs, describe, recipe
from tinymia.study.board_runs import Job, Reporter, Runner
from tinymia.study.claims import claim_of_run
from tinymia.study.confirm import confirmation, jobs_to_confirm, shortened
from tinymia.study.controls import Controlling
from tinymia.study.devices import Device, load_device
from tinymia.study.executors import Executor, Processes
from tinymia.study.fitting import fitting
from tinymia.study.fleet import Fleet
from tinymia.study.lab import public_of
from tinymia.study.lanes import Lanes, train_devices
from tinymia.study.membership import analyse
from tinymia.study.peers import installed, peers_finding
from tinymia.study.people import Person, plan
from tinymia.study.references import references_for
from tinymia.study.results import (
    FORMAT,
    RESULTS,
    Confirmation,
    Context,
    Findings,
    Results,
    ShadowRow,
    to_json,
    write_json,
)
from tinymia.study.results import Device as DeviceRow
from tinymia.study.row_flash import row_flash
from tinymia.study.scoring import Cell, Scoring
from tinymia.study.selection import possible
from tinymia.study.settings import StudySettings, is_dear, training_seed
from tinymia.study.shaping import with_shape
from tinymia.study.showing import Classifiers, Public, Showing
from tinymia.study.store import Store, locked
from tinymia.study.tuning import Tuning, tuned
from tinymia.study.user_level import owners
from tinymia.study.views import VIEWS
from tinymia.twin.core import core
from tinymia.wire import protocol

OUTPUTS = (RESULTS, describe.SPLITS)
"""What an audit leaves in its folder beside the store; the page has its own list."""


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

    @property
    def confirming(self) -> tuple[str, ...]:
        """The boards among the targets."""
        return tuple(target for target in self.targets if not is_twin(target))


@dataclass
class _Study:
    """One audit under way: what its steps share."""

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

    @property
    def settings(self) -> StudySettings:
        return self.audit.settings


def run(audit: Audit, reporter: Reporter, say: Callable[[str], None] = lambda _: None) -> Results:
    """Run an audit; what ``audit.out`` already has of it is not run again.

    Raises:
        TinymiaError: the folder is in use, a board does not confirm the twin, and whatever stops
            the parts; what is finished is kept.
    """
    started = time.monotonic()
    settings = audit.settings
    bundle = Bundle.load(audit.bundle_path)
    if bundle.tail is None:
        raise StudyError(
            "This bundle is a complete model without a trainable tail.",
            "Audit a personalizable bundle, such as models/har-watch/har-watch.bundle.",
        )
    for target in audit.targets:
        check_spec(target)
    installed(settings.peers)  # what is not there is said before hours of work, not behind them
    if not audit.leave_out:
        settings.runs(bundle)  # what cannot be is said first
    dataset = data.load(settings.dataset)
    dataset.check_model(bundle.meta)
    names = people_to_audit(dataset, bundle, settings.people)
    public = public_of(dataset, bundle, names)
    if audit.leave_out:
        settings = possible(settings, bundle, public, say)
        audit = replace(audit, settings=settings)
    if any(run_.training.shaped for run_ in settings.runs(bundle)):
        bundle = with_shape(bundle, dataset, names)
    # What cannot be drawn need not be compiled.
    plan(
        settings,
        dataset,
        names,
        bundle,
        force=audit.force,
        warn=lambda text: say(f"note: {text}"),
    )
    with locked(audit.out) as store:
        if audit.fresh:
            _clear(audit, store)
        tuning = None
        if audit.tune is not None:
            settings, tuning = _tuned(
                audit, audit.tune, bundle, dataset, names, public, reporter, say
            )
            audit = replace(audit, settings=settings)
        runs = settings.runs(bundle)
        interruption = replace(audit.interruption, say=say)
        views = 1 if audit.board_only else VIEWS
        references = references_for(
            bundle, max(r.training.references for r in runs), public, settings.seed
        )
        lanes = Lanes(
            bundle,
            most_views=views,
            spare=any(r.answer.guard.swap for r in runs),
            references=references,
        )
        showing = Showing(lanes, Classifiers(settings, public, store))
        # Shorter runs than the study's, which boards confirm, have classifiers of their own.
        shorter = [shortened(r, settings) for r in runs]
        if any(r.answer.guard.classifier for r in runs):
            say("Training classifiers of members")
        section, numbers = showing.carried([*runs, *shorter])
        carried = replace(
            bundle,
            classifiers=section or bundle.classifiers,
            references=references or bundle.references,
        )
        fleet = None
        if audit.confirming:
            fleet = Fleet(audit.confirming, carried, interruption=interruption)
        study = _Study(
            audit,
            store,
            reporter,
            say,
            bundle,
            dataset,
            names,
            runs,
            lanes,
            showing,
            fleet,
            numbers,
            tuning=tuning,
        )
        return _finish(study, started)


def _tuned(
    audit: Audit,
    how: Tuning,
    bundle: Bundle,
    dataset: Dataset,
    names: Sequence[str],
    public: Public,
    reporter: Reporter,
    say: Callable[[str], None],
) -> tuple[StudySettings, TuningFinding]:
    """The settings with strengths chosen on people who are not audited."""
    return tuned(
        audit.settings,
        how,
        bundle,
        dataset,
        names,
        public,
        audit.out,
        audit.executor or Processes(audit.boards),
        say,
        lambda total: reporter.begin(total, "Trying strengths"),
        reporter.advance,
    )


def _finish(study: _Study, started: float) -> Results:
    """All steps, in order."""
    audit, settings, store = study.audit, study.settings, study.store
    _open_boards(study)
    keys = _train_on_boards(study) if audit.board_only else _train_on_twin(study)
    named = {run.name: run for run in study.runs}
    devices = {
        run: [
            _answering(study, named[run], person, r, load_device(store, "devices", key))
            for person in study.people
            for r, key in enumerate(of[person.name])
        ]
        for run, of in keys.items()
    }
    ran = time.monotonic()
    confirmed = _confirm(study)
    confirmed_at = time.monotonic()

    public = study.showing.classifiers.public
    counts = shadow_counts(settings, study.runs)
    scoring = Scoring(
        settings,
        study.bundle.to_bytes(),
        {person.name: person for person in study.people},
        public,
        counts,
        audit.out,
        settings.answers,
        study.lanes.most_views,
        whole=not audit.board_only,
        spare=study.lanes.spare,
        references=study.lanes.references,
    )
    cells = [
        Cell(run, person, tuple(keys[run.name][person]))
        for run in study.runs
        for person in study.names
    ]
    _score(study, scoring, cells)
    controlling = _control(study, scoring)
    epsilon = _claim(study)
    scored_at = time.monotonic()
    conditions = describe.conditions(settings, study.runs, counts, len(study.bundle.labels))
    study.say("Putting intervals on the figures")
    finding = analyse(
        settings, study.people, devices, conditions, scoring, cells, controlling, study.lanes
    )
    peers = _compare_with_peers(study, scoring, cells, finding.main)
    results = Results(
        format=FORMAT,
        context=_context(study, devices, confirmed, conditions, public),
        findings=Findings(
            membership=finding,
            epsilon=epsilon,
            peers=peers,
            tuning=study.tuning,
            user_level=owners(
                controlling.run,
                study.people,
                devices[controlling.run.name],
                study.lanes,
                settings,
            ),
        ),
        hashes={
            f"{run}/{person}/{r}": load_device(store, "devices", key).hash
            for run, of in keys.items()
            for person, names in of.items()
            for r, key in enumerate(names)
        },
        timings={
            "runs_seconds": round(ran - started, 1),
            "confirmation_seconds": round(confirmed_at - ran, 1),
            "attack_seconds": round(scored_at - confirmed_at, 1),
            "total_seconds": round(time.monotonic() - started, 1),
        },
    )
    write_json(audit.out / describe.SPLITS, describe.splits(study.people))
    write_json(audit.out / RESULTS, to_json(results))
    return results


def _clear(audit: Audit, store: Store) -> None:
    """Remove what an audit writes and nothing else."""
    store.clear()
    try:
        for name in (*OUTPUTS, *audit.outputs):
            (audit.out / name).unlink(missing_ok=True)
    except OSError as error:
        raise StudyError(f"Cannot empty {audit.out}: {error.strerror}.") from error


def _open_boards(study: _Study) -> None:
    """Open the first board, measure what runs cost on it, and plan with the room that it has."""
    audit, settings = study.audit, study.settings
    slots = MAX_SLOTS
    if study.fleet is not None:
        study.say("Building the firmware")
        with study.fleet.first(1 + settings.seed) as c:
            study.runs, study.left_out = fitting(
                c.board, study.bundle, study.runs, settings.members
            )
            for text in study.left_out:
                study.say(f"note: {text}")
            if audit.board_only:
                slots = min(MAX_SLOTS, recipe.capacity(c.board, study.bundle, study.runs))
            study.people = _planned(study, slots)
            key = digest(
                {
                    "where": _where(study),
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


def _measure_flash(study: _Study) -> None:
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


def _check_limits(study: _Study) -> None:
    """Raise StudyError where a device would end giving answers before it was asked all."""
    asked = max(len(person.windows) for person in study.people) * study.lanes.most_views
    for run_ in study.runs:
        limit = run_.answer.guard.answers
        if 0 < limit < asked:
            raise StudyError(
                f"{run_.title} ends after {limit} answers, and an audit asks up to {asked}.",
                "Give 0, no limit, to an audit; `tinymia export --guard` sets it for a release.",
            )


def _planned(study: _Study, slots: int) -> list[Person]:
    audit = study.audit
    return plan(audit.settings, study.dataset, study.names, study.bundle, slots, force=audit.force)


def _where(study: _Study) -> str:
    """Digest of what boards carry."""
    assert study.fleet is not None
    return digest({"build": study.fleet.build_id, "bundle": study.fleet.bundle.bundle_id})


def _train_on_twin(study: _Study) -> dict[str, dict[str, list[str]]]:
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


def _runner(study: _Study, kind: str, what: str, *, partial: bool) -> Runner:
    assert study.fleet is not None
    return Runner(
        study.fleet.bundle,
        study.store,
        kind,
        _where(study),
        study.settings.seed,
        study.fleet,
        study.fleet.workers(study.audit.boards),
        study.reporter,
        what,
        partial=partial,
        weights=not partial,
        classifiers=study.classifiers,
    )


def _train_on_boards(study: _Study) -> dict[str, dict[str, list[str]]]:
    runner = _runner(study, "devices", "Fine-tuning boards", partial=False)
    repetitions = study.settings.repetitions
    runner.run([Job(person, repetitions, study.runs) for person in study.people])
    return {
        run_.name: {
            person.name: [runner.key(run_, person, r) for r in range(repetitions)]
            for person in study.people
        }
        for run_ in study.runs
    }


def _confirm(study: _Study) -> Confirmation:
    audit, settings = study.audit, study.settings
    targets = {"main": "twin:", "board": " ".join(audit.confirming)}
    jobs: list[Job] = []
    runner = None
    if audit.board_only:
        targets["main"] = targets["board"]
    elif study.fleet is not None:
        jobs = jobs_to_confirm(study.people, study.runs, settings)
        runner = _runner(study, "confirmed", "Confirming on boards", partial=True)
        runner.run(jobs)

    def twin(run_: Run, person: Person, repetition: int) -> Device:
        done = train_devices(study.lanes, study.store, run_, person, settings.seed)
        return _answering(study, run_, person, repetition, done[repetition][1])

    return confirmation(study.people, study.runs, jobs, runner, twin, targets)


def _answering(study: _Study, run_: Run, person: Person, repetition: int, device: Device) -> Device:
    """A device with what it says to each window: the twin's whole answers guarded and cut."""
    if study.audit.board_only:
        return device
    seed = training_seed(study.settings.seed, person.pool.person_index, repetition)
    spare = None if device.spare is None else device.spare[None]
    windows = person.windows[device.slots]
    shown = study.showing(run_, device.answers[None], windows, [seed], spare)[0]
    return replace(device, answers=shown)


def _score(study: _Study, scoring: Scoring, cells: Sequence[Cell]) -> None:
    """Attack what was not attacked yet."""
    study.reporter.begin(len(cells), "Attacking devices")
    todo = [cell for cell in cells if not scoring.finished(cell)]
    study.reporter.advance(len(cells) - len(todo))
    # What takes longest first, so that no worker is left alone with it.
    todo.sort(key=lambda cell: not is_dear(cell.run))
    executor = study.audit.executor or Processes(study.audit.boards)
    for _ in executor.map(scoring, todo):
        study.reporter.advance(1)


def _control(study: _Study, scoring: Scoring) -> Controlling:
    """Train and attack what must give nothing, or everything."""
    plain = [run_ for run_ in study.runs if run_.reference is None and not run_.is_base][-1]
    controlling = Controlling(scoring, plain)
    todo = [person for person in study.names if not controlling.finished(person)]
    study.reporter.begin(len(study.names), "Controls")
    study.reporter.advance(len(study.names) - len(todo))
    executor = study.audit.executor or Processes(study.audit.boards)
    for _ in executor.map(controlling, todo):
        study.reporter.advance(1)
    return controlling


def _compare_with_peers(
    study: _Study, scoring: Scoring, cells: Sequence[Cell], main: str
) -> PeersFinding | None:
    """Let other projects attack plain fine-tuning, where that was asked for."""
    if study.settings.peers:
        study.say(f"Attacking with {' and '.join(study.settings.peers)}")
    executor = study.audit.executor or Processes(study.audit.boards)
    return peers_finding(scoring, cells, main, installed(study.settings.peers), executor)


def _claim(study: _Study) -> EpsilonFinding | None:
    """Hold the claim of the first run with DP-SGD against devices; None where there is no such."""
    settings = study.settings
    for run_ in study.runs:
        for defence in run_.defences:
            account = defence.account(settings.size)
            if account is not None and settings.epsilon_devices:
                return claim_of_run(
                    study.store,
                    study.bundle,
                    run_,
                    settings,
                    account.delta,
                    lambda total: study.reporter.begin(total, "Checking epsilon"),
                    study.reporter.advance,
                )
    return None


def shadow_counts(settings: StudySettings, runs: Sequence[Run]) -> dict[tuple[str, int], int]:
    """Shadow devices by (recipe, epochs) of a run."""
    return {
        (run_.recipe, run_.epochs): settings.dear_shadows if is_dear(run_) else settings.shadows
        for run_ in runs
    }


def _context(
    study: _Study,
    devices: dict[str, list[Device]],
    confirmed: Confirmation,
    conditions: Sequence[Condition],
    public: Public,
) -> Context:
    settings = study.settings
    counts = shadow_counts(settings, study.runs)
    return Context(
        command=study.audit.command,
        seed=settings.seed,
        dataset=study.dataset.name,
        dataset_sha256=study.dataset.sha256,
        public_people=tuple(study.bundle.meta.get("provenance", {}).get("public_people", [])),
        audited_people=tuple(study.names),
        settings=describe.shown(settings),
        split=describe.split(settings, study.people),
        notes=(*describe.notes(study.bundle, study.dataset, study.people), *study.left_out),
        versions=describe.versions(),
        device=_device(study),
        costs=describe.run_costs(study.runs, devices, study.measured, study.flash),
        privacy=describe.privacy(settings, study.runs, study.bundle),
        confirmation=confirmed,
        shadows=tuple(
            ShadowRow(c.name, counts[r.recipe, r.epochs], settings.shadows)
            for c, r in zip(conditions, study.runs, strict=True)
            if not r.is_base
        ),
    )


def _device(study: _Study) -> DeviceRow:
    """Who the devices were."""
    fleet, bundle, measured = study.fleet, study.bundle, study.measured
    name = str(bundle.meta.get("name", ""))
    if fleet is None or measured is None:
        return DeviceRow(
            "twin:", "the twin", core().stamp, protocol.VERSION, "ticks", name, bundle.bundle_id
        )
    image = fleet.image
    return DeviceRow(
        target=" ".join(study.audit.targets),
        board=fleet.board,
        build_id=fleet.build_id,
        protocol=fleet.protocol,
        unit=measured.unit,
        bundle=name,
        bundle_id=bundle.bundle_id,
        twin_build_id="" if study.audit.board_only else core().stamp,
        flash_bytes=None if image is None else image.build.flash_bytes + len(bundle.to_bytes()),
        flash_size=None if image is None else image.build.flash_size,
        inference=measured.inference,
        query=measured.query,
        arena_used=measured.arena_used,
        arena_size=measured.arena_size,
        arena_model=measured.arena_model,
        arena_tail=measured.arena_tail,
        arena_store=measured.arena_store,
        store_capacity=measured.store_capacity,
        stack_used=measured.stack_used,
        stack_size=measured.stack_size,
        bytes_host_to_device=measured.bytes_host_to_device,
        bytes_device_to_host=measured.bytes_device_to_host,
        payload_fraction=measured.payload_fraction,
    )
