"""Screening of what is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting


@dataclass(frozen=True)
class Screening(Unproven):
    """Leaves out of training what looks poisoned: the members that the base network doubts most.

    The first round of trimmed loss minimisation (Shen and Sanghavi, ICML 2019), by the loss of the
    network as training starts, which has seen none of the members and so no poison among them; they
    alternate between trimming and training, which here finds less at each further round. Spectral
    signatures (Tran, Li and Madry, NeurIPS 2018), activation clustering (Chen et al., SafeAI 2019)
    and the nearest neighbours of the same class (Peri et al., ECCV Workshops 2020) look at
    embeddings, which a frozen network has not learnt from the poison; all leave more of it, see the
    README beside this file. Of a class at most three quarters (rounded down) go, so that one that
    the network does not know yet can be learnt. Where training starts at a shared tail, that is the
    network that doubts.

    Attributes:
        share: per cent of the members that are left out, rounded down: at least as many as may be
            poisoned.

    Raises:
        StudyError: the share is not in 1 to 50.
    """

    share: int = 10

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "share", "Leaving out a share of the members, in per cent,")

    @property
    def title(self) -> str:
        """For people."""
        return f"screening, {self.share} % left out"

    def apply(self, plan: Plan) -> Plan:
        """The plan with a screening before training."""
        return plan.training(screen=self.share)


KIND = Screening.kind = Kind(
    name="screen",
    short="screening",
    site=Site.DATA,
    make=Screening,
    parameters=(
        Parameter(
            "share", "--screen", "per cent of the members that are left out", of_setting("screen")
        ),
    ),
    strength="share",
    sweep=(5, 10, 20, 30),
    excludes=frozenset({"dp", "dp-public"}),
    why="Whether a window is left out hangs on all others, which no account of DP-SGD covers.",
    limits="What the base network answers wrongly goes first, and that is what an owner would teach"
    " it.",
)
