"""Model stealing: the personalised head from what a device answers, and membership from the copy.

Tramer et al., "Stealing machine learning models via prediction APIs", USENIX Security 2016 (by
equations, section 4.1); Orekondy et al., "Knockoff nets", CVPR 2019 (by public windows as
questions); Jagielski et al., USENIX Security 2020 (fidelity as the measure).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.softmax import head_of, with_one
from tinymia.errors import StudyError
from tinymia.evidence import HEAD, Codes, Owner, Run, Training, Workbench, untempered
from tinymia.experiments.asking import public_questions
from tinymia.experiments.base import Figure
from tinymia.experiments.chapter import (
    VERSION,
    Adversary,
    Chapter,
    Control,
    Line,
    Measure,
    Plot,
    Row,
)
from tinymia.experiments.experiment import Info, Measured
from tinymia.experiments.pages import row_of
from tinymia.experiments.peers.neighbours import ART
from tinymia.experiments.rows import Found, Tabulator
from tinymia.experiments.stealing import alarms, beside, searches
from tinymia.experiments.stealing.copying import agreement, error, exactly, likely, shares
from tinymia.statistics.metrics import auc_of

Floats = NDArray[np.float64]

FIDELITY = Measure("fidelity", "Same label as the device", None, "%")
EXACT = Measure("exact", "Heads copied exactly", 0.0, "%")
MEMBERSHIP = Measure("membership", "AUC of membership", 0.5)
MEASURES = (FIDELITY, EXACT, MEMBERSHIP)
_FEW, _MANY = 16, 512
_EXACT = 1e-3
"""A copy is exact where it is this near: its distance by the device's from the base model."""
_SPARE = 8


def _counts(wide: int) -> tuple[int, ...]:
    """Questions: few, one less than are reckoned to be enough and a little more, and many."""
    return tuple(sorted({_FEW, wide - _SPARE, wide, 2 * wide, max(_MANY, 4 * wide)}))


@dataclass(frozen=True)
class Stealing:
    """See the module."""

    @property
    def info(self) -> Info:
        """See :class:`tinymia.experiments.experiment.Experiment`."""
        return Info(
            "stealing",
            "Model stealing",
            "Does somebody who asks a device get its personalised model, and who was a member?",
            50,
            ("round", "top-1", "label", "laplace", "temperature", "detector", "dp", "clip"),
            version=2,
        )

    def cells(self, bench: Workbench) -> Sequence[str]:
        """One a person."""
        if not bench.public or sum(map(len, bench.public)) < _FEW:
            raise StudyError(
                "Stealing asks devices about windows of public people, and there are none.",
                "Name the audited ones by --person, so that others are left.",
            )
        _head_only(bench.runs()[0])
        return [owner.name for owner in bench.owners]

    def measure(self, bench: Workbench, cell: str) -> Measured:
        """Copies of every device of a person by every number of questions."""
        owner = next(o for o in bench.owners if o.name == cell)
        plain = bench.runs()[0]
        questions = public_questions(bench, "stealing")
        read, asked = _read(bench, plain, owner.windows), _read(bench, plain, questions)
        base = head_of(bench.base(plain), len(bench.signal.classes))
        counts = _usable(asked)
        watching = alarms.watching(bench.runs(self.info.defences))
        found: dict[str, NDArray[np.float64]] = {"counts": np.asarray(counts, np.float64)}
        for training in _trainings(bench, owner):
            run = training.run
            done = bench.train(training)
            answers = bench.answers(run, done.theta, questions[: counts[-1]], training.seeds)
            rows = [
                _device(theta, says, base, read, asked, owner, member, counts, run)
                for theta, says, member in zip(done.theta, answers, training.members, strict=True)
            ]
            found[run.name] = np.stack(rows)
            if searches.is_for(run):
                found |= searches.measure(
                    bench,
                    owner,
                    training,
                    done.theta,
                    questions,
                    base,
                    lambda windows: _read(bench, plain, windows),
                    watching,
                )
        if watching is not None:
            seeds = _trainings(bench, owner)[0].seeds
            found |= alarms.measure(bench, owner, watching, seeds)
        if ART in bench.peers:
            training = _trainings(bench, owner)[0]
            theta, asked_ = bench.train(training).theta, questions[: counts[-1]]
            said = bench.answers(training.run.whole, theta, asked_, training.seeds)
            found["art"] = np.stack(
                [
                    beside.measure(one, says, base, read, asked[: counts[-1]])
                    for one, says in zip(theta, said, strict=True)
                ]
            )
        # Who asks another person's device learns nothing of this one's members.
        other = bench.owners[(bench.owners.index(owner) + 1) % len(bench.owners)]
        foreign = bench.train(_trainings(bench, other)[0])
        member = _trainings(bench, owner)[0].members
        found["null"] = np.array(
            [
                auc_of(shares(head_of(theta, len(base)), base, read, owner.labels, owner.group), of)
                for theta, of in zip(foreign.theta, member, strict=True)
            ]
        )
        return found

    def conclude(self, bench: Workbench, measured: Mapping[str, Measured]) -> Chapter:
        """See :class:`tinymia.experiments.experiment.Experiment`."""
        runs = bench.runs(self.info.defences)
        names = list(measured)
        owners = [name for name in names for _ in range(bench.repetitions)]
        counts = [int(n) for n in measured[names[0]]["counts"]]
        values = {
            run.name: np.concatenate([measured[name][run.name] for name in names]) for run in runs
        }
        table = Tabulator(owners, bench.seed)
        rows = _rows(table, runs, values, counts, bench.members)
        rows += beside.rows(table, runs[0], FIDELITY, measured, names, counts[-1], bench.members)
        wide = _wide(bench)
        null = np.concatenate([measured[name]["null"] for name in names])
        answer = _answer(rows, runs, counts, wide)
        controls = _controls(values[runs[0].name], counts, wide, null)
        searched = searches.rows(table, runs, measured, (FIDELITY, MEMBERSHIP), bench.members)
        rows += searched
        answer += searches.sentence(searched)
        watching = alarms.watching(runs)
        if watching is not None:
            rang = alarms.rows(table, bench, watching, measured)
            rows += rang
            controls += alarms.controls(rang, watching)
            answer += alarms.sentence(rang, watching)
        return Chapter(
            version=VERSION,
            name=self.info.name,
            title=self.info.title,
            question=self.info.question,
            answer=answer,
            adversaries=(
                Adversary(
                    "questions",
                    "who asks",
                    "has the public base model (its frozen layers and its head) and public people's"
                    " windows as questions, and sees what the device answers to them",
                ),
                *([searches.ADVERSARY] if searched else ()),
                Adversary(
                    "copy",
                    "who asks, and holds windows",
                    "the same, and holds windows of the owner: which of them the device learnt is"
                    " read off the copy's weights",
                ),
                Adversary(
                    "flash",
                    "who reads the flash, and holds windows",
                    "reads the head itself instead of a copy",
                ),
                *(beside.ADVERSARIES if ART in bench.peers else ()),
            ),
            measures=(*MEASURES, *(alarms.MEASURES if watching else ())),
            rows=tuple(rows),
            controls=controls,
            method=(
                "Questions are windows of public people in a random order, the same for all"
                " devices; the number of questions counts from the first one.",
                "Whole answers: the log-odds are linear in what the head reads, so least squares;"
                " of several solutions the one nearest to the base head. Other answers: the most"
                " likely head, pulled slightly to the base head.",
                "The same label: on all windows of the owner. Without the device: the base model.",
                f"Exact: the distance of the copy from the head is at most {_EXACT:g} of the head's"
                " from the base model's.",
                "Who searches has the labels of public windows first, then halves the way between"
                " two that are labelled differently, beginning where the copy so far has the"
                " boundary: each place found is one linear equation.",
                *([beside.METHOD] if ART in bench.peers else ()),
                "Membership: the difference of copy and base head is taken apart into what each"
                " window would have pulled: one ridge regression for all candidates; of each block"
                " the mean counts.",
            ),
            limits=(
                "The head alone is personalised and stolen here, with the public layers before it;"
                " deeper training is not copied (knockoff nets of a whole network).",
                "How a copy is taken apart, and how far a searched one is pulled to the base head,"
                " was tried out on one audited person, whose figures are too high.",
                "Searches go between windows, whose codes are whole numbers: where two differ in no"
                " code that the head reads, nothing is between them. What scale a head has they do"
                " not tell.",
                "A limit of questions on the device ends this at that number. A detector stops who"
                " does not know of it: public windows, as they are, are ordinary, and who hides"
                " among them pays in questions alone. Labels, which an alarm leaves where answers"
                " are not refused, are all that a search needs.",
                "When a detector rings is measured on streams whose searches end at places that are"
                " drawn; ordinary use is windows in the order of recording, none nearer to the last"
                " than half of its length.",
            ),
            sources=(
                "Tramer, Zhang, Juels, Reiter, Ristenpart: Stealing machine learning models via"
                " prediction APIs. USENIX Security 2016, section 4.1.",
                "Orekondy, Schiele, Fritz: Knockoff nets. CVPR 2019.",
                "Lowd, Meek: Adversarial learning. KDD 2005.",
                "Juuti, Szyller, Marchal, Asokan: PRADA. EuroS&P 2019.",
                "Jagielski, Carlini, Berthelot, Kurakin, Papernot: High accuracy and high fidelity"
                " extraction of neural networks. USENIX Security 2020.",
            ),
            plots=(_plot(runs, values, counts, searches.line(measured)),),
        )

    def targets(self, bench: Workbench) -> Sequence[Training]:
        """See :class:`tinymia.experiments.experiment.Experiment`."""
        return _trainings(bench, bench.owners[0])


EXPERIMENT = Stealing()

_SAME, _NEAR, _AUC, _DIRECT, _BASE = range(5)
"""What stands of each device and number of questions."""


def _head_only(run: Run) -> None:
    if run.depth != HEAD:
        raise StudyError("Stealing copies a head.", "Train the head alone: --train head.")


def _trainings(bench: Workbench, owner: Owner) -> list[Training]:
    members = bench.draw(owner, bench.repetitions, "stealing")
    seeds = bench.seeds(bench.repetitions, "stealing", owner.name)
    runs = bench.runs(EXPERIMENT.info.defences)
    return [Training(run, owner.windows, owner.labels, members, seeds) for run in runs]


def _read(bench: Workbench, run: Run, windows: Codes) -> Floats:
    """(n, d + 1) float64: what the head reads, and a 1."""
    scale, zero = bench.quantisation(run)
    codes = bench.embed(run, windows).astype(np.float32) - np.float32(zero)
    features = (codes * np.float32(scale)).astype(np.float64)
    return with_one(features)


def _wide(bench: Workbench) -> int:
    width: int = _read(bench, bench.runs()[0], bench.owners[0].windows[:1]).shape[1]
    return width


def _usable(asked: Floats) -> tuple[int, ...]:
    """Numbers of questions for which there are public windows."""
    return tuple(n for n in _counts(asked.shape[1]) if 0 < n <= len(asked))


def _device(
    theta: NDArray[np.float32],
    says: NDArray[np.float32],
    base: Floats,
    read: Floats,
    asked: Floats,
    owner: Owner,
    member: NDArray[np.bool_],
    counts: Sequence[int],
    run: Run,
) -> Floats:
    """(counts, 5) float64: what one device gave away."""
    head = head_of(theta, len(base))
    direct = auc_of(shares(head, base, read, owner.labels, owner.group), member)
    before = agreement(base, head, read)
    says = untempered(says, run.answer)
    exact = run.answer.is_exact
    rows = []
    for count in counts:
        fit = exactly if exact else likely
        copy = fit(base, asked[:count], says[:count])
        rows.append(
            (
                agreement(copy, head, read),
                float(error(copy, head, base) <= _EXACT),
                auc_of(shares(copy, base, read, owner.labels, owner.group), member),
                direct,
                before,
            )
        )
    return np.asarray(rows, np.float64)


def _rows(
    table: Tabulator,
    runs: Sequence[Run],
    values: Mapping[str, Floats],
    counts: Sequence[int],
    windows: int,
) -> list[Row]:
    rows: list[Row] = []
    for i, count in enumerate(counts):
        at = {"questions": str(count)}
        for measure, column, who in (
            (FIDELITY, _SAME, "questions"),
            (EXACT, _NEAR, "questions"),
            (MEMBERSHIP, _AUC, "copy"),
        ):
            found = [
                Found(
                    run,
                    values[run.name][:, i, column],
                    values[run.name][:, i, _BASE] if measure is FIDELITY else None,
                )
                for run in runs
            ]
            # Each device's figure is a share of many windows; exact or not is one of each device.
            grain = None if measure is EXACT else 1.0 / len(table.owners) / windows
            rows += table.rows(measure, who, found, at=at, grain=grain)
    direct = [Found(run, values[run.name][:, -1, _DIRECT]) for run in runs]
    grain = 1.0 / len(table.owners) / windows
    rows += table.rows(MEMBERSHIP, "flash", direct, at={"questions": "none"}, grain=grain)
    return rows


def _controls(plain: Floats, counts: Sequence[int], wide: int, null: Floats) -> tuple[Control, ...]:
    made = []
    if wide in counts:
        enough = float(plain[:, counts.index(wide), _NEAR].mean())
        made.append(
            Control(
                f"whole answers to {wide} questions, as many as the head has inputs",
                "at least 99 % of heads exactly",
                Figure(enough),
                0.99,
                1.0,
            )
        )
    if wide - _SPARE in counts:
        few = float(plain[:, counts.index(wide - _SPARE), _NEAR].mean())
        made.append(
            Control(
                f"whole answers to {_SPARE} questions fewer", "none exactly", Figure(few), 0.0, 0.0
            )
        )
    made.append(
        Control(
            "membership in another person's device",
            "an AUC between 0.4 and 0.6",
            Figure(float(null.mean())),
            0.4,
            0.6,
        )
    )
    return tuple(made)


def _answer(rows: Sequence[Row], runs: Sequence[Run], counts: Sequence[int], wide: int) -> str:
    def of(run: Run, measure: Measure, count: int) -> Row:
        return row_of(rows, measure, run.name, at={"questions": str(count)})

    plain, most = runs[0], counts[-1]
    at = wide if wide in counts else most
    exact = 100 * (of(plain, EXACT, at).figure.value or 0.0)
    stolen = of(plain, MEMBERSHIP, at).figure.value or 0.0
    text = (
        f"Whole answers to {at} questions give away {exact:.0f} % of personalised heads exactly,"
        f" and the copy tells members with an AUC of {stolen:.3f}."
    )
    label = next((run for run in runs if run.own.policy.value == "label"), None)
    if label is not None:
        row = of(label, FIDELITY, most)
        known = 100 * (row.figure.value or 0.0)
        auc_ = of(label, MEMBERSHIP, most).figure.value or 0.0
        text += (
            f" Labels alone give after {most} a copy that agrees on {known:.1f} % of the owner's"
            f" windows and tells members with {auc_:.3f}."
        )
    return text


def _plot(
    runs: Sequence[Run],
    values: Mapping[str, Floats],
    counts: Sequence[int],
    searched: Sequence[Line],
) -> Plot:
    lines = [
        Line(
            run.title,
            tuple(map(float, counts)),
            tuple(float(v) for v in values[run.name][:, :, _SAME].mean(axis=0)),
        )
        for run in runs
    ]
    before = float(values[runs[0].name][:, 0, _BASE].mean())
    lines += searched
    ends = float(counts[0]), max(line.x[-1] for line in lines)
    lines.append(Line("the base model", ends, (before, before), dashed=True))
    return Plot(
        "fidelity",
        "Windows of the owner to which the copy gives the device's label",
        "questions",
        "share",
        tuple(lines),
        log_x=True,
    )
