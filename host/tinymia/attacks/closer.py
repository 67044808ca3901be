"""The joint decoder with shadow devices about each attacked one.

Fine-tuning hardly depends on the order of mini-batches: what the linear law of
:mod:`tinymia.attacks.response` takes for noise is mostly that it does not bend as training does.
Devices whose members are drawn from what was decoded of the attacked one are trained much as that
was, so that a law learnt from them holds about it; then it is decoded again. That is importance
sampling in rounds, whose proposal is the posterior of the round before (Cappé et al., Population
Monte Carlo, Journal of Computational and Graphical Statistics 13, 2004). Nothing need be known of
a defence but how to train with it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.heads import Doubles
from tinymia.attacks.model_decoder import (
    REFERENCE,
    Judge,
    ModelDecoder,
    respond,
    response_of,
    spread_by_guard,
)
from tinymia.errors import StudyError
from tinymia.evidence import (
    ChoosingLab,
    Knowledge,
    Lab,
    Reveals,
    Run,
    Scorer,
    Scores,
    Target,
)
from tinymia.evidence.types import Bools, Integers

ROUNDS = 2
_DOUBT, _SUREST = 0.7, 3.0
"""What log-odds are multiplied by before members are drawn, and the most that is left of them."""


@dataclass(frozen=True)
class CloserDecoder:
    """The joint decoder by a model of training, which is learnt anew about each device."""

    info: ClassVar[AttackInfo] = AttackInfo(
        name="joint-closer",
        title="Joint decoder with shadow devices about each device",
        reference=f"{REFERENCE}; cf. Cappé et al., JCGS 2004",
        adversary=Adversary.JOINT,
        needs=Reveals.ALL_PROBABILITIES,
        knowledge=Knowledge.SAME_PERSON,
        chooses=True,
        limits=f"It trains shadow devices for each attacked one, in {ROUNDS} rounds, and knows "
        "which windows were recorded together.",
    )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See :class:`Attack`; devices are trained when a target is scored.

        Raises:
            StudyError: the lab trains no devices on members that are chosen.
        """
        if not isinstance(lab, ChoosingLab):
            raise StudyError("This lab trains no shadow devices on members that are chosen.")
        first = ModelDecoder().fit(lab, run, person)
        response, units = respond(lab, run, person, Knowledge.SAME_PERSON)
        if response is None or run.training.is_private:
            return first  # DP's noise is noise indeed
        spread = spread_by_guard(lab, run, person, Knowledge.SAME_PERSON)
        candidates = lab.candidates(run.whole, person)
        usual = lab.shadows(run.whole, person, Knowledge.SAME_PERSON)
        wanted = round(float(usual.member.sum(axis=1).mean()))
        prior = response.prior

        def score(target: Target) -> Scores:
            odds = first(target)
            for number in range(ROUNDS):
                rng = np.random.default_rng(_seed(target, number))
                chosen = drawn(rng, _of_units(odds, units.of), units.of, wanted, lab.about)
                purpose = f"about/{target.repetition}/{number}"
                shadows = lab.trained_on(run.whole, person, chosen[:, units.of], purpose)
                laws = response_of(run, candidates, shadows, units, prior)
                if laws is None:
                    break
                odds = Judge(run.answer, laws, units, 2 if laws.timed else 0, spread)(target)
            return odds

        return score


def drawn(rng: np.random.Generator, odds: Doubles, of: Integers, wanted: int, count: int) -> Bools:
    """Sets of units as one believes them to be, each of at least so many windows.

    Args:
        rng: draws.
        odds: (G,), log-odds of each unit; they are doubted a little.
        of: (n,), the unit of each window.
        wanted: windows of a set.
        count: of sets.

    Returns:
        (count, G) bool.
    """
    size = np.bincount(of)
    believed = np.clip(_DOUBT * odds, -_SUREST, _SUREST)
    order = np.argsort(-(believed + rng.logistic(size=(count, len(size)))), axis=1)
    before = np.cumsum(size[order], axis=1) - size[order]
    chosen = np.zeros((count, len(size)), np.bool_)
    np.put_along_axis(chosen, order, before < wanted, axis=1)
    return chosen


def _of_units(scores: Scores, of: Integers) -> Doubles:
    return np.asarray(scores[np.unique(of, return_index=True)[1]])


def _seed(target: Target, number: int) -> list[int]:
    digest = hashlib.sha256(f"{target.person}/{target.repetition}/{number}".encode()).digest()
    return list(digest)


ATTACKS: tuple[Attack, ...] = (CloserDecoder(),)
