"""The interface of a membership attack and what it declares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tinymia.compat import StrEnum
from tinymia.evidence import Knowledge, Lab, OutputPolicy, Reveals, Run, Scorer
from tinymia.evidence.answers import REVEALED


class Adversary(StrEnum):
    """Who attacks, from the weakest to the strongest; verdicts are given for each.

    ``NO_SHADOWS``: queries the device, has the public base model, and judges each window by the
    answers to it.
    ``OTHER_PEOPLE``: also trains shadow devices, on windows of other people.
    ``CANDIDATES``: also holds the windows in question and trains on them, and judges each by the
    answers to it.
    ``JOINT``: the same, and judges all windows at once by all answers; the recipe of the
    training can replace the shadow devices.
    ``FLASH``: also reads the trained weights out of the device.
    """

    NO_SHADOWS = "no-shadows"
    OTHER_PEOPLE = "other-people"
    CANDIDATES = "candidates"
    JOINT = "joint"
    FLASH = "flash"

    @property
    def words(self) -> str:
        """For people."""
        return {
            Adversary.NO_SHADOWS: "one answer at a time, no shadow devices",
            Adversary.OTHER_PEOPLE: "shadow devices on other people's data",
            Adversary.CANDIDATES: "candidate windows, one at a time",
            Adversary.JOINT: "candidate windows, jointly",
            Adversary.FLASH: "candidate windows and the flash read",
        }[self]


@dataclass(frozen=True)
class AttackInfo:
    """What an attack is and needs.

    Attributes:
        name: key in results: "lira-online".
        title: for people.
        reference: where it is published.
        adversary: who can run it.
        needs: the least that an answer must reveal.
        knowledge: what its shadow devices are trained on; None: it has none.
        weights: whether it reads the trained weights.
        head_only: whether it works where only the last layer is trained.
        views: answers to each window that it wants; with fewer it does not run.
        oracle: whether it asks the device more.
        chooses: whether it trains devices on members that it chooses for each attacked device: it
            runs where a study asks for such devices.
        calibrated: whether it compares with the public base model's answer to the same window.
        headline: whether it stands for its adversary in verdicts. Fixed beforehand: taking what
            looks best on the same answers would report the largest of several noisy figures.
        limits: a sentence for the page: when it says less than it seems.
    """

    name: str
    title: str
    reference: str
    adversary: Adversary
    needs: Reveals = Reveals.ALL_PROBABILITIES
    knowledge: Knowledge | None = None
    weights: bool = False
    head_only: bool = False
    views: int = 1
    oracle: bool = False
    chooses: bool = False
    calibrated: bool = False
    headline: bool = False
    limits: str = ""

    @property
    def sees_one(self) -> bool:
        """Whether it sees the same under every policy: weights, or labels that it asks for."""
        return self.weights or (self.oracle and self.needs is Reveals.LABEL)

    def runs_under(self, policy: OutputPolicy) -> bool:
        """Whether it can run on what the policy reveals."""
        return REVEALED[policy] >= self.needs


@runtime_checkable
class Attack(Protocol):
    """One attack: fitted once for a run and a person, it scores that person's devices."""

    @property
    def info(self) -> AttackInfo:
        """What it is and needs."""
        ...

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """Learn what can be learnt before a device is seen.

        Args:
            lab: shadow devices and what is known of the person's windows.
            run: how the attacked devices were trained, and how they answer.
            person: whose devices are attacked.

        Returns:
            Called with a Target, it returns (n,) float64 scores, finite; higher means more likely a
            member. Equal targets get equal scores.
        """
        ...
