"""Uniqueness: are windows that are unlike everybody else's told more surely, and whose are they?

Feldman, "Does learning require memorization? A short tale about a long tail", STOC 2020 (rare
examples are memorised); Carlini et al., "The privacy onion effect: memorization is relative",
NeurIPS 2022 (risk of single examples, who is in its tail); Carlini et al., "Membership inference
attacks from first principles", S&P 2022 (an example against devices with and without it).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import StudyError
from tinymia.evidence import Owner, Run, Training, Workbench
from tinymia.experiments.asking import logs
from tinymia.experiments.base import Figure
from tinymia.experiments.chapter import VERSION, Adversary, Chapter, Control, Line, Plot, Row
from tinymia.experiments.chapter import Measure as Column
from tinymia.experiments.experiment import Info, Measured
from tinymia.experiments.pages import percent, row_of
from tinymia.experiments.rows import Found, Tabulator
from tinymia.statistics.metrics import auc_of

Floats = NDArray[np.float64]

RISK = Column("risk", "AUC of a window's membership", 0.5)
TREND = Column("trend", "Rank correlation of risk and distance", 0.0)
TAIL = Column("tail", "Share of the riskiest tenth", None, "%")
_DEVICES = 400
"""Of each owner and run; about a third of them have learnt any one window."""
_BINS = 5
_NEAREST = 5
_TAIL = 0.1
_KNOWS = "candidates"
_NAMES = ("nearest fifth", "second", "third", "fourth", "farthest fifth")


@dataclass(frozen=True)
class Uniqueness:
    """See the module."""

    @property
    def info(self) -> Info:
        """See :class:`tinymia.experiments.experiment.Experiment`."""
        return Info(
            "uniqueness",
            "Uniqueness",
            "Are windows that are unlike everybody else's told more surely, and who is in the"
            " tail?",
            35,
            ("clip", "dp"),
        )

    def cells(self, bench: Workbench) -> Sequence[str]:
        """One an owner."""
        if not bench.public:
            raise StudyError(
                "Uniqueness is a distance to public people, and nobody is left.",
                "Name the audited ones by --person, or take data with more people.",
            )
        return [owner.name for owner in bench.owners]

    def measure(self, bench: Workbench, cell: str) -> Measured:
        """Each window's risk under every run, and how far it is from public people's."""
        owner = _owner(bench, cell)
        rng = bench.generator("uniqueness", "lot", cell)
        found: dict[str, Floats] = {}
        runs = bench.runs(self.info.defences)
        first = _training(bench, runs[0], owner, _DEVICES)
        for at, run in enumerate(runs):
            training = replace(first, run=run)
            done = bench.train(training, owner.windows)
            said = logs(done.answers)[:, np.arange(len(owner)), owner.labels]
            found[run.name] = risks(said, training.members)
            if at == 0:
                lot = rng.permuted(training.members, axis=0)
                found["lot"] = risks(said, lot)
                base = np.asarray(bench.base(run))[None]
                before = logs(bench.answers(run, base, owner.windows, [0]))[0]
                found["wrong"] = (before.argmax(axis=1) != owner.labels).astype(np.float64)
                found["distance"] = _distances(bench, run, owner)
        return found

    def conclude(self, bench: Workbench, measured: Mapping[str, Measured]) -> Chapter:
        """See :class:`tinymia.experiments.experiment.Experiment`."""
        runs = bench.runs(self.info.defences)
        names = list(measured)
        rows = list(_rows(bench, runs, measured))
        plain = runs[0]
        near, far = (
            row_of(rows, RISK, plain.name, at={"distance": name}).figure
            for name in (_NAMES[0], _NAMES[-1])
        )
        trend = row_of(rows, TREND, plain.name).figure
        wrong = row_of(rows, TAIL, plain.name, at={"windows": _WRONG})
        return Chapter(
            version=VERSION,
            name=self.info.name,
            title=self.info.title,
            question=self.info.question,
            answer=(
                f"Windows are told with AUC {_number(near)} where they are like public people's"
                f" (nearest fifth) and {_number(far)} where they are not (farthest); rank"
                f" correlation of risk and distance {_number(trend)}; of the riskiest tenth the"
                f" base model had {percent(wrong.figure)} wrong, of all windows"
                f" {percent(wrong.baseline)}."
            ),
            adversaries=(
                Adversary(
                    _KNOWS,
                    "who holds the window",
                    f"compares the answer to it with those of {_DEVICES} devices of the same person"
                    " that learnt it or did not: what the best threshold for this one window gives",
                ),
            ),
            measures=(RISK, TREND, TAIL),
            rows=tuple(rows),
            controls=_controls(measured),
            method=(
                f"Each owner has {_DEVICES} devices, on draws of members by whole blocks. A"
                " window's risk is the AUC of the true class's probability between devices that"
                " learnt it and those that did not.",
                f"Distance: of a window's embedding to the {_NEAREST} nearest of public people's"
                " windows of its class, on average. Fifths are each owner's own.",
                "The riskiest tenth is that of each owner for what is compared over owners, and"
                " that of all windows together for whose they are.",
            ),
            limits=(
                "Members come in blocks, so a window's risk is also its neighbours'.",
                "Risk is that of one window judged alone; who judges all together finds nearly all"
                " of them, near or far.",
                "A rank correlation says nothing of a cause: what is far is also what the base"
                " model has wrong.",
            ),
            sources=(
                "Feldman: Does learning require memorization? A short tale about a long tail. STOC"
                " 2020.",
                "Carlini, Jagielski, Zhang, Papernot, Terzis, Tramèr: The privacy onion effect:"
                " memorization is relative. NeurIPS 2022.",
            ),
            plots=tuple(_plots(rows, runs, measured, names)),
            without="Of all windows",
        )

    def targets(self, bench: Workbench) -> Sequence[Training]:
        """See :class:`tinymia.experiments.experiment.Experiment`."""
        owner = bench.owners[0]
        runs = bench.runs(self.info.defences)
        return [_training(bench, run, owner, bench.repetitions) for run in runs]


EXPERIMENT = Uniqueness()
_WRONG = "that the base model had wrong"
_FAR = "in the farthest fifth"


def risks(said: Floats, member: NDArray[np.bool_]) -> Floats:
    """Each window's AUC between devices that learnt it and those that did not.

    Args:
        said: (devices, n) float64, more for who was learnt.
        member: (devices, n) bool.

    Returns:
        (n,) float64; NaN for a window that all or no devices learnt.
    """
    found = np.full(said.shape[1], np.nan)
    for window in range(said.shape[1]):
        inside = member[:, window]
        if inside.any() and not inside.all():
            found[window] = auc_of(said[:, window], inside)
    return found


def distances(
    own: Floats, labels: NDArray[np.int64], others: Floats, theirs: NDArray[np.int64]
) -> Floats:
    """Each example's mean distance to the nearest ones of its class among others.

    Args:
        own: (n, d) float64; ``labels``: (n,).
        others: (m, d) float64; ``theirs``: (m,). A class that they lack is measured against all.

    Returns:
        (n,) float64.
    """
    found = np.empty(len(own))
    for label in np.unique(labels):
        of = others[theirs == label] if (theirs == label).any() else others
        mine = own[labels == label]
        square = (mine**2).sum(1)[:, None] + (of**2).sum(1)[None] - 2 * mine @ of.T
        nearest = np.sort(np.sqrt(np.maximum(square, 0.0)), axis=1)[:, :_NEAREST]
        found[labels == label] = nearest.mean(axis=1)
    return found


def _owner(bench: Workbench, name: str) -> Owner:
    return next(owner for owner in bench.owners if owner.name == name)


def _training(bench: Workbench, run: Run, owner: Owner, count: int) -> Training:
    member = bench.draw(owner, count, "uniqueness")
    seeds = bench.seeds(_DEVICES, "uniqueness", owner.name)[:count]
    return Training(run, owner.windows, owner.labels, member, seeds)


def _distances(bench: Workbench, run: Run, owner: Owner) -> Floats:
    scale, zero = bench.quantisation(run)

    def embedded(person: Owner) -> Floats:
        return (bench.embed(run, person.windows).astype(np.float64) - zero) * scale

    others = np.concatenate([embedded(person) for person in bench.public])
    theirs = np.concatenate([person.labels for person in bench.public])
    found: Floats = distances(embedded(owner), owner.labels, others, theirs)
    return found


def _ranks(values: Floats) -> Floats:
    """(n,) from 0 to 1, ties alike."""
    from scipy.stats import rankdata

    return np.asarray((rankdata(values) - 0.5) / len(values), np.float64)


def _known(arrays: Measured, run: str) -> tuple[Floats, Floats, Floats]:
    """Risk, rank of distance, and whether the base model had it wrong, of what has a risk."""
    risk = arrays[run]
    there = ~np.isnan(risk)
    return risk[there], _ranks(arrays["distance"][there]), arrays["wrong"][there]


def _tail(risk: Floats) -> NDArray[np.bool_]:
    """(n,) the riskiest tenth."""
    tail = np.zeros(len(risk), np.bool_)
    tail[np.argsort(-risk, kind="stable")[: max(1, round(_TAIL * len(risk)))]] = True
    return tail


def _fifth(rank: Floats) -> NDArray[np.int64]:
    order = np.argsort(np.argsort(rank, kind="stable"), kind="stable")  # also of equals, a fifth
    return order * _BINS // len(rank)


def _trend(risk: Floats, rank: Floats) -> float:
    of = _ranks(risk)
    return float(np.corrcoef(of, rank)[0, 1]) if of.std() > 0 and rank.std() > 0 else 0.0


def _rows(bench: Workbench, runs: Sequence[Run], measured: Mapping[str, Measured]) -> Iterator[Row]:
    table = Tabulator(list(measured), bench.seed)
    known = {run.name: [_known(one, run.name) for one in measured.values()] for run in runs}

    def over(of: Mapping[str, Floats], base: Mapping[str, Floats] | None = None) -> list[Found]:
        return [Found(run, of[run.name], base[run.name] if base else None) for run in runs]

    for number, name in enumerate(_NAMES):
        means = {
            run: np.array([risk[_fifth(rank) == number].mean() for risk, rank, _ in one])
            for run, one in known.items()
        }
        yield from table.rows(RISK, _KNOWS, over(means), at={"distance": name}, grain=0.0)
    trends = {
        run: np.array([_trend(risk, rank) for risk, rank, _ in one]) for run, one in known.items()
    }
    yield from table.rows(TREND, _KNOWS, over(trends), low=-1.0, grain=0.0)
    for words, number in ((_WRONG, 0), (_FAR, 1)):
        shares, all_of = {}, {}
        for run, one in known.items():
            holds = [
                wrong > 0 if number == 0 else _fifth(rank) == _BINS - 1 for _, rank, wrong in one
            ]
            tails = [_tail(risk) for risk, _, _ in one]
            shares[run] = np.array([h[t].mean() for h, t in zip(holds, tails, strict=True)])
            all_of[run] = np.array([h.mean() for h in holds])
        found = over(shares, all_of)
        yield from table.rows(TAIL, _KNOWS, found, at={"windows": words}, grain=0.0)
    yield from _whose(bench, runs[0], measured)


def _whose(bench: Workbench, run: Run, measured: Mapping[str, Measured]) -> Iterator[Row]:
    """Of the riskiest tenth of all windows together: how many are each person's, each class's."""
    there = [~np.isnan(one[run.name]) for one in measured.values()]
    tail = _tail(
        np.concatenate([o[run.name][t] for o, t in zip(measured.values(), there, strict=True)])
    )
    person = np.repeat(np.arange(len(measured)), [t.sum() for t in there])
    label = np.concatenate(
        [_owner(bench, name).labels[t] for name, t in zip(measured, there, strict=True)]
    )
    groups = [(f"of {name}", person == at) for at, name in enumerate(measured)]
    groups += [(f"of class {name}", label == at) for at, name in enumerate(bench.signal.classes)]
    for words, of in groups:
        yield Row(
            TAIL.name,
            _KNOWS,
            run.name,
            run.title,
            Figure(float(of[tail].mean())),
            Figure(float(of.mean())),
            at={"windows": words},
            devices=_DEVICES * len(measured),
            people=len(measured),
        )


def _plots(
    rows: Sequence[Row], runs: Sequence[Run], measured: Mapping[str, Measured], names: Sequence[str]
) -> Iterator[Plot]:
    fifths = tuple(100.0 * (i + 0.5) / _BINS for i in range(_BINS))
    lines = []
    for run in runs:
        figures = [row_of(rows, RISK, run.name, at={"distance": name}).figure for name in _NAMES]
        ends = [(f.value or 0.0, f.low, f.high) for f in figures]
        band = all(low is not None and high is not None for _, low, high in ends)
        lines.append(
            Line(
                run.title,
                fifths,
                tuple(value for value, _, _ in ends),
                tuple(low or 0.0 for _, low, _ in ends) if band else (),
                tuple(high or 0.0 for _, _, high in ends) if band else (),
            )
        )
    x = "rank of distance to public people, %"
    yield Plot("distance", "Risk of a window by its distance", x, "AUC", tuple(lines))
    shares = tuple(float(s) for s in (0, 25, 50, 75, 90, 95, 99, 100))
    yield Plot(
        "tail",
        "Risk of a window, from the safest to the riskiest",
        "windows of a person, %",
        "AUC",
        tuple(
            Line(
                name,
                shares,
                tuple(map(float, np.nanpercentile(measured[name][runs[0].name], shares))),
            )
            for name in names
        ),
    )


def _controls(measured: Mapping[str, Measured]) -> tuple[Control, ...]:
    lots = float(np.mean([np.nanmean(one["lot"]) for one in measured.values()]))
    return (
        Control(
            "who had learnt what is dealt out by lot", "an AUC between 0.48 and 0.52",
            Figure(lots), 0.48, 0.52,
        ),
    )  # fmt: skip


def _number(figure: Figure) -> str:
    if figure.value is None:
        return "unknown"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
