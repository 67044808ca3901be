"""From the scores of all attacks on all devices to the finding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tinymia.attacks.base import Adversary, Attack
from tinymia.attacks.choice import EVERY_ATTACK, Choice
from tinymia.evidence import OutputPolicy, Scores
from tinymia.experiments.base import Condition, Measure, Verdict
from tinymia.experiments.membership.compare import added, paired, verdict_of
from tinymia.experiments.membership.controls import PersonControls, cells_of, controls
from tinymia.experiments.membership.devices import Cells
from tinymia.experiments.membership.figures import absent, figure, masked
from tinymia.experiments.membership.idle import not_run
from tinymia.experiments.membership.left_out import left_out
from tinymia.experiments.membership.persons import person_rows
from tinymia.experiments.membership.rates import threshold_rows
from tinymia.experiments.membership.types import (
    VERSION,
    Accuracy,
    AdversaryRow,
    AttackRow,
    Control,
    Counts,
    Curve,
    Leak,
    LeftOut,
    MembershipFinding,
    NotRun,
    Rate,
    Rules,
    ThresholdRow,
)
from tinymia.statistics.cells import grain, pairs
from tinymia.statistics.intervals import LEVEL, Floats, Mean, Replicates, Resampler
from tinymia.statistics.metrics import MIN_FALSE_POSITIVES, crossfit_advantage, resolves
from tinymia.statistics.pooled import PooledScores
from tinymia.statistics.power import GUESSING_MARGIN, no_more_than_guessing
from tinymia.statistics.rates import tpr_estimate

FPRS = (0.01, 0.001)
ROC_GRID: Floats = np.geomspace(1e-3, 1.0, 49)
RESAMPLES = 2000
STRONGEST = Adversary.JOINT
"""Whose figure the page opens with, fixed beforehand: a person who holds windows and can query."""

ScoresOf = Callable[[str, OutputPolicy], Mapping[str, Sequence[Scores]]]
"""Scores by attack of a condition under a policy: one (n,) a device, NaN where not judged."""


@dataclass
class Analysis:
    """One analysis: what its parts share.

    Attributes:
        conditions: in the order of the page.
        cells: the devices of each.
        scores: see :data:`ScoresOf`.
        answers: policies, the study's own first.
        levels: steps of a rounded probability.
        attacks: all that were tried, in the order of the page.
        chosen: which of all those are, if not all.
        views: answers to each window where the last layer alone was trained.
        controls: of each person.
        seed: of resampling.
        done: told of each condition and policy.
    """

    conditions: Sequence[Condition]
    cells: Cells
    scores: ScoresOf
    answers: Sequence[OutputPolicy]
    levels: int
    attacks: Sequence[Attack]
    chosen: Choice = field(default_factory=Choice)
    views: int = 1
    controls: Sequence[PersonControls] = ()
    seed: int = 0
    resamples: int = RESAMPLES
    done: Callable[[], None] = lambda: None
    _auc: dict[tuple[str, str, OutputPolicy], Replicates] = field(default_factory=dict)
    _tpr: dict[tuple[str, str, OutputPolicy], Replicates] = field(default_factory=dict)
    _heldout: dict[str, Replicates] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = self.cells[self.conditions[0].name]
        self.people = [device.person for device in first]
        self.sampler = Resampler(self.people, self.resamples, self.seed)
        self.light = Resampler(self.people, 0, self.seed)  # no bootstrap, for the many
        plain = [c for c in self.conditions if c.is_plain]
        self.main = plain[-1].name if plain else ""
        counted = [(d.member[d.counted], d) for d in first]
        self.members = [int(m.sum()) for m, _ in counted]
        self.nonmembers = [int((~m).sum()) for m, _ in counted]
        self.distinct = len(
            {(d.person, int(w)) for d in first for w in np.flatnonzero(d.counted & ~d.member)}
        )
        self.headlines = {
            (adversary, answer): headline
            for adversary in Adversary
            for at, answer in enumerate(self.answers)
            if (headline := self.chosen.headline(adversary, answer, own=at == 0)) is not None
        }

    def finding(self) -> MembershipFinding:
        """All parts."""
        leaks, curves = [], []
        for condition in self.conditions:
            for answer in self.answers:
                scored = self.scores(condition.name, answer)
                for attack in self.attacks:
                    if attack.info.name in scored:
                        leak, curve = self._attack(
                            condition, attack, answer, scored[attack.info.name]
                        )
                        leaks.append(leak)
                        curves += [curve] if curve is not None else []
                self.done()
        accuracy = [self._accuracy(condition) for condition in self.conditions]
        main_scores = self.scores(self.main, self.answers[0]) if self.main else {}
        heads = [attack.info.name for attack in self._headlines_of(self.answers[0])]
        return MembershipFinding(
            version=VERSION,
            conditions=tuple(self.conditions),
            main=self.main,
            answer=self.answers[0],
            answers=tuple(self.answers),
            attacks=tuple(_row(attack) for attack in self.attacks),
            adversaries=tuple(self._adversary(a, leaks) for a in Adversary if self._has(a)),
            strongest=STRONGEST,
            leaks=tuple(leaks),
            fprs=tuple(ROC_GRID.tolist()),
            from_fpr=self._lowest_fpr(),
            curves=tuple(curves),
            thresholds=tuple(self._thresholds(main_scores)),
            accuracy=tuple(accuracy),
            added=tuple(added(self.conditions, heads, self._auc, self.answers[0])),
            paired=tuple(
                paired(
                    self.conditions,
                    self.answers,
                    [attack.info.name for attack in self.attacks],
                    {Measure.AUC: self._auc, Measure.TPR_1: self._tpr},
                    self._heldout,
                )
            ),
            people=tuple(person_rows(self.main, heads, main_scores, self.cells[self.main]))
            if self.main
            else (),
            controls=tuple(self._controls(leaks, main_scores)),
            counts=self._counts(leaks),
            levels=self.levels,
            left_out=self._left_out(),
            not_run=tuple(self._not_run(leaks)),
            chosen=() if self.chosen.names is None else tuple(a.info.name for a in self.attacks),
            rules=Rules(
                LEVEL,
                self.sampler.method.value,
                self.resamples,
                self.seed,
                MIN_FALSE_POSITIVES,
                GUESSING_MARGIN,
            ),
        )

    def _headlines_of(self, answer: OutputPolicy) -> list[Attack]:
        found = [a for (_, policy), a in self.headlines.items() if policy is answer]
        return list({attack.info.name: attack for attack in found}.values())

    def _attack(
        self, condition: Condition, attack: Attack, answer: OutputPolicy, scores: Sequence[Scores]
    ) -> tuple[Leak, Curve | None]:
        """All metrics of one attack on one condition, and its ROC where it is a headline."""
        key = condition.name, attack.info.name, answer
        judged = cells_of(scores, self.cells[condition.name])
        compared = pairs(judged)
        pooled = PooledScores(compared)
        headline = attack in self._headlines_of(answer)
        drawn = headline and answer is self.answers[0]
        sampler = self.sampler if drawn else self.light
        self._auc[key] = sampler.replicates(pooled.auc, 0.0, 1.0)
        targets: Floats = np.concatenate([ROC_GRID, FPRS]) if drawn else np.array(FPRS)
        if pooled.constant:
            # Every score is tied, so the attacker can only guess, and guessing finds a share of
            # the members equal to the FPR. The threshold rule alone would say 0.
            rates = Replicates(
                targets,
                np.tile(targets, (len(sampler.boot), 1)),
                np.tile(targets, (sampler.people if sampler.people > 1 else 0, 1)),
                sampler.method,
                0.0,
                1.0,
            )
        else:
            rates = sampler.replicates(pooled.tpr_at(targets), 0.0, 1.0, grain(judged))
        self._tpr[key] = rates.column(len(targets) - 2)
        others = sum(len(n) for _, n in compared)
        rows = []
        for i, fpr in enumerate(FPRS):
            resolution = resolves(fpr, others, self.distinct)
            column = rates.column(len(targets) - len(FPRS) + i)
            made = absent(resolution.reason)
            if resolution.ok:
                estimate = tpr_estimate(judged, pooled, column, fpr)
                made = replace(figure(column), low=estimate.low, high=estimate.high)
            rows.append(Rate(fpr, made))
        advantage = crossfit_advantage(compared, self.people)
        area = figure(self._auc[key])
        leak = Leak(
            condition=condition.name,
            attack=attack.info.name,
            answer=answer,
            auc=area,
            tpr=tuple(rows),
            advantage=absent("needs two people: the threshold is chosen on the others")
            if advantage is None
            else figure(self.light.replicates(Mean(advantage), -1.0, 1.0)),
            guessing=pooled.constant,
            scored=others + sum(len(m) for m, _ in compared),
            guessing_ruled_out=area.low is not None and area.low > 0.5,
            no_more_than_guessing=no_more_than_guessing(self._auc[key]).within,
        )
        return leak, self._curve(key, rates) if drawn else None

    def _lowest_fpr(self) -> float:
        """The lowest FPR that the ROC is drawn from."""
        return max(MIN_FALSE_POSITIVES / sum(self.nonmembers), 1 / self.distinct)

    def _curve(self, key: tuple[str, str, OutputPolicy], rates: Replicates) -> Curve:
        """The ROC on the grid with its band; None below what the non-members resolve."""
        shown = self._lowest_fpr() <= ROC_GRID
        n = len(ROC_GRID)
        # Leaving a person out moves an order statistic in steps, too rough for a band.
        bounds = rates.percentile()
        low, high = (None, None) if bounds is None else (bounds[0][:n], bounds[1][:n])
        return Curve(*key, masked(rates.point[:n], shown), masked(low, shown), masked(high, shown))

    def _has(self, adversary: Adversary) -> bool:
        """Whether an attack of theirs is among those that were chosen."""
        whose = {attack.info.adversary for attack in self.attacks}
        return self.chosen.names is None or adversary in whose

    def _adversary(self, adversary: Adversary, leaks: Sequence[Leak]) -> AdversaryRow:
        names = tuple(_name(self.headlines.get((adversary, answer))) for answer in self.answers)
        every = replace(self.chosen, asked=EVERY_ATTACK)
        usual = tuple(
            _name(every.headline(adversary, answer, own=at == 0))
            for at, answer in enumerate(self.answers)
        )
        at = self.main, names[0], self.answers[0]
        leak = next((k for k in leaks if (k.condition, k.attack, k.answer) == at), None)
        return AdversaryRow(
            adversary,
            adversary.words,
            names,
            None if leak is None else leak.auc,
            () if leak is None else leak.tpr,
            () if usual == names else usual,
        )

    def _accuracy(self, condition: Condition) -> Accuracy:
        """Accuracy on members and on held-out windows (the non-members)."""
        devices = self.cells[condition.name]

        def mean(after: bool, member: bool) -> Replicates:
            rows = [
                (d.right if after else d.right_base)[d.counted & (d.member == member)].mean()
                for d in devices
            ]
            return self.light.replicates(Mean(np.array(rows)), 0.0, 1.0)

        heldout, before = mean(True, False), mean(False, False)
        self._heldout[condition.name] = heldout
        gain = figure(heldout - before)
        return Accuracy(
            condition.name,
            figure(mean(True, True)),
            figure(heldout),
            figure(before),
            gain,
            Verdict.NOT_DISTINGUISHABLE if condition.is_base else verdict_of(gain),
        )

    def _not_run(self, leaks: Sequence[Leak]) -> Iterator[NotRun]:
        own = self.answers[0]
        ran = {leak.attack for leak in leaks if leak.answer is own}
        depths = {condition.depth for condition in self.conditions}
        return not_run(self.chosen, self.attacks, ran, own, depths, self.views)

    def _left_out(self) -> tuple[LeftOut, ...]:
        """What another study of the same people is paired with."""
        heads = {(a.info.name, p) for p in self.answers for a in self._headlines_of(p)}
        measures = {Measure.AUC: self._auc}
        if resolves(FPRS[0], sum(self.nonmembers), self.distinct).ok:
            measures[Measure.TPR_1] = self._tpr
        return left_out(measures, heads, self._heldout, self.answers[0])

    def _thresholds(self, scored: Mapping[str, Sequence[Scores]]) -> list[ThresholdRow]:
        return [
            row
            for attack in self._headlines_of(self.answers[0])
            if attack.info.name in scored
            for row in threshold_rows(
                self.main,
                attack.info.name,
                cells_of(scored[attack.info.name], self.cells[self.main]),
                self.controls,
                self.light,
                FPRS,
            )
        ]

    def _controls(
        self, leaks: Sequence[Leak], scored: Mapping[str, Sequence[Scores]]
    ) -> list[Control]:
        if not self.main:
            return []
        compares = {a.info.name for a in self.attacks if a.info.calibrated}
        base = [
            leak
            for leak in leaks
            if leak.answer is self.answers[0]
            and leak.attack not in compares
            and next(c for c in self.conditions if c.name == leak.condition).is_base
        ]
        stands = self._headlines_of(self.answers[0])
        strongest = self.headlines.get((STRONGEST, self.answers[0]))
        if strongest is None and stands:
            strongest = stands[-1]
        return controls(
            self.controls,
            self.cells[self.main],
            scored,
            base,
            _name(strongest),
            self.light,
            self.seed,
            chosen=self.chosen.names is not None,
        )

    def _counts(self, leaks: Sequence[Leak]) -> Counts:
        return Counts(
            people=tuple(sorted(set(self.people))),
            repetitions=max(self.people.count(person) for person in self.people),
            devices=len(self.people) * len(self.conditions),
            members_per_device=(min(self.members), max(self.members)),
            nonmembers_per_device=(min(self.nonmembers), max(self.nonmembers)),
            members_pooled=sum(self.members),
            nonmembers_pooled=sum(self.nonmembers),
            nonmembers_distinct=self.distinct,
            scores=sum(leak.scored for leak in leaks),
        )


def _name(attack: Attack | None) -> str:
    return "" if attack is None else attack.info.name


def _row(attack: Attack) -> AttackRow:
    info = attack.info
    return AttackRow(
        info.name,
        info.title,
        info.reference,
        info.adversary,
        info.needs,
        "" if info.knowledge is None else info.knowledge.value,
        info.headline,
        info.calibrated,
        info.limits,
    )
