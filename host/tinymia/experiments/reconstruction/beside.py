"""ART's DatabaseReconstruction and the informed adversary on the same devices.

It trains again for every number of a guess and every class, by finite differences of some millions
of trainings, so devices that learnt a few windows in one step are what it can be run on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.softmax import head_of
from tinymia.evidence import Owner, Run, Workbench
from tinymia.experiments.chapter import Adversary, Measure, Row
from tinymia.experiments.experiment import Measured
from tinymia.experiments.gradients.attack import Server
from tinymia.experiments.gradients.lattice import Doubles
from tinymia.experiments.gradients.measure import training_of
from tinymia.experiments.gradients.settings import FEW, Setting, local
from tinymia.experiments.peers.neighbours import ART, missing
from tinymia.experiments.reconstruction.informed import Informed, Known
from tinymia.experiments.rows import Found, Tabulator

_DEVICES = 2
"""A person: half a minute each for ART."""
ADVERSARY = Adversary(
    ART,
    "ART's DatabaseReconstruction",
    "the trained weights, the model before them, all other windows with their labels, the recipe.",
)
METHOD = (
    f"The Adversarial Robustness Toolbox's DatabaseReconstruction: devices that learnt {FEW}"
    f" windows in one step, {_DEVICES} a person, are attacked by it and, with their key,"
    " by ours, each told all windows but one. What it finds is rounded to codes."
)


def devices(bench: Workbench) -> int:
    """A person."""
    return min(bench.repetitions, _DEVICES)


def _run(run: Run) -> Run:
    return local(run, FEW)


def measure(server: Server, owner: Owner) -> dict[str, NDArray[Any]]:
    """(devices, 2) each of ours and theirs: exact or not, and the relative error."""
    bench, run = server.bench, _run(server.run)
    count, zero = devices(bench), -128 - server.box[0]
    training = training_of(server, owner, Setting(run, FEW), count, f"{owner.name} beside ART")
    theta = bench.train(training).theta.astype(np.float64)
    base = head_of(server.base, server.classes)
    rng = bench.generator("reconstruction", "beside ART", owner.name)
    rows: list[list[tuple[float, float]]] = [[], []]
    for d, member in enumerate(training.members):
        members = np.flatnonzero(member)
        place = int(rng.integers(FEW))
        codes, labels = bench.embed(run, owner.windows[members]), owner.labels[members]
        true = codes[place].astype(np.float64) - zero
        hidden, told = codes.copy(), labels.copy()
        hidden[place], told[place] = 0, 0
        known = Known(hidden, told, place, theta[d], training.seeds[d : d + 1], True)
        ours = Informed(server, run).find(known, None)[0]
        moved = (base - head_of(theta[d], server.classes)) / run.training.learning_rate
        others = np.delete(codes.astype(np.float64) - zero, place, axis=0) * server.scale
        theirs = missing(base, moved, others, np.delete(labels, place)) / server.scale
        for row, found in zip(rows, (ours, theirs), strict=True):
            row.append(_score(np.rint(found), true))
    return {"beside art": np.array(rows[0]), "art": np.array(rows[1])}


def _score(found: Doubles, true: Doubles) -> tuple[float, float]:
    error = float(np.linalg.norm(found - true) / np.linalg.norm(true))
    return float((found == true).all()), error


def rows(
    bench: Workbench,
    run: Run,
    measured: Mapping[str, Measured],
    measures: Sequence[Measure],
    own: str,
) -> list[Row]:
    """Both, where ART was asked for.

    Args:
        bench: of the study.
        run: plain fine-tuning.
        measured: all cells.
        measures: of what is exact, and of errors.
        own: name of the informed adversary.
    """
    people = [owner.name for owner in bench.owners]
    made: list[Row] = []
    if any("art" not in measured[p] for p in people):
        return made
    table = Tabulator([p for p in people for _ in range(devices(bench))], bench.seed)
    at = {"trained": f"{FEW} windows in one step"}
    for column, (measure_, high) in enumerate(zip(measures, (1.0, np.inf), strict=True)):
        for who, key in ((own, "beside art"), (ART, "art")):
            values = np.concatenate([np.asarray(measured[p][key])[:, column] for p in people])
            made += table.rows(measure_, who, [Found(_run(run), values)], high=high, at=at)
    return made
