"""Labels alone give a head away to one who chooses the questions, and so its members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.heads import Doubles
from tinymia.attacks.model_decoder import respond
from tinymia.attacks.posterior import Locator, log_odds
from tinymia.attacks.softmax import read_by_head
from tinymia.evidence import (
    Knowledge,
    Lab,
    Oracle,
    Reveals,
    Run,
    Scorer,
    Scores,
    Target,
)
from tinymia.evidence.types import Integers

EDGES = 2
"""Boundaries that are met from each window."""
HALVINGS = 14
"""Questions on the way to each."""
QUESTIONS = 1 + EDGES * (1 + HALVINGS)
"""Questions for each window."""


@dataclass(frozen=True)
class BoundaryDecoder:
    """The joint decoder of boundaries that labels give away.

    Between two windows that are answered differently a boundary lies; halving finds it as exactly
    as one likes, and each is a linear equation on the head's weights (cf. Tramèr et al., extraction
    given class labels only). A few for each window determine the head but for its scale, which the
    model of the training supplies.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        name="joint-boundaries",
        title="Joint decoder of stolen boundaries",
        reference="this project; cf. Tramèr et al., USENIX Security 2016",
        adversary=Adversary.JOINT,
        needs=Reveals.LABEL,
        knowledge=Knowledge.SAME_PERSON,
        head_only=True,
        oracle=True,
        limits=f"{QUESTIONS} questions a window, asked in features that windows stand in for: not "
        "each of them need be reachable by a window.",
    )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See :class:`Attack`; the oracle is asked when a target is scored."""
        response, units = respond(lab, run, person, Knowledge.SAME_PERSON)
        if response is None:
            return lambda target: np.zeros(len(target.candidates))
        axes = response.readout.axes
        assert axes is not None, "more than the head is trained"
        read = read_by_head(lab.candidates(run.whole, person))

        def score(target: Target) -> Scores:
            found = boundaries(lab.oracle(run, target), read)
            rows = found.places @ axes
            locator = Locator(response.at(None))
            there = locator.on_boundaries(rows, found.one, found.other, found.apart)
            for _ in range(2 if response.timed else 0):
                locator = Locator(response.at(locator.matrix(there[0])))
                there = locator.on_boundaries(rows, found.one, found.other, found.apart)
            return log_odds(*locator.evidence(*there), locator.law.prior)[units.of]

        return score


@dataclass(frozen=True, eq=False)
class Boundaries:
    """Places on boundaries.

    Attributes:
        places: (m, d + 1), features and a 1.
        one, other: (m,), the classes that meet there.
        apart: (m,), how far their logits may be apart.
    """

    places: Doubles
    one: Integers
    other: Integers
    apart: Doubles


def boundaries(oracle: Oracle, read: Doubles) -> Boundaries:
    """Boundaries between each window and the nearest ones that are answered differently.

    Args:
        oracle: whom to ask, QUESTIONS times a window at most.
        read: (n, d + 1), features and a 1.
    """
    named = _ask(oracle, read)
    squares = (read**2).sum(axis=1)
    far = squares[:, None] + squares - 2 * read @ read.T
    far[named[:, None] == named] = np.inf
    found = []
    for column in np.argsort(far, axis=1, kind="stable")[:, :EDGES].T:
        differ = np.flatnonzero(named[column] != named)
        here, there = read[differ], read[column[differ]]
        mine, beyond = named[differ], named[column[differ]]
        low, high = np.zeros(len(here)), np.ones(len(here))
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            label = _ask(oracle, here + middle[:, None] * (there - here))
            inside = label == mine
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
            beyond = np.where(inside, beyond, label)
        places = here + high[:, None] * (there - here)
        # Logits change by about their slope, which is of the order of 1, times the last interval.
        apart = np.linalg.norm(there - here, axis=1) * 0.5**HALVINGS + 1e-4
        found.append((places, mine, beyond, apart))
    places, one, other, apart = (np.concatenate(part) for part in zip(*found, strict=True))
    return Boundaries(places, one, other, apart)


def _ask(oracle: Oracle, read: Doubles) -> Integers:
    """(m,): most likely classes at places (m, d + 1)."""
    if not len(read):
        return np.zeros(0, np.int64)
    shown = oracle.ask(read[:, :-1].astype(np.float32))
    found: Integers = np.nan_to_num(shown, nan=-1.0).argmax(axis=-1)
    return found


ATTACKS: tuple[Attack, ...] = (BoundaryDecoder(),)
