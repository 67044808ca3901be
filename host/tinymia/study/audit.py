"""The main job: from a bundle and a data set to results and a report, on boards."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tinymia import __version__, data
from tinymia.attacks import headline_attack
from tinymia.audit.types import CellAnswers, OutputPolicy
from tinymia.data.dataset import PersonalDataset
from tinymia.data.splits import MAX_SLOTS, Draw, assert_disjoint, draw, draw_cross_arm, model_pool
from tinymia.device.connect import Connection, Image, connect, image_for, needs_image
from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle
from tinymia.study import costs
from tinymia.study.journal import COSTS, RESULTS, SPLITS, Journal, Unit, write_json
from tinymia.study.runner import Job, Reporter, Runner, check_bundle
from tinymia.study.settings import StudySettings, UnitKey

_SPLIT_NOTES = {
    "same-distribution": "Every recording is cut into blocks of {block} windows, at least {gap} raw"
    " samples apart; whole blocks are drawn as members, in equal shares of every recording, and all"
    " others are non-members. Both thus come from the same recordings and share no raw sample;"
    " each draw was checked.",
    "cross-arm": "Members are blocks of {block} windows of one arm, non-members all windows of the"
    " other arm: they differ in more than membership, and an attack can gain from that too.",
}


@dataclass(frozen=True)
class Audit:
    """One audit.

    Attributes:
        settings: what is run.
        bundle_path: what is audited.
        targets: one: as many simulators as ``boards``; several: one board each.
        out: folder for journal, results and report.
        boards: simulators side by side; 0: one a core.
        fresh: throw away what the folder holds of an earlier run.
        command: as the user typed it, for the report.

    Raises:
        StudyError: fewer than no boards, or an output policy that no attack can use.
    """

    settings: StudySettings
    bundle_path: Path
    targets: tuple[str, ...]
    out: Path
    boards: int = 0
    fresh: bool = False
    command: str = "tinymia audit"

    def __post_init__(self) -> None:
        if self.boards < 0:
            raise StudyError(f"{self.boards} boards are not possible.", "0 means one a core.")
        headline_attack(OutputPolicy(self.settings.policy))


@dataclass
class _Open:
    """The boards of a study, all alike; each worker opens its own."""

    targets: Sequence[str]
    image: Image | None
    build_id: str
    unit: str

    def __call__(self, number: int) -> Connection:
        spec = self.targets[number % len(self.targets)]
        connection = connect(spec, self.image.elf if self.image else None)
        found = connection.board.identity.build_id, connection.unit
        if found != (self.build_id, self.unit):
            connection.close()
            raise StudyError(
                f"The board at {spec} runs build {found[0][:12]} and counts {found[1]}, the first"
                f" one runs {self.build_id[:12]} and counts {self.unit}.",
                "Flash the same image on all boards, and do not mix boards and simulators.",
            )
        return connection


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
) -> list[Job]:
    """Each person's windows and draws, with the proof that members and non-members are apart.

    Args:
        settings: of the study.
        dataset: the recordings.
        people: who is audited.
        bundle: says how long a window is.
        max_slots: windows that the board's sample store holds.

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
        jobs.append(Job(pool, draws))
    return jobs


def run(
    audit: Audit, reporter: Reporter, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Run an audit; returns the content of ``results.json`` (see :func:`tinymia.audit.analyse`).

    What is already in ``audit.out`` from the same study is not run again.

    Raises:
        TinymiaError: see there; finished runs are kept.
    """
    started = time.monotonic()
    bundle = Bundle.load(audit.bundle_path)
    if bundle.tail is None:
        raise StudyError(
            "This bundle is a complete model without a trainable tail.",
            "Audit a personalizable bundle, such as models/har-watch/har-watch.bundle.",
        )
    dataset = data.load(audit.settings.dataset)
    dataset.check_model(bundle.meta)
    people = people_to_audit(dataset, bundle, audit.settings.people)
    jobs = plan(audit.settings, dataset, people, bundle)

    say("Building the firmware")
    image = None
    if any(needs_image(target) for target in audit.targets):
        image = image_for(bundle.to_bytes(), bundle.bundle_id)
    with connect(
        audit.targets[0], image.elf if image else None, nonce=1 + audit.settings.seed
    ) as c:
        check_bundle(c.board, bundle)
        identity = c.board.identity
        unit = c.unit
        capacity = c.board.info().store_capacity
        if capacity < max(len(job.pool) for job in jobs):
            jobs = plan(audit.settings, dataset, people, bundle, capacity)
        journal = _open_journal(audit, bundle, dataset, identity.build_id)
        costs_path = audit.out / COSTS
        if not costs_path.exists():
            say("Measuring costs on the board")
            measured = costs.measure(
                c.board, bundle, jobs[0].pool, jobs[0].draws[0], audit.settings
            )
            write_json(costs_path, {**measured, "unit": unit})
    device = _read_costs(costs_path)

    workers = audit.boards or os.cpu_count() or 1
    workers = workers if len(audit.targets) == 1 and image else len(audit.targets)
    opener = _Open(audit.targets, image, identity.build_id, unit)
    runner = Runner(audit.settings, bundle, journal, opener, workers, reporter)
    runner.run(jobs)
    ran = time.monotonic()

    say("Attacking the answers")
    from tinymia.audit.analyse import analyse

    cells = [cell for job in jobs for cell in _cells(job, audit.settings, journal)]
    device |= {
        "target": " ".join(audit.targets),
        "board": identity.board,
        "build_id": identity.build_id,
        "bundle_id": bundle.bundle_id,
        "bundle": str(bundle.meta.get("name", "")),
        "protocol": identity.protocol,
    }
    if image is not None:
        device |= {
            "flash_bytes": image.build.flash_bytes + len(bundle.to_bytes()),
            "flash_size": image.build.flash_size,
        }
    results = analyse(cells, _context(audit, bundle, dataset, jobs, device))
    results["tail_hashes"] = {
        f"{cell.condition}/{cell.person}/{cell.repetition}": str(cell.costs["tail_hash"])
        for cell in cells
    }
    write_json(audit.out / SPLITS, _splits(jobs))
    results["timings"] = {
        "boards_seconds": round(ran - started, 1),
        "total_seconds": round(time.monotonic() - started, 1),
        "boards": workers,
    }
    write_json(audit.out / RESULTS, results)
    return results


def _open_journal(audit: Audit, bundle: Bundle, dataset: PersonalDataset, build_id: str) -> Journal:
    return Journal(
        audit.out,
        {
            "settings": audit.settings.to_json(),
            "dataset_sha256": dataset.sha256,
            "bundle_id": bundle.bundle_id,
            "build_id": build_id,
            "targets": sorted(set(audit.targets)),
        },
        fresh=audit.fresh,
    )


def _read_costs(path: Path) -> dict[str, Any]:
    import json

    try:
        return dict(json.loads(path.read_text()))
    except (OSError, TypeError, ValueError) as error:
        raise StudyError(f"{path} is damaged.", "Delete it and run the command again.") from error


def _cells(job: Job, settings: StudySettings, journal: Journal) -> list[CellAnswers]:
    """All cells of one person: each run at each of its checkpoints."""
    cells = []
    for drawn in job.draws:
        base = journal.load(UnitKey(job.pool.person, drawn.repetition, "base"))
        _check_drawn(base, drawn, journal)
        for run_ in settings.runs():
            unit = journal.load(UnitKey(job.pool.person, drawn.repetition, run_.name))
            _check_drawn(unit, drawn, journal)
            cells += [
                _cell(unit, base, run_.condition(epochs), index, settings.policy)
                for index, epochs in enumerate(unit.checkpoints)
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


def _cell(unit: Unit, base: Unit, condition: str, index: int, policy: str) -> CellAnswers:
    return CellAnswers(
        person=unit.key.person,
        repetition=unit.key.repetition,
        condition=condition,
        epochs=unit.checkpoints[index],
        probs=unit.probs[index],
        base_probs=base.probs[0],
        labels=unit.labels,
        member=unit.member,
        costs={
            "train_instructions": unit.ticks[index],
            "train_steps": unit.steps[index],
            "clipped_steps": unit.clipped[index],
            "tail_hash": unit.tail_hashes[index],
        },
        window=unit.slots,
        policy=OutputPolicy(policy),
    )


def _splits(jobs: Sequence[Job]) -> dict[str, Any]:
    return {
        "pools": [job.pool.to_json() for job in jobs],
        "draws": [drawn.to_json() for job in jobs for drawn in job.draws],
    }


def _context(
    audit: Audit,
    bundle: Bundle,
    dataset: PersonalDataset,
    jobs: Sequence[Job],
    device: dict[str, Any],
) -> dict[str, Any]:
    settings, first = audit.settings, jobs[0]
    nonmembers = [int(d.nonmember.sum()) for job in jobs for d in job.draws]
    apart = [assert_disjoint(job.pool, d).nearest for job in jobs for d in job.draws]
    nearest = [n for n in apart if n is not None]
    return {
        "seed": settings.seed,
        "command": audit.command,
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        "public_people": bundle.meta.get("provenance", {}).get("public_people", []),
        "audited_people": [job.pool.person for job in jobs],
        "settings": {
            **settings.to_json(),
            "defenses": {
                defense.name: defense.title
                for defenses in settings.defenses.values()
                for defense in defenses
            },
        },
        "split": {
            "kind": settings.split,
            "members": settings.members,
            "nonmembers": round(float(np.mean(nonmembers)), 1),
            "window_samples": first.pool.windows.length,
            "block": first.pool.block_length,
            "gap_samples": first.pool.gap,
            "nearest_samples": min(nearest) if nearest else None,
            "shared_samples": 0,
            "file": SPLITS,
            "note": _SPLIT_NOTES[settings.split].format(
                block=first.pool.block_length, gap=first.pool.gap
            ),
        },
        "notes": _notes(bundle, dataset),
        "versions": {"tinymia": __version__, "numpy": version("numpy"), "scipy": version("scipy")},
        "device": device,
    }


def _notes(bundle: Bundle, dataset: PersonalDataset) -> list[str]:
    """Limits that this study has and others do not."""
    provenance = bundle.meta.get("provenance", {})
    if provenance.get("dataset_sha256") == dataset.sha256:
        return []
    return [
        "The bundle does not name this data set as the one that the base model was trained on, so "
        "it could not be checked that the base model has not seen the audited people."
    ]


__all__ = ["Audit", "people_to_audit", "plan", "run"]
