"""ART's copies of a device beside ours, from the same labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.softmax import head_of
from tinymia.evidence import Run
from tinymia.experiments.chapter import Adversary, Measure, Row
from tinymia.experiments.experiment import Measured
from tinymia.experiments.peers.neighbours import EXTRACTIONS, copies
from tinymia.experiments.rows import Found, Tabulator
from tinymia.experiments.stealing.copying import Floats, likely

METHOD = (
    "The Adversarial Robustness Toolbox's CopycatCNN and KnockoffNets ask the same questions and"
    " fit scikit-learn's logistic regression to the labels; beside them our own copy from"
    " these labels."
)
_LABELS = "labels"
ADVERSARIES = (
    Adversary(_LABELS, "who asks for labels", "ours, on what ART's attacks are given"),
    *(
        Adversary(name, f"ART's {name}", "labels of the same questions, nothing of the base model")
        for name in EXTRACTIONS
    ),
)


def measure(
    theta: NDArray[np.float32],
    says: NDArray[np.float32],
    base: Floats,
    read: Floats,
    asked: Floats,
) -> Floats:
    """(1 + extractions,): agreement of our copy from labels, and of ART's, with one device."""
    true = (read @ head_of(theta, len(base)).T).argmax(axis=1)
    labels = np.eye(says.shape[1], dtype=np.float32)[says.argmax(axis=1)]
    own = (read @ likely(base, asked, labels).T).argmax(axis=1)
    theirs = copies(asked[:, :-1], says, read[:, :-1])
    return np.array([(own == true).mean(), *((theirs[n] == true).mean() for n in EXTRACTIONS)])


def rows(
    table: Tabulator,
    run: Run,
    fidelity: Measure,
    measured: Mapping[str, Measured],
    names: Sequence[str],
    questions: int,
    windows: int,
) -> list[Row]:
    """ART's copies beside ours; none where it was not asked for."""
    made: list[Row] = []
    if "art" in measured[names[0]]:
        values = np.concatenate([measured[name]["art"] for name in names])
        grain = 1.0 / len(table.owners) / windows
        at = {"questions": str(questions), "given": "labels"}
        for column, who in enumerate((_LABELS, *EXTRACTIONS)):
            made += table.rows(fidelity, who, [Found(run, values[:, column])], at=at, grain=grain)
    return made
