"""Figures without each person, so that two studies of the same people can be paired."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from tinymia.evidence import OutputPolicy
from tinymia.experiments.base import Measure
from tinymia.experiments.membership.types import LeftOut
from tinymia.statistics.intervals import Replicates

Key = tuple[str, str, OutputPolicy]
"""Condition, attack, policy."""


def left_out(
    measures: Mapping[Measure, Mapping[Key, Replicates]],
    heads: Collection[tuple[str, OutputPolicy]],
    heldout: Mapping[str, Replicates],
    own: OutputPolicy,
) -> tuple[LeftOut, ...]:
    """Those of headline attacks and of held-out accuracy; none with a single person.

    Args:
        measures: figures of all attacks, by measure.
        heads: attacks and policies that stand for an adversary.
        heldout: accuracy by condition.
        own: the study's policy.
    """
    found = [
        (key, measure, one)
        for measure, figures in measures.items()
        for key, one in figures.items()
        if key[1:] in heads
    ]
    found += [((name, "", own), Measure.HELD_OUT, one) for name, one in heldout.items()]
    return tuple(
        LeftOut(*key, measure, float(one.point), tuple(map(float, one.drop)), one.grain)
        for key, measure, one in found
        if one.people
    )


def replicates(left: LeftOut) -> Replicates:
    """As the analysis had them, without its bootstrap."""
    nothing = np.zeros(0)
    return Replicates(
        np.asarray(left.value), nothing, np.asarray(left.without), lowest=0.0, highest=1.0,
        grain=left.grain,
    )  # fmt: skip
