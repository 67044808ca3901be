"""What the comparison with peers finds."""

from __future__ import annotations

from dataclasses import dataclass

from tinymia.evidence import OutputPolicy
from tinymia.experiments.base import Figure

VERSION = 1


@dataclass(frozen=True)
class PeerUsed:
    """A peer that took part, and versions with which it was tried beforehand."""

    name: str
    title: str
    version: str
    tested: tuple[str, ...]


@dataclass(frozen=True)
class PeerRow:
    """One attack of a peer beside ours, on the same answers.

    All figures are pooled over devices, as everywhere on the page; intervals are over devices, as
    only the code differs between the two sides and not the people.

    Attributes:
        peer, version: name, and what was installed.
        attack, title: of the peer's attack.
        ours: name of our attack.
        condition: whose devices.
        their_auc, our_auc: of their scores and of ours, by our metric.
        difference: theirs minus ours, paired.
        their_tpr, our_tpr, tpr_difference: the same at 1 % FPR; a reason where it is not resolved.
        agrees: no difference beyond sampling error, see ``PeersFinding.tolerance``; None: it cannot
            be told, because there is a single device or theirs did not run.
        explanation: what is known to be done otherwise, where they disagree; "" where nothing is.
        remaining: what is left of the difference in AUC once ours does the same as they do; None
            where they agree, or ours has no such form.
        explained: whether that leaves no difference beyond sampling error; None without it.
        metric_gap: greatest difference, over devices, between the AUC that the peer's own metric
            gives its scores and what ours gives them; None where it has none.
        failure: why theirs did not run, a sentence; else "".
    """

    peer: str
    version: str
    attack: str
    title: str
    ours: str
    condition: str
    their_auc: Figure
    our_auc: Figure
    difference: Figure
    their_tpr: Figure
    our_tpr: Figure
    tpr_difference: Figure
    agrees: bool | None
    explanation: str = ""
    remaining: Figure | None = None
    explained: bool | None = None
    metric_gap: float | None = None
    failure: str = ""


@dataclass(frozen=True)
class PeersFinding:
    """What other projects' attacks find in the same answers.

    Attributes:
        version: of this type.
        condition: name of plain fine-tuning at the last epochs, which is what was attacked.
        answer: policy under which its devices answered.
        devices: how many.
        peers: who took part.
        rows: each peer's attacks that run under the policy.
        tolerance: an AUC or TPR that differs by no more, interval and all, is called the same.
    """

    version: int
    condition: str
    answer: OutputPolicy
    devices: int
    peers: tuple[PeerUsed, ...]
    rows: tuple[PeerRow, ...]
    tolerance: float

    @property
    def unexplained(self) -> tuple[PeerRow, ...]:
        """Rows that disagree for no known reason, or for more than the known one."""
        apart = [row for row in self.rows if row.agrees is False]
        return tuple(r for r in apart if r.explained is False or not r.explanation)
