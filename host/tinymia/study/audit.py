"""The main job: from a bundle and a data set to results and a report, on the twin and boards."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinymia import data
from tinymia.attacks import headline_attack
from tinymia.audit.types import CellAnswers, OutputPolicy
from tinymia.data.dataset import PersonalDataset
from tinymia.data.splits import MAX_SLOTS, Draw, assert_disjoint, draw, draw_cross_arm, model_pool
from tinymia.device.connect import RESUME, Interruption, is_twin
from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle
from tinymia.study import costs
from tinymia.study.confirm import confirmation, jobs_to_confirm
from tinymia.study.describe import context, splits
from tinymia.study.fleet import TWIN, Fleet
from tinymia.study.journal import COSTS, RESULTS, SPLITS, Journal, Unit, write_json
from tinymia.study.runner import Job, Reporter, Runner, Task, capacity, tasks_of
from tinymia.study.settings import StudySettings, UnitKey


@dataclass(frozen=True)
class Audit:
    """One audit.

    Attributes:
        settings: what is run.
        bundle_path: what is audited.
        targets: boards that confirm what the twin does: one, as many simulators as ``boards``, or
            several, one board each. ``twin:`` alone: nothing is confirmed.
        out: folder for journal, results and report.
        board_only: run everything on the boards.
        boards: twins or simulators side by side; 0: one a core.
        fresh: throw away what the folder holds of an earlier run.
        command: as the user typed it, for the report.
        interruption: what to do when a board is lost in the middle of a run.

    Raises:
        StudyError: fewer than no boards, an output policy that no attack can use, or no board where
            there must be one.
    """

    settings: StudySettings
    bundle_path: Path
    targets: tuple[str, ...]
    out: Path
    board_only: bool = False
    boards: int = 0
    fresh: bool = False
    command: str = "tinymia audit"
    interruption: Interruption = RESUME

    def __post_init__(self) -> None:
        if self.boards < 0:
            raise StudyError(f"{self.boards} boards are not possible.", "0 means one a core.")
        if self.board_only and not self.confirming:
            raise StudyError("The twin is no board.", "Give another --target or no --board-only.")
        headline_attack(OutputPolicy(self.settings.policy))

    @property
    def confirming(self) -> tuple[str, ...]:
        """The boards among the targets."""
        return tuple(target for target in self.targets if not is_twin(target))

    @property
    def main(self) -> tuple[str, ...]:
        """Where all repetitions run; a twin that was given an arena keeps it."""
        given = [target for target in self.targets if is_twin(target) and target != "twin:"]
        return self.confirming if self.board_only else (given[0] if given else TWIN,)


def seen_people(dataset: PersonalDataset, bundle: Bundle) -> set[str]:
    """Everybody in this data set whose windows the bundle says that it was trained on."""
    provenance = bundle.meta.get("provenance", {})
    seen: set[str] = set()
    if provenance.get("dataset_sha256") == dataset.sha256:
        seen.update(provenance.get("public_people", []))
    personal = provenance.get("personalized", {})
    if personal.get("dataset_sha256", dataset.sha256) == dataset.sha256 and "person" in personal:
        seen.add(personal["person"])
    return seen


def people_to_audit(dataset: PersonalDataset, bundle: Bundle, wanted: Sequence[str]) -> list[str]:
    """The audited people: those asked for, else all that the base model has not seen.

    Raises:
        StudyError: somebody is unknown, or the base model was trained on them.
    """
    seen = seen_people(dataset, bundle)
    for person in wanted:
        if person not in dataset.people:
            raise StudyError(
                f"There is nobody called {person!r} in {dataset.name}.",
                f"People: {', '.join(dataset.people)}.",
            )
        if person in seen:
            raise StudyError(
                f"The base model was trained on {person}: an audit would measure the base model.",
                f"Audit one of: {', '.join(p for p in dataset.people if p not in seen)}.",
            )
    chosen = list(wanted) or [p for p in dataset.people if p not in seen]
    if not chosen:
        raise StudyError("The base model was trained on everybody in this data set.")
    return chosen


def plan(
    settings: StudySettings,
    dataset: PersonalDataset,
    people: Sequence[str],
    bundle: Bundle,
    max_slots: int = MAX_SLOTS,
    tasks: tuple[Task, ...] = (),
) -> list[Job]:
    """Each person's windows and draws, with the proof that members and non-members are apart.

    Args:
        settings: of the study.
        dataset: the recordings.
        people: who is audited.
        bundle: says how long a window is.
        max_slots: windows that the board's sample store holds.
        tasks: the runs of each.

    Raises:
        DataError: too few windows, or a draw that shares samples.
    """
    how = draw_cross_arm if settings.split == "cross-arm" else draw
    jobs = []
    for person in people:
        pool = model_pool(dataset, person, bundle.meta, max_slots=max_slots)
        draws = tuple(
            how(pool, settings.seed, r, settings.members) for r in range(settings.repetitions)
        )
        for drawn in draws:
            assert_disjoint(pool, drawn)
        jobs.append(Job(pool, draws, tasks))
    return jobs


def run(
    audit: Audit, reporter: Reporter, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Run an audit; returns the content of ``results.json`` (see :func:`tinymia.audit.analyse`).

    What is already in ``audit.out`` from the same study is not run again.

    Raises:
        TinymiaError: see there, and where a board does not confirm the twin; finished runs are
            kept.
    """
    started = time.monotonic()
    settings = audit.settings
    bundle = Bundle.load(audit.bundle_path)
    if bundle.tail is None:
        raise StudyError(
            "This bundle is a complete model without a trainable tail.",
            "Audit a personalizable bundle, such as models/har-watch/har-watch.bundle.",
        )
    tasks = tasks_of(bundle, settings)
    dataset = data.load(settings.dataset)
    dataset.check_model(bundle.meta)
    people = people_to_audit(dataset, bundle, settings.people)
    plan(settings, dataset, people, bundle)  # what cannot be drawn need not be compiled

    interruption = replace(audit.interruption, say=say)
    main = Fleet(audit.main, bundle, interruption=interruption)
    boards = (
        main if audit.board_only else Fleet(audit.confirming, bundle, interruption=interruption)
    )
    say("Opening the board" if audit.board_only else "Opening the twin")
    with main.first(1 + settings.seed) as c:
        slots = min(MAX_SLOTS, capacity(c.board, tasks, settings))
    jobs = plan(settings, dataset, people, bundle, slots, tasks)
    journal, device = None, {}
    if boards.targets:
        say("Building the firmware")
        with boards.first(1 + settings.seed) as c:
            journal = _open_journal(audit, bundle, dataset, main, boards)
            path = audit.out / COSTS
            if not path.exists():
                say("Measuring costs on the board")
                measured = costs.measure(
                    c.board, bundle, jobs[0].pool, jobs[0].draws[0], settings, tasks
                )
                write_json(path, {**measured, "unit": c.unit})
            device = _read_costs(path)
    journal = journal or _open_journal(audit, bundle, dataset, main, boards)

    workers = main.workers(audit.boards)
    what = "Fine-tuning boards" if audit.board_only else "Fine-tuning twins"
    Runner(settings, bundle, journal.cells, main, workers, reporter, what).run(jobs)
    ran = time.monotonic()
    confirmed = []
    if boards.targets and not audit.board_only:
        confirmed = jobs_to_confirm(jobs, settings)
        Runner(
            settings,
            bundle,
            journal.confirmed,
            boards,
            boards.workers(audit.boards),
            reporter,
            "Confirming on boards",
            partial=True,
        ).run(confirmed)
    cells = [cell for job in jobs for cell in _cells(job, settings, journal, audit.board_only)]
    where = {"main": " ".join(audit.main), "board": " ".join(boards.targets)}
    checked = confirmation(jobs, confirmed, journal, where)
    confirmed_at = time.monotonic()

    say("Attacking the answers")
    from tinymia.audit.analyse import analyse

    results = analyse(
        cells,
        context(
            settings,
            audit.command,
            bundle,
            dataset,
            jobs,
            device | _device(audit, bundle, main, boards),
        ),
    )
    results["confirmation"] = checked
    results["tail_hashes"] = {
        f"{cell.condition}/{cell.person}/{cell.repetition}": str(cell.costs["tail_hash"])
        for cell in cells
    }
    write_json(audit.out / SPLITS, splits(jobs))
    results["timings"] = {
        "runs_seconds": round(ran - started, 1),
        "confirmation_seconds": round(confirmed_at - ran, 1),
        "total_seconds": round(time.monotonic() - started, 1),
        "boards": workers,
    }
    write_json(audit.out / RESULTS, results)
    return results


def _device(audit: Audit, bundle: Bundle, main: Fleet, boards: Fleet) -> dict[str, Any]:
    """Who the devices were."""
    shown = boards if boards.targets else main
    found: dict[str, Any] = {
        "target": " ".join(dict.fromkeys((*audit.main, *boards.targets))),
        "board": shown.board,
        "build_id": shown.build_id,
        "bundle_id": bundle.bundle_id,
        "bundle": str(bundle.meta.get("name", "")),
        "protocol": shown.protocol,
    }
    if shown is not main:
        found["twin_build_id"] = main.build_id
    if shown.image is not None:
        found["flash_bytes"] = shown.image.build.flash_bytes + len(bundle.to_bytes())
        found["flash_size"] = shown.image.build.flash_size
    return found


def _open_journal(
    audit: Audit, bundle: Bundle, dataset: PersonalDataset, main: Fleet, boards: Fleet
) -> Journal:
    return Journal(
        audit.out,
        {
            "settings": audit.settings.to_json(),
            "dataset_sha256": dataset.sha256,
            "bundle_id": bundle.bundle_id,
            "build_id": main.build_id,
            "board_build_id": boards.build_id,
            "targets": sorted(set(audit.targets)),
            "board_only": audit.board_only,
        },
        fresh=audit.fresh,
    )


def _read_costs(path: Path) -> dict[str, Any]:
    import json

    try:
        return dict(json.loads(path.read_text()))
    except (OSError, TypeError, ValueError) as error:
        raise StudyError(f"{path} is damaged.", "Delete it and run the command again.") from error


def _cells(job: Job, settings: StudySettings, journal: Journal, ticks: bool) -> list[CellAnswers]:
    """All cells of one person: each run at each of its reported checkpoints.

    Args:
        job: the person's runs.
        settings: of the study.
        journal: holds the answers.
        ticks: whether the runs' ticks are a board's and worth telling.
    """
    cells = []
    for drawn in job.draws:
        stored = {
            task.run.name: journal.cells.load(
                UnitKey(job.pool.person, drawn.repetition, task.run.name)
            )
            for task in job.tasks
        }
        for task in job.tasks:
            unit = stored[task.run.name]
            _check_drawn(unit, drawn, journal)
            # What was asked at epoch 0 is the base of a run that trains other layers.
            base = unit if unit.checkpoints[0] == 0 else stored["base"]
            cells += [
                _cell(unit, base, task.run.condition(epochs), epochs, settings.policy, ticks)
                for epochs in task.run.reported
            ]
    return cells


def _check_drawn(unit: Unit, drawn: Draw, journal: Journal) -> None:
    """Raise unless a stored run had the members and queries that are drawn today."""
    slots = np.flatnonzero(drawn.member | drawn.nonmember)
    if not (np.array_equal(unit.slots, slots) and np.array_equal(unit.member, drawn.member[slots])):
        raise StudyError(
            f"The stored run {unit.key.stem} in {journal.folder} has other members or queries than"
            " this version draws.",
            "Choose another --out, or give --fresh to throw the stored runs away.",
        )


def _cell(
    unit: Unit, base: Unit, condition: str, epochs: int, policy: str, ticks: bool
) -> CellAnswers:
    index = unit.checkpoints.index(epochs)
    return CellAnswers(
        person=unit.key.person,
        repetition=unit.key.repetition,
        condition=condition,
        epochs=epochs,
        probs=unit.probs[index],
        base_probs=base.probs[0],
        labels=unit.labels,
        member=unit.member,
        costs={
            **({"train_instructions": unit.ticks[index]} if ticks else {}),
            "train_steps": unit.steps[index],
            "clipped_steps": unit.clipped[index],
            "tail_hash": unit.tail_hashes[index],
        },
        window=unit.slots,
        policy=OutputPolicy(policy),
    )


__all__ = ["Audit", "people_to_audit", "plan", "run"]
