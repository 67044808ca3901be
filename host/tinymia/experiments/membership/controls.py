"""Checks whose outcome is known beforehand: two that must find nothing, and one that must find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Adversary
from tinymia.evidence import Scores
from tinymia.experiments.base import Figure
from tinymia.experiments.membership.devices import Attacked
from tinymia.experiments.membership.figures import absent, figure
from tinymia.experiments.membership.types import Control, Leak
from tinymia.statistics.cells import Cell, pairs
from tinymia.statistics.controls import shuffled_level
from tinymia.statistics.intervals import Resampler
from tinymia.statistics.pooled import PooledScores

STRANGER = Adversary.NO_SHADOWS
"""Who is to find a window that was memorised: that takes no shadow devices."""
FOUND = 0.95
"""AUC that a memorised window must give."""


@dataclass(frozen=True, eq=False)
class PersonControls:
    """The controls of one person.

    Attributes:
        person: who.
        memorised: (devices, n) scores of devices that were trained on one window for many epochs,
            by the weakest adversary; None where that has no attack.
        memorised_member: (devices, n) bool.
        untouched: (n,) scores of a device that was not trained, by attack.
        calibration_member: (s, n) bool, of shadow devices that no attack was fitted on.
        calibration: (s, n) their scores, by attack.
    """

    person: str
    memorised: NDArray[np.float64] | None
    memorised_member: NDArray[np.bool_] | None
    untouched: Mapping[str, Scores]
    calibration_member: NDArray[np.bool_]
    calibration: Mapping[str, NDArray[np.float64]]


def controls(
    found: Sequence[PersonControls],
    devices: Sequence[Attacked],
    scores: Mapping[str, Sequence[Scores]],
    base: Sequence[Leak],
    strongest: str,
    sampler: Resampler,
    seed: int,
) -> list[Control]:
    """All of a study.

    Args:
        found: of each person.
        devices: of plain fine-tuning.
        scores: of these devices, by attack: one (n,) each.
        base: what attacks that do not compare with the base model find on the base model.
        strongest: name of the attack that the page opens with.
        sampler: of the devices' people.
        seed: of shuffling.
    """
    rows = [
        Control(
            "base",
            "the base model, which has not seen the windows",
            leak.attack,
            leak.auc,
            "an interval that holds 0.5",
            None if leak.auc.low is None else not leak.auc.excludes(0.5),
        )
        for leak in base
    ]
    if strongest in scores:
        cells = cells_of(scores[strongest], devices)
        found_none = shuffled_level(cells, sampler, seed)
        share = found_none.excluded
        said = "" if share is None else f" ({100 * share:.1f} % of intervals exclude 0.5)"
        rows.append(
            Control(
                "shuffled",
                f"membership shuffled by blocks, {found_none.shuffles} times{said}",
                strongest,
                Figure(found_none.mean_auc),
                f"a mean of 0.5, which about {100 * found_none.expected:g} % of the intervals"
                f" exclude, at most {100 * found_none.at_most:g} %",
                found_none.holds,
            )
        )
    by_person = {one.person: one for one in found}
    for attack in dict.fromkeys(name for one in found for name in one.untouched):
        own = [by_person[device.person].untouched[attack] for device in devices]
        area = figure(sampler.replicates(PooledScores(pairs(cells_of(own, devices))).auc, 0.0, 1.0))
        holds = None if area.low is None else not area.excludes(0.5)
        rows.append(
            Control(
                "untouched",
                "a device that was never trained",
                attack,
                area,
                "an interval that holds 0.5",
                holds,
            )
        )
    memorised = [one for one in found if one.memorised is not None]
    if memorised:
        rows.append(_memorised(memorised))
    return rows


def _memorised(found: Sequence[PersonControls]) -> Control:
    pairs, people = [], []
    for one in found:
        assert one.memorised is not None
        assert one.memorised_member is not None
        for row, member in zip(one.memorised, one.memorised_member, strict=True):
            pairs.append((row[member], row[~member]))
            people.append(one.person)
    # Each device's own ranking: how well one window is remembered differs between devices.
    ranks = [float(np.mean(m[:, None] > o) + 0.5 * np.mean(m[:, None] == o)) for m, o in pairs]
    value = float(np.mean(ranks)) if ranks else None
    made = Figure(value) if value is not None else absent("no device")
    return Control(
        "memorised",
        "devices trained on a single window for many epochs",
        STRANGER.value,
        made,
        f"at least {FOUND:g}: the window ranks above nearly all others",
        None if value is None else value >= FOUND,
    )


def cells_of(scores: Sequence[Scores], devices: Sequence[Attacked]) -> list[Cell]:
    """Scores with who was a member, of the windows that were judged."""
    found = []
    for row, device in zip(scores, devices, strict=True):
        judged = device.counted & ~np.isnan(row)
        found.append(
            Cell(
                row[judged],
                device.member[judged],
                device.person,
                np.flatnonzero(judged),
                device.group[judged],
            )
        )
    return found
