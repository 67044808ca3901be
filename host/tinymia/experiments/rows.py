"""Rows of a chapter from one value a device: intervals, what the device added, what defences do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tinymia.evidence import Run
from tinymia.experiments.base import Verdict
from tinymia.experiments.chapter import Measure, Row
from tinymia.experiments.membership.compare import decide
from tinymia.experiments.membership.figures import figure
from tinymia.statistics.intervals import (
    Floats,
    Mean,
    QuickStatistic,
    Replicates,
    Resampler,
    Statistic,
)
from tinymia.statistics.multiplicity import adjust

Value = Floats | Statistic | QuickStatistic
"""(devices,) values, of which the mean is the figure, or a statistic of weights of the devices."""


@dataclass(frozen=True, eq=False)
class Found:
    """What was measured under one run.

    Attributes:
        run: which.
        values: of its devices, in the order of the table's owners.
        baseline: the same without the device; None where there is no such thing.
    """

    run: Run
    values: Value
    baseline: Value | None = None


@dataclass
class Tabulator:
    """Makes rows whose differences are paired.

    Args:
        owners: the owner of each device, the same for all runs.
        seed: of the bootstrap that is shown beside intervals.
        resamples: of it.
    """

    owners: Sequence[str]
    seed: int = 0
    resamples: int = 400
    _resampler: Resampler = field(init=False)

    def __post_init__(self) -> None:
        self._resampler = Resampler(self.owners, self.resamples, self.seed)

    def rows(
        self,
        measure: Measure,
        adversary: str,
        found: Sequence[Found],
        *,
        low: float = 0.0,
        high: float = 1.0,
        grain: float | None = None,
        at: Mapping[str, str] | None = None,
    ) -> list[Row]:
        """One row a run, all compared together.

        Args:
            measure: what the values are.
            adversary: who attacked; "" for nobody.
            found: plain fine-tuning first; the others are paired with it, and it with its baseline.
            low, high: what the figure can be.
            grain: the least standard error that is believed; None: one device's weight times the
                range, where that is finite.
            at: what else the rows are at.
        """
        if grain is None:
            grain = (high - low) / max(1, len(self.owners)) if np.isfinite(high - low) else 0.0
        own = [self._replicates(f.values, low, high, grain) for f in found]
        base = [
            None if f.baseline is None else self._replicates(f.baseline, low, high, grain)
            for f in found
        ]
        references = [base[0] if i == 0 else own[0] for i in range(len(found))]
        changes = [
            None if reference is None else value - reference
            for value, reference in zip(own, references, strict=True)
        ]
        known = [change for change in changes if change is not None]
        verdicts = iter(adjust(known))
        rows = []
        for one, value, without, change in zip(found, own, base, changes, strict=True):
            verdict = Verdict.NOT_MEASURED
            if change is not None:
                verdict = decide(figure(change), next(verdicts).significant_adjusted)
            rows.append(
                Row(
                    measure=measure.name,
                    adversary=adversary,
                    condition=one.run.name,
                    title=one.run.title,
                    figure=figure(value),
                    baseline=None if without is None else figure(without),
                    change=None if change is None else figure(change),
                    verdict=verdict,
                    at=dict(at or {}),
                    devices=len(self.owners),
                    people=self._resampler.people,
                )
            )
        return rows

    def _replicates(self, value: Value, low: float, high: float, grain: float) -> Replicates:
        statistic = Mean(np.asarray(value, np.float64)) if isinstance(value, np.ndarray) else value
        return self._resampler.replicates(statistic, low, high, grain)
