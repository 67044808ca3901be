"""What who searches for boundaries steals of devices that tell labels alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.softmax import head_of
from tinymia.evidence import Codes, OutputPolicy, Owner, Run, Training, Workbench
from tinymia.experiments.chapter import Adversary, Line, Measure, Row
from tinymia.experiments.experiment import Measured
from tinymia.experiments.rows import Found, Tabulator
from tinymia.experiments.stealing.copying import agreement, shares
from tinymia.experiments.stealing.searching import FIRST, Floats, Front, Integers, Search, widen
from tinymia.statistics.metrics import auc_of

STREAM = f"{FIRST} public windows, then boundary searches side by side"
ADVERSARY = Adversary(
    "searcher",
    "who searches for boundaries",
    "has the same, and asks about windows between public ones, which nobody recorded",
)
BUDGETS = (512, 1024, 2048, 4096, 8192)
_NAME, RANG = "search", "search-alarm"
_SAME, _AUC = range(2)


def is_for(run: Run) -> bool:
    """Whether devices of a run tell labels alone, as they are."""
    return run.own.policy is OutputPolicy.LABEL and not run.answer.guard.is_on


def measure(
    bench: Workbench,
    owner: Owner,
    training: Training,
    theta: NDArray[np.float32],
    questions: Codes,
    base: Floats,
    front: Front,
    watching: Run | None,
) -> Measured:
    """(devices, budgets, 2) float64: agreement of the copy, and membership by it; and (devices,)
    float64, how many of the questions a detector lets pass.

    Args:
        bench: asks devices.
        owner: whose they are.
        training: theirs.
        theta: (devices, P) float32.
        questions: (m, ...) int8, public windows.
        base: (classes, d + 1) float64, the public head.
        front: what the head reads.
        watching: a run with a detector, or None.
    """
    read = front(owner.windows)
    heads = [head_of(one, len(base)) for one in theta]
    rng = bench.generator("stealing", _NAME, owner.name)
    searches = [Search(base, questions, front, rng) for _ in heads]

    def ask(windows: Sequence[Codes]) -> list[Integers]:
        told = []
        for i, some in enumerate(windows):
            one, seed = theta[i : i + 1], training.seeds[i : i + 1]
            answers = bench.answers(training.run, one, some, seed)[0] if len(some) else some
            told.append(np.asarray(answers.argmax(axis=-1) if len(some) else [], np.int64))
        return told

    rows = []
    for budget in BUDGETS:
        widen(searches, ask, budget)
        rows.append(
            [
                (
                    agreement(search.copy, head, read),
                    auc_of(shares(search.copy, base, read, owner.labels, owner.group), member),
                )
                for search, head, member in zip(searches, heads, training.members, strict=True)
            ]
        )
    found = {_NAME: np.asarray(rows, np.float64).swapaxes(0, 1)}
    if watching is not None:
        rang = [
            bench.alarms(watching, np.concatenate(search.stream), training.seeds[i : i + 1])
            for i, search in enumerate(searches)
        ]
        found[RANG] = np.concatenate(rang).astype(np.float64)
    return found


def _values(measured: Mapping[str, Measured]) -> Floats | None:
    if any(_NAME not in found for found in measured.values()):
        return None
    return np.concatenate([found[_NAME] for found in measured.values()])


def rows(
    table: Tabulator,
    runs: Sequence[Run],
    measured: Mapping[str, Measured],
    measures: tuple[Measure, Measure],
    windows: int,
) -> list[Row]:
    """Of each number of questions.

    Args:
        table: makes rows.
        runs: of the chapter.
        measured: of all cells.
        measures: of agreement and of membership.
        windows: of a device.
    """
    values = _values(measured)
    found: list[Row] = []
    for run in filter(is_for, runs):
        for i, budget in enumerate(BUDGETS if values is not None else ()):
            assert values is not None
            for measure_, column in zip(measures, (_SAME, _AUC), strict=True):
                found += table.rows(
                    measure_,
                    ADVERSARY.name,
                    [Found(run, values[:, i, column])],
                    at={"questions": str(budget)},
                    grain=1.0 / len(table.owners) / windows,
                )
    return found


def line(measured: Mapping[str, Measured]) -> list[Line]:
    """For the plot of agreement."""
    values = _values(measured)
    if values is None:
        return []
    same = values[:, :, _SAME].mean(axis=0)
    title = "label only, boundaries searched"
    return [Line(title, tuple(map(float, BUDGETS)), tuple(map(float, same)))]


def sentence(found: Sequence[Row]) -> str:
    """For the chapter's answer; "" where nothing was searched."""
    if not found:
        return ""
    last = {row.measure: row.figure.value or 0.0 for row in found[-2:]}
    same, auc = last.values()
    return (
        f" Who searches for boundaries has {100 * same:.1f} % after {BUDGETS[-1]} labels, and"
        f" members with {auc:.3f}."
    )
