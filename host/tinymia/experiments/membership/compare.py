"""Paired comparisons of one family, alone and corrected for how many there are."""

from __future__ import annotations

from collections.abc import Sequence

from tinymia.evidence import OutputPolicy
from tinymia.experiments.base import Comparison, Figure, Measure, Verdict
from tinymia.experiments.membership.figures import figure
from tinymia.statistics.intervals import Replicates
from tinymia.statistics.multiplicity import adjust
from tinymia.statistics.power import smallest_effect

Row = tuple[str, str, Replicates]
"""Condition, reference, paired difference."""


def compare(
    family: Sequence[Row], measure: Measure, attack: str, answer: OutputPolicy
) -> list[Comparison]:
    """Test every difference of a family against zero.

    Args:
        family: compared together, so corrected together.
        measure: of what.
        attack: name; "" for accuracies.
        answer: policy under which the devices answered.
    """
    rows = []
    for (condition, reference, difference), one in zip(
        family, adjust([difference for _, _, difference in family]), strict=True
    ):
        made = figure(difference)
        rows.append(
            Comparison(
                condition=condition,
                reference=reference,
                measure=measure,
                attack=attack,
                answer=answer,
                difference=made,
                verdict=verdict_of(made),
                p_value=one.p,
                p_adjusted=one.p_holm,
                simultaneous=Figure(made.value, one.low, one.high),
                verdict_adjusted=decide(made, one.significant_adjusted),
                family=len(family),
                smallest_effect=smallest_effect(difference, len(family)),
            )
        )
    return rows


def verdict_of(difference: Figure) -> Verdict:
    """A direction if the interval excludes zero."""
    return decide(difference, difference.excludes(0.0))


def decide(difference: Figure, significant: bool) -> Verdict:
    """A direction if the difference is significant; not measured without an interval."""
    if difference.low is None or difference.value is None:
        return Verdict.NOT_MEASURED
    if not significant:
        return Verdict.NOT_DISTINGUISHABLE
    return Verdict.RAISES if difference.value > 0 else Verdict.LOWERS
