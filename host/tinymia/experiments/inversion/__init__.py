"""Model inversion: windows that stand for a class on a device, and whether they show its owner.

Fredrikson et al., CCS 2015 (MIFace); Zhang et al., CVPR 2020 (a prior from public data). See
:mod:`tinymia.experiments.inversion.attack`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.softmax import head_of
from tinymia.errors import StudyError
from tinymia.evidence import HEAD, Owner, Run, Training, Workbench
from tinymia.experiments.chapter import VERSION, Chapter
from tinymia.experiments.experiment import Info, Measured
from tinymia.experiments.inversion import words
from tinymia.experiments.inversion.attack import (
    Asking,
    Mixture,
    copies,
    crowd,
    features,
    mixture_of,
    public_prior,
    public_windows,
    questions,
)
from tinymia.experiments.inversion.judging import Judge, judge_of
from tinymia.experiments.peers.neighbours import ART, inverted

Floats = NDArray[np.float64]

_MOST = 4
"""Devices a person and run; each is asked thousands of questions."""
_KNOWN = 12
"""Public people whose devices are a control."""
_SHUFFLED = 48
"""Devices whose changes are shuffled, at least."""
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
        """One a run, whose devices are searched side by side."""
        if len(bench.public) < _FEWEST_PEOPLE:
            raise StudyError(
                "Inversion needs public people, at least two, to know what windows look like, and"
                f" {len(bench.public)} are left.",
                "Name the audited ones by --person, or take data with more people.",
            )
        if bench.runs()[0].depth != HEAD:
            raise StudyError("Inversion takes a head apart.", "Train the head alone: --train head.")
        return [run.name for run in bench.runs(self.info.defences)]

    def measure(self, bench: Workbench, cell: str) -> Measured:
        """What reconstructions from every device of a run say of its owner."""
        run = next(r for r in bench.runs(self.info.defences) if r.name == cell)
        attacked = [_training(bench, owner, cell) for owner in bench.owners]
        asked = questions(bench)
        done = [bench.train(training, asked) for training in attacked]
        # The base model is one more device.
        theta = np.concatenate([*(d.theta for d in done), bench.base(run)[None]])
        seeds = [s for training in attacked for s in training.seeds]
        seeds += bench.seeds(1, "inversion", "base")
        asking = Asking(bench, public_prior(bench), run, theta, seeds)
        mixing = _Mixing.of(bench, run)
        heads = _heads(bench, theta)
        copied = copies(bench, run, np.concatenate([d.answers for d in done]))
        shown = {
            words.CONFIDENCE: _searched(asking, asking.confidence()),
            words.COPY: mixing(np.concatenate([copied, heads[-1:]])),
            words.DIFFERENCE: _searched(asking, asking.difference()),
            words.WEIGHTS: mixing(heads),
        }
        judge = judge_of(bench, run)
        each = len(attacked[0])
        owners = np.repeat(np.arange(len(bench.owners)), each)
        learnt = [member for training in attacked for member in training.members]
        left: dict[str, NDArray[np.float64]] = {}
        if ART in bench.peers and run.name == bench.runs()[0].name:
            scale, zero = bench.quantisation(run)
            ends = (-128 - zero) * scale, (127 - zero) * scale
            sure = {words.READ: np.stack([inverted(head, *ends) for head in heads])}
            left.update(judge(ART, sure, owners, learnt))
        for name, found in shown.items():
            left.update(judge(name, found, owners, learnt))
            # For the pictures: the first device, and the base model.
            left[f"window/{name}"] = found[words.WINDOWS][[0, -1]]
        if run.name == bench.runs()[0].name:
            if len(bench.owners) > 1:  # of one person alone no lean would even out
                left["shuffled"] = _shuffled(bench, mixing, judge, heads, owners, learnt)
            left["known"] = _known(bench, mixing, judge, run, heads[-1])
        return left

    def conclude(self, bench: Workbench, measured: Mapping[str, Measured]) -> Chapter:
        """See :class:`tinymia.experiments.experiment.Experiment`."""
        runs = bench.runs(self.info.defences)
        each = min(bench.repetitions, _MOST)
        rows = words.rows(bench, runs, measured, each)
        people = len(bench.owners) + len(crowd(bench))
        return Chapter(
            version=VERSION,
            name=self.info.name,
            title=self.info.title,
            question=self.info.question,
            answer=words.answer(rows, runs, people),
            adversaries=(*words.ADVERSARIES, *([words.BY_ART] if ART in bench.peers else ())),
            measures=words.measures(people),
            rows=rows,
            controls=words.controls(measured[runs[0].name]),
            method=(*words.method(people), *([words.ART_METHOD] if ART in bench.peers else ())),
            limits=words.LIMITS,
            sources=words.SOURCES,
            pictures=words.pictures(bench, measured[runs[0].name]),
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


def _heads(bench: Workbench, theta: NDArray[np.float32]) -> Floats:
    """(devices, classes, d + 1)."""
    return np.stack([head_of(one, len(bench.signal.classes)) for one in theta])


def _searched(asking: Asking, z: Floats) -> dict[str, Floats]:
    """By space, (devices, classes, d) of what a search found."""
    prior, bench = asking.prior, asking.bench
    read = features(bench, asking.run, prior.codes(z)).reshape(*z.shape[:2], -1)
    return {words.WINDOWS: prior.windows(z), words.READ: read}


@dataclass(frozen=True, eq=False)
class _Mixing:
    """Takes heads apart; see :class:`Mixture`."""

    mixture: Mixture
    values: Mapping[str, Floats]

    @classmethod
    def of(cls, bench: Workbench, run: Run) -> _Mixing:
        mixture = mixture_of(bench, run)
        windows, _ = public_windows(bench)
        flat = windows.reshape(len(windows), -1).astype(np.float64)
        return cls(mixture, {words.WINDOWS: flat, words.READ: mixture.read})

    def __call__(self, heads: Floats) -> dict[str, Floats]:
        """By space, (devices, classes, d)."""
        weights = [self.mixture.weights(head) for head in heads]
        return {
            space: np.stack([self.mixture.means(w, values) for w in weights])
            for space, values in self.values.items()
        }


def _shuffled(
    bench: Workbench,
    mixing: _Mixing,
    judge: Judge,
    heads: Floats,
    owners: NDArray[np.int64],
    learnt: Sequence[NDArray[np.bool_]],
) -> Floats:
    """Devices whose changes mean nothing: what each input's weights learnt is another's.

    Each owner among the audited alone: where all devices lean to some people, that evens out.
    """
    rng = bench.generator("inversion", "shuffled")
    times = -(-_SHUFFLED // len(owners))
    changed = np.concatenate([np.tile(heads[:-1], (times, 1, 1)), heads[-1:]])
    for head in changed[:-1]:
        moved = (head - heads[-1])[:, :-1] * mixing.mixture.spread
        moved = moved[:, rng.permutation(moved.shape[1])]
        head[:, :-1] = heads[-1][:, :-1] + moved / mixing.mixture.spread
    among = judge.among(len(bench.owners))
    found = among("shuffled", mixing(changed), np.tile(owners, times), [*learnt] * times)
    return found[f"shuffled/{words.READ}"][:, words.MOVED_AT]


def _known(bench: Workbench, mixing: _Mixing, judge: Judge, run: Run, base: Floats) -> Floats:
    """Devices that learnt all windows of a public person, which the adversary has."""
    found = []
    for place, person in enumerate(crowd(bench)[:_KNOWN]):
        members = np.ones((1, len(person)), np.bool_)
        seeds = bench.seeds(1, "inversion", "known", person.name)
        done = bench.train(Training(run, person.windows, person.labels, members, seeds))
        shown = mixing(np.concatenate([_heads(bench, done.theta), base[None]]))
        owners = np.array([len(bench.owners) + place])
        # All windows count: what was learnt is what must come back.
        told = judge("known", shown, owners, [~members[0]])
        found.append(told[f"known/{words.READ}"][:, words.NEAREST_AT])
    return np.concatenate(found)
