"""Labels alone give a head away to one who chooses the questions, and so its members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.heads import Doubles
from tinymia.attacks.model_decoder import respond
from tinymia.attacks.posterior import Locator, log_odds, noise_of
from tinymia.attacks.softmax import read_by_head
from tinymia.evidence import (
    AnswerSettings,
    Knowledge,
    Lab,
    Oracle,
    OutputPolicy,
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
_OFF = 0.05
"""Of the stretch where rounded answers name two classes: how far its middle may be off."""
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
            found = boundaries(lab.oracle(run, target), read, run.answer)
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


def boundaries(oracle: Oracle, read: Doubles, answer: AnswerSettings) -> Boundaries:
    """Boundaries between each window and the nearest ones that are answered differently.

    Rounded answers name both classes around a boundary; it lies in the middle of where they do,
    whose two ends are looked for. Noise on answers makes a boundary uncertain by as much.

    Args:
        oracle: whom to ask, QUESTIONS times a window at most, twice that where it rounds.
        read: (n, d + 1), features and a 1.
        answer: how it answers.
    """
    ends = (False, True) if answer.policy is OutputPolicy.ROUNDED else (False,)
    noise = 2 * noise_of(answer) * (answer.guard.temperature or 1.0) ** 2
    first = _ask(oracle, read)
    named, heard = first.argmax(axis=-1), _heard(first)
    squares = (read**2).sum(axis=1)
    far = squares[:, None] + squares - 2 * read @ read.T
    far[named[:, None] == named] = np.inf
    found = []
    for column in np.argsort(far, axis=1, kind="stable")[:, :EDGES].T:
        differ = np.flatnonzero((named[column] != named) & heard & heard[column])
        here, there = read[differ], read[column[differ]]
        mine, beyond = named[differ], named[column[differ]]
        answered = np.ones(len(differ), np.bool_)
        reached = []
        for alone in ends:
            low, high = np.zeros(len(here)), np.ones(len(here))
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                shown = _ask(oracle, here + middle[:, None] * (there - here))
                answered &= _heard(shown)
                inside = _names(shown, mine, alone)
                low, high = np.where(inside, middle, low), np.where(inside, high, middle)
                others = shown.copy()
                others[np.arange(len(mine)), mine] = -1.0
                beyond = beyond if alone else np.where(inside, beyond, others.argmax(axis=-1))
            reached.append(high)
        at = np.mean(reached, axis=0)
        places = here + at[:, None] * (there - here)
        # Logits change by about their slope, which is of the order of 1, times the last interval.
        length = np.linalg.norm(there - here, axis=1)
        apart = length * 0.5**HALVINGS + 1e-4
        if len(ends) > 1:
            # As other classes take more or less from the two, the middle is a little off.
            apart += _OFF * length * np.abs(reached[0] - reached[1])
        # A search that was refused an answer knows no boundary.
        every = places, mine, beyond, np.sqrt(apart**2 + noise)
        found.append(tuple(part[answered] for part in every))
    places, one, other, apart = (np.concatenate(part) for part in zip(*found, strict=True))
    return Boundaries(places, one, other, apart)


def _heard(shown: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(m,): whether there was an answer at all."""
    return np.asarray((shown >= 0).any(axis=-1))


def _names(shown: NDArray[np.float32], mine: Integers, alone: bool) -> NDArray[np.bool_]:
    """(m,): whether an answer names the class; ``alone``: it and no other. (A policy's own order
    decides between equals, but under rounding, where equals are many.)"""
    at = np.arange(len(mine))
    own, others = shown[at, mine], shown.copy()
    others[at, mine] = -np.inf
    return np.asarray(own > others.max(axis=-1) if alone else own >= others.max(axis=-1))


def _ask(oracle: Oracle, read: Doubles) -> NDArray[np.float32]:
    """(m, classes): answers at places (m, d + 1), -1 where they hide."""
    if not len(read):
        return np.zeros((0, 2), np.float32)
    shown = oracle.ask(read[:, :-1].astype(np.float32))
    return np.asarray(np.nan_to_num(shown, nan=-1.0))


ATTACKS: tuple[Attack, ...] = (BoundaryDecoder(),)
