"""When a detector of odd questions rings: in ordinary use, for thieves, and for those who hide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Codes, Owner, Run, Workbench
from tinymia.experiments.base import Figure
from tinymia.experiments.chapter import Control, Measure, Row
from tinymia.experiments.experiment import Measured
from tinymia.experiments.pages import row_of
from tinymia.experiments.rows import Found, Tabulator
from tinymia.experiments.stealing import searches, streams
from tinymia.experiments.stealing.prada import rings_at

Doubles = NDArray[np.float64]

FALSE = Measure("false-alarms", "Alarms in 1,000 ordinary questions", None, "", leaks=False)
RINGS = Measure("alarm", "Devices that ring", None, "%", leaks=False)
UNTIL = Measure("until-alarm", "Questions before the alarm, or all of them", None, "questions")
MEASURES = (FALSE, RINGS, UNTIL)
_PRADA_MOST = 600
"""Questions of a stream that PRADA is shown: it compares each with all."""
_PRADA = f"PRADA, of the first {_PRADA_MOST} questions"
_QUIET = 1.0
"""Alarms in 1,000 ordinary questions that are few."""


def watching(runs: Sequence[Run]) -> Run | None:
    """The first run whose answers a detector watches."""
    return next((run for run in runs if run.answer.guard.watch), None)


def measure(bench: Workbench, owner: Owner, run: Run, seeds: Sequence[int]) -> Measured:
    """Streams by number, as :func:`names` has them: (devices, 3) float64, questions of the stream,
    alarms of devices that begin anew behind each, and questions before the first; and of PRADA,
    which has no key, the last."""
    found: dict[str, Doubles] = {}
    usual = streams.ordinary(bench, owner)
    every = {**usual, **streams.odd(bench, owner), **streams.hidden(bench, owner)}
    base = np.stack([bench.base(run)])
    for at, (name, asked) in enumerate(every.items()):
        first = bench.alarms(run, asked, seeds)
        count = _count(bench, run, asked, seeds, first) if name in usual else first < len(asked)
        whole = np.full(len(seeds), len(asked), np.float64)
        found[f"stream-{at}"] = np.column_stack([whole, count, first]).astype(np.float64)
        labels = np.nanargmax(bench.answers(run.whole, base, asked, [0])[0], axis=1)
        found[f"prada-{at}"] = np.array(
            [rings_at(asked[:_PRADA_MOST], labels[:_PRADA_MOST])], np.float64
        )
    return found


def _count(
    bench: Workbench, run: Run, asked: Codes, seeds: Sequence[int], first: NDArray[np.int64]
) -> Doubles:
    """Alarms of each device in a stream, where it begins anew behind each."""
    found = np.zeros(len(seeds))
    for device, at in enumerate(first):
        from_, rang = 0, int(at)
        while from_ + rang < len(asked):
            found[device] += 1
            from_ += rang + 1
            rest = asked[from_:]
            rang = int(bench.alarms(run, rest, seeds[device : device + 1])[0]) if len(rest) else 0
    return found


def names(bench: Workbench) -> tuple[list[str], list[str]]:
    """Streams of ordinary use, and all others, in order."""
    owner = bench.owners[0]
    others = [*streams.odd(bench, owner), *streams.hidden(bench, owner)]
    return list(streams.ordinary(bench, owner)), others


def rows(
    table: Tabulator, bench: Workbench, run: Run, measured: Mapping[str, Measured]
) -> list[Row]:
    """Of every stream; PRADA's beside, which has one figure a person."""
    usual, others = names(bench)
    found: list[Row] = []
    people = list(measured)
    for at, name in enumerate((*usual, *others)):
        values = np.concatenate([measured[person][f"stream-{at}"] for person in people])
        prada = np.concatenate([measured[person][f"prada-{at}"] for person in people])
        whole = np.concatenate([measured[person][f"stream-{at}"][:1, 0] for person in people])
        beside = np.repeat(prada < np.minimum(whole, _PRADA_MOST), len(values) // len(people))
        settings = {"questions": name, "detector": "on the device"}
        if name in usual:
            rate = 1000 * values[:, 1] / values[:, 0]
            # No alarm in so many questions: a third of one is what a Poisson law would hide.
            grain = 1000 / values[:, 0].sum()
            found += table.rows(
                FALSE, "", [Found(run, rate)], high=1000.0, grain=grain, at=settings
            )
        rang = (values[:, 2] < values[:, 0]).astype(np.float64)
        found += table.rows(RINGS, "questions", [Found(run, rang)], at=settings)
        found += table.rows(
            RINGS,
            "questions",
            [Found(run, beside.astype(np.float64))],
            at={**settings, "detector": _PRADA},
        )
        if name in others:
            most = float(values[:, 0].max())
            found += table.rows(
                UNTIL,
                "questions",
                [Found(run, values[:, 2])],
                high=most,
                grain=1.0,
                at=settings,
            )
    if all(searches.RANG in one for one in measured.values()):
        rang = np.concatenate([one[searches.RANG] for one in measured.values()])
        asked = {"questions": searches.STREAM, "detector": "on the device"}
        most = float(searches.BUDGETS[-1])
        who = searches.ADVERSARY.name
        found += table.rows(UNTIL, who, [Found(run, rang)], high=most, grain=1.0, at=asked)
    return found


def _figure(found: Sequence[Row], run: Run, measure: Measure, stream: str) -> float:
    at = {"questions": stream, "detector": "on the device"}
    return row_of(found, measure, run.name, at=at).figure.value or 0.0


def controls(found: Sequence[Row], run: Run) -> tuple[Control, ...]:
    """What a detector must see, and what it must not."""
    made = []
    for stream in (streams.RANDOM, streams.SEARCH):
        value = _figure(found, run, RINGS, stream)
        made.append(
            Control(
                f"the detector is asked {stream}",
                "at least 95 % of devices ring",
                Figure(value),
                0.95,
                1.0,
            )
        )
    value = max(_figure(found, run, FALSE, s) for s in (streams.OWN, streams.OTHERS))
    made.append(
        Control(
            "the detector is asked windows as they were recorded",
            f"at most {_QUIET:g} alarm in 1,000 questions",
            Figure(value),
            0.0,
            _QUIET,
        )
    )
    return tuple(made)


def sentence(found: Sequence[Row], run: Run) -> str:
    """What a detector does, for the chapter's answer."""
    false = max(_figure(found, run, FALSE, s) for s in (streams.OWN, streams.OTHERS))
    search = _figure(found, run, UNTIL, streams.SEARCH)
    noise = _figure(found, run, UNTIL, streams.RANDOM)
    natural = _figure(found, run, RINGS, streams.NATURAL)
    return (
        f" A detector on the device rings {false:.2g} times in 1,000 ordinary questions, after"
        f" {noise:.0f} random ones and {search:.0f} of a boundary search, and of devices that are"
        f" asked public windows {100 * natural:.0f} % do."
    )
