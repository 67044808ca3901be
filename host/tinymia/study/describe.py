"""What the results of a study say about how they came about."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from tinymia import __version__
from tinymia.data.dataset import PersonalDataset
from tinymia.data.splits import assert_disjoint
from tinymia.defenses import DpSgd
from tinymia.export.bundle import Bundle
from tinymia.export.depth import depth_name
from tinymia.study.journal import SPLITS
from tinymia.study.runner import Job
from tinymia.study.settings import Run, StudySettings

_SPLIT_NOTES = {
    "same-distribution": "Every recording is cut into blocks of {block} windows, at least {gap} raw"
    " samples apart; whole blocks are drawn as members, in equal shares of every recording, and all"
    " others are non-members. Both thus come from the same recordings and share no raw sample;"
    " each draw was checked.",
    "cross-arm": "Members are blocks of {block} windows of one arm, non-members all windows of the"
    " other arm: they differ in more than membership, and an attack can gain from that too.",
}


def splits(jobs: Sequence[Job]) -> dict[str, Any]:
    """Windows and draws of everybody, as they are stored beside the results."""
    return {
        "pools": [job.pool.to_json() for job in jobs],
        "draws": [drawn.to_json() for job in jobs for drawn in job.draws],
    }


def context(
    settings: StudySettings,
    command: str,
    bundle: Bundle,
    dataset: PersonalDataset,
    jobs: Sequence[Job],
    device: dict[str, Any],
) -> dict[str, Any]:
    """What the results say about how they came about."""
    first = jobs[0]
    nonmembers = [int(d.nonmember.sum()) for job in jobs for d in job.draws]
    apart = [assert_disjoint(job.pool, d).nearest for job in jobs for d in job.draws]
    nearest = [n for n in apart if n is not None]
    return {
        "seed": settings.seed,
        "command": command,
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
        "training": {run.name: _rate(settings, run) for run in settings.runs()[1:]},
        "privacy": _privacy(settings),
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


def _rate(settings: StudySettings, run: Run) -> dict[str, Any]:
    """What a run trains, and at which rate."""
    rate = settings.training_of(run, 0).learning_rate
    return {"depth": depth_name(run.depth), "learning_rate": rate}


def _privacy(settings: StudySettings) -> dict[str, Any]:
    """The account of each condition with DP-SGD, by the condition's key."""
    found: dict[str, Any] = {}
    for run in settings.runs():
        for defense in run.defenses:
            if isinstance(defense, DpSgd) and defense.account is not None:
                found[run.condition(run.reported[-1])] = {
                    "epsilon": round(defense.account.best, 6),
                    "accountant": defense.account.accountant,
                    "epsilon_rdp": round(defense.account.rdp, 6),
                    "epsilon_pld": round(defense.account.pld, 6),
                    "delta": defense.delta,
                    "noise_multiplier": defense.noise,
                    "clip": defense.clip,
                    "rate": defense.rate,
                    "steps": defense.steps,
                }
    return found


def _notes(bundle: Bundle, dataset: PersonalDataset) -> list[str]:
    """Limits that this study has and others do not."""
    provenance = bundle.meta.get("provenance", {})
    if provenance.get("dataset_sha256") == dataset.sha256:
        return []
    return [
        "The bundle does not name this data set as the one that the base model was trained on, so "
        "it could not be checked that the base model has not seen the audited people."
    ]
