"""Labels alone give a head away to one who chooses the questions, and so its members."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.heads import Doubles
from tinymia.attacks.levels import Levels, on_levels
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
            levels = replace(found.levels, rows=found.levels.rows @ axes)
            locator = Locator(response.at(None))
            there = on_levels(locator, levels, found.apart)
            for _ in range(2 if response.timed else 0):
                locator = Locator(response.at(locator.matrix(there[0])))
                there = on_levels(locator, levels, found.apart)
            return log_odds(*locator.evidence(*there), locator.law.prior)[units.of]

        return score


@dataclass(frozen=True, eq=False)
class Boundaries:
    """Places on boundaries: where a class is as likely as some others times a factor.

    Attributes:
        levels: the places, as rows (m, d + 1) of features and a 1, and what is known there.
        apart: (m,), how far that may be off.
    """

    levels: Levels
    apart: Doubles


def boundaries(oracle: Oracle, read: Doubles, answer: AnswerSettings) -> Boundaries:
    """Boundaries between each window and the nearest ones that are answered differently.

    Labels change where two classes are equally likely. A rounded probability changes halfway
    between two steps, which says as much of the head as a label does, however coarse the steps
    are: the window's class is followed from there, and the other's from beyond. Noise on answers
    makes a boundary uncertain by as much.

    Args:
        oracle: whom to ask, QUESTIONS times a window at most, twice that where it rounds.
        read: (n, d + 1), features and a 1.
        answer: how it answers.
    """
    guard = answer.guard
    rounds = answer.policy is OutputPolicy.ROUNDED and not (guard.swap or guard.classifier)
    noise = 2 * noise_of(answer) * (guard.temperature or 1.0) ** 2
    if answer.policy is OutputPolicy.ROUNDED and not rounds:
        noise += (4 / answer.levels) ** 2  # two classes are told alike that are not
    first = _ask(oracle, read)
    named, heard = first.argmax(axis=-1), _heard(first)
    squares = (read**2).sum(axis=1)
    far = squares[:, None] + squares - 2 * read @ read.T
    far[named[:, None] == named] = np.inf
    found: list[tuple[NDArray[Any], ...]] = []
    for column in np.argsort(far, axis=1, kind="stable")[:, :EDGES].T:
        differ = np.flatnonzero((named[column] != named) & heard & heard[column])
        here, there = differ, column[differ]
        found.append(_search(oracle, read, first, here, there, answer.levels if rounds else None))
        if rounds:
            found.append(_search(oracle, read, first, there, here, answer.levels))
    places, one, others, level, apart = (np.concatenate(part) for part in zip(*found, strict=True))
    temperature = (guard.temperature or 1.0) if rounds else 1.0
    levels = Levels(places, one, others, level, temperature)
    return Boundaries(levels, np.sqrt(apart**2 + noise))


def _search(
    oracle: Oracle,
    read: Doubles,
    first: NDArray[np.float32],
    here: Integers,
    there: Integers,
    levels: int | None,
) -> tuple[NDArray[Any], ...]:
    """Where the class named ``here`` stops on the way ``there``; with ``levels``, being told as at
    least so many steps: the fields of :class:`Levels` but for the temperature, and how far off."""
    mine = first[here].argmax(axis=-1)
    wanted = np.zeros(len(here))
    if levels is not None:
        # Half of all is where a probability tells most of the logits; neither end's code passes.
        told, less = (np.rint(first[end, mine] * levels) for end in (here, there))
        falls = told > less
        here, there, mine = here[falls], there[falls], mine[falls]
        wanted = np.clip(np.rint((levels + 1) / 2), less[falls] + 1, told[falls])
    start, end = read[here], read[there]
    low, high = np.zeros(len(here)), np.ones(len(here))
    beyond, answered = first[there].argmax(axis=-1), np.ones(len(here), np.bool_)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        shown = _ask(oracle, start + middle[:, None] * (end - start))
        answered &= _heard(shown)
        own, others = shown[np.arange(len(mine)), mine], shown.copy()
        others[np.arange(len(mine)), mine] = -1.0
        most = others.max(axis=-1)
        inside = own >= most if levels is None else np.rint(own * levels) >= wanted
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        beyond = np.where(inside, beyond, others.argmax(axis=-1))
    against = np.arange(first.shape[1]) == beyond[:, None]
    level = np.zeros(len(here))
    if levels is not None:
        against = np.arange(first.shape[1]) != mine[:, None]
        level = np.log((wanted - 0.5) / (levels - wanted + 0.5))
    # Logits change by about their slope, which is of the order of 1, times the last interval.
    apart = np.linalg.norm(end - start, axis=1) * 0.5**HALVINGS + 1e-4
    # A search that was refused an answer knows no boundary.
    every = start + high[:, None] * (end - start), mine, against, level, apart
    return tuple(part[answered] for part in every)


def _heard(shown: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(m,): whether there was an answer at all."""
    return np.asarray((shown >= 0).any(axis=-1))


def _ask(oracle: Oracle, read: Doubles) -> NDArray[np.float32]:
    """(m, classes): answers at places (m, d + 1), -1 where they hide."""
    if not len(read):
        return np.zeros((0, 2), np.float32)
    shown = oracle.ask(read[:, :-1].astype(np.float32))
    return np.asarray(np.nan_to_num(shown, nan=-1.0))


ATTACKS: tuple[Attack, ...] = (BoundaryDecoder(),)
