"""Model inversion: windows that stand for a class on a device, and whether they show its owner.

Fredrikson et al., CCS 2015 (MIFace); Zhang et al., CVPR 2020 (a prior from public data); Yang et
al., CCS 2019 (a learnt inverse). See :mod:`tinymia.experiments.inversion.attack`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import StudyError
from tinymia.evidence import Owner, Training, Workbench
from tinymia.experiments.chapter import VERSION, Chapter
from tinymia.experiments.experiment import Info, Measured
from tinymia.experiments.inversion import words
from tinymia.experiments.inversion.attack import (
    Asking,
    learn,
    public_prior,
    questions,
    seen_of,
    shadows,
    sought_of,
)
from tinymia.experiments.inversion.judging import judge_of
from tinymia.experiments.inversion.prior import Prior

Floats = NDArray[np.float64]

_MOST = 4
"""Devices a person and run; each is asked thousands of questions."""
_LOTS = 6
"""Searches on the base model that differ in their random numbers alone."""
_NULLS = 8
"""Inverses learnt of what was dealt out by lot."""
_FEWEST_PEOPLE = 2


@dataclass(frozen=True)
class Inversion:
    """See the module."""

    @property
    def info(self) -> Info:
        """See :class:`tinymia.experiments.experiment.Experiment`."""
        return Info(
            "inversion",
            "Model inversion",
            "Do windows that a device takes for typical of a class show who its owner is?",
            20,
            ("dp", "dp-public", "laplace", "round", "label"),
        )

    def cells(self, bench: Workbench) -> Sequence[str]:
        """One a run: what is learnt on shadow devices serves all owners."""
        if len(bench.public) < _FEWEST_PEOPLE:
            raise StudyError(
                "Inversion needs public people, at least two, to know what windows look like, and"
                f" {len(bench.public)} are left.",
                "Name the audited ones by --person, or take data with more people.",
            )
        return [run.name for run in bench.runs(self.info.defences)]

    def measure(self, bench: Workbench, cell: str) -> Measured:
        """What reconstructions from every device of a run say of its owner."""
        runs = bench.runs(self.info.defences)
        run = next(r for r in runs if r.name == cell)
        plain = run.name == runs[0].name
        prior, asked = public_prior(bench), questions(bench)
        attacked = [_training(bench, owner, cell) for owner in bench.owners]
        done = [bench.train(training, asked) for training in attacked]
        base = bench.base(run)
        # The base model is one more device, and on the first cell some more with other lots.
        lots = _LOTS if plain else 0
        theta = np.concatenate([*(d.theta for d in done), np.repeat(base[None], 1 + lots, axis=0)])
        seeds = [s for training in attacked for s in training.seeds]
        devices = len(seeds)
        seeds += list(bench.seeds(1 + lots, "inversion", "base"))
        which = np.concatenate([np.zeros(devices + 1, np.int64), 1 + np.arange(lots)])
        asking = Asking(bench, prior, run, theta, seeds, which)
        found = {
            words.CONFIDENCE: asking.confidence(),
            words.DIFFERENCE: asking.difference(),
            **_learnt(bench, prior, cell, theta, seeds, plain),
        }
        judge = judge_of(bench, run, prior)
        owners = np.repeat(np.arange(len(bench.owners)), devices // len(bench.owners))
        left: dict[str, NDArray[np.float64]] = {}
        for name in words.METHODS:
            z, before = found[name][:devices], found[name][devices]
            left.update(judge(name, z, before, owners))
            left[f"z/{name}"] = z[:: devices // len(bench.owners)]
            left[f"base/{name}"] = before
        if plain:
            name = words.CONFIDENCE
            z, before = found[name][devices + 1 :], found[name][devices]
            each = np.arange(len(bench.owners))
            shown = judge("lots", np.repeat(z, len(each), axis=0), before, np.tile(each, len(z)))
            left["lots"] = shown[f"lots/{words.READ}"][:, words.MOVED_AT]
            of = np.repeat(np.arange(len(bench.public)), len(found["known"]) // len(bench.public))
            of += len(bench.owners)
            before = found[words.LEARNT_WEIGHTS][devices]
            shown = judge("known", found["known"], before, of)
            left["known"] = shown[f"known/{words.WINDOWS}"][:, words.NEARER_AT]
            lots_of = found["null"][:, :devices], found["null"][:, devices]
            nulls = [judge("null", z, at, owners) for z, at in zip(*lots_of, strict=True)]
            left["null"] = np.stack([n[f"null/{words.WINDOWS}"][:, words.MOVED_AT] for n in nulls])
        return left

    def conclude(self, bench: Workbench, measured: Mapping[str, Measured]) -> Chapter:
        """See :class:`tinymia.experiments.experiment.Experiment`."""
        runs = bench.runs(self.info.defences)
        each = min(bench.repetitions, _MOST)
        rows = words.rows(bench, runs, measured, each)
        people = len(bench.owners) + len(bench.public)
        return Chapter(
            version=VERSION,
            name=self.info.name,
            title=self.info.title,
            question=self.info.question,
            answer=words.answer(rows, runs[0], people),
            adversaries=words.ADVERSARIES,
            measures=words.measures(people),
            rows=rows,
            controls=words.controls(measured[runs[0].name]),
            method=words.method(people),
            limits=words.LIMITS,
            sources=words.SOURCES,
            pictures=words.pictures(bench, public_prior(bench), measured[runs[0].name]),
        )

    def targets(self, bench: Workbench) -> Sequence[Training]:
        """See :class:`tinymia.experiments.experiment.Experiment`."""
        owner = bench.owners[0]
        return [_training(bench, owner, cell) for cell in self.cells(bench)]


EXPERIMENT = Inversion()


def _training(bench: Workbench, owner: Owner, cell: str) -> Training:
    run = next(r for r in bench.runs(EXPERIMENT.info.defences) if r.name == cell)
    count = min(bench.repetitions, _MOST)
    members = bench.draw(owner, count, "inversion")
    seeds = bench.seeds(count, "inversion", owner.name)
    return Training(run, owner.windows, owner.labels, members, seeds)


def _learnt(
    bench: Workbench,
    prior: Prior,
    cell: str,
    theta: NDArray[np.float32],
    seeds: Sequence[int],
    plain: bool,
) -> dict[str, Floats]:
    """By the learnt inverse: of each device, from answers and from weights; and for controls."""
    run = next(r for r in bench.runs(EXPERIMENT.info.defences) if r.name == cell)
    asked = questions(bench)
    trainings = shadows(bench, run)
    made = [bench.train(t, asked) for t in trainings]
    seen = [seen_of(bench, run, done.theta, done.answers) for done in made]
    sought = [sought_of(prior, t) for t in trainings]
    # A fifth of each public person's is kept back for a control.
    kept = len(sought[0]) - len(sought[0]) // 5
    goal = np.concatenate([s[:kept] for s in sought])
    answers = bench.answers(run, theta, asked, seeds)
    shown = seen_of(bench, run, theta, answers)
    found: dict[str, Floats] = {}
    for part, name in (
        ("questions", words.LEARNT_ANSWERS),
        ("flash", words.LEARNT_WEIGHTS),
    ):
        known = np.concatenate([s[part][:kept] for s in seen])
        inverse = learn(known, goal)
        found[name] = inverse(shown[part])
        if plain and part == "flash":
            found["known"] = inverse(np.concatenate([s[part][kept:] for s in seen]))
            rng = bench.generator("inversion", "null")
            lots = [learn(known, rng.permutation(goal)) for _ in range(_NULLS)]
            found["null"] = np.stack([nothing(shown[part]) for nothing in lots])
    return found
