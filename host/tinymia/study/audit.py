"""The main job: from a bundle and a data set to results, on the twin and on boards."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tinymia.attacks import registry as attacks
from tinymia.data.base import Dataset
from tinymia.defenses import registry as defenses
from tinymia.device.connect import check_spec
from tinymia.errors import StudyError
from tinymia.evidence import Run
from tinymia.experiments.experiment import MEMBERSHIP
from tinymia.export.bundle import Bundle
from tinymia.export.provenance import people_to_audit
from tinymia.study import board_attacked, describe, experimenting
from tinymia.study.adversaries import adversary_for
from tinymia.study.board_runs import Reporter
from tinymia.study.confirm import shortened
from tinymia.study.context import context_of
from tinymia.study.datasets import dataset_of
from tinymia.study.devices import Device, load_device
from tinymia.study.fleet import Fleet
from tinymia.study.lanes import Lanes
from tinymia.study.membership import analyse
from tinymia.study.peers import check_choice, installed
from tinymia.study.people import plan
from tinymia.study.public import public_of
from tinymia.study.ray_cluster import kept
from tinymia.study.ray_executor import OnRay
from tinymia.study.references import references_for
from tinymia.study.results import (
    FORMAT,
    RESULTS,
    Confirmation,
    Findings,
    Results,
    to_json,
    write_json,
)
from tinymia.study.scoring import Cell, Scoring
from tinymia.study.selection import check, possible, runs_of_experiments
from tinymia.study.settings import StudySettings
from tinymia.study.shaping import with_shape
from tinymia.study.showing import Classifiers, Public, Showing
from tinymia.study.store import Store, locked
from tinymia.study.tuning import tuned
from tinymia.study.underway import (
    Audit,
    Underway,
    answering,
    claim,
    compare_with_peers,
    confirm,
    control,
    open_boards,
    runner,
    score,
    shadow_counts,
    train_on_boards,
    train_on_twin,
    where,
)
from tinymia.study.user_level import owners
from tinymia.study.views import VIEWS
from tinymia.study.workbench import TwinWorkbench, public_pools

OUTPUTS = (RESULTS, describe.SPLITS)
"""What an audit leaves in its folder beside the store; the page has its own list."""


def run(audit: Audit, reporter: Reporter, say: Callable[[str], None] = lambda _: None) -> Results:
    """Run an audit; what ``audit.out`` already has of it is not run again.

    Raises:
        TinymiaError: the folder is in use, a board does not confirm the twin, and whatever stops
            the parts; what is finished is kept.
    """
    started = time.monotonic()
    settings = audit.settings
    bundle = Bundle.load(audit.bundle_path)
    check(settings, bundle, leave_out=audit.leave_out)  # what cannot be is said first
    for target in audit.targets:
        check_spec(target)
    if MEMBERSHIP not in settings.experiments:
        settings = settings.without_membership()
    _check_plugins(settings, say)
    check_choice(settings.peers, settings.choice)
    installed(settings.peers)  # what is not there is said before hours of work, not behind them
    if isinstance(audit.executor, OnRay):
        audit.executor.check()
        audit.executor.folder = audit.out
    dataset = dataset_of(settings.dataset)
    dataset.check_model(bundle.meta)
    names = people_to_audit(dataset, bundle, settings.people)
    public = public_of(dataset, bundle, names)
    if audit.leave_out:
        settings = possible(settings, bundle, public, say)
    audit = replace(audit, settings=settings)
    planned = runs_of_experiments(settings, bundle, public, say)
    if any(run_.training.shaped for run_ in (*settings.runs(bundle), *planned.values())):
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
    with locked(audit.out) as store, kept():
        if audit.fresh:
            _clear(audit, store)
        tuning = None
        if audit.tune is not None:
            settings, tuning = tuned(
                audit.settings,
                audit.tune,
                bundle,
                dataset,
                names,
                public,
                audit.out,
                audit.working,
                say,
                lambda total: reporter.begin(total, "Trying strengths"),
                reporter.advance,
            )
            audit = replace(audit, settings=settings)
            planned = runs_of_experiments(settings, bundle, public, lambda _: None)
        study = _underway(audit, store, reporter, say, bundle, dataset, names, public, planned)
        study.tuning = tuning
        return _finish(study, public, started)


def _check_plugins(settings: StudySettings, say: Callable[[str], None]) -> None:
    """Where every attack there is runs, one that is refused ends an audit; a defence does not.

    Raises:
        PluginError: see there.
    """
    refuses = list(defenses.PLUGINS.refused.values())
    if MEMBERSHIP in settings.experiments and settings.choice.names is None:
        attacks.plugins().check_all()
    elif MEMBERSHIP in settings.experiments:
        refuses += attacks.plugins().refused.values()
    for refused in refuses:
        say(f"note: {refused.message}")


def _underway(
    audit: Audit,
    store: Store,
    reporter: Reporter,
    say: Callable[[str], None],
    bundle: Bundle,
    dataset: Dataset,
    names: list[str],
    public: Public,
    planned: Mapping[str, Run],
) -> Underway:
    """Everything that training needs: lanes, auxiliary models, what boards carry."""
    settings = audit.settings
    runs = settings.runs(bundle)
    every = [*runs, *planned.values()]
    references = references_for(
        bundle, max(r.training.references for r in every), public, settings.seed
    )
    classifiers = Classifiers(settings, public, store)
    lanes = Lanes(
        bundle,
        most_views=1 if audit.board_only else VIEWS,
        spare=any(r.answer.guard.swap for r in runs),
        references=references,
        adversary=adversary_for(bundle, every, classifiers),
    )
    showing = Showing(lanes, classifiers)
    if any(r.answer.guard.classifier for r in every):
        say("Training classifiers of members")
    # Shorter runs than the study's, which boards confirm, have classifiers of their own.
    section, numbers = showing.carried([*every, *(shortened(r, settings) for r in every)])
    carried = replace(
        bundle,
        classifiers=section or bundle.classifiers,
        references=references or bundle.references,
    )
    fleet = None
    if audit.confirming:
        interruption = replace(audit.interruption, say=say)
        fleet = Fleet(audit.confirming, carried, interruption=interruption)
    return Underway(
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
        planned=dict(planned),
    )


def _finish(study: Underway, public: Public, started: float) -> Results:
    """All steps, in order."""
    audit, settings, store = study.audit, study.settings, study.store
    asked = MEMBERSHIP in settings.experiments
    open_boards(study)
    keys: dict[str, dict[str, list[str]]] = {}
    if asked:
        keys = train_on_boards(study) if audit.board_only else train_on_twin(study)
    devices = _devices(study, keys)
    ran = time.monotonic()
    confirmed = confirm(study) if asked else _nothing(study)
    counts = shadow_counts(settings, study.runs)
    conditions = describe.conditions(settings, study.runs, counts, len(study.bundle.labels))
    bench = _workbench(study, public)
    names = [name for name in settings.experiments if name != MEMBERSHIP]
    if names and study.fleet is not None:
        work = board_attacked.AttackedWork(study.fleet.bundle, store, study.classifiers)
        rows = board_attacked.confirm(
            bench, names, settings, where(study), work, lambda *of: runner(study, *of)
        )
        confirmed = replace(confirmed, chapters=rows)
    confirmed_at = time.monotonic()
    findings = Findings(tuning=study.tuning)
    if asked:
        findings = _membership(study, public, keys, devices)
    scored_at = time.monotonic()
    if names:
        identity = experimenting.identity_of(
            bench, study.lanes.identity(study.runs[-1]), study.dataset.sha256
        )
        measuring = experimenting.Experimenting(bench, audit.out, identity)
        chapters = experimenting.measure(measuring, names, audit.working, study.reporter)
        findings = replace(findings, chapters=chapters)
    results = Results(
        format=FORMAT,
        context=context_of(study, devices, confirmed, conditions, public),
        findings=findings,
        hashes={
            f"{run}/{person}/{r}": load_device(store, "devices", key).hash
            for run, of in keys.items()
            for person, found in of.items()
            for r, key in enumerate(found)
        },
        timings={
            "runs_seconds": round(ran - started, 1),
            "confirmation_seconds": round(confirmed_at - ran, 1),
            "attack_seconds": round(scored_at - confirmed_at, 1),
            "experiments_seconds": round(time.monotonic() - scored_at, 1),
            "total_seconds": round(time.monotonic() - started, 1),
        },
    )
    write_json(audit.out / describe.SPLITS, describe.splits(study.people))
    write_json(audit.out / RESULTS, to_json(results))
    return results


def _devices(
    study: Underway, keys: Mapping[str, Mapping[str, Sequence[str]]]
) -> dict[str, list[Device]]:
    """Attacked devices by run: all repetitions of the first person, then of the next."""
    named = {run.name: run for run in study.runs}
    return {
        run: [
            answering(study, named[run], person, r, load_device(study.store, "devices", key))
            for person in study.people
            for r, key in enumerate(of[person.name])
        ]
        for run, of in keys.items()
    }


def _membership(
    study: Underway,
    public: Public,
    keys: Mapping[str, Mapping[str, Sequence[str]]],
    devices: dict[str, list[Device]],
) -> Findings:
    """Attack, control, hold claims against devices, and put intervals on everything."""
    audit, settings = study.audit, study.settings
    counts = shadow_counts(settings, study.runs)
    scoring = Scoring(
        settings,
        study.bundle.to_bytes(),
        {person.name: person for person in study.people},
        public,
        counts,
        audit.out,
        study.lanes.most_views,
        answers=settings.answers,
        whole=not audit.board_only,
        spare=study.lanes.spare,
        references=study.lanes.references,
        adversary=study.lanes.adversary,
    )
    cells = [
        Cell(run, person, tuple(keys[run.name][person]))
        for run in study.runs
        for person in study.names
    ]
    score(study, scoring, cells)
    controlling = control(study, scoring)
    epsilon = claim(study)
    conditions = describe.conditions(settings, study.runs, counts, len(study.bundle.labels))
    study.say("Putting intervals on the figures")
    finding = analyse(
        settings, study.people, devices, conditions, scoring, cells, controlling, study.lanes
    )
    return Findings(
        membership=finding,
        epsilon=epsilon,
        peers=compare_with_peers(study, scoring, cells, finding.main),
        tuning=study.tuning,
        user_level=owners(
            controlling.run,
            study.people,
            devices[controlling.run.name],
            study.lanes,
            settings,
        ),
    )


def _workbench(study: Underway, public: Public) -> TwinWorkbench:
    return TwinWorkbench(
        study.settings,
        study.bundle.to_bytes(),
        study.people,
        public_pools(study.dataset, study.bundle, study.names),
        study.planned,
        public,
        study.store,
        study.lanes.references,
        study.lanes.adversary,
    )


def _nothing(study: Underway) -> Confirmation:
    """What boards confirm of membership where nobody asked about it."""
    return Confirmation("twin:", " ".join(study.audit.confirming), 0, 0, 0, 0, ())


def _clear(audit: Audit, store: Store) -> None:
    """Remove what an audit writes and nothing else."""
    store.clear()
    try:
        for name in (*OUTPUTS, *audit.outputs):
            (audit.out / name).unlink(missing_ok=True)
    except OSError as error:
        raise StudyError(f"Cannot empty {audit.out}: {error.strerror}.") from error


__all__ = ["OUTPUTS", "Audit", "run"]
