"""Their figures beside ours: same devices, same windows, same metric, paired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import OutputPolicy
from tinymia.experiments.base import Figure
from tinymia.experiments.membership.figures import absent, figure
from tinymia.experiments.peers.base import PeerAttack, PeerScores
from tinymia.experiments.peers.types import VERSION, PeerRow, PeersFinding, PeerUsed
from tinymia.statistics.cells import Cell, distinct_nonmembers, grain, pairs
from tinymia.statistics.intervals import Replicates, Resampler
from tinymia.statistics.metrics import auc, resolves
from tinymia.statistics.pooled import PooledScores

TOLERANCE = 0.005
"""Two implementations whose AUCs differ by half a point in a hundred say the same of a device."""
FPR = 0.01
_HUGE = 1e300


@dataclass(frozen=True, eq=False)
class PersonDevices:
    """Who was a member in one person's devices; see :class:`Evidence`.

    Attributes:
        person: name.
        member, counted: (devices, n) bool.
        group: (n,) int64: windows of one group are members together, or not at all.
    """

    person: str
    member: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    group: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Beside:
    """One peer's attack and ours, on everybody's devices.

    Attributes:
        peer: who.
        attack: theirs.
        theirs: of each person, or why there is nothing.
        ours: of each person, (devices, n) float64.
    """

    peer: PeerUsed
    attack: PeerAttack
    theirs: Sequence[PeerScores | str]
    ours: Sequence[NDArray[np.float64]]


def compare(
    condition: str,
    answer: OutputPolicy,
    people: Sequence[PersonDevices],
    peers: Sequence[PeerUsed],
    beside: Sequence[Beside],
) -> PeersFinding:
    """The finding.

    Args:
        condition: name of what was attacked.
        answer: how its devices answered.
        people: all of them.
        peers: who took part.
        beside: every attack, with as many entries as there are people.
    """
    return PeersFinding(
        version=VERSION,
        condition=condition,
        answer=answer,
        devices=sum(len(who.member) for who in people),
        peers=tuple(peers),
        rows=tuple(_row(condition, people, b) for b in beside),
        tolerance=TOLERANCE,
    )


def _row(condition: str, people: Sequence[PersonDevices], b: Beside) -> PeerRow:
    ours = _Measured(people, b.ours)
    found = [given for given in b.theirs if isinstance(given, PeerScores)]
    failures = [given for given in b.theirs if isinstance(given, str)]
    if failures:
        nothing = absent("did not run")
        return PeerRow(
            *(b.peer.name, b.peer.version, b.attack.name, b.attack.title, b.attack.ours, condition),
            *(nothing, figure(ours.auc), nothing, nothing, ours.tpr_figure, nothing),
            agrees=None,
            failure=failures[0],
        )
    theirs = _Measured(people, [given.scores for given in found])
    difference = figure(theirs.auc - ours.auc)
    apart = ours.tpr_figure
    if ours.resolved:
        apart = figure(theirs.tpr - ours.tpr)
    agrees = _both(_same(difference), _same(apart) if ours.resolved else True)
    remaining = None
    if agrees is False and all(given.alike is not None for given in found):
        alike = _Measured(people, [given.alike for given in found if given.alike is not None])
        remaining = figure(theirs.auc - alike.auc)
    return PeerRow(
        *(b.peer.name, b.peer.version, b.attack.name, b.attack.title, b.attack.ours, condition),
        *(figure(theirs.auc), figure(ours.auc), difference),
        *(theirs.tpr_figure, ours.tpr_figure, apart),
        agrees=agrees,
        explanation=b.attack.differs if agrees is False else "",
        remaining=remaining,
        explained=None if remaining is None else _same(remaining),
        metric_gap=_gap(people, found),
    )


class _Measured:
    """Pooled figures of scores, over devices.

    Args:
        people: whose.
        scores: (devices, n) of each.
    """

    def __init__(self, people: Sequence[PersonDevices], scores: Sequence[NDArray[np.float64]]):
        self.cells = [
            cell for who, rows in zip(people, scores, strict=True) for cell in _cells(who, rows)
        ]
        compared = pairs(self.cells)
        others = sum(len(n) for _, n in compared)
        resolution = resolves(FPR, others, distinct_nonmembers(self.cells))
        self.resolved, self._reason = resolution.ok, resolution.reason
        # A device is what is left out, not a person: the sides differ in code alone.
        sampler = Resampler([str(number) for number in range(len(self.cells))], 0)
        pooled = PooledScores(compared)
        self.auc: Replicates = sampler.replicates(pooled.auc, 0.0, 1.0)
        self.tpr: Replicates = sampler.replicates(
            pooled.tpr_at([FPR]), 0.0, 1.0, grain(self.cells)
        ).column(0)

    @property
    def tpr_figure(self) -> Figure:
        return figure(self.tpr) if self.resolved else absent(self._reason)


def _cells(who: PersonDevices, rows: NDArray[np.float64]) -> list[Cell]:
    found = []
    for scores, member, counted in zip(rows, who.member, who.counted, strict=True):
        # An infinite score of a peer is in order; a score that is no number finds nobody.
        finite = np.nan_to_num(scores[counted], nan=-_HUGE, posinf=_HUGE, neginf=-_HUGE)
        at = np.flatnonzero(counted)
        found.append(Cell(finite, member[counted], who.person, at, who.group[counted]))
    return found


def _same(difference: Figure) -> bool | None:
    """Whether a difference holds zero, or is too small to matter, interval and all."""
    if difference.value is None:
        return None
    if difference.low is None or difference.high is None:
        return True if difference.value == 0.0 else None
    small = max(-difference.low, difference.high) <= TOLERANCE
    return small or not difference.excludes(0.0)


def _both(first: bool | None, second: bool | None) -> bool | None:
    if first is False or second is False:
        return False
    return None if first is None or second is None else True


def _gap(people: Sequence[PersonDevices], found: Sequence[PeerScores]) -> float | None:
    gaps = []
    for who, given in zip(people, found, strict=True):
        if given.own_auc is None:
            return None
        ours = [auc(*pair) for pair in pairs(_cells(who, given.scores))]
        gaps.append(float(np.abs(np.array(ours) - given.own_auc).max()))
    return max(gaps)
