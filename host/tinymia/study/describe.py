"""What the results of a study say about how they came about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np

from tinymia import __version__
from tinymia.data.base import Dataset
from tinymia.data.splits import assert_disjoint
from tinymia.evidence import Run
from tinymia.experiments.base import PLAIN, Condition, look
from tinymia.export.bundle import Bundle
from tinymia.export.depth import depth_title, trained_count
from tinymia.export.provenance import known_content, seen_people
from tinymia.study.attack_risk import FPRS, risk
from tinymia.study.costs import Measured
from tinymia.study.devices import Device
from tinymia.study.people import Person
from tinymia.study.results import Cost, Privacy, Setting, Split
from tinymia.study.settings import StudySettings, listed

SPLITS = "splits.json"
_NOTES = {
    "same-distribution": "Every recording is cut into blocks of {block} windows, at least {gap} raw"
    " samples apart; whole blocks are drawn as members, in equal shares of every recording, and all"
    " others are non-members. Both thus come from the same recordings; of each draw it was checked"
    " that they share no raw sample by place, nor a run of samples by content.",
    "examples": "Examples were drawn one by one as members, in equal shares of every class, and all"
    " others are non-members. Of each draw it was checked that none is in both, by content.",
    "groups": "Whole groups of {block} examples were drawn as members, in equal shares of every"
    " class, and all others are non-members. Of each draw it was checked that none of them is in"
    " both, by content.",
    "cross-arm": "Members are blocks of {block} windows of one arm, non-members all windows of the"
    " other arm: they differ in more than membership, and an attack can gain from that too.",
}


def splits(people: Sequence[Person]) -> dict[str, Any]:
    """Windows and draws of everybody, as they are stored beside the results."""
    return {
        "pools": [person.pool.to_json() for person in people],
        "draws": [drawn.to_json() for person in people for drawn in person.draws],
    }


def split(settings: StudySettings, people: Sequence[Person]) -> Split:
    """How members were chosen."""
    pool = people[0].pool
    kind = settings.split
    if pool.stratum is not None:
        kind = "examples" if pool.block_length == 1 else "groups"
    apart = [assert_disjoint(p.pool, drawn).nearest for p in people for drawn in p.draws]
    nearest = [n for n in apart if n is not None]
    nonmembers = [int(drawn.nonmember.sum()) for p in people for drawn in p.draws]
    return Split(
        kind=settings.split,
        members=settings.members,
        nonmembers=round(float(np.mean(nonmembers)), 1),
        window_samples=pool.windows.length,
        block=pool.block_length,
        gap_samples=pool.gap,
        nearest_samples=min(nearest) if nearest else None,
        note=_NOTES[kind].format(block=pool.block_length, gap=pool.gap),
        file=SPLITS,
    )


def conditions(
    settings: StudySettings,
    runs: Sequence[Run],
    counts: Mapping[tuple[str, int], int],
    classes: int,
) -> tuple[Condition, ...]:
    """The runs as findings and pages name them, each with a look of its own.

    Args:
        settings: of the study.
        runs: all of them.
        counts: shadow devices by (recipe, epochs).
        classes: of the model.
    """
    found = []
    others = 0
    for run in runs:
        main = run.depth == settings.training.train
        style, shape = PLAIN
        if run.defences or not main:
            style, shape = look(others)
            others += 1
        found.append(
            Condition(
                name=run.name,
                key=run.key,
                title=run.title,
                detail="; ".join(d.title for d in run.defences) or run.title,
                epochs=run.epochs,
                defences=tuple(d.kind.name for d in run.defences),
                depth=run.depth,
                depth_title=depth_title(run.depth),
                main_depth=main,
                reference="" if run.reference is None else run.reference.name,
                style=style,
                shape=shape,
                shadows=counts[run.recipe, run.epochs]
                if not run.is_base and settings.choice.has_shadows
                else 0,
                promise=_promise(run, classes),
            )
        )
    return tuple(found)


def _promise(run: Run, classes: int) -> str:
    """What the defences of a run prove beside an account."""
    made = [d.kind.promise(d, classes) for d in run.defences if d.kind.promise is not None]
    return "; ".join(filter(None, made))


def run_costs(
    runs: Sequence[Run],
    devices: Mapping[str, Sequence[Device]],
    measured: Measured | None,
    flash: Mapping[str, int],
) -> tuple[Cost, ...]:
    """What each condition costs on the device.

    Args:
        runs: all of them.
        devices: of each run, by name; none of a run that was not trained.
        measured: on a board; None: on none.
        flash: bytes by the name of a run, where images were built.
    """
    found = []
    for run in runs:
        cost = None if measured is None else measured.runs[run.name]
        plain = None
        if measured is not None and run.reference is not None:
            plain = measured.runs[run.reference.name].step
        own = devices.get(run.name, ())
        ticks = float(np.mean([device.ticks for device in own])) if own else 0.0
        step = None if cost is None else cost.step
        found.append(
            Cost(
                condition=run.name,
                step=step,
                ratio=step / plain if step and plain else None,
                workspace=None if cost is None else cost.workspace,
                trained=None if cost is None else cost.trained,
                learning_rate=run.training.learning_rate,
                steps=float(np.mean([device.steps for device in own])) if own else 0.0,
                clipped=float(np.mean([device.clipped for device in own])) if own else 0.0,
                ticks=ticks or None,
                answer=None if cost is None else cost.answer,
                flash=flash.get(run.name),
                line_out=None if cost is None else cost.line_out,
                line_in=None if cost is None else cost.line_in,
            )
        )
    return tuple(found)


def _claimed(epsilon: float) -> float | None:
    return epsilon if math.isfinite(epsilon) else None


def privacy(settings: StudySettings, runs: Sequence[Run], bundle: Bundle) -> tuple[Privacy, ...]:
    """The account of each condition with a defence that proves something.

    One whose epsilon is infinite, for so little noise, is not among them.
    """
    found = []
    for run in runs:
        size = replace(settings.size, parameters=trained_count(bundle, run.depth))
        for defence in run.defences:
            account = defence.account(size)
            if account is None or math.isinf(account.added.best):
                continue
            training = run.training
            noise = training.noise_multiplier
            most = risk(noise, account.rate, account.steps, size.parameters)
            found.append(
                Privacy(
                    condition=run.name,
                    epsilon=account.added.best,
                    delta=account.delta,
                    accountant=account.added.accountant,
                    epsilon_rdp=_claimed(account.added.rdp),
                    epsilon_pld=_claimed(account.added.pld),
                    epsilon_replaced=_claimed(account.replaced.best),
                    noise_multiplier=noise,
                    clip=training.clip_norm,
                    rate=account.rate,
                    steps=account.steps,
                    neighbours=account.added.neighbours.value,
                    advantage=most.advantage,
                    trade_off=tuple(zip(FPRS, most.power, strict=True)),
                )
            )
    return tuple(found)


def notes(bundle: Bundle, dataset: Dataset, people: Sequence[Person]) -> tuple[str, ...]:
    """Limits that this study has and others do not.

    Args:
        bundle: the base model.
        dataset: of the audited people.
        people: them.
    """
    found = [*dataset.notes, *(f"{note}." for person in people for note in person.pool.notes)]
    if bundle.meta.get("provenance", {}).get("dataset_sha256") == dataset.sha256:
        return tuple(_ended(found))
    if known_content(bundle) is None:
        found.append(
            "The bundle does not name this data set as the one that the base model was trained on,"
            " so it could not be checked that the base model has not seen the audited people."
        )
    else:
        met = sorted(seen_people(dataset, bundle))
        found.append(
            "The bundle does not name this data set as the one that the base model was trained on;"
            " by runs of samples, "
            + (f"{', '.join(met)} were found to be" if met else "nobody here was found to be")
            + " among those whom it has seen. The same data resampled or in other units would not"
            " be found."
        )
    return tuple(_ended(found))


def _ended(texts: Sequence[str]) -> list[str]:
    return [text if text.endswith(".") else f"{text}." for text in texts]


def shown(settings: StudySettings) -> tuple[Setting, ...]:
    """Every setting, for people."""
    return tuple(Setting(name, value) for name, value in listed(settings))


def versions() -> tuple[Setting, ...]:
    """Of what the figures were made with."""
    return (
        Setting("tinymia", __version__),
        *(Setting(name, version(name)) for name in ("numpy", "scipy", "scikit-learn")),
    )
