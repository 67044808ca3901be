"""The chapter on poisoning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import BASE, Run, Workbench
from tinymia.experiments.base import Figure
from tinymia.experiments.chapter import (
    VERSION,
    Adversary,
    Chapter,
    Control,
    Line,
    Measure,
    Picture,
    Plot,
    Row,
)
from tinymia.experiments.experiment import Info, Measured
from tinymia.experiments.pages import panel, row_of
from tinymia.experiments.poisoning import rounds, serum, words
from tinymia.experiments.poisoning.making import TUNED, Attack, flood, stamp
from tinymia.experiments.poisoning.screening import SCREENS
from tinymia.experiments.poisoning.store import LARGEST, SETS, SHARES
from tinymia.experiments.poisoning.tuned import Tuner
from tinymia.experiments.rows import Found, Tabulator

Floats = NDArray[np.float64]

SUCCESS = Measure("success", "Windows taken for the adversary's class", None, "%")
ACCURACY = Measure("accuracy", "Right answers to other windows", None, "%", leaks=False)
MEMBERSHIP = Measure("membership", "AUC of membership of the copied window", 0.5)
OTHERS = Measure("others", "AUC of membership of windows that were not copied", 0.5)
DETECTED = Measure("detected", "Poisoned windows that a screening removes", None, "%", leaks=False)
ALARMS = Measure("alarms", "Other windows that it removes", None, "%")
MEASURES = (SUCCESS, ACCURACY, MEMBERSHIP, OTHERS, DETECTED, ALARMS)
_STORE, _SERUM, _CLIENT = "store", "copies", "client"
_DEFENDED = (SHARES[1], LARGEST)
"""Shares at which defences stand in the tables, of accuracy the larger; the plots have all."""


@dataclass(frozen=True, eq=False)
class Values:
    """What was measured, over all people.

    Attributes:
        people: arrays of each.
    """

    people: Mapping[str, Measured]

    def of(self, name: str) -> Floats:
        """(people * repetitions, ...) float64 of a name."""
        return np.concatenate([np.asarray(arrays[name], np.float64) for arrays in self._all])

    def auc(self, run: str, copies: int, side: int, score: int) -> Floats:
        """(people * repetitions,) float64 of :func:`tinymia.experiments.poisoning.serum.play`."""
        key = f"{run}/serum/{copies}"
        return np.concatenate([np.asarray(a[key], np.float64)[side, score] for a in self._all])

    @property
    def _all(self) -> list[Measured]:
        return list(self.people.values())


def chapter(
    bench: Workbench,
    info: Info,
    runs: Sequence[Run],
    people: Mapping[str, Measured],
    federated: Measured | None,
) -> Chapter:
    """All that was found.

    Args:
        bench: where it was.
        info: of the experiment.
        runs: plain fine-tuning first.
        people: arrays of every owner.
        federated: arrays of the rounds, or None where there were none.
    """
    client = Adversary(_CLIENT, "a malicious client", words.GRANTED_CLIENT)
    values = Values(people)
    owners = [name for name in people for _ in range(bench.repetitions)]
    table = Tabulator(owners, bench.seed)
    grain = 1.0 / len(owners) / bench.members
    rows = _stored(table, grain, runs, values)
    rows += _screened(table, grain, runs, values)
    rows += _copied(table, runs, values)
    if federated is not None:
        rows += _federated(table, grain, runs[0], federated, len(rounds.clients_of(bench)))
    return Chapter(
        version=VERSION,
        name=info.name,
        title=info.title,
        question=info.question,
        answer=_answer(rows, runs),
        adversaries=(
            Adversary(_STORE, "who fills the store", words.GRANTED_STORE),
            Adversary(_SERUM, "who copies a window, and asks", words.GRANTED_COPIES),
            *((client,) if federated else ()),
        ),
        measures=MEASURES,
        rows=tuple(rows),
        controls=_controls(runs, values),
        method=words.METHOD,
        limits=words.LIMITS if federated else (*words.LIMITS, words.NO_CLIENTS),
        sources=words.SOURCES,
        without="Without poison",
        plots=_plots(rows, runs, values),
        pictures=(_picture(bench),),
    )


def screened(plain: Run, name: str) -> Run:
    """The same training after a screening, under a name of its own."""
    return replace(plain, name=f"{name}@{plain.epochs}", title=SCREENS[name])


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _stored(table: Tabulator, grain: float, runs: Sequence[Run], values: Values) -> list[Row]:
    ways = [(run, run.name) for run in runs]
    ways += [(screened(runs[0], name), name) for name in SCREENS]
    wanted: list[tuple[Attack, Measure]] = [
        (Attack.CLASS, SUCCESS),
        (Attack.TRIGGER, SUCCESS),
        (Attack.LIKELY, SUCCESS),
        (Attack.FLOOD, SUCCESS),
        *((attack, SUCCESS) for attack in TUNED),
        (Attack.CLASS, ACCURACY),
        (Attack.RANDOM, ACCURACY),
        (Attack.TRIGGER, ACCURACY),
        (Attack.MATCHED, ACCURACY),
    ]
    rows = []
    base = replace(runs[0], name=BASE, title="base model")
    for attack in (Attack.TRIGGER, Attack.TUNED):
        at = {"poison": f"{words.ATTACKS[attack]}; {words.NOTHING}", "share": _percent(0)}
        found = [Found(base, values.of(f"base/none/{attack}/success"))]
        rows += table.rows(SUCCESS, _STORE, found, grain=grain, at=at)
    for attack, measure in wanted:
        none = "none/accuracy" if measure is ACCURACY else f"none/{attack}/success"
        at_shares = _DEFENDED if measure is SUCCESS else (LARGEST,)
        for share in dict(SETS)[attack]:
            found = [
                Found(run, values.of(f"{way}/{attack}/{share:g}/{measure.name}"), without)
                for run, way in (ways if share in at_shares else ways[:1])
                for without in [values.of(f"{way}/{none}")]
            ]
            at = {"poison": words.ATTACKS[attack], "share": _percent(share)}
            rows += table.rows(measure, _STORE, found, grain=grain, at=at)
    return rows


def _screened(table: Tabulator, grain: float, runs: Sequence[Run], values: Values) -> list[Row]:
    """Each screening, the device's first, beside removing as many windows at random."""
    ways = [(run, run.name) for run in runs if run.training.screen]
    ways += [(screened(runs[0], name), name) for name in SCREENS]
    rows = []
    for run, way in ways:
        for attack, shares in SETS:
            for share in (s for s in shares if s in _DEFENDED):
                at = {"poison": words.ATTACKS[attack], "share": _percent(share)}
                key = f"{way}/{attack}/{share:g}"
                removed = values.of(f"{key}/removed")
                for measure in (DETECTED, ALARMS):
                    found = [Found(run, values.of(f"{key}/{measure.name}"), removed)]
                    rows += table.rows(measure, _STORE, found, grain=grain, at=at)
        found = [Found(run, values.of(f"{way}/none/alarms"))]
        at = {"poison": words.NOTHING, "share": _percent(0)}
        rows += table.rows(ALARMS, _STORE, found, grain=grain, at=at)
    return rows


def _copied(table: Tabulator, runs: Sequence[Run], values: Values) -> list[Row]:
    rows = []
    for side, measure in ((0, MEMBERSHIP), (1, OTHERS)):
        # What copies do to other windows is asked of the better score alone.
        for s, score in enumerate(serum.SCORES[: len(serum.SCORES) if side == 0 else 1]):
            for copies in serum.COPIES[1:]:
                found = [
                    Found(
                        run,
                        values.auc(run.name, copies, side, s),
                        values.auc(run.name, 0, side, s),
                    )
                    for run in (runs if copies == serum.AGAINST else runs[:1])
                ]
                at = {"copies": str(copies), "score": score}
                # An AUC of 24 devices each with and without the window.
                grain = 1.0 / len(table.owners) / (2 * serum.TARGETS)
                rows += table.rows(measure, _SERUM, found, grain=grain, at=at)
    return rows


def _federated(
    table: Tabulator, grain: float, plain: Run, found: Measured, clients: int
) -> list[Row]:
    mean = replace(plain, name="rounds-mean", title="rounds, mean of updates")
    median = replace(plain, name="rounds-median", title="rounds, median of each parameter")
    rows = []
    for measure in (SUCCESS, ACCURACY):
        for boost in (1, clients):
            ways = [
                Found(
                    run,
                    np.asarray(found[f"{way} x{boost}/{measure.name}"], np.float64),
                    np.asarray(found[f"{way} x0/{measure.name}"], np.float64),
                )
                for run, way in ((mean, rounds.MEAN), (median, rounds.MEDIAN))
            ]
            at = {"poison": words.CLIENT, "share": f"1 of {clients} clients, update x {boost}"}
            rows += table.rows(measure, _CLIENT, ways, grain=grain, at=at)
    return rows


def _controls(runs: Sequence[Run], values: Values) -> tuple[Control, ...]:
    plain = runs[0]

    def mean(name: str) -> float:
        return float(values.of(name).mean())

    flooded = mean(f"{plain.name}/{Attack.FLOOD}/{LARGEST:g}/success")
    none = f"none/{Attack.TRIGGER}/success"
    clean = mean(f"{plain.name}/{none}") - mean(f"base/{none}")
    most = serum.AGAINST
    before, after = (float(values.auc(plain.name, n, 1, 0).mean()) for n in (0, most))
    lot = float(values.auc(plain.name, most, 2, 0).mean())
    same = [mean(f"{run.name}/same") for run in runs if run.training.screen]
    screening = Control(
        "devices that screen, against devices that were given what a host reckons they leave",
        "all have the same weights, in every bit",
        Figure(min(same, default=1.0)),
        1.0,
        1.0,
    )
    return (
        *((screening,) if same else ()),
        Control(
            f"a trigger that fills the whole window, in {_percent(LARGEST)} of the store",
            "it succeeds in at least 99 %",
            Figure(flooded),
            0.99,
            1.0,
        ),
        Control(
            "the small trigger without any poison, against the base model",
            "within 5 points",
            Figure(clean),
            -0.05,
            0.05,
        ),
        Control(
            f"AUC of windows that were not copied, with {most} copies of others against without",
            "within 0.05",
            Figure(after - before),
            -0.05,
            0.05,
        ),
        Control(
            f"what {most} copies of a window tell of another window's membership",
            "an AUC between 0.45 and 0.55",
            Figure(lot),
            0.45,
            0.55,
        ),
    )


def _answer(rows: Sequence[Row], runs: Sequence[Run]) -> str:
    def of(measure: Measure, at: dict[str, str], run: Run = runs[0]) -> Row:
        return row_of(rows, measure, run.name, at=at)

    def success(attack: Attack, share: float, run: Run = runs[0]) -> Row:
        return of(SUCCESS, {"poison": words.ATTACKS[attack], "share": _percent(share)}, run)

    def percent(figure: Figure | None) -> str:
        return "?" if figure is None else f"{100 * (figure.value or 0.0):.0f}"

    few, many = _DEFENDED
    parts = []
    for attack, what in ((Attack.CLASS, "wrong labels"), (Attack.TRIGGER, "a small trigger")):
        low, high = success(attack, few), success(attack, many)
        parts.append(
            f"{what} succeed{'s' * (attack is Attack.TRIGGER)} on {percent(low.figure)} and"
            f" {percent(high.figure)} % of windows ({percent(high.baseline)} % without)"
        )
    low, high = success(Attack.TUNED, few), success(Attack.TUNED, many)
    parts[1] += (
        f", one made for the base model on {percent(low.figure)} and {percent(high.figure)} %"
        f" ({percent(high.baseline)} % without poison)"
    )
    row = of(MEMBERSHIP, {"copies": str(serum.AGAINST), "score": serum.LIRA})
    before = row.baseline.value if row.baseline is not None else None
    screens = [run for run in runs if run.training.screen]
    if screens:
        run = max(screens, key=lambda r: r.training.screen)
        one, other, knowing = (
            percent(success(attack, many, run).figure)
            for attack in (Attack.CLASS, Attack.TRIGGER, Attack.LIKELY)
        )
        made = max(
            (success(attack, many, run) for attack in TUNED),
            key=lambda of: of.figure.value or 0.0,
        )
        parts[1] += (
            f"; a screening on the device that leaves out {run.training.screen} % makes {one} and"
            f" {other} % of the first two at {_percent(many)}, {knowing} % where a poisoner chooses"
            f" windows by it, and {percent(made.figure)} % where trigger and windows are made"
            f" against it ({percent(made.baseline)} % without poison)"
        )
    return (
        f"With {_percent(few)} and {_percent(many)} of the store poisoned, {parts[0]}, and"
        f" {parts[1]}; {serum.AGAINST} wrong copies of a window raise the AUC of its membership"
        f" from {before or 0.0:.3f} to {row.figure.value or 0.0:.3f}."
    )


def _plots(rows: Sequence[Row], runs: Sequence[Run], values: Values) -> tuple[Plot, ...]:
    plain = runs[0].name
    x = (0.0, *(100 * share for share in SHARES))
    ways = [(run.title, run.name) for run in runs] + [(SCREENS[name], name) for name in SCREENS]

    def line(title: str, way: str, attack: Attack, measure: Measure) -> Line:
        none = "none/accuracy" if measure is ACCURACY else f"none/{attack}/success"
        names = [none, *(f"{attack}/{share:g}/{measure.name}" for share in SHARES)]
        y = tuple(float(values.of(f"{way}/{name}").mean()) for name in names)
        if way != plain:
            return Line(title, x, y)
        own = [
            r
            for r in rows
            if (r.measure, r.condition) == (measure.name, plain)
            and r.at["poison"] == words.ATTACKS[attack]
        ]
        # Without poison: the interval of the first row's baseline.
        figures = [own[0].baseline or own[0].figure, *(r.figure for r in own)]
        if any(f.low is None or f.high is None for f in figures):
            return Line(title, x, y)
        low, high = ([getattr(f, end) for f in figures] for end in ("low", "high"))
        return Line(title, x, y, tuple(low), tuple(high))

    plots = [
        Plot(
            f"success-{attack}",
            f"Success of {words.ATTACKS[attack]}",
            "poisoned share of the store, %",
            "share of windows",
            tuple(line(title, way, attack, SUCCESS) for title, way in ways),
        )
        for attack in (Attack.CLASS, Attack.TRIGGER)
    ]
    kinds = Attack.CLASS, Attack.RANDOM, Attack.TRIGGER
    plots.append(
        Plot(
            "accuracy",
            "Right answers to the owner's other windows, no defence",
            "poisoned share of the store, %",
            "share of windows",
            tuple(line(words.ATTACKS[kind], plain, kind, ACCURACY) for kind in kinds),
        )
    )
    copies = tuple(map(float, serum.COPIES))
    lines = [
        Line(
            f"{title}, {score}",
            copies,
            tuple(float(values.auc(plain, k, side, s).mean()) for k in serum.COPIES),
        )
        for side, title in ((0, "the copied window"), (1, "other windows"))
        for s, score in enumerate(serum.SCORES)
    ]
    title = "Membership against wrong copies of a window, no defence"
    return (*plots, Plot("copies", title, "copies", "AUC", tuple(lines)))


def _picture(bench: Workbench) -> Picture:
    one, signal = bench.owners[0].windows[:1], bench.signal
    tuner = Tuner(bench, bench.runs()[0].whole, round(100 * LARGEST))
    target = (int(bench.owners[0].labels[0]) + 1) % len(signal.classes)
    made = f"with the trigger made for the base model and {signal.classes[target]}"
    kinds = (
        ("the owner's window", one),
        ("with the small trigger", stamp(signal, one)),
        (made, tuner.trigger(target).stamp(one)),
        ("the trigger that fills it", flood(signal, one)),
    )
    panels = [panel(title, signal, signal.real(window)) for title, window in kinds]
    return Picture("What is put into the store", tuple(panels))
