"""Paired comparisons of one family, alone and corrected for how many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tinymia.evidence import OutputPolicy
from tinymia.experiments.base import Comparison, Condition, Figure, Measure, Verdict
from tinymia.experiments.membership.figures import figure
from tinymia.statistics.intervals import Replicates
from tinymia.statistics.multiplicity import adjust
from tinymia.statistics.power import smallest_effect

Row = tuple[str, str, Replicates]
"""Condition, reference, paired difference."""
Found = Mapping[tuple[str, str, OutputPolicy], Replicates]
"""A measure by condition, attack and policy."""


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


def added(
    conditions: Sequence[Condition], attacks: Sequence[str], areas: Found, answer: OutputPolicy
) -> list[Comparison]:
    """Fine-tuned conditions against the base model: one family an attack.

    Args:
        conditions: one of them the base model.
        attacks: names.
        areas: their AUC.
        answer: policy under which the devices answered.
    """
    rows: list[Comparison] = []
    base = next(c.name for c in conditions if c.is_base)
    for name in attacks:
        there = areas.get((base, name, answer))
        family = [
            (c.name, areas[c.name, name, answer])
            for c in conditions
            if not c.is_base and (c.name, name, answer) in areas
        ]
        # Who needs shadow devices of fine-tuning can only guess on the base model.
        reference = there or _constant(family[0][1], 0.5) if family else None
        if reference is not None:
            differences = [(c, base, here - reference) for c, here in family]
            rows += compare(differences, Measure.AUC, name, answer)
    return rows


def paired(
    conditions: Sequence[Condition],
    answers: Sequence[OutputPolicy],
    attacks: Sequence[str],
    measures: Mapping[Measure, Found],
    heldout: Mapping[str, Replicates],
) -> list[Comparison]:
    """Defences and depths against plain fine-tuning: one family a measure and attack.

    Args:
        conditions: those with a reference are compared with it.
        answers: policies, the study's own first.
        attacks: names.
        measures: what is compared of attacks.
        heldout: accuracy on windows that are no members, by condition.
    """
    compared = [c for c in conditions if c.reference]
    rows: list[Comparison] = []
    for answer in answers:
        for name in attacks:
            for measure, found in measures.items():
                ends = [(c, (c.name, name, answer), (c.reference, name, answer)) for c in compared]
                family = [
                    (c.name, c.reference, found[here] - found[there])
                    for c, here, there in ends
                    if here in found and there in found
                ]
                rows += compare(family, measure, name, answer)
    accuracies = [(c.name, c.reference, heldout[c.name] - heldout[c.reference]) for c in compared]
    return rows + compare(accuracies, Measure.HELD_OUT, "", answers[0])


def _constant(like: Replicates, value: float) -> Replicates:
    """A figure that is known."""
    return replace(
        like,
        point=np.full_like(like.point, value),
        boot=np.full_like(like.boot, value),
        drop=np.full_like(like.drop, value),
        lowest=value,
        highest=value,
    )


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
