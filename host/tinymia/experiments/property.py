"""Property inference: what holds of the owner's training set as a whole.

Ganju et al., "Property inference attacks on fully connected neural networks using permutation
invariant representations", CCS 2018 (a meta-classifier on shadow models' weights; a head has no
hidden layer, so nothing can be permuted); Suri and Evans, "Formalizing and estimating distribution
inference risks", PoPETs 2022 (simple tests on answers as baseline; the same question asked of
answers by a meta-classifier).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.ridge import ridge
from tinymia.errors import StudyError
from tinymia.evidence import Codes, Owner, Run, Training, Workbench
from tinymia.experiments.asking import logs, public_questions
from tinymia.experiments.base import Figure
from tinymia.experiments.chapter import VERSION, Adversary, Chapter, Control, Measure, Row
from tinymia.experiments.experiment import Info, Measured
from tinymia.experiments.rows import Found, Tabulator
from tinymia.statistics.metrics import auc_of

Floats = NDArray[np.float64]

AUC = Measure("auc", "AUC of the property", 0.5)
RIGHT = Measure("right", "Devices told right, one threshold for all", 0.5, "%")
MAJORITY, MISSING, SECOND = "majority", "missing", "second-person"
PROPERTIES = {
    MAJORITY: "more than half of what was learnt is one class (60 %, against the owner's share)",
    MISSING: "one class was never learnt",
    SECOND: "a quarter of what was learnt is another person's",
}
_SHADOWS = 1000
"""Devices of public people, half of them with the property."""
_ASKED = 120
"""Public windows that devices are asked about."""
_MAJORITY, _QUARTER = 0.6, 0.25
_WEIGHTS, _ANSWERS, _SIMPLE = "flash", "answers", "simple"
ADVERSARIES = (_WEIGHTS, _ANSWERS, _SIMPLE)


@dataclass(frozen=True)
class Property:
    """See the module."""

    @property
    def info(self) -> Info:
        """See :class:`tinymia.experiments.experiment.Experiment`."""
        return Info(
            "property",
            "Property inference",
            "Does a device show what holds of its owner's training set as a whole?",
            30,
            ("clip", "label", "laplace", "dp", "dp-public"),
        )

    def cells(self, bench: Workbench) -> Sequence[str]:
        """One a property."""
        if len(bench.public) < 2:
            raise StudyError(
                "Property inference trains shadow devices on public people, at least two, and"
                f" {len(bench.public)} are left.",
                "Name the audited ones by --person, or take data with more people.",
            )
        return list(PROPERTIES)

    def measure(self, bench: Workbench, cell: str) -> Measured:
        """Scores of every attacked device by every adversary, under every run."""
        asked = public_questions(bench, "property", _ASKED)
        label = _class(bench)
        found: dict[str, NDArray[np.float64]] = {}
        for run in bench.runs(self.info.defences):
            shadows, holds = _shadows(bench, cell, run)
            seen = [_seen(bench, training, asked) for training in shadows]
            known = {name: np.concatenate([s[name] for s in seen]) for name in _PARTS}
            truth = np.concatenate(holds)
            for owner in bench.owners:
                attacked, of = _attacked(bench, cell, run, owner)
                shown = _seen(bench, attacked, asked)
                for name in _PARTS:
                    scores = told(known[name], truth, shown[name])
                    found[f"{run.name}/{name}/{owner.name}"] = scores
                found[f"{run.name}/{_SIMPLE}/{owner.name}"] = _simple(
                    bench, run, asked, known[_ANSWERS], truth, shown[_ANSWERS], label
                )
                found[f"truth/{owner.name}"] = of.astype(np.float64)
            if run is bench.runs()[0]:
                found["null"] = _null(bench, known[_WEIGHTS], truth)
                found["planted"] = _planted(bench, run, asked, label)
        return found

    def conclude(self, bench: Workbench, measured: Mapping[str, Measured]) -> Chapter:
        """See :class:`tinymia.experiments.experiment.Experiment`."""
        runs = bench.runs(self.info.defences)
        names = [owner.name for owner in bench.owners]
        table = Tabulator(names, bench.seed)
        rows: list[Row] = []
        for cell, arrays in measured.items():
            at = {"property": PROPERTIES[cell]}
            each = len(arrays[f"truth/{names[0]}"])
            for name in ADVERSARIES:
                for measure, value in ((AUC, _auc), (RIGHT, _right)):
                    values = [
                        Found(run, np.array([value(arrays, run, name, owner) for owner in names]))
                        for run in runs
                    ]
                    grain = 1.0 / len(names) / each
                    rows += table.rows(measure, name, values, at=at, grain=grain)
        return Chapter(
            version=VERSION,
            name=self.info.name,
            title=self.info.title,
            question=self.info.question,
            answer=_answer(rows, runs[0]),
            adversaries=(
                Adversary(
                    _WEIGHTS,
                    "who reads the flash",
                    f"has the trained weights, and {_SHADOWS} shadow devices of public people with"
                    " and without the property: a linear meta-classifier on the weights",
                ),
                Adversary(
                    _ANSWERS,
                    "who asks",
                    f"sees answers to {_ASKED} public windows, and has the same shadow devices: a"
                    " linear meta-classifier on the answers",
                ),
                Adversary(
                    _SIMPLE,
                    "who compares one number",
                    "sees the same answers, and looks at the mean probability of the class (of the"
                    " true class for the second person), whose direction shadow devices give",
                ),
            ),
            measures=(AUC, RIGHT),
            rows=tuple(rows),
            controls=_controls(measured),
            method=(
                "Every owner has as many devices with a property as without, each fine-tuned on as"
                " many windows; so have public people, on whose devices the adversary learns.",
                f"The class of the first two properties is {bench.signal.classes[_class(bench)]!r},"
                " of which everybody has most windows.",
                "Meta-classifier: ridge regression on standardised numbers, its strength by"
                " leave-one-out on the shadow devices.",
                "AUC within an owner's devices, then the mean over owners. One threshold for all:"
                " the meta-classifier's own, which a new owner shifts.",
            ),
            limits=(
                "Three properties were asked about, all of what was learnt; nothing is said of"
                " others, as on which arm a watch was worn.",
                "The adversary asks one question with two answers, both as likely.",
                "Half of the devices have the property by construction, so whoever lacks the device"
                " can but guess: there is no other baseline.",
            ),
            sources=(
                "Ganju, Wang, Yang, Gunter, Borisov: Property inference attacks on fully connected"
                " neural networks using permutation invariant representations. CCS 2018.",
                "Suri, Evans: Formalizing and estimating distribution inference risks. PoPETs 2022,"
                " section 4.",
            ),
        )

    def targets(self, bench: Workbench) -> Sequence[Training]:
        """See :class:`tinymia.experiments.experiment.Experiment`."""
        owner = bench.owners[0]
        return [
            _attacked(bench, cell, run, owner)[0]
            for cell in PROPERTIES
            for run in bench.runs(self.info.defences)
        ]


EXPERIMENT = Property()
_PARTS = (_WEIGHTS, _ANSWERS)


def told(known: Floats, truth: NDArray[np.bool_], shown: Floats) -> Floats:
    """Scores of a ridge regression on shadow devices; above 0 it says that the property holds.

    Args:
        known: (shadows, k) float64.
        truth: (shadows,) bool.
        shown: (devices, k) float64.

    Returns:
        (devices,) float64.
    """
    mean, scale = known.mean(axis=0), known.std(axis=0)
    scale[scale < 1e-9] = np.inf  # the same on all devices, so it tells nothing
    fitted = ridge((known - mean) / scale, truth[:, None].astype(np.float64))
    return np.asarray(fitted.decode((shown - mean) / scale)[:, 0], np.float64)


def _class(bench: Workbench) -> int:
    """The class of which whoever has least has most."""
    people = (*bench.owners, *bench.public)
    counts = [np.bincount(p.labels, minlength=len(bench.signal.classes)) for p in people]
    return int(np.min(counts, axis=0).argmax())


def pick(
    rng: np.random.Generator,
    labels: NDArray[np.int64],
    foreign: NDArray[np.bool_],
    members: int,
    cell: str,
    label: int,
    holds: bool,
) -> NDArray[np.bool_]:
    """(n,) members of a device that has a property, or has not.

    Args:
        rng: draws them.
        labels: (n,) of all windows, the owner's and another person's.
        foreign: (n,) which are the other person's.
        members: how many.
        cell: the property.
        label: the class that it is about.
        holds: whether the device has it.
    """
    own = np.flatnonzero(~foreign)
    chosen: list[NDArray[np.int64]] = []
    if cell == SECOND and holds:
        chosen.append(rng.permutation(np.flatnonzero(foreign))[: round(_QUARTER * members)])
    if cell == MAJORITY and holds:
        of = rng.permutation(own[labels[own] == label])[: round(_MAJORITY * members)]
        chosen.append(of)
        own = own[labels[own] != label]
    if cell == MISSING and holds:
        own = own[labels[own] != label]
    left = members - sum(map(len, chosen))
    chosen.append(rng.permutation(own)[:left])
    member = np.zeros(len(labels), np.bool_)
    member[np.concatenate(chosen)] = True
    return member


def _devices(
    bench: Workbench, cell: str, run: Run, owner: Owner, other: Owner, count: int, purpose: str
) -> tuple[Training, NDArray[np.bool_]]:
    """As many devices of an owner with a property as without."""
    windows = np.concatenate([owner.windows, other.windows])
    labels = np.concatenate([owner.labels, other.labels])
    foreign = np.arange(len(labels)) >= len(owner)
    rng = bench.generator("property", purpose, cell, owner.name)
    holds = np.arange(count) % 2 == 0
    members = min(bench.members, len(owner) // 2)
    label = _class(bench)
    member = np.stack([pick(rng, labels, foreign, members, cell, label, bool(of)) for of in holds])
    seeds = bench.seeds(count, "property", purpose, cell, owner.name)
    return Training(run, windows, labels, member, seeds), holds


def _attacked(
    bench: Workbench, cell: str, run: Run, owner: Owner
) -> tuple[Training, NDArray[np.bool_]]:
    other = bench.owners[(bench.owners.index(owner) + 1) % len(bench.owners)]
    if other is owner:
        other = bench.public[0]
    return _devices(bench, cell, run, owner, other, 2 * bench.repetitions, "attacked")


def _shadows(
    bench: Workbench, cell: str, run: Run
) -> tuple[list[Training], list[NDArray[np.bool_]]]:
    people = bench.public
    each = max(4, _SHADOWS // len(people))
    made = [
        _devices(bench, cell, run, person, people[(i + 1) % len(people)], each, "shadows")
        for i, person in enumerate(people)
    ]
    return [training for training, _ in made], [holds for _, holds in made]


def _seen(bench: Workbench, training: Training, asked: Codes) -> dict[str, Floats]:
    """What adversaries see of devices: (devices, k) float64 each."""
    done = bench.train(training, asked)
    base = bench.base(training.run)
    return {
        _WEIGHTS: (done.theta - base).astype(np.float64),
        _ANSWERS: logs(done.answers).reshape(len(done), -1),
    }


def _simple(
    bench: Workbench,
    run: Run,
    asked: Codes,
    known: Floats,
    truth: NDArray[np.bool_],
    shown: Floats,
    label: int,
) -> Floats:
    """The mean log-probability of the class, less its middle between both kinds of shadows."""
    classes = len(bench.signal.classes)

    def one(said: Floats) -> Floats:
        return np.asarray(said.reshape(len(said), len(asked), classes)[:, :, label].mean(axis=1))

    of, mine = one(known), one(shown)
    middle = (of[truth].mean() + of[~truth].mean()) / 2
    direction = 1.0 if of[truth].mean() >= of[~truth].mean() else -1.0
    return np.asarray(direction * (mine - middle))


def _null(bench: Workbench, known: Floats, truth: NDArray[np.bool_]) -> Floats:
    """AUCs of meta-classifiers who learnt a property that was dealt out by lot."""
    rng = bench.generator("property", "null")
    half = len(known) // 2
    found = []
    for _ in range(8):
        order = rng.permutation(len(known))
        lot = rng.permutation(truth)
        fit, test = order[:half], order[half:]
        scores = told(known[fit], lot[fit], known[test])
        found.append(auc_of(scores, lot[test]))
    return np.asarray(found, np.float64)


def _planted(bench: Workbench, run: Run, asked: Codes, label: int) -> Floats:
    """AUC where all that was learnt is one class, or none of it is."""
    owner, members = bench.public[0], bench.members
    rng = bench.generator("property", "planted")
    of, others = np.flatnonzero(owner.labels == label), np.flatnonzero(owner.labels != label)
    count = 40
    member = np.zeros((count, len(owner)), np.bool_)
    for device in range(count):
        pool = of if device % 2 == 0 else others
        member[device, rng.permutation(pool)[: min(members, len(pool) // 2 + 1)]] = True
    seeds = bench.seeds(count, "property", "planted")
    seen = _seen(bench, Training(run, owner.windows, owner.labels, member, seeds), asked)
    truth = np.arange(count) % 2 == 0
    fit = np.arange(count) < count // 2
    scores = told(seen[_WEIGHTS][fit], truth[fit], seen[_WEIGHTS][~fit])
    return np.array([auc_of(scores, truth[~fit])])


def _auc(arrays: Measured, run: Run, adversary: str, owner: str) -> float:
    return auc_of(arrays[f"{run.name}/{adversary}/{owner}"], arrays[f"truth/{owner}"] > 0)


def _right(arrays: Measured, run: Run, adversary: str, owner: str) -> float:
    scores, truth = arrays[f"{run.name}/{adversary}/{owner}"], arrays[f"truth/{owner}"] > 0
    return float(np.mean((scores > 0) == truth))


def _controls(measured: Mapping[str, Measured]) -> tuple[Control, ...]:
    made = []
    for cell, arrays in measured.items():
        null = float(np.mean(arrays["null"]))
        words = "an AUC between 0.45 and 0.55"
        made.append(Control(f"{cell}: dealt out by lot", words, Figure(null), 0.45, 0.55))
    planted = float(next(iter(measured.values()))["planted"][0])
    made.append(
        Control(
            "one class alone was learnt, or none of it", "an AUC of 1", Figure(planted), 1.0, 1.0
        )
    )
    return tuple(made)


def _answer(rows: Sequence[Row], plain: Run) -> str:
    own = [r for r in rows if r.condition == plain.name and r.measure == AUC.name]
    parts = []
    for cell, words in PROPERTIES.items():
        of = {r.adversary: r.figure.value or 0.0 for r in own if r.at["property"] == words}
        parts.append(f"{cell} {of[_ANSWERS]:.3f} by answers, {of[_WEIGHTS]:.3f} by weights")
    return "Plain fine-tuning tells, by AUC: " + "; ".join(parts) + " (0.5 is guessing)."
