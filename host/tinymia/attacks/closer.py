"""The joint decoder with shadow devices about each attacked one, where training bends.

Fine-tuning hardly depends on the order of mini-batches: what the linear law of
:mod:`tinymia.attacks.response` takes for noise is mostly that it does not bend as training does.
Devices whose members are drawn from what was decoded of the attacked one are trained much as that
was, so that a law learnt from them holds about it; then it is decoded again. That is importance
sampling in rounds, whose proposal is the posterior of the round before (Cappé et al., Population
Monte Carlo, Journal of Computational and Graphical Statistics 13, 2004). Nothing need be known of
a defence but how to train with it.

How much is chance is measured: some shadow devices are trained again, with other seeds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from tinymia.attacks.base import Adversary, Attack, AttackInfo
from tinymia.attacks.heads import Doubles
from tinymia.attacks.matrix_normal import applied
from tinymia.attacks.model_decoder import (
    REFERENCE,
    Judge,
    ModelDecoder,
    Units,
    respond,
    response_of,
    spread_by_guard,
)
from tinymia.attacks.response import Response
from tinymia.attacks.signals import remembered
from tinymia.errors import StudyError
from tinymia.evidence import (
    ChoosingLab,
    Knowledge,
    Lab,
    Reveals,
    Run,
    Scorer,
    Scores,
    Shadows,
    Target,
)
from tinymia.evidence.types import Bools, Integers

ROUNDS = (0.5, 0.25, 0.25)
"""Shares of the devices about one that each round trains; a law learns from all so far, and the
first of them must not be much worse than the one that it follows."""
_DOUBT, _SUREST = 0.7, 3.0
"""What log-odds are multiplied by before members are drawn, and the most that is left of them."""
_SURE = 0.01
"""Share of windows which one expects to have decoded wrongly, up to which that is left."""
_AGAIN = 12
"""Shadow devices that are trained again with other seeds."""
_CHANCE = 0.5
"""Share of what a law leaves that is chance, from which on no other law would leave much less."""
_LIMITS = (
    f"About each device that is not decoded surely it trains others, in {len(ROUNDS)} rounds, where"
    " more than chance is left to explain and all probabilities are told; elsewhere it is the joint"
    " decoder by a model of training. It is tried under the study's own answers alone. It knows"
    " which windows were recorded together."
)


@dataclass(frozen=True)
class CloserDecoder:
    """The joint decoder by a model of training, which is learnt anew about each device.

    Where answers hide classes, where training has the noise of DP, where most of what the law
    leaves is chance, and of devices that are decoded surely, it is the joint decoder as it is.

    Attributes:
        weights: whether the flash is read: whoever has the weights has all answers. Where a device
            gives whole ones, these are read, as weights of deep networks say less to a law.
    """

    weights: bool = False

    @property
    def info(self) -> AttackInfo:
        """What it is and needs."""
        return AttackInfo(
            name=f"joint-closer{'-weights' * self.weights}",
            title=f"Joint decoder{' of the flash' * self.weights} that closes in where training"
            " bends",
            reference=f"{REFERENCE}; cf. Cappé et al., JCGS 2004",
            adversary=Adversary.FLASH if self.weights else Adversary.JOINT,
            needs=Reveals.LABEL,
            knowledge=Knowledge.SAME_PERSON,
            weights=self.weights,
            chooses=True,
            headline=True,
            limits=_LIMITS,
        )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See :class:`Attack`; devices are trained when a target is scored.

        Raises:
            StudyError: the lab trains no devices on members that are chosen.
        """
        if not isinstance(lab, ChoosingLab):
            raise StudyError("This lab trains no shadow devices on members that are chosen.")
        if self.weights:
            deep = lab.candidates(run, person).features is None
            by_answers = CloserDecoder().fit(lab, run, person) if run.answer.is_exact else None
            if isinstance(by_answers, Closing) or (by_answers is not None and deep):
                return by_answers
            return ModelDecoder(weights=True).fit(lab, run, person)
        first = ModelDecoder().fit(lab, run, person)
        if run.training.is_private or run.answer.reveals is not Reveals.ALL_PROBABILITIES:
            return first
        response, units = respond(lab, run, person, Knowledge.SAME_PERSON)
        if response is None or _chance(lab, run, person, response) >= _CHANCE:
            return first

        def closing() -> Scorer:
            spread = spread_by_guard(lab, run, person, Knowledge.SAME_PERSON)
            return Closing(lab, run, person, first, response, units, spread)

        shadows = lab.shadows(run.whole, person, Knowledge.SAME_PERSON)
        return remembered(shadows, ("closing", run.recipe, run.epochs, run.answer), closing)


@dataclass(frozen=True, eq=False)
class Closing:
    """Scores devices by laws of devices that are trained about each.

    Attributes:
        lab: trains them.
        run, person: whose devices are attacked.
        first: what is known of a device before.
        response: of the run's devices.
        units: what is decoded.
        spread: see :class:`Judge`.
    """

    lab: ChoosingLab
    run: Run
    person: str
    first: Scorer
    response: Response
    units: Units
    spread: Doubles | None

    def __call__(self, target: Target) -> Scores:
        """(n,) log odds."""
        lab, whole, of = self.lab, self.run.whole, self.units.of
        odds = self.first(target)
        if expected_error(odds) <= _SURE:
            return odds
        candidates = lab.candidates(whole, self.person)
        usual = lab.shadows(whole, self.person, Knowledge.SAME_PERSON)
        wanted = round(float(usual.member.sum(axis=1).mean()))
        parts: list[Shadows] = []
        for number, share in enumerate(ROUNDS):
            rng = np.random.default_rng(_seed(target, number))
            chosen = drawn(rng, _of_units(odds, of), of, wanted, max(2, round(share * lab.about)))
            purpose = f"about/{target.repetition}/{number}"
            parts.append(lab.trained_on(whole, self.person, chosen[:, of], purpose))
            together = Shadows(
                np.concatenate([part.member for part in parts]),
                np.concatenate([part.answers for part in parts]),
            )
            laws = response_of(self.run, candidates, together, self.units, self.response.prior)
            if laws is None:
                break
            times = 2 if laws.timed else 0
            odds = Judge(self.run.answer, laws, self.units, times, self.spread)(target)
            if expected_error(odds) <= _SURE:
                break
        return odds


def expected_error(odds: Scores) -> float:
    """Share of windows that is wrong if each is judged by its log-odds, and these are right."""
    return float(np.mean(1 / (1 + np.exp(np.minimum(np.abs(odds), 50.0)))))


def _chance(lab: ChoosingLab, run: Run, person: str, response: Response) -> float:
    """Share of what the law leaves of shadow devices that other seeds alone make."""
    whole = run.whole
    shadows = lab.shadows(whole, person, Knowledge.SAME_PERSON)

    def measure() -> float:
        again = lab.trained_on(whole, person, shadows.member[:_AGAIN], "again")
        law = response.at(None)
        pairs = (law.readout.of_whole(s.answers[:_AGAIN, :, 0]) for s in (shadows, again))
        apart = next(pairs) - next(pairs)
        white = applied(law.left, law.right, apart) / np.sqrt(2)
        return float((white @ law.precision * white).sum(axis=1).mean() / white.shape[1])

    return remembered(shadows, ("chance", run.recipe, run.epochs), measure)


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


ATTACKS: tuple[Attack, ...] = (CloserDecoder(), CloserDecoder(weights=True))
