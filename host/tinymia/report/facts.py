"""A membership finding, looked up by name."""

from __future__ import annotations

from collections.abc import Iterable

from tinymia.evidence import AnswerSettings, OutputPolicy
from tinymia.experiments.base import Comparison, Condition, Measure
from tinymia.experiments.membership.types import (
    Accuracy,
    AdversaryRow,
    AttackRow,
    Curve,
    Leak,
    MembershipFinding,
    Rate,
)
from tinymia.study.results import Cost, Privacy, Results, ShadowRow

_Key = tuple[str, str, OutputPolicy]


class Facts:
    """What sections ask of a membership finding and the context of its study.

    Args:
        results: of a study.
        finding: its membership finding.
    """

    def __init__(self, results: Results, finding: MembershipFinding) -> None:
        self.results = results
        self.finding = finding
        self.attacks: dict[str, AttackRow] = {a.name: a for a in finding.attacks}
        self.accuracy: dict[str, Accuracy] = {a.condition: a for a in finding.accuracy}
        self.costs: dict[str, Cost] = {c.condition: c for c in results.context.costs}
        self.privacy: dict[str, Privacy] = {p.condition: p for p in results.context.privacy}
        self.shadows: dict[str, ShadowRow] = {s.condition: s for s in results.context.shadows}
        self.conditions: dict[str, Condition] = {c.name: c for c in finding.conditions}
        self._leaks: dict[_Key, Leak] = {
            (k.condition, k.attack, k.answer): k for k in finding.leaks
        }
        self._curves: dict[_Key, Curve] = {
            (k.condition, k.attack, k.answer): k for k in finding.curves
        }
        self._paired = _by_key(finding.paired)
        self._added = _by_key(finding.added)
        # Accuracy does not hang on the policy: every answer shows its most likely class.
        self._gained = {r.condition: r for r in finding.paired if r.measure is Measure.HELD_OUT}

    @classmethod
    def of(cls, results: Results) -> Facts | None:
        """None where the study has no membership finding."""
        finding = results.findings.membership
        return None if finding is None else cls(results, finding)

    def condition(self, name: str) -> Condition:
        """The condition of that name."""
        return self.conditions[name]

    @property
    def main(self) -> Condition | None:
        """Plain fine-tuning at the last epochs."""
        return self.conditions.get(self.finding.main)

    @property
    def plain(self) -> list[Condition]:
        """The base model and plain fine-tuning, by epochs."""
        found = [c for c in self.finding.conditions if c.is_base or c.is_plain]
        return sorted(found, key=lambda c: c.epochs)

    @property
    def defended(self) -> list[Condition]:
        """What has a defence."""
        return [c for c in self.finding.conditions if c.defences]

    @property
    def other_depths(self) -> list[Condition]:
        """What trains more or less than the study does, without a defence."""
        return [
            c
            for c in self.finding.conditions
            if not c.main_depth and not c.defences and not c.is_base
        ]

    def leak(self, condition: str, attack: str, answer: OutputPolicy | None = None) -> Leak | None:
        """One attack on one condition, under the study's own policy unless said otherwise."""
        return self._leaks.get((condition, attack, answer or self.finding.answer))

    def curve(self, condition: str, attack: str) -> Curve | None:
        """The ROC under the study's own policy."""
        return self._curves.get((condition, attack, self.finding.answer))

    def change(
        self,
        condition: str,
        attack: str,
        measure: Measure = Measure.AUC,
        answer: OutputPolicy | None = None,
    ) -> Comparison | None:
        """An attack's paired difference between a condition and its reference."""
        return self._paired.get((condition, attack, measure, answer or self.finding.answer))

    def gained(self, condition: str) -> Comparison | None:
        """The change in held-out accuracy against plain fine-tuning."""
        return self._gained.get(condition)

    def added(
        self, condition: str, attack: str, answer: OutputPolicy | None = None
    ) -> Comparison | None:
        """What fine-tuning added to the AUC on the base model."""
        return self._added.get((condition, attack, Measure.AUC, answer or self.finding.answer))

    def headline(self, row: AdversaryRow, answer: OutputPolicy | None = None) -> AttackRow | None:
        """The attack that stands for an adversary under a policy; None where none runs."""
        named = dict(zip(self.finding.answers, row.attack, strict=True))
        return self.attacks.get(named.get(answer or self.finding.answer, ""))

    @property
    def active(self) -> list[tuple[AdversaryRow, AttackRow]]:
        """Adversaries who have an attack under the study's own policy, with that attack."""
        pairs = [(row, self.headline(row)) for row in self.finding.adversaries]
        return [(row, attack) for row, attack in pairs if attack is not None]

    @property
    def strongest(self) -> tuple[AdversaryRow, AttackRow] | None:
        """The stated adversary and their attack under the study's policy; None where none runs.

        Where none of theirs was chosen, the strongest of whom one was.
        """
        for row, attack in self.active:
            if row.adversary is self.finding.strongest:
                return row, attack
        return self.active[-1] if self.by_choice and self.active else None

    @property
    def by_choice(self) -> bool:
        """Whether no attack of the stated adversary was chosen."""
        stated = self.finding.strongest
        return bool(self.finding.chosen) and all(
            row.adversary is not stated for row in self.finding.adversaries
        )

    def leads(self, row: AdversaryRow) -> bool:
        """Whether this is the adversary whose figure the page opens with."""
        first = self.strongest[0].adversary if self.strongest else self.finding.strongest
        return row.adversary is first

    def answer_title(self, answer: OutputPolicy) -> str:
        """A policy for people: "rounded to 1/100"."""
        return AnswerSettings(answer, self.finding.levels).title

    @property
    def unit(self) -> str:
        """Of costs: instructions or cycles."""
        return self.results.context.device.unit or "instructions"


def rate(rates: Iterable[Rate], fpr: float) -> Rate | None:
    """The TPR at that FPR."""
    return next((r for r in rates if r.fpr == fpr), None)


def resolved(rates: Iterable[Rate]) -> Rate | None:
    """The first TPR that has a value."""
    return next((r for r in rates if r.figure.value is not None), None)


def _by_key(
    rows: Iterable[Comparison],
) -> dict[tuple[str, str, Measure, OutputPolicy], Comparison]:
    return {(r.condition, r.attack, r.measure, r.answer): r for r in rows}
